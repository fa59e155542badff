//! Everything comes under the first key, whatever else of a row stays as it was, and whoever edits it
//! meanwhile keeps what he wrote.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cloakroom_core::{ErrorKind, SecretValue};
use cloakroom_store_openmetadata::{
    FernetKeys, FernetRotation, OpenMetadataSource, Options, RotationObserver, RotationReport,
};
use cloakroom_testkit::openmetadata::Deployment;
use sqlx::Row as _;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::support::{Bench, KEY, Server, Session, keys, naming, options_at, scan, seal};

/// 32 bytes of 8, and of 9.
pub(crate) const OLD: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";
const LOST: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";

pub(crate) fn keys_of(text: &str) -> FernetKeys {
    FernetKeys::parse(&SecretValue::from(text.to_owned())).unwrap()
}

fn deployment() -> Deployment {
    Deployment::new(60, naming())
}

/// The new key first, the old one behind it.
fn options(bench: &Bench) -> Options {
    let mut options = bench.options();
    options.keys = keys_of(&format!("{KEY},{OLD}"));
    options
}

pub(crate) fn rotation(bench: &Bench) -> FernetRotation {
    FernetRotation::new(options(bench)).unwrap()
}

pub(crate) async fn rotate(bench: &Bench, observer: &dyn RotationObserver) -> RotationReport {
    rotation(bench).rotate(observer).await.unwrap()
}

async fn fill(bench: &Bench, deployment: &Deployment) {
    let old = keys_of(OLD);
    let mut session = bench.session().await;
    let statements = deployment.statements(bench.dialect(), |text| seal(&old, text));
    let (rows, tables): (Vec<_>, Vec<_>) = statements.partition(|it| it.starts_with("INSERT"));
    for statement in tables {
        session.execute(&statement).await;
    }
    session
        .execute(&format!("BEGIN; {} COMMIT", rows.concat()))
        .await;
}

/// A table with one column of these texts, each in a row of its own with an entity's id.
pub(crate) async fn with_texts(bench: &Bench, texts: &[&str]) {
    bench.with_a_table().await;
    let mut session = bench.session().await;
    session
        .execute("CREATE TABLE log (id int PRIMARY KEY, v text)")
        .await;
    for (id, text) in texts.iter().enumerate() {
        let insert = format!("INSERT INTO log VALUES ({id}, '{}')", bench.literal(text));
        session.execute(&insert).await;
    }
}

/// The first field of each row that a question has.
pub(crate) async fn asked(bench: &Bench, question: &str) -> Vec<String> {
    ask(&mut bench.session().await, question).await
}

async fn ask(session: &mut Session, question: &str) -> Vec<String> {
    let question = sqlx::raw_sql(sqlx::AssertSqlSafe(question.to_owned()));
    match session {
        Session::Postgres(it) => {
            let rows = question.fetch_all(it).await.unwrap();
            rows.iter().map(|row| row.get_unchecked(0)).collect()
        }
        Session::MySql(it) => {
            let rows = question.fetch_all(it).await.unwrap();
            let bytes = rows.iter().map(|row| row.get_unchecked::<Vec<u8>, _>(0));
            bytes.map(|it| String::from_utf8(it).unwrap()).collect()
        }
    }
}

/// Every row of every entity, with its values opened.
async fn opened(bench: &Bench, keys: &FernetKeys) -> Vec<String> {
    let text = match bench.server {
        Server::Postgres => "json::text",
        Server::MariaDb | Server::MySql => "json",
    };
    let mut all = Vec::new();
    let mut tables: Vec<_> = deployment().planted().map(|it| it.table.name()).collect();
    tables.push("entity_extension");
    tables.sort_unstable();
    tables.dedup();
    for table in tables {
        let question = format!("SELECT {text} FROM {table} ORDER BY id");
        all.extend(
            asked(bench, &question)
                .await
                .iter()
                .map(|it| open_all(it, keys)),
        );
    }
    all
}

