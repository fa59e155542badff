//! The double of Azure Key Vault that the crate's own tests run against, in a process of its own: it is
//! measured as a server, so it shares none with what measures it.

#[allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "it is made for the tests, which use more of it"
)]
#[path = "../../../../crates/backends-azure/tests/conformance/double/mod.rs"]
mod double;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use cloakroom_backends_azure::{Authentication, AzureBackend, AzureSettings};
use cloakroom_testkit::ManualClock;

use crate::targets::{PATIENCE, Target, credential, id};
use double::{CLIENT_SECRET, Double, TENANT};

/// Asks this program to be the double.
const WANTED: &str = "CLOAKROOM_BENCH_AZURE";

pub(crate) fn is_wanted() -> bool {
    std::env::var_os(WANTED).is_some()
}

/// Serves until standard input ends, which it does with the process that holds it.
pub(crate) async fn serve() -> Result<()> {
    let double = Double::start(ManualClock::default()).await;
    println!("{}", double.url());
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

pub(crate) fn target() -> Result<Target, String> {
    let name = "Azure Key Vault (double)";
    let (server, url) = start().map_err(|error| format!("{name}: {error:#}"))?;
    Ok(Target {
        name,
        url,
        signs: false,
        connect: Box::new(move |url| {
            // It lives as long as its target.
            let _ = &server;
            let mut settings = AzureSettings::new(url.clone());
            settings.authority = Some(url);
            settings.timeout = PATIENCE;
            settings.authentication = Authentication::ClientSecret;
            settings.tenant_id = Some(TENANT.to_owned());
            settings.client_id = Some("bench".to_owned());
            settings.client_secret = Some(credential(CLIENT_SECRET));
            Box::pin(async { Ok(Arc::new(AzureBackend::new(id()?, settings)?) as _) })
        }),
    })
}

fn start() -> Result<(Child, String)> {
    let mut server = Command::new(std::env::current_exe()?)
        .env(WANTED, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut url = String::new();
    let told = server.stdout.take().context("it has no output")?;
    BufReader::new(told).read_line(&mut url)?;
    Ok((server, url.trim().to_owned()))
}
