//! `health`: asks a running `serve` how it is, for a container's health check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::cli::HealthArgs;
use crate::configuration::{Configuration, Loaded};
use crate::exit::Exit;
use crate::output::Console;

/// Longer than `/readyz` waits for the store, and shorter than what asks for this waits.
const PATIENCE: Duration = Duration::from_secs(4);

/// Asks `/healthz` or `/readyz` and says what came. Reads the configuration for the address alone, and
/// opens neither store nor key: a program that is well is well whatever has become of its files since.
pub(super) async fn health(
    args: HealthArgs,
    configuration: impl FnOnce() -> anyhow::Result<Loaded>,
    named: impl FnOnce() -> Option<SocketAddr>,
    console: &Console,
) -> anyhow::Result<Exit> {
    let listening = match args.listen {
        Some(listening) => listening,
        None => configured(configuration(), named, console),
    };
    let path = if args.ready { "readyz" } else { "healthz" };
    let url = format!("http://{}/{path}", on_this_machine(listening));
    let (well, answer) = ask(&url).await.with_context(|| format!("ask {url}"))?;
    if !well {
        bail!("{url} answers: {answer}");
    }
    if console.is_json() {
        console.json(&json!({"url": url, "answer": answer}))?;
    } else {
        console.line(&answer)?;
    }
    Ok(Exit::Done)
}

/// Where `serve` listens by the configuration. Where that does not hold, what it still names: at the default
/// address may be somebody else.
fn configured(
    loaded: anyhow::Result<Loaded>,
    named: impl FnOnce() -> Option<SocketAddr>,
    console: &Console,
) -> SocketAddr {
    let error = match loaded {
        Ok(loaded) => return loaded.configuration.http.listen,
        Err(error) => error,
    };
    let (listening, whence) = match named() {
        Some(listening) => (listening, "its `http.listen`"),
        None => (Configuration::default().http.listen, "the default"),
    };
    console.note(format_args!(
        "the configuration does not hold ({error:#}), so {listening} is asked, {whence}; --listen names \
         another address"
    ));
    listening
}

/// Whether all is well, and what was answered.
async fn ask(url: &str) -> anyhow::Result<(bool, String)> {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        // It is on this machine, whatever HTTP_PROXY says.
        .no_proxy()
        .build()?;
    let response = client.get(url).send().await?;
    let well = response.status().is_success();
    let answer = response.text().await?.trim().to_owned();
    Ok((well, answer))
}

/// Who listens on every address is asked on loopback.
fn on_this_machine(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_asked_on_loopback() {
        for (listening, asked) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("10.0.0.7:80", "10.0.0.7:80"),
        ] {
            let listening: SocketAddr = listening.parse().unwrap();
            assert_eq!(on_this_machine(listening).to_string(), asked);
        }
    }
}