/// A text with what its tokens hold in their places.
fn open_all(text: &str, keys: &FernetKeys) -> String {
    let mut parts = text.split("fernet:");
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|it: char| !it.is_ascii_alphanumeric() && !"-_=".contains(it));
        let (token, rest) = part.split_at(end.unwrap_or(part.len()));
        match keys.open(&format!("fernet:{token}")) {
            Ok(value) => all.push_str(value.expose_text().unwrap()),
            Err(_) => all.push_str("(unopened)"),
        }
        all.push_str(rest);
    }
    all
}

pub(crate) struct Unobserved;

impl RotationObserver for Unobserved {}

/// Executes statements on a connection of its own when rows are about to be written, once.
struct Meddling<'b> {
    bench: &'b Bench,
    statements: String,
    done: AtomicBool,
}

impl<'b> Meddling<'b> {
    fn new(bench: &'b Bench, statements: String) -> Self {
        Self {
            bench,
            statements,
            done: AtomicBool::new(false),
        }
    }
}

impl RotationObserver for Meddling<'_> {
    fn about_to_write(&self, _: &str) {
        if !self.done.swap(true, Ordering::Relaxed) {
            let meddling = self.bench.sql(&self.statements);
            block_in_place(|| Handle::current().block_on(meddling));
        }
    }
}

pub(crate) async fn everything_is_sealed_under_the_first_key(bench: Bench) {
    fill(&bench, &deployment()).await;
    let (new, old) = (keys(), keys_of(OLD));
    let before = opened(&bench, &old).await;
    let mut options = bench.options();
    options.keys = old;
    let (as_before, _) = scan(&OpenMetadataSource::new(options).unwrap()).await;

    let report = rotate(&bench, &Unobserved).await;
    assert!(report.is_complete(), "{report:?}");
    let deployment = deployment();
    let rows = deployment.statements(bench.dialect(), str::to_owned);
    let rows = rows.filter(|it| it.starts_with("INSERT")).count();
    // All but one person's, who has a password of his own.
    let sealed = u64::try_from(rows - 1).unwrap();
    assert_eq!(
        (report.rotated(), report.older()),
        (sealed, 0),
        "{report:?}"
    );
    assert!(report.tables.iter().all(|it| it.current == it.rotated));

    // Not a byte but the tokens' has changed, and the old key is needed no more.
    assert_eq!(opened(&bench, &new).await, before);
    let (found, scanned) = bench.scan().await;
    assert_eq!(scanned.obstacles, []);
    assert_eq!(found.mentions, as_before.mentions);
    assert_eq!(found.defects, as_before.defects);

    let again = rotate(&bench, &Unobserved).await;
    assert_eq!((again.rotated(), again.is_complete()), (0, true));
}

pub(crate) async fn looking_changes_nothing(bench: Bench) {
    fill(&bench, &deployment()).await;
    let before = asked(&bench, "SELECT json FROM user_entity ORDER BY id").await;
    let role = bench.role().await;
    bench.grant_select(&role).await;
    let mut options = options_at(bench.url_as(&role));
    options.keys = keys_of(&format!("{KEY},{OLD}"));
    let looked = FernetRotation::new(options).unwrap().look().await.unwrap();
    assert!(looked.older() > 60 && looked.rotated() == 0 && !looked.is_complete());
    assert_eq!(looked.left, []);
    bench.dismiss(&role).await;
    let after = asked(&bench, "SELECT json FROM user_entity ORDER BY id").await;
    assert_eq!(before, after);
}

