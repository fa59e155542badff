//! What only PostgreSQL can do: row locks step by step, time-outs, deadlocks.

use std::time::Duration;

use cloakroom_core::ledger::{Claim, Damage, Ledger, Reason, RowState};
use cloakroom_core::store::{CommitOutcome, DocumentStore, Expected};
use cloakroom_core::{ErrorKind, Revision, SecretValue};
use cloakroom_store_db::{DbStore, Location, Options, Pool, StoreClock};
use sqlx::{PgPool, Postgres, Transaction};

use crate::schema::{THEIR_MIGRATION, THEIR_MIGRATIONS};
use crate::support::*;

/// What the server itself is told to wait at most; no law waits for it to pass.
const SHORT: Duration = Duration::from_millis(200);
/// Far longer than anything here takes: a law that runs into it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn pool(store: &DbStore) -> PgPool {
    let Pool::Postgres(pool) = store.pool() else {
        panic!()
    };
    pool
}

/// A transaction of somebody else's, with some statements executed.
async fn meanwhile(bench: &Bench, statements: &'static str) -> Transaction<'static, Postgres> {
    let mut tx = pool(&bench.store).begin().await.unwrap();
    sqlx::raw_sql(statements).execute(&mut *tx).await.unwrap();
    tx
}

async fn pid_of(tx: &mut Transaction<'static, Postgres>) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut **tx)
        .await
        .unwrap()
}

/// Asks the server until it says yes about a process of its own.
async fn until(bench: &Bench, question: &'static str, pid: i32) {
    let pool = pool(&bench.store);
    let asking = async {
        while !sqlx::query_scalar::<_, bool>(question)
            .bind(pid)
            .fetch_one(&pool)
            .await
            .unwrap()
        {}
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap();
}

/// Waits until somebody is held up by a lock of this transaction's.
async fn somebody_waits_for(bench: &Bench, tx: &mut Transaction<'static, Postgres>) {
    let waits = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity AS other \
         WHERE other.wait_event_type = 'Lock' AND $1 = ANY (pg_blocking_pids(other.pid)))";
    until(bench, waits, pid_of(tx).await).await;
}

pub(crate) async fn a_locked_row_is_left_to_whoever_has_it(bench: Bench) {
    let orphan = bench.orphan(1).await;
    let free = bench.orphan(2).await;
    bench.clock.advance(2 * HOUR);
    let tx = meanwhile(
        &bench,
        "SELECT 1 FROM secrets WHERE coordinate LIKE '%000000000001_v1' FOR UPDATE",
    )
    .await;
    assert_eq!(bench.claim(&orphan, Reason::Orphaned).await, Claim::Changed);
    assert!(matches!(
        bench.claim(&free, Reason::Orphaned).await,
        Claim::Ready(_)
    ));
    tx.rollback().await.unwrap();
    assert!(matches!(
        bench.claim(&orphan, Reason::Orphaned).await,
        Claim::Ready(_)
    ));
}

/// A writer that keeps a row waits for whoever has it, and then sees what became of it.
pub(crate) async fn a_commit_waits_for_a_claim(bench: Bench) {
    for (fate, outcome) in [
        (
            "UPDATE secrets SET state = 'deleting', next_attempt_at = 0",
            CommitOutcome::Expired,
        ),
        (
            "UPDATE secrets SET last_error = 'looked at'",
            CommitOutcome::Committed {
                revision: Revision(2),
                unreferenced: Vec::new(),
            },
        ),
    ] {
        let n = if fate.contains("deleting") { 1 } else { 2 };
        let written = bench
            .put(document(n), Expected::Absent, &[("/a", base(n))])
            .await;
        let mut tx = meanwhile(&bench, fate).await;
        let commit = commit_of(document(n), FIRST, &[("/b", written[0].clone())], &[]);
        let store = bench.store.clone();
        let waiting = tokio::spawn(async move { store.commit(&commit).await.unwrap() });
        somebody_waits_for(&bench, &mut tx).await;
        assert!(!waiting.is_finished());
        tx.commit().await.unwrap();
        assert_eq!(waiting.await.unwrap(), outcome);
    }
}

/// A reference that a writer adds while a job looks: before its commit the row is left alone, after
/// it the reference is seen, though the scan that found the row saw none.
pub(crate) async fn a_claim_sees_what_was_committed_before_it(bench: Bench) {
    bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    let orphan = bench.orphan(2).await;
    bench.clock.advance(2 * HOUR);
    let tx = meanwhile(
        &bench,
        "UPDATE secrets SET unreferenced_since = NULL WHERE coordinate LIKE '%000000000002_v1'; \
         INSERT INTO secret_references (document_id, pointer, backend_id, coordinate) \
         SELECT d.document_id, '/z', s.backend_id, s.coordinate FROM documents d, secrets s \
         WHERE s.coordinate LIKE '%000000000002_v1'",
    )
    .await;
    assert_eq!(bench.claim(&orphan, Reason::Orphaned).await, Claim::Changed);
    tx.commit().await.unwrap();
    assert_eq!(
        bench.claim(&orphan, Reason::Orphaned).await,
        Claim::Referenced
    );
    assert_eq!(bench.row(&orphan).await.state, RowState::Stored);
}

pub(crate) async fn waits_end(bench: Bench) {
    let mut options = bench.options.clone();
    options.lock_timeout = SHORT;
    options.statement_timeout = 10 * SHORT;
    let store = DbStore::open(&options).await.unwrap();
    let written = bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    let tx = meanwhile(&bench, "SELECT 1 FROM secrets FOR UPDATE").await;
    let commit = commit_of(document(1), FIRST, &[("/b", written[0].clone())], &[]);
    let error = store.commit(&commit).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    tx.rollback().await.unwrap();
    let outcome = store.commit(&commit).await.unwrap();
    assert!(matches!(
        outcome,
        CommitOutcome::Committed {
            revision: Revision(2),
            ..
        }
    ));

    let slow = sqlx::query("SELECT pg_sleep(60)")
        .execute(&pool(&store))
        .await
        .unwrap_err();
    assert_eq!(
        slow.as_database_error().unwrap().code().as_deref(),
        Some("57014")
    );
    store.close().await;
}

pub(crate) async fn passwords_are_not_shown(_: Bench) {
    for (url, kind) in [
        (
            "postgres://127.0.0.1:1/hunter2@127.0.0.1:1/x",
            ErrorKind::Unavailable,
        ),
        (
            "postgres://me:hunter2@127.0.0.1:1/x",
            ErrorKind::Unavailable,
        ),
        (
            "postgres://me:hunter2@127.0.0.1:1/x?passwort=hunter2",
            ErrorKind::Invalid,
        ),
        (
            "postgres://me:hunter2@127.0.0.1:hunter2/x",
            ErrorKind::Invalid,
        ),
        ("hunter2", ErrorKind::Invalid),
        ("mysql://me:hunter2@127.0.0.1:1/x", ErrorKind::Invalid),
        (
            "mysql://me:hunter2@127.0.0.1/x?sslmode=hunter2",
            ErrorKind::Invalid,
        ),
    ] {
        let location = Location::Postgres(SecretValue::from(url.to_owned()));
        let mut options = Options::new(location, "laws");
        options.acquire_timeout = Duration::from_secs(1);
        let error = DbStore::open(&options).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!format!("{error} {error:?} {options:?}").contains("hunter2"));
        let is_told = error.to_string().contains("127.0.0.1:1");
        assert_eq!(is_told, kind == ErrorKind::Unavailable, "{error}");
    }
}

