//! `move` of the real program between real secrets managers: every value is what it was, on the way
//! forth, on the way back, and after the old copies were let go.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(unreachable_pub, reason = "each file is a module of this program")]

mod common;
#[allow(dead_code, reason = "laws use the rest of it")]
#[path = "laws/harness/database.rs"]
mod database;
#[allow(dead_code, reason = "a platform's tests use the rest of it")]
#[path = "airbyte/managers.rs"]
mod managers;

use std::process::ExitCode;

use cloakroom_core::MoveId;
use cloakroom_core::platform::{MoveManagers, NewPlatformMove, PlatformMoves as _};
use cloakroom_core::store::Journal as _;
use cloakroom_store_db::{DbStore, Location, Options};
use cloakroom_testkit::conformance::{run, skipped};
use libtest_mimic::Trial;
use serde_json::Value;

use common::{CANARY, Deployment, config, config_of_many, terminate};
use database::{Database, POSTGRES_URL};
use managers::{Kind, Manager};

type Law = fn();

fn main() -> ExitCode {
    let bao = Kind::OpenBao.variables();
    let aws = Kind::Aws.variables();
    let postgres = [POSTGRES_URL, aws[0], aws[1]];
    let laws: [(&str, &[&'static str], Law); 6] = [
        (
            "a_platform_moves_only_to_where_it_can_read",
            &[],
            a_platform_moves_only_to_where_it_can_read,
        ),
        (
            "a_platforms_move_is_named_with_its_platform",
            &[],
            a_platforms_move_is_named_with_its_platform,
        ),
        (
            "from_the_database_to_openbao_and_back",
            &bao,
            from_the_database_to_openbao_and_back,
        ),
        (
            "stopped_on_the_way_to_aws_it_goes_on",
            &postgres,
            stopped_on_the_way_to_aws_it_goes_on,
        ),
        (
            "two_names_of_one_manager_are_no_move",
            &aws,
            two_names_of_one_manager_are_no_move,
        ),
        (
            "what_another_name_of_the_manager_has_is_not_adopted",
            &aws,
            what_another_name_of_the_manager_has_is_not_adopted,
        ),
    ];
    let trial = |(name, needs, law): (&'static str, &[&'static str], Law)| {
        let missing = needs.iter().find(|name| std::env::var_os(name).is_none());
        match missing {
            None => Trial::test(name, move || {
                law();
                Ok(())
            }),
            Some(missing) => skipped(
                name,
                &format!("{missing} is not set; cargo xtask test sets it"),
            ),
        }
    };
    run(laws.into_iter().map(trial).collect())
}

/// A deployment with the database's own backend and a real manager.
struct Stage {
    deployment: Deployment,
    store: String,
    section: String,
}

impl Stage {
    fn new(store: &str, kind: Kind) -> Self {
        let manager = wait_for(Manager::new(kind));
        let deployment = Deployment::without_database("");
        let section = manager.section(&manager.url(), &deployment);
        Self {
            deployment,
            store: store.to_owned(),
            section,
        }
    }

    /// From now on new secrets go to this backend.
    fn send_to(&self, default: &str) {
        let text = format!(
            "store: {}\ndefault_backend: {default}\nbackends:\n  here: {{type: embedded}}\n  \
             there: {}\n",
            self.store, self.section
        );
        self.deployment.write("reconciler.yaml", &text);
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let ended = self
            .deployment
            .run(&[&["move", "--output", "json"], arguments].concat());
        let told = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
        (ended.code, told)
    }

    fn forth(&self) -> (Option<i32>, Value) {
        self.run(&["--from", "here", "--to", "there"])
    }

    /// How many secrets each backend has in each state.
    fn secrets(&self, backend: &str, state: &str) -> usize {
        let list = ["secret", "list", "--state", state, "--limit", "10000"];
        let listed = self
            .deployment
            .run(&[&list[..], &["--output", "json"]].concat());
        let listed = listed.json_lines();
        listed
            .iter()
            .filter(|row| row["backend"] == backend)
            .count()
    }

    /// The move that `status` tells of.
    fn status(&self) -> Value {
        let status = self.deployment.run(&["status", "--output", "json"]);
        let mut told: Value = serde_json::from_str(&status.stdout).unwrap();
        told["moving"].take()
    }

    fn verify(&self) {
        let verified = ["run", "verify-blobs", "--output", "json"];
        self.deployment.run(&verified).done();
    }
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Whoever leaves out `--platform` is told which one the move is of.
fn a_platforms_move_is_named_with_its_platform() {
    let deployment = Deployment::new();
    deployment.run(&["migrate-schema"]).done();
    let id = wait_for(begun_of_a_platform(&deployment));
    for step in ["--finish", "--reverse"] {
        let said = deployment.run(&["move", step, &id]).refused(1);
        assert!(said.contains("is of platform production"), "{said}");
        assert!(said.contains("--platform production"), "{said}");
    }
    let unknown = "00000000-0000-4000-8000-000000000000";
    let said = deployment.run(&["move", "--finish", unknown]).refused(1);
    assert!(said.contains("no such move"), "{said}");
}

async fn begun_of_a_platform(deployment: &Deployment) -> String {
    let database = deployment.path("cloakroom.db");
    let options = Options::new(Location::Sqlite(database), "tests");
    let store = DbStore::open(&options).await.unwrap();
    let lasts = std::time::Duration::from_mins(1);
    let lease = store.acquire_lease("platform/production", "it", lasts);
    let lease = lease.await.unwrap().unwrap();
    let new = NewPlatformMove {
        id: MoveId(uuid::Uuid::from_u128(7)),
        platform: "production".into(),
        from: "here".parse().unwrap(),
        to: "there".parse().unwrap(),
        managers: MoveManagers {
            from: "one".into(),
            to: "another".into(),
        },
        owners: Vec::new(),
    };
    let begun = store.begin_platform_move(&lease, &new).await.unwrap();
    store.release_lease(&lease).await.unwrap();
    begun.id.to_string()
}

fn from_the_database_to_openbao_and_back() {
    let stage = Stage::new("{sqlite: {path: cloakroom.db}}", Kind::OpenBao);
    stage.send_to("here");
    stage.deployment.run(&["migrate-schema"]).done();
    let one = stage.deployment.put(&config("one"));
    let many = stage.deployment.put(&config_of_many(20));
    let before = [&one, &many].map(|id| stage.deployment.hydrated(id));

    // The dry run says what is in the way: whoever writes still writes here.
    let (code, told) = stage.run(&["--from", "here", "--to", "there", "--dry-run"]);
    assert_eq!((code, &told["copied"]), (Some(0), &21.into()), "{told:#}");
    assert_eq!(told["still_sending"][0], "default_backend", "{told:#}");
    let refused = ["move", "--from", "here", "--to", "there"];
    let refused = stage.deployment.run(&refused).refused(1);
    assert!(refused.contains("default_backend"), "{refused}");

    stage.send_to("there");
    let (code, told) = stage.forth();
    assert_eq!(code, Some(0), "{told:#}");
    assert_eq!(
        (&told["copied"], &told["verified"]),
        (&21.into(), &21.into())
    );
    let id = told["id"].as_str().unwrap().to_owned();
    assert_eq!(
        [&one, &many].map(|id| stage.deployment.hydrated(id)),
        before
    );
    assert_eq!(stage.secrets("here", "held"), 21);
    assert_eq!(stage.secrets("there", "stored"), 21);
    stage.verify();
    let told = stage.status();
    assert_eq!(
        (&told["id"], &told["state"]),
        (&id.as_str().into(), &"open".into())
    );
    let shown = stage.deployment.run(&["status"]);
    for step in ["--finish", "--reverse"] {
        assert!(shown.stderr.contains(&format!("{step} {id}")), "{shown:?}");
    }

    stage.send_to("here");
    let (code, told) = stage.run(&["--reverse", &id]);
    assert_eq!((code, &told["returned"]), (Some(0), &21.into()), "{told:#}");
    assert_eq!(told["state"], "reversed");
    assert!(stage.status().is_null());
    assert_eq!(
        [&one, &many].map(|id| stage.deployment.hydrated(id)),
        before
    );
    assert_eq!(stage.secrets("here", "stored"), 21);
    stage.verify();

    // Once more, for good.
    stage.send_to("there");
    let (code, told) = stage.forth();
    assert_eq!((code, &told["copied"]), (Some(0), &21.into()), "{told:#}");
    let second = told["id"].as_str().unwrap();
    assert_ne!(second, id);
    let (code, told) = stage.run(&["--finish", second]);
    assert_eq!((code, &told["released"]), (Some(0), &21.into()), "{told:#}");
    let refused = stage.deployment.run(&["move", "--reverse", second]);
    refused.refused(1);
    assert_eq!(stage.secrets("here", "held"), 0);
    assert_eq!(
        [&one, &many].map(|id| stage.deployment.hydrated(id)),
        before
    );
    // The old copies wait out their time as everything does.
    let run = ["run", "expire-orphans", "--backend", "here"];
    stage.deployment.run(&run).done();
    assert_eq!(stage.secrets("here", "stored"), 21);
    stage.verify();
}

fn stopped_on_the_way_to_aws_it_goes_on() {
    let database = wait_for(Database::create(database::Kind::Postgres));
    let Location::Postgres(url) = database.location() else {
        unreachable!("it was made on PostgreSQL")
    };
    let store = "{postgres: {url: {file: url}}}\nkeys: {file: cloakroom.key}";
    let stage = Stage::new(store, Kind::Aws);
    stage.deployment.write("url", url.expose_text().unwrap());
    stage.send_to("here");
    let generate = ["key", "generate", "cloakroom.key"];
    stage.deployment.run(&generate).done();
    stage.deployment.run(&["migrate-schema"]).done();
    let ids: Vec<String> = (0..40)
        .map(|at| stage.deployment.put(&config(&format!("number-{at}"))))
        .collect();
    stage.send_to("there");

    // Whether the signal comes before it began, in the middle or too late: the next run goes on.
    let arguments = ["move", "--from", "here", "--to", "there"];
    let mut stopped = stage.deployment.command(&arguments).spawn().unwrap();
    terminate(&stopped);
    stopped.wait().unwrap();
    let (code, told) = stage.forth();
    assert_eq!(code, Some(0), "{told:#}");
    let number = |name: &str| told[name].as_u64().unwrap();
    assert_eq!(number("copied") + number("already_there"), 40, "{told:#}");
    for (at, id) in ids.iter().enumerate().step_by(7) {
        let password = &stage.deployment.hydrated(id)["password"];
        assert_eq!(password, &format!("{CANARY}-number-{at}"));
    }
    stage.verify();
    let (code, told) = stage.forth();
    assert_eq!((code, &told["copied"]), (Some(0), &0.into()), "{told:#}");
    wait_for(database.drop());
}

/// Airbyte could never be switched to these, whatever was copied: nobody is asked for anything.
fn a_platform_moves_only_to_where_it_can_read() {
    let mut deployment = Deployment::without_database("");
    deployment.configure(
        "default_backend: own
backends:
  own: {type: embedded}
  old: {type: vault, address: 'http://127.0.0.1:1', auth: {token: {env: NOTHING}}}
  deep: {type: vault, address: 'http://127.0.0.1:1', mount: team/kv, auth: {token: {env: NOTHING}}}
  cluster: {type: kubernetes, namespace: airbyte, server: 'http://127.0.0.1:1', token: {env: NOTHING}}
  parameters: {type: aws-parameter-store, region: eu-central-1, account: '123456789012', \
endpoint_url: 'http://127.0.0.1:1', authentication: {keys: {access_key_id: {env: NOTHING}, \
secret_access_key: {env: NOTHING}}}}
platforms:
  production: {type: airbyte, database: {env: DATABASE}, backend: old}",
    );
    deployment.set("NOTHING", "nothing");
    deployment.set("DATABASE", "postgres://nobody@127.0.0.1:1/airbyte");
    deployment.run(&["migrate-schema"]).done();
    for (to, why) in [
        ("cluster", "no Kubernetes Secret can have a name with `_`"),
        ("parameters", "Parameter Store is none of them"),
        ("own", "Cloakroom's own database is none of them"),
        ("deep", "it takes the first part alone for the mount"),
    ] {
        for how in [&["--dry-run"][..], &[]] {
            let forth = [
                "move",
                "--platform",
                "production",
                "--from",
                "old",
                "--to",
                to,
            ];
            let refused = deployment.run(&[&forth[..], how].concat()).refused(1);
            assert!(refused.contains(why), "{to}: {refused}");
            assert!(
                refused.contains("Airbyte reads its secrets from"),
                "{refused}"
            );
        }
    }
}

/// What has two addresses is still one manager: its secrets would be their own old copies.
fn two_names_of_one_manager_are_no_move() {
    let stage = Stage::new("{sqlite: {path: cloakroom.db}}", Kind::Aws);
    let other = stage.section.replace("127.0.0.1", "0.0.0.0");
    assert_ne!(other, stage.section, "moto has two addresses");
    let text = format!(
        "store: {}\ndefault_backend: there\nbackends:\n  there: {}\n  again: {other}\n",
        stage.store, stage.section
    );
    stage.deployment.write("reconciler.yaml", &text);
    stage.deployment.run(&["migrate-schema"]).done();
    let document = stage.deployment.put(&config("one"));
    let before = stage.deployment.hydrated(&document);
    let sending_there = text.replace("default_backend: there", "default_backend: again");
    stage.deployment.write("reconciler.yaml", &sending_there);
    for how in [&["--dry-run"][..], &[]] {
        let arguments = [&["move", "--from", "there", "--to", "again"], how].concat();
        let refused = stage.deployment.run(&arguments).refused(1);
        assert!(refused.contains("lead to one manager"), "{refused}");
    }
    assert_eq!(stage.secrets("again", "stored"), 0);
    assert_eq!(stage.deployment.hydrated(&document), before);
}

/// The same manager under two spellings of its address, and the backend under a name that it had not before.
fn what_another_name_of_the_manager_has_is_not_adopted() {
    let stage = Stage::new("{sqlite: {path: cloakroom.db}}", Kind::Aws);
    let other = stage.section.replace("127.0.0.1", "0.0.0.0");
    let named = |names: &str| {
        let text = format!("store: {}\nbackends:\n{names}", stage.store);
        stage.deployment.write("reconciler.yaml", &text);
    };
    named(&format!("  there: {}\n", stage.section));
    stage.deployment.run(&["migrate-schema"]).done();
    let document = stage.deployment.put(&config("one"));
    let before = stage.deployment.hydrated(&document);
    let both = format!(
        "  there: {}\n  again: {other}\ndefault_backend: there\n",
        stage.section
    );
    for names in [both, format!("  again: {}\n", stage.section)] {
        named(&names);
        for how in [&["--adopt"][..], &[]] {
            let sweep = ["sweep", "--backend", "again", "--output", "json"];
            let swept = stage.deployment.run(&[&sweep[..], how].concat());
            assert_eq!(swept.code, Some(3), "{swept:?}");
            let told: Vec<Value> = swept
                .stdout
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert!(!told.is_empty(), "{swept:?}");
            for secret in told {
                assert_eq!(secret["fate"], "other_backend", "{secret}");
                assert_eq!(secret["known_as"], "there", "{secret}");
            }
        }
    }
    named(&format!("  there: {}\n", stage.section));
    assert_eq!(stage.deployment.hydrated(&document), before);
}
