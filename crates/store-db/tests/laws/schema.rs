//! Migrations: applied once, compared at every start.

use cloakroom_core::ErrorKind;
use cloakroom_core::store::DocumentStore;
use cloakroom_store_db::{DbStore, Location};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::support::*;

pub(crate) async fn migrated_twice(bench: Bench) {
    let identity = bench.store.identity().await.unwrap();
    assert_eq!((identity.deployment.as_str(), identity.epoch), ("laws", 0));
    let again = DbStore::migrate(&bench.options).await.unwrap();
    assert_eq!(again.applied, Vec::<String>::new());
    assert!(!again.created);
    assert_eq!(again.identity, identity);
    assert_eq!(
        DbStore::pending(&bench.options).await.unwrap(),
        Vec::<String>::new()
    );
    bench.store.check().await.unwrap();
}

/// Takes the schema away again, so that it is to be made anew.
async fn unmake(bench: &Bench) {
    if bench.is_postgres() {
        bench.raw("DO $$ BEGIN EXECUTE 'DROP SCHEMA ' || current_schema || ' CASCADE; CREATE SCHEMA ' || current_schema; END $$").await.unwrap();
    } else {
        let Location::Sqlite(path) = &bench.options.location else {
            panic!()
        };
        bench.store.close().await;
        std::fs::remove_file(path).unwrap();
    }
}

pub(crate) async fn two_at_once(bench: Bench) {
    unmake(&bench).await;
    assert!(!DbStore::pending(&bench.options).await.unwrap().is_empty());
    let starts = (0..4).map(|_| {
        let options = bench.options.clone();
        tokio::spawn(async move { DbStore::migrate(&options).await.unwrap() })
    });
    let mut reports = Vec::new();
    for start in starts.collect::<Vec<_>>() {
        reports.push(start.await.unwrap());
    }
    let made: Vec<_> = reports.iter().filter(|report| report.created).collect();
    assert_eq!(made.len(), 1);
    assert!(!made[0].applied.is_empty());
    assert!(
        reports
            .iter()
            .all(|report| report.identity == made[0].identity)
    );
    assert!(
        reports
            .iter()
            .filter(|report| report.applied.is_empty())
            .count()
            == 3
    );
}

/// Nothing of ours is made beside them.
pub(crate) async fn somebody_elses_tables_are_refused(bench: Bench) {
    const THEIRS: &str = "CREATE TABLE actor (id TEXT)";
    unmake(&bench).await;
    theirs(&bench, THEIRS).await;
    let error = DbStore::migrate(&bench.options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("such as \"actor\""), "{error}");
    let pending = DbStore::pending(&bench.options).await.unwrap();
    assert!(!pending.is_empty(), "nothing was made");
}

/// As another application that keeps its migrations with the same library leaves it.
pub(crate) const THEIR_MIGRATIONS: &str = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, \
     description TEXT NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, \
     success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)";
pub(crate) const THEIR_MIGRATION: &str = "INSERT INTO _sqlx_migrations \
     (version, description, success, checksum, execution_time) VALUES (1, 'theirs', TRUE, 'x', 1)";

/// Where ours go is the list of another application's migrations, alone or beside its tables.
pub(crate) async fn somebody_elses_migrations_are_refused(bench: Bench) {
    unmake(&bench).await;
    let steps = [
        (
            &[THEIR_MIGRATIONS, THEIR_MIGRATION][..],
            "another application's list",
        ),
        (&["CREATE TABLE actor (id TEXT)"], "such as \"actor\""),
    ];
    for (statements, told) in steps {
        for statement in statements {
            theirs(&bench, statement).await;
        }
        let error = DbStore::migrate(&bench.options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains(told), "{error}");
        let pending = DbStore::pending(&bench.options).await.unwrap();
        assert!(!pending.is_empty(), "nothing was made");
        let opened = DbStore::open(&bench.options).await.unwrap_err();
        let told = if bench.is_postgres() {
            "migrate-schema"
        } else {
            told
        };
        assert!(opened.message().contains(told), "{opened}");
    }
}

/// Beside the store, which is not there.
async fn theirs(bench: &Bench, statement: &'static str) {
    if let Location::Sqlite(path) = &bench.options.location {
        let file = SqliteConnectOptions::new().filename(path);
        let mut theirs = file.create_if_missing(true).connect().await.unwrap();
        theirs.execute(statement).await.unwrap();
        theirs.close().await.unwrap();
    } else {
        bench.raw(statement).await.unwrap();
    }
}

async fn refused(bench: &Bench, words: &str) {
    for error in [
        DbStore::open(&bench.options).await.unwrap_err(),
        bench.store.check().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains(words), "{error}");
    }
}

pub(crate) async fn a_newer_schema_is_refused(bench: Bench) {
    bench
        .raw("UPDATE _sqlx_migrations SET version = 9000 WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .await
        .unwrap();
    refused(&bench, "run a newer program").await;
    let error = DbStore::migrate(&bench.options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

pub(crate) async fn a_changed_migration_is_refused(bench: Bench) {
    let change = if bench.is_postgres() {
        "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1"
    } else {
        "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1"
    };
    bench.raw(change).await.unwrap();
    refused(&bench, "was changed").await;
    let error = DbStore::migrate(&bench.options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

pub(crate) async fn pending_migrations_are_refused(bench: Bench) {
    bench.raw("DELETE FROM _sqlx_migrations").await.unwrap();
    refused(&bench, "run reconciler migrate-schema").await;
    bench.raw("DROP TABLE _sqlx_migrations").await.unwrap();
    refused(&bench, "run reconciler migrate-schema").await;
}