pub(crate) async fn a_silent_transaction_ends(bench: Bench) {
    let mut options = bench.options.clone();
    options.idle_in_transaction_timeout = SHORT;
    let store = DbStore::open(&options).await.unwrap();
    let mut tx = pool(&store).begin().await.unwrap();
    let pid = pid_of(&mut tx).await;
    let gone = "SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1)";
    until(&bench, gone, pid).await;
    sqlx::query("SELECT 1").execute(&mut *tx).await.unwrap_err();
    drop(tx);
    store.check().await.unwrap();
    store.close().await;
}

pub(crate) async fn the_servers_clock(bench: Bench) {
    let mut options = bench.options.clone();
    options.clock = StoreClock::Database;
    let store = DbStore::open(&options).await.unwrap();
    let theirs: i64 =
        sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
            .fetch_one(&pool(&store))
            .await
            .unwrap();
    let ours = store.now().await.unwrap().as_millisecond();
    assert!(
        (0..10_000).contains(&(ours - theirs + 1)),
        "{ours} {theirs}"
    );
    let written = store
        .intend(&backend(), &[intent(&base(1))], HOUR)
        .await
        .unwrap();
    let row = store
        .rows(&backend(), &written)
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    assert!(row.created.as_millisecond() >= theirs);
    assert_eq!(
        row.expires.unwrap().as_millisecond() - row.created.as_millisecond(),
        3_600_000
    );
    store.close().await;
}

