//! Everything under torture: the servers, the proxies before them, the program's configuration.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use cloakroom_testkit::proxy::{Answer, Fault, Proxy, Rates, Upstream};
use cloakroom_testkit::{Canaries, SeededRandomness};
use nix::sys::signal::Signal;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::sleep;

use super::Options;
use super::model::Model;
use super::openbao::OpenBao;
use super::process::{self, Ended, Fate};
use super::server::{Server, free_port, postgres_user};
use super::tally::Tally;

/// moto's account, whatever is asked of it.
const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-central-1";
/// What the names of all secrets begin with in the managers.
pub(crate) const PREFIX: &str = "torture/";
/// The workspace whose secrets go to OpenBao, and the one whose go to moto.
pub(crate) const WORKSPACES: [&str; 2] = [
    "6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11",
    "8b0b2f0c-5f0a-4a8e-9a51-2b9f5f6a7d10",
];
/// How often each kind of trouble meets a request while nothing worse happens.
const USUAL_TROUBLE: f64 = 0.008;

/// The tests' own moto. Under another name: Python would take a `moto.py` for the package.
const MOTO: &str = include_str!("../../../../xtask/src/servers/moto.py");
const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/policies/aws");

/// The servers and all that is known about them.
pub(crate) struct Deployment {
    folder: TempDir,
    program: PathBuf,
    faults: SeededRandomness,
    pub(crate) tally: Arc<Tally>,
    pub(crate) postgres: AsyncMutex<Server>,
    pub(crate) openbao: AsyncMutex<OpenBao>,
    pub(crate) moto: AsyncMutex<Server>,
    /// Before OpenBao and before moto.
    pub(crate) proxies: [Proxy; 2],
    pub(crate) database: String,
    pub(crate) openbao_url: String,
    pub(crate) moto_url: String,
    pub(crate) model: Mutex<Model>,
    pub(crate) canaries: Canaries,
}

impl Deployment {
    /// Starts the servers and makes the database.
    pub(crate) async fn start(
        options: &Options,
        random: &SeededRandomness,
        tally: Arc<Tally>,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("cloakroom-torture-")
            // PostgreSQL's own user has to come through.
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in("/tmp")?;
        for name in ["logs", "postgres", "openbao", "moto", "secrets", "seen"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let (postgres, database) = postgres(&folder.path().join("postgres")).await?;
        let openbao = OpenBao::start(&options.installed, &folder.path().join("openbao")).await?;
        let (moto, user) = moto(&options.installed, &folder.path().join("moto")).await?;
        let openbao_url = openbao.url().to_owned();
        let moto_url = format!("http://127.0.0.1:{}", moto.port);
        let proxies = [
            Proxy::start(Upstream::new(&openbao_url)?).await?,
            // The host is part of what is signed.
            Proxy::start(Upstream::new(&moto_url)?.keeping_host()).await?,
        ];
        let mut canaries = Canaries::new(&random.stream("canaries"));
        let canary = canaries.next();
        let model = Model::new(canary.expose_text().unwrap_or_default());
        let secrets = folder.path().join("secrets");
        let (id, key) = user
            .split_once(':')
            .context("moto's user is not ID:SECRET")?;
        for (name, text) in [
            ("database", database.as_str()),
            ("token", openbao.root_token()),
            ("aws-id", id),
            ("aws-key", key),
        ] {
            fs::write(secrets.join(name), text)?;
        }
        let deployment = Self {
            program: options.program.clone(),
            faults: random.stream("faults"),
            tally,
            postgres: AsyncMutex::new(postgres),
            openbao: AsyncMutex::new(openbao),
            moto: AsyncMutex::new(moto),
            proxies,
            database,
            openbao_url,
            moto_url,
            model: Mutex::new(model),
            canaries,
            folder,
        };
        deployment.configure()?;
        for arguments in [
            &["key", "generate", "secrets/keys"][..],
            &["migrate-schema"],
        ] {
            let done = deployment.run(arguments, b"", Fate::Unharmed).await?;
            ensure!(
                done.code == Some(0),
                "{arguments:?} failed; see {}",
                deployment.log().display()
            );
        }
        deployment.usual_trouble();
        Ok(deployment)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where what the commands say on standard error goes.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder().join("logs/commands.log")
    }

    /// The program with nothing of the caller's environment, and nothing secret in its own.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("CLOAKROOM_CONFIG", self.folder().join("reconciler.yaml"))
            .current_dir(self.folder());
        command
    }

