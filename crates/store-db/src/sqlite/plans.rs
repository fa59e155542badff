//! Scans of due rows read their partial index in order, and nothing else.

use cloakroom_core::ledger::{DueClass, DueCursor, Windows};
use cloakroom_core::{BackendId, Coordinate, Timestamp};
use sqlx::{AssertSqlSafe, Row as _};

use super::shared::due::{Cutoffs, due_query};
use crate::{DbStore, Location, Options, Pool};

#[tokio::test]
async fn due_rows_are_ranges_of_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(Location::Sqlite(folder.path().join("store.db")), "plans");
    DbStore::migrate(&options).await.unwrap();
    let store = DbStore::open(&options).await.unwrap();
    let Pool::Sqlite { read, .. } = store.pool() else {
        unreachable!()
    };

    let backend: BackendId = "main".parse().unwrap();
    let cursor = DueCursor {
        at: Timestamp::UNIX_EPOCH,
        coordinate: Coordinate::from_stored("airbyte_x_v1").unwrap(),
    };
    for (class, index, time) in [
        (DueClass::Resumable, "secrets_resumable", "next_attempt_at"),
        (DueClass::Expired, "secrets_expiring", "expires_at"),
        (DueClass::Orphaned, "secrets_orphaned", "unreferenced_since"),
        (
            DueClass::Superseded,
            "secrets_superseded",
            "unreferenced_since",
        ),
    ] {
        for after in [None, Some(&cursor)] {
            for keep_superseded in [0, 3] {
                let windows = Windows {
                    keep_superseded,
                    ..Windows::default()
                };
                let query = due_query(&backend, class, Cutoffs::new(0, &windows), after, 10);
                let sql = format!("EXPLAIN QUERY PLAN {}", query.into_sql().as_str());
                let plan = sqlx::query(AssertSqlSafe(sql))
                    .fetch_all(&read)
                    .await
                    .unwrap();
                let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
                let search = format!("SEARCH s USING INDEX {index} (backend_id=? AND ");
                assert!(plan[0].starts_with(&search), "{class:?}: {plan:#?}");
                assert!(plan[0].contains(time), "{class:?}: {plan:#?}");
                assert!(
                    !plan.concat().contains("TEMP B-TREE"),
                    "{class:?}: {plan:#?}"
                );
                assert!(!plan.concat().contains("SCAN"), "{class:?}: {plan:#?}");
            }
        }
    }
    store.close().await;
}
