//! Bad input: a clear error, the right exit status, and nothing lost.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::{CANARY, Deployment, Ended, WORKSPACE, config, connection, without_privileges};
use sqlx::Connection;

const PUT: [&str; 7] = [
    "document",
    "put",
    "--spec",
    "spec.json",
    "--workspace",
    WORKSPACE,
    "-",
];

/// A document from before, and a check that it survived.
struct Before {
    deployment: Deployment,
    id: String,
}

impl Before {
    fn new() -> Self {
        let deployment = Deployment::new();
        let id = deployment.put(&config("before"));
        Self { deployment, id }
    }

    fn put(&self, text: &str) -> Ended {
        self.deployment.run_with_input(&PUT, text)
    }

    fn nothing_is_lost(&self) {
        let hydrated = self.deployment.hydrated(&self.id);
        assert_eq!(hydrated["password"], format!("{CANARY}-before"));
        let listed = self
            .deployment
            .run(&["document", "list", "--output", "json"])
            .json_lines();
        assert_eq!(listed.len(), 1, "{listed:?}");
    }
}

fn says(text: &str, part: &str) {
    assert!(text.contains(part), "`{part}` is not in: {text}");
}

#[test]
fn not_json() {
    let before = Before::new();
    says(
        &before
            .put(&format!("{{\"password\": \"{CANARY}"))
            .refused(1),
        "line 1",
    );
    says(
        &before.put(&format!("password: {CANARY}")).refused(1),
        "not JSON",
    );
    before.nothing_is_lost();
}

#[test]
fn json_too_deep_or_too_large() {
    let before = Before::new();
    says(&before.put(&"[".repeat(100_000)).refused(1), "deep");
    let large = format!("{{\"host\": \"{}\"}}", "x".repeat(5 * 1024 * 1024));
    says(&before.put(&large).refused(1), "larger than");
    before.nothing_is_lost();
}