    /// Runs a command of the program and lets it meet its fate.
    pub(crate) async fn run(&self, arguments: &[&str], input: &[u8], fate: Fate) -> Result<Ended> {
        let patience = match arguments {
            ["run", ..] => process::PATIENCE_WITH_A_PASS,
            _ => process::PATIENCE,
        };
        let command = self.command(arguments);
        let ended = process::run(command, input, &self.log(), fate, patience).await?;
        if ended.hung {
            self.tally.problem(format!(
                "{arguments:?} did not end within {} s",
                patience.as_secs()
            ));
        }
        Ok(ended)
    }

    /// What is known about the documents. The guard must not be held across an await.
    pub(crate) fn model(&self) -> std::sync::MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to the database past the program.
    pub(crate) async fn connection(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.database).await?)
    }

    /// Now and then a request goes wrong.
    pub(crate) fn usual_trouble(&self) {
        self.storm(USUAL_TROUBLE);
    }

    /// Requests go wrong at this rate, each kind of trouble by itself.
    pub(crate) fn storm(&self, share: f64) {
        let unwell = Answer::json(503, "{}").with_retry_after(Duration::from_secs(1));
        let kinds = [
            Fault::Refuse,
            Fault::Reset,
            Fault::Truncate,
            Fault::LoseAnswer,
            Fault::Delay(Duration::from_millis(300)),
            Fault::Answer(unwell),
        ];
        for proxy in &self.proxies {
            let seed = self.faults.below(u64::MAX);
            proxy.storm(seed, Rates::each(share, kinds.clone()));
        }
    }

    /// Every server runs and every request arrives.
    pub(crate) async fn calm(&self) -> Result<()> {
        for proxy in &self.proxies {
            proxy.calm();
            proxy.open().await?;
        }
        self.postgres.lock().await.resume();
        self.openbao.lock().await.server.resume();
        self.moto.lock().await.resume();
        Ok(())
    }

    /// Stops the servers; the folder goes unless it is to be kept.
    pub(crate) async fn stop(&self, keep: bool) -> Result<()> {
        // A fast shutdown takes PostgreSQL's other processes with it.
        self.postgres.lock().await.stop(Signal::SIGINT).await?;
        self.openbao
            .lock()
            .await
            .server
            .stop(Signal::SIGTERM)
            .await?;
        self.moto.lock().await.stop(Signal::SIGINT).await?;
        if keep {
            let kept = self.folder().with_extension("kept");
            fs::rename(self.folder(), &kept)?;
            println!("kept: {}", kept.display());
        }
        Ok(())
    }

    /// Windows as short as the configuration's own checks permit.
    fn configure(&self) -> Result<()> {
        let [openbao, moto] = &self.proxies;
        let text = format!(
            "deployment: {{name: torture}}
store:
  postgres: {{url: {{file: secrets/database}}, connections: 5, acquire_timeout: 5s, statement_timeout: 5s}}
keys: {{file: secrets/keys}}
backends:
  openbao: {{type: vault, address: '{}', prefix: {PREFIX}, auth: {{token: {{file: secrets/token}}}}, timeout: 2s, purge_delay: 2s}}
  moto:
    type: aws-secrets-manager
    region: {REGION}
    account: '{ACCOUNT}'
    endpoint_url: '{}'
    authentication: {{keys: {{access_key_id: {{file: secrets/aws-id}}, secret_access_key: {{file: secrets/aws-key}}}}}}
    name_prefix: {PREFIX}
    timeout: 2s
default_backend: openbao
workspaces: {{{}: moto}}
documents: {{expires_in: 12s, put_deadline: 4s, put_retries: 3, puts_in_flight: 4}}
reconcile:
  backup_horizon: 10s
  windows: {{put_deadline: 5s, orphan_ttl: 3s, superseded_grace: 3s}}
  guards: {{largest_share: 1.0}}
  failures: {{first_pause: 500ms, longest_pause: 2s, quarantine: 5s}}
  request: {{retries: 3, first_pause: 50ms, longest_pause: 500ms, deadline: 3s}}
  claim_deadline: 10s
  lease: 11s
  batch: 20
  page: 50
jobs:
  expire-orphans: {{cron: '*/3 * * * * *'}}
  delete-superseded: {{cron: '*/3 * * * * *'}}
  verify-blobs: {{cron: '*/5 * * * * *'}}
  jitter: 1s
shutdown: {{deadline: 5s}}
log: {{level: info, format: json}}
",
            openbao.url(),
            moto.url(),
            WORKSPACES[1],
        );
        fs::write(self.folder().join("reconciler.yaml"), text)?;
        fs::write(self.folder().join("spec.json"), super::model::SPEC)?;
        Ok(())
    }
}