pub(crate) async fn what_no_key_opens_is_left(bench: Bench) {
    let (lost, old) = (seal(&keys_of(LOST), "lost"), seal(&keys_of(OLD), "old"));
    with_texts(&bench, &[&format!("{lost} and {old}"), &old, &lost]).await;
    let entity = format!(
        "INSERT INTO dbservice_entity (json, nameHash) VALUES ('{{\"id\": \
         \"00000000-0000-4000-8000-000000000001\", \"name\": \"one\", \"password\": \"{lost}\"}}', 'x')"
    );
    bench.sql(&entity).await;
    let report = rotate(&bench, &Unobserved).await;
    assert_eq!(
        (report.rotated(), report.older(), report.unopened()),
        (2, 0, 3)
    );
    assert!(!report.is_complete());
    let told: Vec<_> = report
        .unopened
        .iter()
        .map(|it| it.title.as_deref())
        .collect();
    assert_eq!(told, [Some("one"), None, None], "{report:?}");
    assert!(report.unopened[1].column.ends_with(".log.v"), "{report:?}");
    let texts = asked(&bench, "SELECT v FROM log ORDER BY id").await;
    assert!(texts[0].starts_with(&format!("{lost} and fernet:")));
    assert_eq!(texts[2], lost);
    assert!(keys().open(&texts[1]).is_ok());
}

pub(crate) async fn a_concurrent_edit_is_never_lost(bench: Bench) {
    let old = keys_of(OLD);
    let (one, two) = (seal(&old, "one"), seal(&old, "two"));
    with_texts(&bench, &[&one, &one, &one]).await;
    let meddling = Meddling::new(
        &bench,
        format!(
            "UPDATE log SET v = 'edited {two}' WHERE id = 1; UPDATE log SET v = 'clear' WHERE id = 2"
        ),
    );
    let report = rotate(&bench, &meddling).await;
    assert!(meddling.done.load(Ordering::Relaxed));
    assert!(report.is_complete(), "{report:?}");
    let log = &report.tables[0];
    assert_eq!(
        (log.rotated, log.read_again, log.current),
        (2, 2, 2),
        "{report:?}"
    );
    let texts = asked(&bench, "SELECT v FROM log ORDER BY id").await;
    let new = keys();
    let texts: Vec<_> = texts.iter().map(|it| open_all(it, &new)).collect();
    assert_eq!(texts, ["one", "edited two", "clear"]);
}

/// Holds a row with an edit that is committed once somebody asks to write it.
struct Holding<'b> {
    bench: &'b Bench,
    edit: String,
    commit: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl RotationObserver for Holding<'_> {
    fn about_to_write(&self, _: &str) {
        let mut commit = self.commit.lock().unwrap();
        if commit.is_some() {
            return;
        }
        let mut session = block_in_place(|| {
            Handle::current().block_on(async {
                let mut session = self.bench.session().await;
                session.execute("BEGIN").await;
                session.execute(&self.edit).await;
                session
            })
        });
        let bench = self.bench.clone();
        *commit = Some(tokio::spawn(async move {
            let mut looking = bench.session().await;
            while !somebody_waits(&bench, &mut looking).await {
                tokio::task::yield_now().await;
            }
            session.execute("COMMIT").await;
        }));
    }
}

async fn somebody_waits(bench: &Bench, session: &mut Session) -> bool {
    let question = match bench.server {
        Server::Postgres => format!(
            "SELECT 1::text FROM pg_stat_activity WHERE datname = '{}' AND wait_event_type = 'Lock'",
            bench.database
        ),
        Server::MariaDb | Server::MySql => format!(
            "SELECT 1 FROM information_schema.PROCESSLIST \
             WHERE DB = '{}' AND COMMAND = 'Execute' AND INFO LIKE 'UPDATE%'",
            bench.database
        ),
    };
    !ask(session, &question).await.is_empty()
}

pub(crate) async fn an_edit_that_is_not_committed_yet_wins(bench: Bench) {
    let old = keys_of(OLD);
    let (one, two) = (seal(&old, "one"), seal(&old, "two"));
    with_texts(&bench, &[&one, &one]).await;
    let holding = Holding {
        bench: &bench,
        edit: format!("UPDATE log SET v = 'edited {two}' WHERE id = 1"),
        commit: Mutex::default(),
    };
    let mut options = options(&bench);
    // Whatever the machine does, the edit is committed first.
    options.lock_timeout = std::time::Duration::from_mins(5);
    let rotation = FernetRotation::new(options).unwrap();
    let report = rotation.rotate(&holding).await.unwrap();
    let commit = holding.commit.lock().unwrap().take();
    commit.unwrap().await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    let texts = asked(&bench, "SELECT v FROM log ORDER BY id").await;
    assert_eq!(open_all(&texts[1], &keys()), "edited two");
    assert_eq!(report.tables[0].read_again, 1);
}

