//! Databases that cannot be used, or not now.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use sqlx::Connection;

use crate::common::{Deployment, WORKSPACE, config, connection, without_privileges};
use crate::{Before, says};

#[test]
fn a_database_that_is_a_directory() {
    let deployment = Deployment::without_database("");
    std::fs::create_dir(deployment.path("cloakroom.db")).unwrap();
    for arguments in [
        &["migrate-schema"][..],
        &["status"],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        says(&deployment.run(arguments).refused(1), "is a directory");
    }
}

#[test]
fn a_database_that_is_not_there() {
    let deployment = Deployment::without_database("");
    says(&deployment.run(&["status"]).refused(1), "migrate-schema");
    assert!(!deployment.path("cloakroom.db").exists());
}

#[tokio::test]
async fn a_database_of_another_application() {
    let deployment = Deployment::without_database("");
    let path = deployment.path("cloakroom.db");
    std::fs::write(&path, "").unwrap();
    let mut theirs = connection(&deployment).await;
    let table = sqlx::query("CREATE TABLE actor (id TEXT)");
    table.execute(&mut theirs).await.unwrap();
    theirs.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    for arguments in [
        &["status"][..],
        &["document", "list"],
        &["migrate-schema"],
        &["serve", "--listen", "127.0.0.1:0"],
        &["serve", "--listen", "127.0.0.1:0", "--no-migrate"],
        &["run", "expire-orphans"],
    ] {
        let said = deployment.run(arguments).refused(1);
        says(&said, "are not Cloakroom's, such as \"actor\"");
        says(&said, "name another file");
        assert!(std::fs::read(&path).unwrap() == before, "{arguments:?}");
    }
}

/// A program run by a user who may read a database and not write it.
struct Reader {
    before: Before,
    program: std::path::PathBuf,
    may_make_files: bool,
}

impl Reader {
    fn new() -> Self {
        let before = Before::new();
        let folder = before.deployment.folder.path();
        // The superuser may write anything, so another user does it, with a program it can reach.
        let program = folder.join("reconciler");
        let built = env!("CARGO_BIN_EXE_reconciler");
        // Hundreds of megabytes, which are copied only to another disk.
        std::fs::hard_link(built, &program)
            .or_else(|_| std::fs::copy(built, &program).map(drop))
            .unwrap();
        // Looking for values in it takes a quarter of a minute.
        before.deployment.folder.leave_out(&program);
        let reader = Self {
            before,
            program,
            may_make_files: false,
        };
        reader.mode(0o444);
        reader
    }

    /// Lets the user make files beside the database, as a service's own user may: then SQLite opens it.
    fn with_a_folder_to_write(self) -> Self {
        let key = self.before.deployment.path("cloakroom.key");
        // The superuser alone may give it away; anybody else is that user.
        let _ = std::os::unix::fs::chown(key, Some(65534), None);
        Self {
            may_make_files: true,
            ..self
        }
    }