/// A cluster of our own in which a commit that was told is there after a kill.
async fn postgres(folder: &Path) -> Result<(Server, String)> {
    let programs = fs::read_dir("/usr/lib/postgresql")
        .context("PostgreSQL is not installed")?
        .filter_map(Result::ok)
        .map(|version| version.path().join("bin"))
        .find(|bin| bin.join("initdb").is_file())
        .context("there is no initdb in /usr/lib/postgresql")?;
    let user = postgres_user()?;
    let mut initdb = Command::new(programs.join("initdb"));
    initdb
        .args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ])
        .arg("--pgdata")
        .arg(folder.join("data"))
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    if let Some(user) = &user {
        chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        initdb.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    let made = initdb.output().await?;
    ensure!(
        made.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let port = free_port()?;
    let mut arguments = vec!["-D".to_owned(), folder.join("data").display().to_string()];
    arguments.extend(["-k".to_owned(), folder.display().to_string()]);
    arguments.extend(["-h", "127.0.0.1", "-p"].map(str::to_owned));
    arguments.push(port.to_string());
    // Written is enough: processes are killed here, the machine is not switched off.
    for setting in [
        "fsync=off",
        "full_page_writes=off",
        "max_connections=100",
        "max_wal_size=64MB",
    ] {
        arguments.extend(["-c".to_owned(), setting.to_owned()]);
    }
    let mut server = Server::new(
        "postgres",
        programs.join("postgres"),
        arguments,
        folder,
        port,
    )
    .run_by(user);
    server.start().await?;
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let began = Instant::now();
    while let Err(error) = PgConnection::connect(&url).await {
        if began.elapsed() > Duration::from_mins(1) {
            bail!("PostgreSQL takes no connection: {error}");
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok((server, url))
}

/// moto as the tests have it, and a user who may do what the program needs.
async fn moto(installed: &Path, folder: &Path) -> Result<(Server, String)> {
    let port = free_port()?;
    let users = folder.join("users.json");
    let program = folder.join("serve.py");
    fs::write(&program, MOTO)?;
    let arguments = [
        &program.display().to_string(),
        &port.to_string(),
        POLICIES,
        &users.display().to_string(),
    ];
    let python = installed.join("moto/bin/python");
    let arguments = arguments.map(str::to_owned).to_vec();
    let mut server = Server::new("moto", python, arguments, folder, port);
    server.start().await?;
    let users: serde_json::Value = serde_json::from_slice(&fs::read(users)?)?;
    let user = users["read_write"]
        .as_str()
        .context("moto made no such user")?;
    Ok((server, user.to_owned()))
}
