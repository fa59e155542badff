//! The program as a program: first start, completions, manual, configuration, closed pipes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use common::{CANARY, Deployment, WORKSPACE, config};
use sqlx::Connection as _;

/// The program of somebody who has configured nothing, with a document to put.
struct Newcomer {
    home: tempfile::TempDir,
    deployment: Deployment,
}

const PUT: [&str; 7] = [
    "document",
    "put",
    "--spec",
    "spec.json",
    "--workspace",
    WORKSPACE,
    "config.json",
];

impl Newcomer {
    fn new() -> Self {
        let deployment = Deployment::without_database("");
        deployment.write("config.json", &config("one"));
        let home = tempfile::tempdir().unwrap();
        Self { home, deployment }
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_reconciler"))
            .env_clear()
            .env("HOME", self.home.path())
            .current_dir(self.deployment.folder.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.spawn(arguments).wait_with_output().unwrap()
    }

    fn documents(&self) -> usize {
        let listed = self.run(&["document", "list", "--output", "json"]);
        assert!(listed.status.success(), "{listed:?}");
        String::from_utf8(listed.stdout).unwrap().lines().count()
    }

    fn data(&self) -> PathBuf {
        self.home.path().join(".local/share/cloakroom")
    }
}

/// Each makes database and key or finds what another made; every document opens under the one key.
#[test]
fn any_number_of_first_starts_at_once_succeed() {
    const STARTS: usize = 8;
    for _ in 0..3 {
        let newcomer = Newcomer::new();
        let starts: Vec<Child> = (0..STARTS).map(|_| newcomer.spawn(&PUT)).collect();
        for start in starts {
            let ended = start.wait_with_output().unwrap();
            assert!(ended.status.success(), "{ended:?}");
        }
        assert_eq!(newcomer.documents(), STARTS);
        let verified = newcomer.run(&["run", "verify-blobs", "--read-values"]);
        assert!(verified.status.success(), "{verified:?}");
    }
}

/// What a first start leaves that was killed: an empty file, or one that SQLite has only laid out.
#[test]
fn a_first_start_that_was_cut_short_is_made_up_for() {
    let newcomer = Newcomer::new();
    std::fs::create_dir_all(newcomer.data()).unwrap();
    let database = newcomer.data().join("cloakroom.db");
    std::fs::write(&database, "").unwrap();
    assert_eq!(newcomer.documents(), 0);
    assert!(newcomer.run(&PUT).status.success());
    assert_eq!(newcomer.documents(), 1);

    // Anybody's table is a reason to leave the file alone.
    let newcomer = Newcomer::new();
    std::fs::create_dir_all(newcomer.data()).unwrap();
    let database = newcomer.data().join("cloakroom.db");
    let made = async {
        let url = format!("sqlite://{}?mode=rwc", database.display());
        let mut conn = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::query("PRAGMA journal_mode = WAL")
            .execute(&mut conn)
            .await
            .unwrap();
        sqlx::query("CREATE TABLE theirs (id INTEGER)")
            .execute(&mut conn)
            .await
            .unwrap();
        conn.close().await.unwrap();
    };
    tokio::runtime::Runtime::new().unwrap().block_on(made);
    let refused = newcomer.run(&["document", "list"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(
        told.contains("not Cloakroom's") && told.contains("name another file"),
        "{told}"
    );
}

#[test]
fn with_no_configuration_a_platform_is_looked_for_nowhere_and_it_says_where() {
    let newcomer = Newcomer::new();
    let commands: [(&[&str], i32); 4] = [
        (&["report"], 1),
        (&["report", "production"], 2),
        (&["clean", "production"], 2),
        (&["fernet", "rotate", "--platform", "production"], 2),
    ];
    for (command, code) in commands {
        let refused = newcomer.run(command);
        assert_eq!(refused.status.code(), Some(code), "{refused:?}");
        let told = String::from_utf8_lossy(&refused.stderr);
        for way in ["platform", "--config", "CLOAKROOM_CONFIG"] {
            assert!(told.contains(way), "{way}: {told}");
        }
    }
}

#[test]
fn with_no_configuration_it_lives_in_the_data_folder() {
    let newcomer = Newcomer::new();
    let home = &newcomer.home;
    let put = newcomer.run(&PUT);
    assert!(put.status.success(), "{put:?}");
    assert_eq!(newcomer.documents(), 1);
    let mut keys = Vec::new();
    find(home.path(), "cloakroom.key", &mut keys);
    assert_eq!(keys.len(), 1);
    let mode = std::fs::metadata(&keys[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_demo_takes_no_folder_of_an_earlier_one_unasked() {
    let newcomer = Newcomer::new();
    let folder = newcomer.home.path().join("demo");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let demo = |more: &[&str]| {
        let mut arguments = vec!["demo", "--once", "--documents", "20", "--folder"];
        arguments.push(folder.to_str().unwrap());
        arguments.extend(more);
        newcomer.run(&arguments)
    };
    let first = demo(&[]);
    assert!(first.status.success(), "{first:?}");
    let database = folder.join("cloakroom.db");
    let mode = std::fs::metadata(&database).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let key = std::fs::read(folder.join("cloakroom.key")).unwrap();
    let again = demo(&[]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stderr).contains("--replace"));
    assert_eq!(std::fs::read(folder.join("cloakroom.key")).unwrap(), key);
    let replaced = demo(&["--replace"]);
    assert!(replaced.status.success(), "{replaced:?}");
    assert_ne!(std::fs::read(folder.join("cloakroom.key")).unwrap(), key);
}

#[test]
fn a_demo_takes_no_configuration_and_says_so() {
    let newcomer = Newcomer::new();
    let folder = newcomer.home.path().join("demo");
    let folder = folder.to_str().unwrap();
    let given = [
        "demo",
        "--once",
        "--folder",
        folder,
        "--config",
        "mine.yaml",
    ];
    let refused = newcomer.run(&given);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("--config") && said.contains("run all"),
        "{said}"
    );
    assert!(!PathBuf::from(folder).exists());
}

/// Whatever store the variables of the newcomer's shell name.
#[test]
fn what_the_demo_says_to_try_next_is_about_the_demo() {
    const STORE: &str = "CLOAKROOM_STORE__SQLITE__PATH";
    let newcomer = Newcomer::new();
    let folder = newcomer.home.path().join("demo");
    let other = newcomer.home.path().join("other.db");
    let demo = Command::new(env!("CARGO_BIN_EXE_reconciler"))
        .env_clear()
        .env("HOME", newcomer.home.path())
        .env(STORE, &other)
        .args(["demo", "--once", "--documents", "20", "--folder"])
        .arg(&folder)
        .output()
        .unwrap();
    assert!(demo.status.success(), "{demo:?}");
    let said = String::from_utf8(demo.stdout).unwrap();
    let status = said.lines().find(|line| line.ends_with(" status")).unwrap();
    let tried = Command::new("sh")
        .args(["-c", status])
        .env(STORE, &other)
        .output()
        .unwrap();
    assert!(tried.status.success(), "{status}: {tried:?}");
    assert!(!other.exists());
}

fn find(folder: &std::path::Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            find(&entry.path(), name, found);
        } else if entry.file_name() == name {
            found.push(entry.path());
        }
    }
}

#[test]
fn help_tells_the_exit_statuses() {
    let deployment = Deployment::without_database("");
    let help = deployment.run(&["--help"]).done();
    assert!(help.contains("4  a guard refused deletions"), "{help}");
}

#[test]
fn completions_and_manual_render() {
    let deployment = Deployment::without_database("");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = deployment.run(&["completions", shell]).done();
        assert!(script.contains("migrate-schema"), "{shell}");
    }
    let page = deployment.run(&["man"]).done();
    assert!(
        page.contains(".TH") && page.contains("RECONCILER DOCUMENT PUT"),
        "{page}"
    );
}

#[test]
fn the_configuration_prints_and_its_schema_is_json() {
    let deployment = Deployment::without_database("http: {connections: 7}");
    let printed = deployment.run(&["config", "print"]).done();
    assert!(
        printed.contains("connections: 7  # reconciler.yaml"),
        "{printed}"
    );
    let schema = deployment.run(&["config", "schema"]).json();
    assert!(schema["properties"]["reconcile"].is_object(), "{schema:#}");
    assert!(
        deployment
            .run(&["config", "check"])
            .done()
            .contains("holds")
    );
    deployment.configure("keys: {env: CLOAKROOM_NO_SUCH_KEYS}");
    assert!(
        deployment
            .run(&["config", "check"])
            .refused(1)
            .contains("CLOAKROOM_NO_SUCH_KEYS is not set")
    );
}

#[test]
fn keys_may_come_from_the_environment() {
    let mut deployment = Deployment::without_database("keys: {env: CLOAKROOM_KEYS_HERE}");
    deployment
        .run(&["--config", "nowhere.yaml", "key", "generate", "made.key"])
        .done();
    let keys = std::fs::read_to_string(deployment.path("made.key")).unwrap();
    assert!(deployment.run(&["migrate-schema"]).code == Some(0));
    let refused = deployment.run(&["document", "list"]).refused(1);
    assert!(
        refused.contains("CLOAKROOM_KEYS_HERE is not set"),
        "{refused}"
    );
    deployment.set("CLOAKROOM_KEYS_HERE", &keys);
    let id = deployment.put(&config("one"));
    assert!(deployment.hydrated(&id)["password"].is_string());
    assert!(!deployment.path("cloakroom.key").exists());
}

/// A credential that is read again and again: the log says once who else can read it, and nothing stops.
#[test]
fn a_secret_that_everybody_can_read_is_told_once() {
    // Nobody listens there: a check that fails reads the token for each of its requests.
    let deployment = Deployment::with(
        "backends:\n  bao:\n    type: vault\n    address: http://127.0.0.1:9\n    \
         auth: {token: {file: token}}\n",
    );
    let path = deployment.write("token", &format!("{CANARY}-token"));
    for (mode, times) in [(0o644, 1), (0o640, 0), (0o600, 0)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let ended = deployment.run(&["backend", "check", "bao"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let told = format!("{path} has mode {mode:03o}");
        assert_eq!(ended.stderr.matches(&told).count(), times, "{ended:?}");
        assert_eq!(ended.stderr.matches("has mode").count(), times, "{ended:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let deployment = Deployment::without_database("");
    let mut child = deployment.command(&["config", "schema"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// A disk that is full is a failure, of whatever is printed.
#[test]
fn what_cannot_be_printed_is_a_failure() {
    let deployment = Deployment::without_database("");
    for line in [
        &["--version"][..],
        &["--help"],
        &["help", "run"],
        &["run", "--help"],
        &["completions", "bash"],
        &["config", "schema"],
        &["man"],
    ] {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = deployment.command(line).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{line:?}: {output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(
            told.contains("write to standard output"),
            "{line:?}: {told}"
        );
    }
}
