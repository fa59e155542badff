//! A SQLite store that an older program filled: the migrations since then leave out no row and change
//! none.

use std::borrow::Cow;
use std::path::Path;

use cloakroom_core::Timestamp;
use cloakroom_store_db::{DbStore, Location, Receipt};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{AssertSqlSafe, Row as _};

use crate::support::*;

/// The last schema that kept its rows in the order they were written in.
const OLDER: i64 = 3;
const TABLES: [&str; 5] = [
    "documents",
    "specs",
    "secrets",
    "secret_references",
    "embedded_secrets",
];

/// Rows in every state, with and without what may be left out.
const ROWS: &str = "
INSERT INTO specs (spec_id, body) VALUES ('spec', '{}');
INSERT INTO documents VALUES
    ('00000000-0000-0000-0000-000000000002', 'w', 1, 'spec', '{\"b\":1}', 1, 1700000000000),
    ('00000000-0000-0000-0000-000000000001', 'w', 9, 'spec', '{\"a\":1}', 1, 2);
INSERT INTO secrets (backend_id, coordinate, base, version, owner, kind, state, digest,
    once_referenced, created_at, expires_at, unreferenced_since, superseded, attempts,
    next_attempt_at, last_error, damage, deleted_at, held_until, quarantined_at)
VALUES
    ('main', 'z_v2', 'z', 2, 'o', 'text', 'stored', 'd', TRUE, 1, NULL, NULL, FALSE, 0,
        NULL, NULL, 'missing', NULL, NULL, NULL),
    ('main', 'z_v1', 'z', 1, 'o', 'json', 'stored', 'd', TRUE, 1, 5, 7, TRUE, 2,
        9, 'busy', NULL, NULL, NULL, NULL),
    ('main', 'a_v1', 'a', 1, NULL, 'text', 'intended', 'd', FALSE, 1, 5, NULL, FALSE, 0,
        NULL, NULL, NULL, NULL, NULL, NULL),
    ('main', 'b_v1', 'b', 1, NULL, 'text', 'deleting', 'd', FALSE, 1, 5, NULL, FALSE, 1,
        6, NULL, NULL, NULL, NULL, NULL),
    ('main', 'c_v1', 'c', 1, NULL, 'text', 'deleted', 'd', FALSE, 1, 5, NULL, FALSE, 1,
        NULL, NULL, NULL, 8, NULL, NULL),
    ('main', 'd_v1', 'd', 1, 'o', 'text', 'held', 'd', TRUE, 1, NULL, 1900000000000, FALSE, 1,
        NULL, NULL, NULL, NULL, 1900000000000, NULL),
    ('main', 'e_v1', 'e', 1, 'o', 'text', 'quarantined', 'd', TRUE, 1, NULL, 3, FALSE, 5,
        NULL, 'no', 'different', NULL, NULL, 4),
    ('another', 'z_v1', 'z', 1, 'o', 'text', 'stored', 'd', TRUE, 1, NULL, NULL, FALSE, 0,
        NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO secret_references VALUES
    ('00000000-0000-0000-0000-000000000002', '/b', 'main', 'z_v2', NULL),
    ('00000000-0000-0000-0000-000000000002', '/a', 'another', 'z_v1', 'array'),
    ('00000000-0000-0000-0000-000000000001', '/c', 'main', 'z_v2', NULL);
INSERT INTO embedded_secrets (backend_id, coordinate, key_id, key_nonce, wrapped_key, nonce,
    store_id, deployment, digest, revision, created_at, changed_at, expires_at, deleted_at,
    purge_at, ciphertext)
VALUES
    ('main', 'z_v2', 'k', x'01', x'02', x'03', 's', 'd', 'd', 1, 1, 1, NULL, NULL, NULL, x'0400'),
    ('main', 'z_v1', 'k', x'01', x'02', x'05', 's', 'd', 'd', 2, 1, 3, 9, 3, 8, zeroblob(70000));
";

async fn filled(path: &Path) -> SqlitePool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/sqlite");
    let mut migrator = Migrator::new(folder).await.unwrap();
    let mut older = migrator.migrations.into_owned();
    older.retain(|migration| migration.version <= OLDER);
    migrator.migrations = Cow::Owned(older);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    migrator.run(&pool).await.unwrap();
    sqlx::raw_sql(ROWS).execute(&pool).await.unwrap();
    let hash = receipt().expected_hash();
    let written = format!(
        "INSERT INTO receipts (seq, run_id, backend_id, coordinate, reason, evidence, outcome, \
         detail, at, previous_hash, hash) VALUES (1, '{}', \
         'main', 'c_v1', 'orphaned', 'it was seen', 'scheduled', 'due soon', 5, '{}', '{hash}'); \
         UPDATE receipt_head SET seq = 1, hash = '{hash}'",
        receipt().run,
        receipt().previous_hash
    );
    sqlx::raw_sql(AssertSqlSafe(written))
        .execute(&pool)
        .await
        .unwrap();
    pool
}