    fn mode(&self, mode: u32) {
        let database = self.before.deployment.path("cloakroom.db");
        std::fs::set_permissions(database, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn is_refused(&self, arguments: &[&str]) -> String {
        let folder = self.before.deployment.folder.path();
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .args(["--config", "reconciler.yaml"])
            .args(arguments)
            .current_dir(folder);
        without_privileges(&mut command, folder);
        if self.may_make_files {
            let open = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(folder, open).unwrap();
        }
        let ended = command.output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        said
    }

    fn nothing_is_lost(&self) {
        self.mode(0o644);
        self.before.nothing_is_lost();
    }
}

#[test]
fn a_database_that_is_read_only() {
    let reader = Reader::new();
    let said = reader.is_refused(&["document", "remove", &reader.before.id]);
    says(&said, "error: ");
    reader.nothing_is_lost();
}

/// It ends, and does not listen without ever being ready.
#[test]
fn a_database_that_a_service_may_only_read() {
    for reader in [Reader::new(), Reader::new().with_a_folder_to_write()] {
        for arguments in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["serve", "--listen", "127.0.0.1:0", "--no-migrate"],
        ] {
            let said = reader.is_refused(arguments);
            says(&said, "read-only");
        }
        reader.nothing_is_lost();
    }
}

#[test]
fn a_disk_that_is_full() {
    let before = Before::new();
    // A limit on the size of files stands in for a full disk: writes beyond it fail.
    let limited = before
        .deployment
        .command(&[])
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect::<Vec<_>>();
    let large = before.deployment.write(
        "large.json",
        &format!("{{\"host\": \"{}\"}}", "x".repeat(3 * 1024 * 1024)),
    );
    let script = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"";
    let ended = Command::new("sh")
        .env_clear()
        .envs(limited)
        .current_dir(before.deployment.folder.path())
        .args(["-c", script, env!("CARGO_BIN_EXE_reconciler")])
        .args([
            "document",
            "put",
            "--spec",
            "spec.json",
            "--workspace",
            WORKSPACE,
            &large,
        ])
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    says(&said, "database");
    before.nothing_is_lost();
}

/// A copy of the database on a disk of its own, which only this process and its children see.
fn on_a_disk(before: &Before, then: &str) -> String {
    let folder = before.deployment.folder.path();
    std::fs::create_dir(folder.join("disk")).unwrap();
    before.deployment.write(
        "disk.yaml",
        "store: {sqlite: {path: disk/cloakroom.db}}\nkeys: {file: cloakroom.key}\n",
    );
    let script = format!(
        "set -e; mount -t tmpfs -o size=2m tmpfs disk; cp cloakroom.db disk/; {then}; \
         exec \"$0\" --config disk.yaml document list"
    );
    let ended = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(env!("CARGO_BIN_EXE_reconciler"))
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    said
}

#[test]
fn a_disk_without_a_byte_left() {
    let before = Before::new();
    let filled = "head -c 4m /dev/zero > disk/rest 2> /dev/null || true";
    says(&on_a_disk(&before, filled), "is full");
    before.nothing_is_lost();
}

#[test]
fn a_disk_that_is_mounted_read_only() {
    let before = Before::new();
    let said = on_a_disk(&before, "mount -o remount,ro disk");
    says(&said, "read-only");
    says(&said, "disk/cloakroom.db");
    before.nothing_is_lost();
}

#[tokio::test]
async fn a_database_that_another_process_has_locked() {
    let before = Before::new();
    let mut other = connection(&before.deployment).await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    says(&before.put(&config("new")).refused(1), "locked");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    before.nothing_is_lost();
}

#[tokio::test]
async fn a_database_from_a_newer_version() {
    let before = Before::new();
    let mut other = connection(&before.deployment).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (99999999999999, 'newer', TRUE, x'00', 0)";
    sqlx::query(newer).execute(&mut other).await.unwrap();
    for arguments in [
        &["status"][..],
        &["migrate-schema"],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        says(
            &before.deployment.run(arguments).refused(1),
            "newer program",
        );
    }
    sqlx::query("DELETE FROM _sqlx_migrations WHERE description = 'newer'")
        .execute(&mut other)
        .await
        .unwrap();
    other.close().await.unwrap();
    before.nothing_is_lost();
}

#[tokio::test]
async fn a_clock_that_jumps_back() {
    let before = Before::new();
    before.deployment.run(&["run", "all"]).done();
    // A clock that jumps back a day is a database whose every time lies a day ahead.
    let mut other = connection(&before.deployment).await;
    for (table, column) in [
        ("secrets", "created_at"),
        ("documents", "updated_at"),
        ("runs", "started_at"),
        ("runs", "finished_at"),
        ("store_clock", "latest"),
    ] {
        let ahead = format!("UPDATE {table} SET {column} = {column} + 86400000");
        sqlx::query(sqlx::AssertSqlSafe(ahead))
            .execute(&mut other)
            .await
            .unwrap();
    }
    let lease = "INSERT INTO leases (name, holder, token, acquired_at, expires_at) \
                 SELECT 'reconcile/embedded', 'gone', 1, MAX(created_at), MAX(created_at) + 180000 \
                 FROM secrets WHERE true \
                 ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, \
                 acquired_at = excluded.acquired_at, expires_at = excluded.expires_at";
    sqlx::query(lease).execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let run = before.deployment.run(&["run", "all"]);
    says(&run.stderr, "clock is");
    run.done();
    before.deployment.run(&["status"]).done();
    before.nothing_is_lost();
}

/// By its second name SQLite would not see what the first one's log has committed.
#[test]
fn a_database_that_is_mounted_as_a_single_file() {
    let before = Before::new();
    let folder = before.deployment.folder.path();
    std::fs::create_dir(folder.join("inside")).unwrap();
    before.deployment.write(
        "inside.yaml",
        "store: {sqlite: {path: inside/cloakroom.db}}\nkeys: {file: cloakroom.key}\n",
    );
    let run = |mounted: &str, command: &str| {
        let script = format!("set -e; {mounted}; exec \"$0\" --config inside.yaml {command}");
        Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .arg(env!("CARGO_BIN_EXE_reconciler"))
            .current_dir(folder)
            .output()
            .unwrap()
    };
    let file = "touch inside/cloakroom.db; mount --bind cloakroom.db inside/cloakroom.db";
    for command in ["document list", "run expire-orphans", "migrate-schema"] {
        let ended = run(file, command);
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{command}: {said}");
        says(&said, "inside/cloakroom.db");
        says(&said, "mount its folder");
    }
    let ended = run("mount --bind . inside", "document list");
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "the folder: {said}");
    before.nothing_is_lost();
}
