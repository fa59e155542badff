//! What the real program changes in OpenMetadata's own database, on a real PostgreSQL, MariaDB and
//! MySQL.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(unreachable_pub, reason = "each file is a module of this program")]

mod common;
#[allow(dead_code, reason = "the tests of what only reads use the rest of it")]
#[path = "openmetadata/database.rs"]
mod database;
#[path = "openmetadata/guarded.rs"]
mod guarded;
#[path = "openmetadata/killed.rs"]
mod killed;
#[allow(dead_code, reason = "the tests of what only reads use the rest of it")]
#[path = "openmetadata/managers.rs"]
mod managers;
#[path = "openmetadata/moved.rs"]
mod moved;
#[path = "openmetadata/restored.rs"]
mod restored;
#[path = "openmetadata/taken_back.rs"]
mod taken_back;

use std::process::{Command, ExitCode};

use cloakroom_core::SecretValue;
use cloakroom_core::coordinates::openmetadata::{Manager, Naming};
use cloakroom_store_openmetadata::FernetKeys;
use cloakroom_testkit::conformance::{run, skipped};
use cloakroom_testkit::openmetadata::{CLIENT, Deployment as OpenMetadata};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use common::{Deployment, Ended};
use database::{Database, KEY, Server, seal};
use managers::{AWS_URL, AWS_USER, CLUSTER_CA, CLUSTER_URL, GOOGLE_URL, Kind, Manager as Place};

/// 32 bytes of 8, of 9, and the key that everybody has.
const NEW: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";
const LOST: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";
const PUBLIC: &str = "jJ/9sz0g0OHxsfxOoSfdFdmk3ysNmPRnH3TUAbz3IHA=";

const SECTION: &str = "\
backends: {main: {type: embedded}}
platforms:
  om:
    type: openmetadata
    provider: db
    backend: main
    database: {env: READER}
    fernet_key: {env: FERNET_KEY}
";

type Law = fn(&Stage);

/// The laws that MySQL itself is held to; the crate of the store holds it to all of its own.
const ON_MYSQL: [&str; 4] = [
    "the_key_is_changed",
    "secrets_go_to_a_manager_and_back",
    "copies_bear_the_platforms_tags",
    "a_writer_at_another_database_is_refused",
];