/// Somebody locks two rows in the other order. The writer waited first, so it is the one that the
/// server ends; it begins again by itself.
pub(crate) async fn deadlocks_are_tried_again(bench: Bench) {
    let places = [("/a", base(1)), ("/b", base(2))];
    let written = bench.put(document(1), Expected::Absent, &places).await;
    let mut tx = meanwhile(
        &bench,
        "SELECT 1 FROM secrets WHERE coordinate LIKE '%000000000002_v1' FOR UPDATE",
    )
    .await;
    let references = [("/a", written[0].clone()), ("/c", written[1].clone())];
    let commit = commit_of(document(1), FIRST, &references, &[]);
    let store = bench.store.clone();
    let waiting = tokio::spawn(async move { store.commit(&commit).await });
    somebody_waits_for(&bench, &mut tx).await;
    sqlx::raw_sql("SELECT 1 FROM secrets WHERE coordinate LIKE '%000000000001_v1' FOR UPDATE")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    let outcome = waiting.await.unwrap().unwrap();
    assert!(matches!(
        outcome,
        CommitOutcome::Committed {
            revision: Revision(2),
            ..
        }
    ));
}

/// A rotated password reaches new connections; an address that is none changes nothing.
pub(crate) async fn new_connections_go_to_the_new_url(bench: Bench) {
    let Location::Postgres(url) = &bench.options.location else {
        panic!()
    };
    let url = url.expose_text().unwrap();
    let joint = if url.contains('?') { '&' } else { '?' };
    let rotated = SecretValue::from(format!("{url}{joint}application_name=rotated"));
    let refused = bench
        .store
        .redirect(&SecretValue::from("no url".to_owned()));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);

    bench.store.redirect(&rotated).unwrap();
    // Those that stand are all taken, so the next one is new.
    let mut taken = Vec::new();
    let mut name = String::new();
    for _ in 0..bench.options.max_connections {
        let mut connection = pool(&bench.store).acquire().await.unwrap();
        name = sqlx::query_scalar("SHOW application_name")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        taken.push(connection);
    }
    assert_eq!(name, "rotated");
}

/// Half of the connections there and half here would be two databases in one process.
pub(crate) async fn no_connection_goes_to_another_database(bench: Bench) {
    let Location::Postgres(url) = &bench.options.location else {
        panic!()
    };
    let url = url.expose_text().unwrap();
    let (server, _) = url.split_once('?').unwrap_or((url, ""));
    let (server, database) = server.rsplit_once('/').unwrap();
    let elsewhere = [
        format!("{server}/{database}_restored"),
        format!("{server}/{database}?port=1"),
        format!("{server}/{database}?host=restored.invalid"),
        format!("{server}/{database}?options=-c%20search_path%3Drestored"),
    ];
    for elsewhere in elsewhere {
        let refused = bench.store.redirect(&SecretValue::from(elsewhere));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    }
    let mut taken = Vec::new();
    for _ in 0..bench.options.max_connections {
        let mut connection = pool(&bench.store).acquire().await.unwrap();
        let name: String = sqlx::query_scalar("SELECT current_database()")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!(name, database);
        taken.push(connection);
    }
}