/// A trigger keeps the old text, so that the server says that it wrote and nothing is written.
pub(crate) async fn what_a_trigger_restores_is_not_called_done(bench: Bench) {
    let (one, two) = (seal(&keys_of(OLD), "one"), seal(&keys_of(OLD), "two"));
    with_texts(&bench, &[&one, &two]).await;
    let trigger = match bench.server {
        Server::Postgres => {
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN IF OLD.id = 0 THEN NEW.v := OLD.v; END IF; RETURN NEW; END $$; \
             CREATE TRIGGER keep BEFORE UPDATE ON log FOR EACH ROW EXECUTE FUNCTION keep()"
        }
        Server::MariaDb | Server::MySql => {
            "CREATE TRIGGER keep BEFORE UPDATE ON log FOR EACH ROW \
             SET NEW.v = IF(OLD.id = 0, OLD.v, NEW.v)"
        }
    };
    bench.sql(trigger).await;
    let report = rotate(&bench, &Unobserved).await;
    assert_eq!((report.rotated(), report.older()), (1, 1), "{report:?}");
    assert!(!report.is_complete());
    let [left] = &report.left[..] else {
        panic!("{report:?}")
    };
    assert_eq!(left.subject, format!("{}.log", bench.schema()));
    assert!(left.detail.contains("trigger"), "{left:?}");
    let texts = asked(&bench, "SELECT v FROM log ORDER BY id").await;
    assert_eq!(texts[0], one);
    assert_eq!(open_all(&texts[1], &keys()), "two");
}

/// Nor what a trigger restores once the row is written. MySQL and MariaDB let none write to its own table.
pub(crate) async fn what_a_trigger_restores_afterwards_is_not_called_done(bench: Bench) {
    let (one, two) = (seal(&keys_of(OLD), "one"), seal(&keys_of(OLD), "two"));
    with_texts(&bench, &[&one, &two]).await;
    let function = format!(
        "CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF pg_trigger_depth() = 1 THEN UPDATE {}.log SET v = '{one}' WHERE id = 0; END IF; \
         RETURN NULL; END $$",
        bench.schema()
    );
    bench.sql(&function).await;
    for level in ["ROW", "STATEMENT"] {
        let trigger = format!(
            "UPDATE log SET v = '{two}' WHERE id = 1; \
             CREATE TRIGGER back AFTER UPDATE ON log FOR EACH {level} EXECUTE FUNCTION back()"
        );
        bench.sql(&trigger).await;
        let report = rotate(&bench, &Unobserved).await;
        let told = (report.rotated(), report.older());
        assert_eq!(told, (1, 1), "{level}: {report:?}");
        let [left] = &report.left[..] else {
            panic!("{level}: {report:?}")
        };
        assert!(left.detail.contains("trigger"), "{level}: {left:?}");
        let texts = asked(&bench, "SELECT v FROM log ORDER BY id").await;
        assert_eq!(texts[0], one, "{level}");
        assert_eq!(open_all(&texts[1], &keys()), "two", "{level}");
        bench.sql("DROP TRIGGER back ON log").await;
    }
}