fn main() -> ExitCode {
    let laws: [(&str, &[&'static str], Law); 21] = [
        ("the_key_is_changed", &[], the_key_is_changed),
        (
            "without_leave_nothing_is_changed",
            &[],
            without_leave_nothing_is_changed,
        ),
        ("what_no_key_opens_is_told", &[], what_no_key_opens_is_told),
        (
            "secrets_go_to_a_manager_and_back",
            &[AWS_URL, AWS_USER],
            secrets_go_to_a_manager_and_back,
        ),
        (
            "secrets_go_to_kubernetes_and_back",
            &[CLUSTER_URL, CLUSTER_CA],
            secrets_go_to_kubernetes_and_back,
        ),
        (
            "secrets_go_to_google_and_back",
            &[GOOGLE_URL],
            secrets_go_to_google_and_back,
        ),
        (
            "copies_bear_the_platforms_tags",
            &[AWS_URL, AWS_USER],
            guarded::copies_bear_the_platforms_tags,
        ),
        (
            "copies_bear_the_platforms_tags_where_none_are_listed",
            &[AWS_URL, AWS_USER],
            guarded::copies_bear_the_platforms_tags_where_none_are_listed,
        ),
        (
            "copies_bear_the_old_backends_tags",
            &[AWS_URL, AWS_USER],
            guarded::copies_bear_the_old_backends_tags,
        ),
        (
            "labels_that_kubernetes_takes_not_are_told",
            &[],
            guarded::labels_that_kubernetes_takes_not_are_told,
        ),
        (
            "whatever_stays_is_told_by_its_place",
            &[AWS_URL, AWS_USER],
            taken_back::whatever_stays_is_told_by_its_place,
        ),
        (
            "tags_outlast_the_way_over_the_database",
            &[AWS_URL, AWS_USER],
            taken_back::tags_outlast_the_way_over_the_database,
        ),
        (
            "runs_come_in_their_order",
            &[AWS_URL, AWS_USER],
            taken_back::runs_come_in_their_order,
        ),
        (
            "a_restored_database_is_taken_back_as_before",
            &[AWS_URL, AWS_USER],
            restored::a_restored_database_is_taken_back_as_before,
        ),
        (
            "a_writer_at_another_database_is_refused",
            &[AWS_URL, AWS_USER],
            guarded::a_writer_at_another_database_is_refused,
        ),
        (
            "platforms_of_one_manager_are_kept_apart",
            &[AWS_URL, AWS_USER],
            guarded::platforms_of_one_manager_are_kept_apart,
        ),
        (
            "what_may_not_be_written_is_told_beforehand",
            &[AWS_URL, AWS_USER],
            guarded::what_may_not_be_written_is_told_beforehand,
        ),
        (
            "keys_of_the_way_back_are_counted",
            &[AWS_URL, AWS_USER],
            guarded::keys_of_the_way_back_are_counted,
        ),
        (
            "the_public_key_is_never_left_alone",
            &[],
            guarded::the_public_key_is_never_left_alone,
        ),
        (
            "who_was_killed_is_followed_at_once",
            &[AWS_URL, AWS_USER],
            killed::who_was_killed_is_followed_at_once,
        ),
        (
            "what_was_moved_is_read_by_the_platforms_own_client",
            &[AWS_URL, AWS_USER, moved::MIGRATOR, CLIENT],
            moved::what_was_moved_is_read_by_the_platforms_own_client,
        ),
    ];
    let mut trials = Vec::new();
    for (law, needs, obey) in laws {
        let also = ON_MYSQL.contains(&law).then_some(Server::MySql);
        for server in Server::ALL.into_iter().chain(also) {
            // The client does not know what the database is.
            if needs.contains(&CLIENT) && server != Server::Postgres {
                continue;
            }
            let name = format!("{}::{law}", server.name());
            let mut needs = needs.iter().copied().chain([server.variable()]);
            let missing = needs.find(|it| std::env::var_os(it).is_none());
            trials.push(match missing {
                None => Trial::test(name, move || {
                    let stage = Stage::new(server);
                    obey(&stage);
                    stage.end();
                    Ok(())
                }),
                Some(missing) => {
                    let reason = format!("{missing} is not set; cargo xtask test sets it");
                    skipped(&name, &reason)
                }
            });
        }
    }
    run(trials)
}

const LOST_SERVICE: &str = "60000000-0000-4000-8000-000000000001";

fn openmetadata() -> OpenMetadata {
    OpenMetadata::new(
        20,
        Naming {
            prefix: String::new(),
            cluster: "openmetadata".to_owned(),
            manager: Manager::Aws,
        },
    )
}

/// An OpenMetadata whose values are sealed under one key, and Cloakroom beside it.
struct Stage {
    server: Server,
    runtime: tokio::runtime::Runtime,
    database: Database,
    cloakroom: Deployment,
    /// The database's URL as its owner.
    owner: String,
}

impl Stage {
    fn new(server: Server) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = runtime.block_on(Database::create(server, &openmetadata()));
        let address = std::env::var(server.variable()).unwrap();
        let (address, _) = address.rsplit_once('/').unwrap();
        let reader = database.url();
        let (_, name) = reader.rsplit_once('/').unwrap();
        let owner = format!("{address}/{name}");
        let mut cloakroom = Deployment::without_database(SECTION);
        cloakroom.set("READER", &reader);
        Self {
            server,
            runtime,
            database,
            cloakroom,
            owner,
        }
    }

    /// Rotates with these keys, as the role that `writer` is the URL of.
    fn rotate(&self, keys: &str, writer: Option<&str>, more: &[&str]) -> Ended {
        self.cloakroom.configure(&section(writer.is_some()));
        let arguments = [&["fernet", "rotate", "--platform", "om"], more].concat();
        self.run(&arguments, keys, writer)
    }

    fn command(&self, arguments: &[&str], keys: &str, writer: Option<&str>) -> Command {
        let mut command = self.cloakroom.command(arguments);
        command.env("FERNET_KEY", keys);
        command.envs(writer.map(|it| ("WRITER", it)));
        command
    }

    fn run(&self, arguments: &[&str], keys: &str, writer: Option<&str>) -> Ended {
        let mut command = self.command(arguments, keys, writer);
        let done = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let ended = Ended {
            code: done.status.code(),
            stdout: text(done.stdout),
            stderr: text(done.stderr),
        };
        let told = format!("{ended:?}");
        for key in keys.split(',') {
            assert!(!told.contains(key.trim_end_matches('=')), "{told}");
        }
        assert!(
            !told.contains(common::CANARY) && !told.contains("only-to-read"),
            "{told}"
        );
        ended
    }

    /// Configures these backends beside the embedded one, which is `main`.
    fn configure(&self, backends: &str, may_write: bool) {
        let section = section(may_write);
        let (_, platforms) = section.split_once('\n').unwrap();
        self.cloakroom.configure(&format!(
            "backends: {{main: {{type: embedded}}, {backends}}}\ndefault_backend: main\n{platforms}"
        ));
    }

    fn migrate(&self, more: &[&str], code: i32) -> Ended {
        let arguments = [&["migrate-secrets", "--output", "json"], more].concat();
        let ended = self.run(&arguments, KEY, Some(&self.owner));
        assert_eq!(ended.code, Some(code), "{ended:?}");
        ended
    }

    /// What was planted refers to secrets that are in no manager, and two masks were saved: without these
    /// rows nothing is in the way.
    fn without_what_cannot_be_moved(&self) {
        for table in ["metadata_service_entity", "mlmodel_service_entity"] {
            self.execute(&format!("DELETE FROM {table}"));
        }
        for it in openmetadata().planted().filter(|it| !it.own) {
            let table = it.table.name();
            self.execute(&format!("DELETE FROM {table} WHERE id = '{}'", it.row));
        }
    }

    /// A service whose secret is in no manager.
    fn with_a_reference_to_nothing(&self) {
        self.with_a_service("secret:/openmetadata/database/lost/authtype/password");
    }

    /// A service of this password, or reference.
    fn with_a_service(&self, password: &str) {
        self.execute(&inserted(password));
    }

    fn execute(&self, sql: &str) {
        self.runtime.block_on(self.database.execute(sql));
    }

    fn end(self) {
        self.runtime.block_on(self.database.drop());
    }
}

/// What makes a service of this password, or reference.
fn inserted(password: &str) -> String {
    let keys = FernetKeys::parse(&SecretValue::from(KEY.to_owned())).unwrap();
    let token = seal(&keys, password);
    format!(
        "INSERT INTO dbservice_entity (json, nameHash) VALUES ('{{\"id\": \"{LOST_SERVICE}\", \
         \"name\": \"lost\", \"deleted\": false, \
         \"connection\": {{\"config\": {{\"authType\": {{\"password\": \"{token}\"}}}}}}}}', 'lost')"
    )
}

fn section(may_write: bool) -> String {
    let writer = if may_write {
        "    writer: {env: WRITER}\n"
    } else {
        ""
    };
    format!("{SECTION}{writer}")
}

fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn sum(report: &Value, key: &str) -> u64 {
    let tables = report["tables"].as_array().unwrap();
    tables.iter().map(|it| it[key].as_u64().unwrap()).sum()
}

fn the_key_is_changed(stage: &Stage) {
    let keys = format!("{NEW},{KEY}");
    let owner = Some(stage.owner.as_str());
    let look = stage.rotate(&keys, None, &["--dry-run", "--output", "json"]);
    assert_eq!(look.code, Some(0), "{look:?}");
    let looked = report(&look);
    let older = sum(&looked, "older");
    assert!(older > 20 && looked["dry_run"] == true, "{looked}");
    assert!(
        looked["next"][0].as_str().unwrap().contains("writer"),
        "{looked}"
    );

    let told = stage.rotate(&keys, owner, &["--dry-run"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stdout.contains("would be sealed again"), "{told:?}");

    let done = stage.rotate(&keys, owner, &["--strict", "--output", "json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let done = report(&done);
    assert_eq!(
        (sum(&done, "rotated"), sum(&done, "older")),
        (older, 0),
        "{done}"
    );
    assert!(
        done["next"][0].as_str().unwrap().contains("restart"),
        "{done}"
    );

    // The old key is needed no more, and there is nothing left to do.
    let again = stage.rotate(NEW, owner, &["--output", "json"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    let again = report(&again);
    assert_eq!(
        (sum(&again, "rotated"), sum(&again, "current")),
        (0, older),
        "{again}"
    );

    // And on to the key that everybody has, but not unseen.
    let public = format!("{PUBLIC},{NEW}");
    let refused = stage.rotate(&public, owner, &["--strict"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let warned = stage.rotate(&public, owner, &[]);
    assert_eq!(warned.code, Some(0), "{warned:?}");
    assert!(
        warned.stderr.contains("warning: the first Fernet key"),
        "{warned:?}"
    );
}

fn without_leave_nothing_is_changed(stage: &Stage) {
    let keys = format!("{NEW},{KEY}");
    let reader = stage.database.url();
    let refused = stage.rotate(&keys, None, &[]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("platforms.om.writer"),
        "{refused:?}"
    );
    let denied = stage.rotate(&keys, Some(&reader), &["--dry-run", "--output", "json"]);
    assert_eq!(denied.code, Some(3), "{denied:?}");
    assert!(
        report(&denied)["denied"].as_array().unwrap().len() > 5,
        "{denied:?}"
    );
    let refused = stage.rotate(&keys, Some(&reader), &[]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("GRANT SELECT, UPDATE ON"),
        "{refused:?}"
    );
    let nonsense = stage.rotate("no key", Some(&reader), &["--dry-run"]);
    assert_eq!(nonsense.code, Some(1), "{nonsense:?}");
    let looked = report(&stage.rotate(&keys, None, &["--dry-run", "--output", "json"]));
    assert_eq!(sum(&looked, "current"), 0, "{looked}");
}

fn what_no_key_opens_is_told(stage: &Stage) {
    let lost = FernetKeys::parse(&SecretValue::from(LOST.to_owned())).unwrap();
    let token = seal(&lost, "lost");
    stage.execute(&format!(
        "INSERT INTO audit_log_event (id, event_json) VALUES (7, '{token}')"
    ));
    let keys = format!("{NEW},{KEY}");
    let done = stage.rotate(&keys, Some(&stage.owner), &[]);
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(
        done.stdout.contains("audit_log_event.event_json"),
        "{done:?}"
    );
    assert!(done.stderr.contains("take none out before"), "{done:?}");
    let found = stage.rotate(&format!("{keys},{LOST}"), Some(&stage.owner), &[]);
    assert_eq!(found.code, Some(0), "{found:?}");
    assert!(found.stdout.contains("1 value sealed again"), "{found:?}");
}

fn secrets_go_to_a_manager_and_back(stage: &Stage) {
    let region = match stage.server {
        Server::Postgres => "eu-south-1",
        Server::MariaDb => "eu-south-2",
        Server::MySql => "eu-west-2",
    };
    let aws = stage.runtime.block_on(Place::new(Kind::Aws, region));
    let ssm = stage.runtime.block_on(Place::new(Kind::Ssm, region));
    let backends = format!(
        "aws: {}, ssm: {}",
        aws.section(&stage.cloakroom),
        ssm.section(&stage.cloakroom)
    );
    stage.without_what_cannot_be_moved();
    stage.configure(&backends, false);
    stage.cloakroom.run(&["migrate-schema"]).done();
    let refused = stage.migrate(&["--from", "db", "--to", "aws"], 1);
    assert!(
        refused.stderr.contains("platforms.om.writer"),
        "{refused:?}"
    );
    stage.configure(&backends, true);
    for (odd, code) in [
        (["--from", "db", "--to", "db"], 2),
        (["--from", "main", "--to", "db"], 1),
        (["--from", "db", "--to", "nowhere"], 2),
    ] {
        stage.migrate(&odd, code);
    }

    let looked = report(&stage.migrate(&["--from", "db", "--to", "aws", "--dry-run"], 0));
    let forth = report(&stage.migrate(&["--from", "db", "--to", "aws"], 0));
    assert_eq!(
        (&looked["moved"], &looked["id"]),
        (&forth["moved"], &Value::Null)
    );
    assert!(forth["moved"].as_u64() > Some(0), "{forth}");
    assert!(
        forth["next"][0].as_str().unwrap().contains("managed-aws"),
        "{forth}"
    );
    // What has no secret there is named, on either way; what was migrated goes on to the next manager.
    stage.with_a_reference_to_nothing();
    let again = report(&stage.migrate(&["--from", "db", "--to", "aws"], 3));
    assert_eq!(again["issues"][0]["kind"], "missing", "{again}");
    let on = report(&stage.migrate(&["--from", "aws", "--to", "ssm"], 3));
    assert_eq!(on["moved"], forth["moved"], "{on}");
    let missing = on["issues"].as_array().unwrap();
    assert_eq!(missing.len(), 1, "{on}");
    assert!(missing.iter().all(|it| it["kind"] == "missing"), "{on}");
    stage.execute(&format!(
        "DELETE FROM dbservice_entity WHERE id = '{LOST_SERVICE}'"
    ));
    let back = |id: &Value| stage.migrate(&["--reverse", id.as_str().unwrap()], 0);
    assert_eq!(report(&back(&on["id"]))["moved"], forth["moved"]);
    let home = report(&back(&forth["id"]));
    assert_eq!(home["moved"], forth["moved"], "{home}");
    let next = home["next"].as_array().unwrap();
    // The user's own references were there before, and the database takes none.
    assert_eq!(home["own"], 2, "{home}");
    assert!(next[0].as_str().unwrap().contains("of your own"), "{home}");
    assert!(next[1].as_str().unwrap().contains("to db"), "{home}");
    let again = report(&stage.migrate(&["--from", "db", "--to", "aws", "--dry-run"], 0));
    assert_eq!(
        again["moved"], forth["moved"],
        "the values are in the database again"
    );
    stage.migrate(&["--reverse", "00000000-0000-4000-8000-000000000001"], 1);
    stage.runtime.block_on(async {
        aws.clear().await;
        ssm.clear().await;
    });
}

fn secrets_go_to_kubernetes_and_back(stage: &Stage) {
    let namespace = match stage.server {
        Server::Postgres => "migrated-postgres",
        Server::MariaDb => "migrated-mariadb",
        Server::MySql => "migrated-mysql",
    };
    secrets_go_there_and_back(stage, Kind::Kubernetes, namespace);
}

fn secrets_go_to_google_and_back(stage: &Stage) {
    let project = match stage.server {
        Server::Postgres => "migrated-postgres",
        Server::MariaDb => "migrated-mariadb",
        Server::MySql => "migrated-mysql",
    };
    secrets_go_there_and_back(stage, Kind::Google, project);
}

fn secrets_go_there_and_back(stage: &Stage, kind: Kind, place: &'static str) {
    let manager = stage.runtime.block_on(Place::new(kind, place));
    stage.without_what_cannot_be_moved();
    let backends = format!("manager: {}", manager.section(&stage.cloakroom));
    stage.configure(&backends, true);
    stage.cloakroom.run(&["migrate-schema"]).done();
    let migrate = |more: &[&str]| report(&stage.migrate(more, 0));
    let looked = migrate(&["--from", "db", "--to", "manager", "--dry-run"]);
    let forth = migrate(&["--from", "db", "--to", "manager"]);
    assert_eq!(looked["moved"], forth["moved"], "{forth}");
    assert!(forth["moved"].as_u64() > Some(0), "{forth}");
    let next = forth["next"].to_string();
    assert!(next.contains(&format!("to {}", kind.provider())), "{next}");
    // The values are in the manager alone.
    assert!(next.contains("while manager keeps the copies"), "{next}");
    assert!(
        next.contains("deploy the ingestion pipelines again"),
        "{next}"
    );
    // A later migration alone is taken back: with `db` the others' references would be taken for passwords.
    stage.with_a_service("entered-since");
    let later = migrate(&["--from", "db", "--to", "manager"]);
    assert_eq!(later["moved"], 1, "{later}");
    let back = report(&stage.migrate(&["--reverse", later["id"].as_str().unwrap()], 3));
    assert_eq!(
        (&back["moved"], &back["left"]),
        (&json!(1), &forth["moved"]),
        "{back}"
    );
    let next = back["next"].to_string();
    assert!(next.contains("refer to secrets in manager still"), "{next}");
    assert!(!next.contains("start it"), "{next}");
    let back = migrate(&["--reverse", forth["id"].as_str().unwrap()]);
    assert_eq!(
        (&back["moved"], &back["left"]),
        (&forth["moved"], &json!(0)),
        "{back}"
    );
    assert!(back["next"].to_string().contains("to db"), "{back}");
    stage.runtime.block_on(manager.clear());
}