/// An operator who sets it means it, for every transaction.
pub(crate) async fn a_default_of_reading_only_is_kept(bench: Bench) {
    let written = bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    let Location::Postgres(url) = &bench.options.location else {
        panic!()
    };
    let url = url.expose_text().unwrap();
    let url = format!("{url}&options=-c%20default_transaction_read_only=on");
    let mut options = bench.options.clone();
    options.location = Location::Postgres(SecretValue::from(url));
    let store = DbStore::open(&options).await.unwrap();
    let commit = commit_of(document(1), FIRST, &[("/b", written[0].clone())], &[]);
    let refusals = [
        store
            .intend(&backend(), &[intent(&base(2))], 2 * HOUR)
            .await
            .map(drop),
        store.commit(&commit).await.map(drop),
        store
            .report_damage(&backend(), &written[0], Damage::Missing)
            .await,
        store.remove(document(1), None).await.map(drop),
    ];
    for refused in refusals {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(
            error.to_string().contains("default_transaction_read_only"),
            "{error}"
        );
    }
    let read = store.document(document(1)).await.unwrap().unwrap();
    assert_eq!(read.revision, Revision(1));
    store.close().await;
}

/// The bench's options with this behind its URL.
fn with(bench: &Bench, more: &str) -> Options {
    let Location::Postgres(url) = &bench.options.location else {
        panic!()
    };
    let url = url.expose_text().unwrap();
    let mut options = bench.options.clone();
    options.location = Location::Postgres(SecretValue::from(format!("{url}&{more}")));
    options
}

async fn run(bench: &Bench, statements: String) {
    let statements = sqlx::AssertSqlSafe(statements);
    let pool = pool(&bench.store);
    sqlx::raw_sql(statements).execute(&pool).await.unwrap();
}

async fn here(bench: &Bench) -> String {
    let here = sqlx::query_scalar("SELECT CAST(current_schema() AS TEXT)");
    here.fetch_one(&pool(&bench.store)).await.unwrap()
}

/// A standby, or an operator who wants nothing written: where nothing is to be done nothing is.
pub(crate) async fn a_schema_that_is_up_to_date_is_only_read(bench: Bench) {
    let identity = bench.store.identity().await.unwrap();
    let options = with(&bench, "options=-c%20default_transaction_read_only=on");
    let report = DbStore::migrate(&options).await.unwrap();
    assert_eq!((report.applied.len(), report.created), (0, false));
    assert_eq!(report.identity, identity);
    bench
        .raw("DELETE FROM _sqlx_migrations WHERE version = 15")
        .await
        .unwrap();
    let error = DbStore::migrate(&options).await.unwrap_err();
    assert!(
        error.to_string().contains("default_transaction_read_only"),
        "{error}"
    );
}