/// Nor is a row of which the trigger lets one column through.
pub(crate) async fn what_a_trigger_restores_in_part_is_not_called_done(bench: Bench) {
    bench.with_a_table().await;
    let (one, two) = (seal(&keys_of(OLD), "one"), seal(&keys_of(OLD), "two"));
    let table = format!(
        "CREATE TABLE pairs (id int PRIMARY KEY, v text, w text); \
         INSERT INTO pairs VALUES (1, '{one}', '{two}')"
    );
    bench.sql(&table).await;
    let trigger = match bench.server {
        Server::Postgres => {
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN NEW.v := OLD.v; RETURN NEW; END $$; \
             CREATE TRIGGER keep BEFORE UPDATE ON pairs FOR EACH ROW EXECUTE FUNCTION keep()"
        }
        Server::MariaDb | Server::MySql => {
            "CREATE TRIGGER keep BEFORE UPDATE ON pairs FOR EACH ROW SET NEW.v = OLD.v"
        }
    };
    bench.sql(trigger).await;
    let report = rotate(&bench, &Unobserved).await;
    assert_eq!((report.rotated(), report.older()), (0, 1), "{report:?}");
    let [left] = &report.left[..] else {
        panic!("{report:?}")
    };
    assert!(left.detail.contains("trigger"), "{left:?}");
    assert_eq!(asked(&bench, "SELECT v FROM pairs").await, [one]);
}

pub(crate) async fn a_row_that_goes_meanwhile(bench: Bench) {
    let one = seal(&keys_of(OLD), "one");
    with_texts(&bench, &[&one, &one]).await;
    let meddling = Meddling::new(&bench, "DELETE FROM log WHERE id = 0".to_owned());
    let report = rotate(&bench, &meddling).await;
    assert!(report.is_complete() && report.rotated() == 1, "{report:?}");
    assert_eq!(asked(&bench, "SELECT v FROM log").await.len(), 1);
}

pub(crate) async fn a_role_that_may_not_write(bench: Bench) {
    let one = seal(&keys_of(OLD), "one");
    with_texts(&bench, &[&one]).await;
    let entity = format!(
        "INSERT INTO dbservice_entity (json, nameHash) VALUES ('{{\"id\": \"x\", \"name\": \"x\", \
         \"password\": \"{one}\"}}', 'x')"
    );
    bench.sql(&entity).await;
    let role = bench.role().await;
    bench.grant_select(&role).await;
    let grantee = match bench.server {
        Server::Postgres => role.clone(),
        Server::MariaDb | Server::MySql => format!("{role}@'%'"),
    };
    let grant = |table: &str| match bench.server {
        Server::Postgres => format!("GRANT UPDATE ON {table} TO {grantee}"),
        Server::MariaDb | Server::MySql => {
            format!("GRANT UPDATE ON {}.{table} TO {grantee}", bench.database)
        }
    };
    // One of the two may be written.
    bench.sql(&grant("dbservice_entity")).await;
    let mut options = options_at(bench.url_as(&role));
    options.keys = keys_of(&format!("{KEY},{OLD}"));
    let rotation = FernetRotation::new(options).unwrap();
    let error = rotation.rotate(&Unobserved).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let told = error.to_string();
    assert!(
        told.contains(".log ") && told.contains("GRANT SELECT, UPDATE ON"),
        "{told}"
    );
    assert!(!told.contains("dbservice_entity"), "{told}");
    let denied = rotation.denied().await.unwrap();
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert_eq!(
        rotation.look().await.unwrap().older(),
        2,
        "nothing was changed"
    );
    bench.grant_as_told(&denied[0].detail).await;
    assert!(rotation.denied().await.unwrap().is_empty());
    let report = rotation.rotate(&Unobserved).await.unwrap();
    assert!(report.is_complete() && report.rotated() == 2, "{report:?}");
    bench.dismiss(&role).await;
}

/// Stops once something was written.
#[derive(Default)]
struct Stopping {
    done: AtomicU64,
}

impl RotationObserver for Stopping {
    fn progressed(&self, done: u64, of: u64) {
        assert!(done <= of);
        self.done.store(done, Ordering::Relaxed);
    }

    fn told_to_stop(&self) -> bool {
        self.done.load(Ordering::Relaxed) > 0
    }
}