#[test]
fn a_secret_under_a_key_that_not_every_database_can_hold() {
    let before = Before::new();
    let secrets = || before.deployment.run(&["secret", "list"]).done();
    let listed = secrets();
    let spec = r#"{"properties": {"a\u0000b": {"type": "string", "airbyte_secret": true}}}"#;
    before.deployment.write("spec.json", spec);
    let said = before
        .put(&format!(r#"{{"a\u0000b": "{CANARY}"}}"#))
        .refused(1);
    says(&said, "NUL");
    says(&said, "/a\u{2400}b");
    assert_eq!(secrets(), listed, "nothing was meant to be written");
    before.nothing_is_lost();
}

#[test]
fn a_spec_that_is_not_a_schema() {
    let before = Before::new();
    for spec in ["[1, 2]", "\"text\"", "{\"properties\": [1]}", "not json"] {
        before.deployment.write("spec.json", spec);
        says(&before.put(&config("new")).refused(1), "spec");
    }
    let missing = [
        "document",
        "put",
        "--spec",
        "nowhere.json",
        "--workspace",
        WORKSPACE,
        "-",
    ];
    says(
        &before.deployment.run_with_input(&missing, "{}").refused(1),
        "nowhere.json",
    );
    before.nothing_is_lost();
}

#[test]
fn a_key_that_is_given_twice() {
    let before = Before::new();
    let twice = format!(r#"{{"host": "a", "more": [{{"k": "{CANARY}", "k": "{CANARY}-2"}}]}}"#);
    let told = before.put(&twice).refused(1);
    says(&told, "/more/0");
    says(&told, "the key \"k\" is given twice");
    let twice = format!(r#"{{"password": "{CANARY}", "password": "{CANARY}-2"}}"#);
    says(
        &before.put(&twice).refused(1),
        "\"password\" is given twice",
    );

    let secret = r#""p": {"type": "string", "airbyte_secret": true"#;
    let config = format!(r#"{{"p": "{CANARY}"}}"#);
    for (spec, place, key) in [
        (
            format!(r#"{{"properties": {{{secret}}}}}, "properties": {{}}}}"#),
            "(root)",
            "properties",
        ),
        (
            format!(r#"{{"properties": {{{secret}, "airbyte_secret": false}}}}}}"#),
            "/properties/p",
            "airbyte_secret",
        ),
    ] {
        before.deployment.write("spec.json", &spec);
        let told = before.put(&config).refused(1);
        says(&told, place);
        says(&told, &format!("the key \"{key}\" is given twice"));
    }
    before.nothing_is_lost();
}

#[test]
fn a_yaml_spec_with_a_key_that_is_given_twice() {
    let before = Before::new();
    let put = |spec: &str| {
        before.deployment.write("spec.yaml", spec);
        let arguments = PUT.map(|it| if it == "spec.json" { "spec.yaml" } else { it });
        let config = format!(r#"{{"p": "{CANARY}"}}"#);
        before.deployment.run_with_input(&arguments, &config)
    };
    for (spec, place, key) in [
        (
            "properties:\n  p: {airbyte_secret: true}\nproperties: {}\n",
            "",
            "properties",
        ),
        (
            "connectionSpecification:\n  properties:\n    p: {airbyte_secret: true, airbyte_secret: no}\n",
            "connectionSpecification.properties.p",
            "airbyte_secret",
        ),
        (
            "properties: {200: {airbyte_secret: true}, '200': {}}\n",
            "properties",
            "200",
        ),
    ] {
        let told = put(spec).refused(1);
        says(&told, place);
        says(&told, key);
    }
    before.nothing_is_lost();

    // What merge keys bring along counts.
    let merged =
        "x: &hidden {airbyte_secret: true}\nproperties:\n  p: {type: string, <<: *hidden}\n";
    put(merged).done();
    let listed = before
        .deployment
        .run(&["document", "list", "--output", "json"])
        .json_lines();
    assert_eq!(listed.len(), 2, "{listed:?}");
}

#[test]
fn an_unknown_id() {
    let before = Before::new();
    let unknown = "11111111-2222-4333-8444-555555555555";
    for arguments in [
        &["document", "get", unknown][..],
        &["document", "hydrate", unknown, "--reveal"],
        &["document", "remove", unknown],
        &["document", "put", "--id", unknown, "spec.json"],
    ] {
        says(
            &before.deployment.run(arguments).refused(1),
            "there is no such document",
        );
    }
    says(
        &before
            .deployment
            .run(&["document", "get", "no-uuid"])
            .refused(2),
        "no-uuid",
    );
    before.nothing_is_lost();
}

#[test]
fn a_revision_that_lost_the_race() {
    let before = Before::new();
    let update = [
        "document",
        "put",
        "--id",
        &before.id,
        "--if-revision",
        "7",
        "-",
    ];
    let refused = before
        .deployment
        .run_with_input(&update, &config("late"))
        .refused(1);
    let both = "it stands at revision 1 and was to stand at 7";
    says(&refused, both);
    let remove = ["document", "remove", &before.id, "--if-revision", "7"];
    says(&before.deployment.run(&remove).refused(1), both);
    before.nothing_is_lost();
}

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

#[test]
fn a_database_that_is_read_only() {
    let before = Before::new();
    let folder = before.deployment.folder.path();
    // The superuser may write anything, so another user does it, with a program it can reach.
    let program = folder.join("reconciler");
    std::fs::copy(env!("CARGO_BIN_EXE_reconciler"), &program).unwrap();
    let mode = |path: &str, mode| {
        std::fs::set_permissions(folder.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("cloakroom.db", 0o444);
    let mut command = Command::new(&program);
    command
        .env_clear()
        .args([
            "--config",
            "reconciler.yaml",
            "document",
            "remove",
            &before.id,
        ])
        .current_dir(folder);
    without_privileges(&mut command, folder);
    let ended = command.output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    says(&said, "error: ");
    mode("cloakroom.db", 0o644);
    before.nothing_is_lost();
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
    before.deployment.run(&["run", "all"]).done();
    before.deployment.run(&["status"]).done();
    before.nothing_is_lost();
}

#[test]
fn a_key_file_that_is_missing() {
    let before = Before::new();
    let key = before.deployment.path("cloakroom.key");
    let aside = before.deployment.path("aside.key");
    std::fs::rename(&key, &aside).unwrap();
    says(
        &before.put(&config("new")).refused(1),
        "bring the file back",
    );
    assert!(!key.exists(), "a new key opens nothing and was not made");
    std::fs::rename(&aside, &key).unwrap();
    before.nothing_is_lost();
}

#[test]
fn a_key_file_that_is_short_or_wrong_or_readable_by_all() {
    let before = Before::new();
    let key = before.deployment.path("cloakroom.key");
    let good = std::fs::read_to_string(&key).unwrap();
    before
        .deployment
        .write("cloakroom.key", &format!("{CANARY}\n"));
    says(&before.put(&config("new")).refused(1), "line 1");
    std::fs::write(&key, "AAECAwQ=\n").unwrap();
    says(&before.put(&config("new")).refused(1), "a key has 32");
    std::fs::write(&key, &good).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    says(&before.put(&config("new")).refused(1), "chmod 600");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    before.nothing_is_lost();

    // Another key: what is there cannot be opened, and stays as it is.
    std::fs::write(&key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
    let hydrate = ["document", "hydrate", &before.id, "--reveal"];
    says(&before.deployment.run(&hydrate).refused(1), "key");
    before.deployment.run(&["run", "all"]);
    std::fs::write(&key, &good).unwrap();
    before.nothing_is_lost();
}

#[test]
fn a_port_in_use() {
    let deployment = Deployment::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = deployment.run(&["serve", "--listen", &address]).refused(1);
    says(&refused, &address);
    says(&refused, "another program is listening there");
}

#[test]
fn a_config_with_a_typo() {
    let before = Before::new();
    before.deployment.configure("reconcile:\n  windws: {}\n");
    let refused = before.deployment.run(&["status"]).refused(1);
    says(&refused, "reconciler.yaml line 3");
    says(&refused, "did you mean `windows`?");
    before
        .deployment
        .configure("reconcile: {windows: {orphan_ttl: soon}}");
    says(
        &before.deployment.run(&["status"]).refused(1),
        "write it like `30s`",
    );
    before.deployment.configure("http: [");
    says(&before.deployment.run(&["status"]).refused(1), "YAML");
    before.deployment.configure("");
    before.nothing_is_lost();
}

#[test]
fn a_variable_with_a_typo() {
    let mut deployment = Deployment::new();
    deployment.set("CLOAKROOM_RECONCILE__BACH", "5");
    let refused = deployment.run(&["status"]).refused(1);
    says(&refused, "environment variable CLOAKROOM_RECONCILE__BACH");
    says(&refused, "did you mean `batch`?");
}

#[test]
fn a_secret_written_into_the_configuration() {
    let deployment = Deployment::without_database("");
    deployment.write(
        "reconciler.yaml",
        &format!("store:\n  postgres:\n    url: postgres://u:{CANARY}@h/d\n"),
    );
    says(&deployment.run(&["status"]).refused(1), "by reference only");
}

#[test]
fn a_cron_line_that_does_not_parse() {
    let deployment = Deployment::new();
    deployment.configure("jobs: {verify-blobs: {cron: '10 25 * * *'}}");
    let refused = deployment
        .run(&["serve", "--listen", "127.0.0.1:0"])
        .refused(1);
    says(&refused, "field 2 (the hour)");
    says(&refused, "`jobs.verify-blobs.cron`");
    deployment.configure("jobs: {expire-orphans: {cron: '0 3 30 2 *'}}");
    says(
        &deployment.run(&["config", "check"]).refused(1),
        "names no time that ever comes",
    );
}

#[test]
fn a_document_that_is_no_object() {
    let before = Before::new();
    for document in [
        format!("[\"{CANARY}\"]"),
        format!("\"{CANARY}\""),
        "4242".to_owned(),
    ] {
        says(&before.put(&document).refused(1), "describes an object");
    }
    before.nothing_is_lost();
}

#[test]
fn a_spec_that_leads_back_to_itself() {
    let before = Before::new();
    let endless = r##"{"properties": {"password": {"$ref": "#/properties/password"}}}"##;
    before.deployment.write("spec.json", endless);
    says(
        &before.put(&config("new")).refused(1),
        "/properties/password/$ref",
    );
    before.nothing_is_lost();
}

#[test]
fn a_configuration_that_is_not_there() {
    let deployment = Deployment::new();
    says(
        &deployment
            .run(&["--config", "nowhere.yaml", "status"])
            .refused(1),
        "nowhere.yaml",
    );
}

#[test]
fn wrong_usage() {
    let deployment = Deployment::new();
    says(
        &deployment.run(&["run", "expire-orphan"]).refused(2),
        "did you mean `expire-orphans`?",
    );
    says(
        &deployment.run(&["run", "all", "--dryrun"]).refused(2),
        "--dry-run",
    );
    says(
        &deployment
            .run(&["run", "all", "--override", "shar"])
            .refused(2),
        "did you mean `share`?",
    );
    says(
        &deployment
            .run(&["secret", "list", "--state", "store"])
            .refused(2),
        "did you mean `stored`?",
    );
    let of_all = deployment.run(&["plan", "all"]).refused(2);
    says(&of_all, "a plan is of one job");
    assert!(!of_all.contains("did you mean"), "{of_all}");
    says(
        &deployment.run(&["document", "put", "x.json"]).refused(2),
        "--workspace",
    );
    says(
        &deployment
            .run(&["run", "all", "--backend", "other"])
            .refused(1),
        "there is no backend other",
    );
    says(
        &deployment
            .run(&["--log-level", "lou=d=er", "status"])
            .refused(1),
        "log level",
    );
}

#[test]
fn a_plan_that_was_edited() {
    let deployment = Deployment::new();
    deployment.put(&config("one"));
    let plan = deployment.run(&["plan", "expire-orphans"]).done();
    let edited = plan.replace("\"more\": false", "\"more\": true");
    assert_ne!(plan, edited);
    says(
        &deployment
            .run_with_input(&["apply", "-"], &edited)
            .refused(1),
        "make a new one",
    );
    says(
        &deployment.run_with_input(&["apply", "-"], "{}").refused(1),
        "it is not a plan",
    );
}