/// Another application's list of migrations is before or behind ours on the search path: nobody's is
/// taken for the other's, and ours go on beside our tables.
pub(crate) async fn another_list_of_migrations_is_on_the_path(bench: Bench) {
    let ours = here(&bench).await;
    let theirs = format!("{ours}_theirs");
    let fresh = format!("{ours}_fresh");
    run(
        &bench,
        format!(
            "DROP SCHEMA IF EXISTS {theirs} CASCADE; DROP SCHEMA IF EXISTS {fresh} CASCADE; \
             CREATE SCHEMA {theirs}; CREATE SCHEMA {fresh}; SET search_path = {theirs}; \
             {THEIR_MIGRATIONS}; {THEIR_MIGRATION}; SET search_path = {ours}"
        ),
    )
    .await;
    let path = |path: &[&String]| {
        let path: Vec<&str> = path.iter().map(|schema| schema.as_str()).collect();
        with(&bench, &format!("options[search_path]={}", path.join(",")))
    };

    // Behind: a first start.
    let behind = path(&[&fresh, &theirs]);
    assert!(DbStore::migrate(&behind).await.unwrap().created);
    DbStore::open(&behind).await.unwrap().close().await;
    assert!(!DbStore::migrate(&behind).await.unwrap().created);

    // Before: ours is where it was, and what it lacks is made there.
    let before = path(&[&theirs, &ours]);
    let identity = bench.store.identity().await.unwrap();
    assert_eq!(DbStore::migrate(&before).await.unwrap().identity, identity);
    let lacking = "DROP TABLE backend_managers; ALTER TABLE backend_epochs DROP COLUMN marked_at; \
                   DELETE FROM _sqlx_migrations WHERE version = 16";
    run(&bench, lacking.to_owned()).await;
    let report = DbStore::migrate(&before).await.unwrap();
    assert_eq!(report.applied, ["16 managers"]);
    let store = DbStore::open(&before).await.unwrap();
    assert_eq!(store.identity().await.unwrap(), identity);
    store.close().await;
    bench.store.check().await.unwrap();

    let left: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "SELECT count(*) FROM pg_catalog.pg_tables AS t, {theirs}._sqlx_migrations AS m \
         WHERE t.schemaname = '{theirs}' AND m.description = 'theirs'"
    )))
    .fetch_one(&pool(&bench.store))
    .await
    .unwrap();
    assert_eq!(left, 1, "theirs is as it was");
    run(
        &bench,
        format!("DROP SCHEMA {theirs} CASCADE; DROP SCHEMA {fresh} CASCADE"),
    )
    .await;
}

/// What stands between backticks, in order.
fn quoted(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.map(ToOwned::to_owned).collect()
}

/// Whoever does what the refusals say ends with a database that can be used.
pub(crate) async fn the_ways_to_a_schema_of_ones_own_lead_there(bench: Bench) {
    let nowhere = format!("{}_nowhere", here(&bench).await);
    let gone =
        format!("DROP SCHEMA IF EXISTS {nowhere} CASCADE; DROP SCHEMA IF EXISTS cloakroom CASCADE");
    run(&bench, gone.clone()).await;

    // A schema that is not there.
    let options = with(&bench, &format!("options[search_path]={nowhere}"));
    let refusals = [
        DbStore::open(&options).await.unwrap_err(),
        DbStore::migrate(&options).await.unwrap_err(),
    ];
    for error in &refusals {
        assert!(error.message().contains(&nowhere), "{error}");
    }
    let told = quoted(refusals[1].message());
    assert!(told[0].starts_with("CREATE SCHEMA"), "{told:?}");
    run(&bench, told[0].clone()).await;
    assert!(DbStore::migrate(&options).await.unwrap().created);
    DbStore::open(&options).await.unwrap().close().await;

    // Of a name that is none without quotes.
    for (written, meant) in [("%22A,b-C%22", "A,b-C"), ("D-e", "d-e")] {
        let named = with(&bench, &format!("options[search_path]={written}"));
        let gone = format!("DROP SCHEMA IF EXISTS \"{meant}\" CASCADE");
        run(&bench, gone.clone()).await;
        let told = quoted(DbStore::migrate(&named).await.unwrap_err().message());
        assert!(told[0].contains(&format!("\"{meant}\"")), "{told:?}");
        run(&bench, told[0].clone()).await;
        assert!(DbStore::migrate(&named).await.unwrap().created);
        run(&bench, gone).await;
    }

    // No name of one's own, as where `public` was dropped.
    let unnamed = with(&bench, "options[search_path]=%22$user%22");
    let error = DbStore::migrate(&unnamed).await.unwrap_err();
    follow(&bench, &unnamed, error.message()).await;
    run(&bench, "DROP SCHEMA cloakroom CASCADE".to_owned()).await;

    // Somebody else's tables.
    run(
        &bench,
        format!("DROP SCHEMA {nowhere} CASCADE; CREATE SCHEMA {nowhere}; CREATE TABLE {nowhere}.actor ()"),
    )
    .await;
    let error = DbStore::migrate(&options).await.unwrap_err();
    follow(&bench, &options, error.message()).await;
    run(&bench, gone).await;
}