/// A receipt as the older program wrote it: it names no plan.
fn receipt() -> Receipt {
    Receipt {
        seq: 1,
        run: run(7),
        backend: "main".parse().unwrap(),
        coordinate: "c_v1".parse().unwrap(),
        reason: "orphaned".into(),
        evidence: "it was seen".into(),
        outcome: "scheduled".into(),
        detail: Some("due soon".into()),
        plan: None,
        at: Timestamp::from_millisecond(5).unwrap(),
        previous_hash: "0".repeat(64),
        hash: String::new(),
    }
}

/// Every table's columns and rows as text, in an order of their own, without what the older program did
/// not know.
async fn content(pool: &SqlitePool) -> Vec<String> {
    let mut content = Vec::new();
    for table in TABLES {
        let columns = format!(
            "SELECT name FROM pragma_table_info('{table}') \
             WHERE name NOT IN ('intent', 'claimed_by') ORDER BY cid"
        );
        let columns: Vec<String> = sqlx::query_scalar(AssertSqlSafe(columns))
            .fetch_all(pool)
            .await
            .unwrap();
        content.push(format!("{table}: {}", columns.join(", ")));
        let quoted: Vec<String> = columns.iter().map(|it| format!("quote({it})")).collect();
        let rows = format!(
            "SELECT {} AS row FROM {table} ORDER BY row",
            quoted.join(" || ', ' || ")
        );
        for row in sqlx::query(AssertSqlSafe(rows))
            .fetch_all(pool)
            .await
            .unwrap()
        {
            content.push(row.get("row"));
        }
    }
    content
}

pub(crate) async fn every_row_is_carried_over(bench: Bench) {
    let Location::Sqlite(path) = &bench.options.location else {
        panic!()
    };
    let path = path.with_file_name("older.db");
    let pool = filled(&path).await;
    let before = content(&pool).await;
    assert_eq!(before.len(), TABLES.len() + 2 + 1 + 8 + 3 + 2);

    let mut options = bench.options.clone();
    options.location = Location::Sqlite(path);
    let report = DbStore::migrate(&options).await.unwrap();
    assert!(report.applied.len() >= 3, "{:?}", report.applied);
    assert_eq!(content(&pool).await, before);
    let broken = sqlx::query("PRAGMA foreign_key_check")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert!(broken.is_empty());
    // What kept the ledger whole is there again.
    sqlx::query("DELETE FROM secrets")
        .execute(&pool)
        .await
        .unwrap_err();
    sqlx::query("DELETE FROM receipts")
        .execute(&pool)
        .await
        .unwrap_err();
    sqlx::query("UPDATE receipts SET evidence = ''")
        .execute(&pool)
        .await
        .unwrap_err();
    sqlx::query("UPDATE secret_references SET coordinate = 'nowhere'")
        .execute(&pool)
        .await
        .unwrap_err();
    pool.close().await;

    // The latest time is that of what was written, not the one a held row waits for.
    bench.clock.set(1_700_000_000_000 - millis(HOUR));
    let store = DbStore::open(&options).await.unwrap();
    assert_eq!(store.verify_receipts().await.unwrap(), 1);
    let bench = Bench {
        store,
        clock: bench.clock,
        options,
    };
    let orphan = bench.orphan(77).await;
    let since = bench.row(&orphan).await.unreferenced_since.unwrap();
    assert_eq!(since.as_millisecond(), 1_700_000_000_000);
    bench.store.close().await;
}