pub(crate) async fn what_is_cut_short_goes_on(bench: Bench) {
    fill(&bench, &deployment()).await;
    let before = rotation(&bench).look().await.unwrap();
    let stopping = Stopping::default();
    let part = rotate(&bench, &stopping).await;
    assert!(part.cut_short && !part.is_complete());
    let done = stopping.done.load(Ordering::Relaxed);
    assert_eq!(part.rotated(), done);
    assert_eq!(part.older(), before.older() - done);
    let now = rotation(&bench).look().await.unwrap();
    assert_eq!(now.older(), part.older(), "what it said is so");
    let rest = rotate(&bench, &Unobserved).await;
    assert!(rest.is_complete());
    assert_eq!(rest.rotated(), before.older() - done);
}

/// Keys of two columns, of numbers and of text that a collation takes for other text; texts with
/// quotes, escapes and what is not ASCII; an index that is not unique.
pub(crate) async fn rows_of_every_kind(bench: Bench) {
    bench.with_a_table().await;
    let token = seal(&keys_of(OLD), "one");
    let (json, unsigned) = match bench.server {
        Server::Postgres => ("json", "numeric(20)"),
        Server::MariaDb | Server::MySql => ("json", "bigint unsigned"),
    };
    bench
        .sql(&format!(
            "CREATE TABLE one (a varchar(20), b bigint, j {json}, v varchar(4000), PRIMARY KEY (a, b)); \
             CREATE TABLE two (n {unsigned} NOT NULL UNIQUE, v text); \
             CREATE TABLE three (n int, v text NOT NULL); CREATE INDEX three_n ON three (n)"
        ))
        .await;
    let text = bench.literal(&format!(
        "{{\"b\":1.0, \"a\" : 1e5,\"big\":123456789012345678901234567890,\"t\":\"ä\\\\ \\\"{token}\\\" 日本\"}}"
    ));
    for (a, b) in [("it''s", 1), ("ITEM", -5), ("i", i64::MAX)] {
        let insert = format!("INSERT INTO one VALUES ('{a}', {b}, '{text}', '{token}')");
        bench.sql(&insert).await;
    }
    for number in ["18446744073709551615", "18446744073709551614", "0"] {
        let insert = format!("INSERT INTO two VALUES ({number}, 'x{number} {token}')");
        bench.sql(&insert).await;
    }
    let question = match bench.server {
        Server::Postgres => "SELECT j::text FROM one ORDER BY b",
        Server::MariaDb | Server::MySql => "SELECT j FROM one ORDER BY b",
    };
    let before = asked(&bench, question).await;
    let report = rotate(&bench, &Unobserved).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.rotated(), 9);
    let (old, new) = (keys_of(OLD), keys());
    let open = |texts: &[String], keys: &FernetKeys| -> Vec<String> {
        texts.iter().map(|it| open_all(it, keys)).collect()
    };
    let after = asked(&bench, question).await;
    assert_eq!(open(&before, &old), open(&after, &new));
    let texts = asked(&bench, "SELECT v FROM two ORDER BY n").await;
    let expected = ["0", "18446744073709551614", "18446744073709551615"];
    assert_eq!(open(&texts, &new), expected.map(|it| format!("x{it} one")));
}

/// What PostgreSQL alone has: rows without a key, other schemas, views and bytes.
pub(crate) async fn what_is_elsewhere_is_left(bench: Bench) {
    bench.with_a_table().await;
    let token = seal(&keys_of(OLD), "one");
    bench
        .sql(&format!(
            "CREATE TABLE keyless (v text); INSERT INTO keyless SELECT '{token}' FROM generate_series(1, 250); \
             CREATE SCHEMA other; CREATE TABLE other.t (id int PRIMARY KEY, v text); \
             INSERT INTO other.t VALUES (1, '{token}'); \
             CREATE TABLE bytes (id int PRIMARY KEY, v bytea); INSERT INTO bytes VALUES (1, '{token}'); \
             CREATE MATERIALIZED VIEW seen AS SELECT v FROM other.t"
        ))
        .await;
    let looked = rotation(&bench).look().await.unwrap();
    let report = rotate(&bench, &Unobserved).await;
    assert_eq!((report.rotated(), report.older()), (250, 3), "{report:?}");
    assert_eq!(
        looked.left, report.left,
        "a dry run tells what is in the way"
    );
    let mut told: Vec<_> = report.left.iter().map(|it| it.subject.as_str()).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        ["other.t", "public.bytes.v", "public.seen"],
        "{report:?}"
    );
    let texts = asked(&bench, "SELECT v FROM keyless").await;
    assert!(texts.iter().all(|it| keys().open(it).is_ok()));
}