/// Makes the schema that `message` says, and the store behind the URL as it says to change it.
async fn follow(bench: &Bench, options: &Options, message: &str) {
    let told = quoted(message);
    assert!(told[0].starts_with("CREATE SCHEMA"), "{told:?}");
    run(bench, told[0].clone()).await;
    // There is a `?` in the URL already.
    assert!(told[2].starts_with('&'), "{told:?}");
    let mut followed = options.clone();
    let Location::Postgres(url) = &options.location else {
        panic!()
    };
    let url = format!("{}{}", url.expose_text().unwrap(), told[2]);
    followed.location = Location::Postgres(SecretValue::from(url));
    assert!(DbStore::migrate(&followed).await.unwrap().created);
    DbStore::open(&followed).await.unwrap().close().await;
}

/// As `public` is in a new database: anybody may look, its owner alone may make tables.
pub(crate) async fn a_schema_that_takes_no_tables_is_named(bench: Bench) {
    let schema = format!("{}_bare", here(&bench).await);
    let role = "law_without_rights";
    let undone = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; DROP ROLE IF EXISTS {role}");
    run(&bench, undone.clone()).await;
    run(
        &bench,
        format!(
            "CREATE SCHEMA {schema}; CREATE ROLE {role} LOGIN; GRANT {role} TO current_user; \
             GRANT USAGE ON SCHEMA {schema} TO {role}"
        ),
    )
    .await;
    let more = format!("options[search_path]={schema}&options=-c%20role={role}");
    let options = with(&bench, &more);
    let error = DbStore::migrate(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let told = quoted(error.message());
    run(&bench, told[0].clone()).await;
    assert!(DbStore::migrate(&options).await.unwrap().created);

    // The right was taken away again, and then there is something to be made.
    let lacking = format!(
        "REVOKE CREATE ON SCHEMA {schema} FROM {role}; DROP TABLE {schema}.backend_managers; \
         ALTER TABLE {schema}.backend_epochs DROP COLUMN marked_at; \
         DELETE FROM {schema}._sqlx_migrations WHERE version = 16"
    );
    run(&bench, lacking).await;
    let error = DbStore::migrate(&options).await.unwrap_err();
    assert_eq!(quoted(error.message()), told, "{error}");
    run(&bench, told[0].clone()).await;
    assert_eq!(DbStore::migrate(&options).await.unwrap().applied.len(), 1);
    run(&bench, undone).await;
}

/// A document with a character that the database lacks would be refused once its secrets are written.
pub(crate) async fn an_encoding_without_all_characters_is_refused(bench: Bench) {
    for (encoding, is_taken) in [("LATIN1", false), ("SQL_ASCII", true), ("UTF8", true)] {
        let name = format!("law_{encoding}_{}", std::process::id()).to_lowercase();
        let gone = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        let made = format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 \
             LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        run(&bench, gone.clone()).await;
        run(&bench, made).await;
        let more = format!("dbname={name}&options[search_path]=public");
        let options = with(&bench, &more);
        if is_taken {
            assert!(DbStore::migrate(&options).await.unwrap().created);
            let store = DbStore::open(&options).await.unwrap();
            let name = "\u{1f9e5}\u{20ac}";
            let told = store.note_manager(&backend(), name).await.unwrap();
            assert_eq!(told, name);
            assert_eq!(store.note_manager(&backend(), "").await.unwrap(), name);
            store.close().await;
        } else {
            for refused in [
                DbStore::migrate(&options).await.map(drop),
                DbStore::pending(&options).await.map(drop),
                DbStore::open(&options).await.map(drop),
            ] {
                let error = refused.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
                assert!(error.message().contains(encoding), "{error}");
                assert!(error.message().contains("UTF8"), "{error}");
            }
        }
        run(&bench, gone).await;
    }
}
