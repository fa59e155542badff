//! A server that follows another one may not have heard yet of what came into use. A real one, with a
//! primary of its own: both are thrown away.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use cloakroom_core::platform::PlatformSource as _;
use cloakroom_core::{ErrorKind, SecretValue};
use cloakroom_store_airbyte::{AirbyteSource, Options};
use cloakroom_testkit::airbyte::{Deployment, Field};
use sqlx::{Connection as _, PgConnection};

use crate::support::{Bench, execute, scan};

/// Where Debian keeps `pg_ctl` and its like, one folder for each version.
pub(crate) fn programs() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let mut found: Vec<PathBuf> = folders
        .map(|it| it.path().join("bin"))
        .filter(|it| it.join("pg_basebackup").is_file())
        .collect();
    found.sort();
    found.pop()
}

/// Servers in one folder, reached by sockets there.
struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    /// Who runs them: PostgreSQL refuses root.
    user: Option<u32>,
}

impl Cluster {
    fn new() -> Self {
        // Short: the path of a socket in it may have 107 bytes.
        let folder = std::env::temp_dir().join(format!("standby-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let id = |of: &[&str]| -> u32 {
            let told = Command::new("id").arg("-u").args(of).output().unwrap();
            String::from_utf8(told.stdout)
                .unwrap()
                .trim()
                .parse()
                .unwrap()
        };
        let user = (id(&[]) == 0).then(|| id(&["postgres"]));
        chown(&folder, user, None).unwrap();
        Self {
            folder,
            programs: programs().unwrap(),
            user,
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env_clear();
        // What it starts goes on, and must not hold our pipe.
        let told = fs::File::create(self.folder.join(format!("{program}.log"))).unwrap();
        command.stdout(told.try_clone().unwrap()).stderr(told);
        if let Some(user) = self.user {
            command.uid(user);
        }
        let ended = command.stdin(Stdio::null()).status().unwrap();
        let told = fs::read_to_string(self.folder.join(format!("{program}.log"))).unwrap();
        assert!(ended.success(), "{program}: {told}");
    }

    fn start(&self, server: &str, options: &str) {
        let sockets = self.sockets(server);
        fs::create_dir(&sockets).unwrap();
        chown(&sockets, self.user, None).unwrap();
        let options = format!("-k {} -h '' -c fsync=off {options}", sockets.display());
        let arguments = ["start", "-w", "-D", server, "-l", "log", "-o", &options];
        self.run("pg_ctl", &arguments);
    }

    fn sockets(&self, server: &str) -> PathBuf {
        self.folder.join(format!("{server}-sockets"))
    }

    fn url(&self, server: &str) -> String {
        let sockets = self.sockets(server);
        format!(
            "postgres://postgres@localhost/postgres?host={}",
            sockets.display()
        )
    }

    fn source(&self, server: &str) -> AirbyteSource {
        AirbyteSource::new(Options::new(SecretValue::from(self.url(server)))).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in ["standby", "primary"] {
            if self.folder.join(server).join("postmaster.pid").exists() {
                self.run("pg_ctl", &["stop", "-m", "immediate", "-D", server]);
            }
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) async fn what_follows_another_server_lets_nothing_go(_bench: Bench) {
    let cluster = Cluster::new();
    let made = [
        "-D",
        "primary",
        "-U",
        "postgres",
        "--auth=trust",
        "--no-sync",
    ];
    cluster.run("initdb", &made);
    cluster.start("primary", "");
    let deployment = Deployment::new(1, 3);
    let mut primary = PgConnection::connect(&cluster.url("primary"))
        .await
        .unwrap();
    for statement in deployment.statements() {
        execute(&mut primary, &statement).await;
    }
    let from = cluster.url("primary");
    let copied = [
        "-D",
        "standby",
        "-R",
        "-c",
        "fast",
        "--no-sync",
        "-d",
        &from,
    ];
    cluster.run("pg_basebackup", &copied);
    cluster.start("standby", "-c recovery_min_apply_delay=1h");

    // It comes into use where Airbyte writes.
    let coming = deployment
        .planted(0, Field::Password)
        .coordinate
        .next_version();
    let coming = coming.unwrap().to_string();
    execute(
        &mut primary,
        &format!("UPDATE actor SET configuration = '{{\"a\": {{\"_secret\": \"{coming}\"}}}}'"),
    )
    .await;
    let names = [coming.clone()];
    let (at_the_primary, at_the_standby) = (cluster.source("primary"), cluster.source("standby"));
    assert_eq!(
        at_the_primary.still_mentioned(&names).await.unwrap(),
        [true]
    );
    let (found, report) = scan(&at_the_standby).await;
    assert!(!found.keeps(&coming), "it has heard of it already");
    let subjects: Vec<&str> = report.obstacles.iter().map(|it| &*it.subject).collect();
    assert_eq!(subjects, ["server"], "{report:?}");
    assert!(report.obstacles[0].detail.contains("a standby"));
    let unknown = at_the_standby.still_mentioned(&names).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Unavailable);

    // Once it takes the primary's place it is as good as that was.
    cluster.run("pg_ctl", &["promote", "-w", "-D", "standby"]);
    let (found, report) = scan(&at_the_standby).await;
    assert_eq!((report.obstacles.len(), found.keeps(&coming)), (0, true));
}