/// MariaDB has nothing by which to ask for such a row.
pub(crate) async fn rows_that_nothing_tells_apart(bench: Bench) {
    bench.with_a_table().await;
    let token = seal(&keys_of(OLD), "one");
    bench
        .sql(&format!(
            "CREATE TABLE keyless (n int, v text); INSERT INTO keyless VALUES (1, '{token}'); \
             CREATE TABLE prefixed (w varchar(40), v text, UNIQUE KEY (w(3))); \
             INSERT INTO prefixed VALUES ('abc', '{token}'); \
             CREATE TABLE loose (w varchar(40), v text, UNIQUE KEY (w)); \
             INSERT INTO loose VALUES (NULL, '{token}'), ('a', '{token}')"
        ))
        .await;
    let looked = rotation(&bench).look().await.unwrap();
    let report = rotate(&bench, &Unobserved).await;
    assert_eq!((report.rotated(), report.older()), (1, 3), "{report:?}");
    assert_eq!(
        looked.left, report.left,
        "a dry run tells what is in the way"
    );
    let told: Vec<_> = report.left.iter().map(|it| it.detail.as_str()).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(
        told.iter().filter(|it| it.contains("primary key")).count(),
        2
    );
    assert_eq!(told.iter().filter(|it| it.contains("NULL")).count(), 1);
}

/// A column that MariaDB sets to the present with every update tells when its row was edited: sealing it
/// again is no edit.
pub(crate) async fn a_time_of_the_last_change_stays(bench: Bench) {
    bench.with_a_table().await;
    let token = seal(&keys_of(OLD), "one");
    bench
        .sql(&format!(
            "CREATE TABLE stamped (id int PRIMARY KEY, v text, \
             at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP); \
             INSERT INTO stamped VALUES (1, '{token}', '2001-02-03 04:05:06')"
        ))
        .await;
    let report = rotate(&bench, &Unobserved).await;
    assert!(report.is_complete() && report.rotated() == 1, "{report:?}");
    let at = asked(&bench, "SELECT CAST(at AS CHAR) FROM stamped").await;
    assert_eq!(at, ["2001-02-03 04:05:06"]);
}

/// PostgreSQL's rows without a key are known by their place and by what they say: one that was written
/// elsewhere meanwhile is found by the next round, and an edit stays.
pub(crate) async fn a_row_without_a_key_that_is_written_meanwhile(bench: Bench) {
    bench.with_a_table().await;
    let (one, two) = (seal(&keys_of(OLD), "one"), seal(&keys_of(OLD), "two"));
    bench
        .sql(&format!(
            "CREATE TABLE keyless (n int, v text); INSERT INTO keyless VALUES (1, '{one}'), (2, '{two}')"
        ))
        .await;
    // One is written somewhere else, the other one says something else.
    let statements =
        "UPDATE keyless SET n = 3 WHERE n = 1; UPDATE keyless SET v = 'plain' WHERE n = 2";
    let meddling = Meddling::new(&bench, statements.to_owned());
    let report = rotate(&bench, &meddling).await;
    assert!(report.is_complete(), "{report:?}");
    let texts = asked(&bench, "SELECT v FROM keyless ORDER BY n").await;
    assert_eq!(texts[0], "plain");
    assert_eq!(keys().open(&texts[1]).unwrap().expose(), b"one");
}
