//! How SQLite goes about the scans: due rows by their partial index, references and what is recorded
//! for documents in the order the rows are kept in. A row that is elsewhere is a page to fetch.

use cloakroom_core::ledger::{DueClass, RowState, Windows};
use cloakroom_core::platform::{PlatformTarget, UnlistedCursor};
use cloakroom_core::store::ReferenceCursor;
use cloakroom_core::{BackendId, Coordinate, DocumentId, RunId};
use sqlx::{AssertSqlSafe, Row as _, SqlitePool};
use uuid::Uuid;

use super::shared::Query;
use super::shared::census::once_referenced_query;
use super::shared::due::{Cutoffs, due_query};
use super::shared::locks::{highest_query, living_query};
use super::shared::receipts::claimed_query;
use super::shared::references::{recorded_query, references_query};
use super::shared::removals::state_query;
use super::shared::sightings::{NAMED, listed_query, named_query};
use super::shared::staged::{listed_without_version_query, mentioned_query, unlisted_query};
use super::shared::unused::unused_query;
use crate::{DbStore, Location, Options, Pool};

async fn fresh(folder: &tempfile::TempDir) -> (DbStore, SqlitePool) {
    let options = Options::new(Location::Sqlite(folder.path().join("store.db")), "plans");
    DbStore::migrate(&options).await.unwrap();
    let store = DbStore::open(&options).await.unwrap();
    let Pool::Sqlite { read, .. } = store.pool() else {
        unreachable!()
    };
    (store, read)
}

async fn plan_of(query: Query, read: &SqlitePool) -> Vec<String> {
    let sql = format!("EXPLAIN QUERY PLAN {}", query.into_sql().as_str());
    let plan = sqlx::query(AssertSqlSafe(sql))
        .fetch_all(read)
        .await
        .unwrap();
    plan.iter().map(|row| row.get("detail")).collect()
}

#[tokio::test]
async fn references_and_their_secrets_are_read_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let (store, read) = fresh(&folder).await;
    let backend: BackendId = "main".parse().unwrap();
    let cursor = ReferenceCursor {
        coordinate: Coordinate::from_stored("airbyte_x_v1").unwrap(),
        document: DocumentId(Uuid::nil()),
        pointer: "/a".into(),
    };
    for after in [None, Some(&cursor)] {
        let plan = plan_of(references_query(&backend, after, 10), &read).await;
        assert_eq!(plan.len(), 2, "{plan:#?}");
        let references = "SEARCH r USING COVERING INDEX secret_references_by_secret (backend_id=?";
        assert!(plan[0].starts_with(references), "{plan:#?}");
        let secrets = "SEARCH s USING PRIMARY KEY (backend_id=? AND coordinate=?)";
        assert!(plan[1].starts_with(secrets), "{plan:#?}");
    }
    let first_to_last = recorded_query(DocumentId(Uuid::nil()), DocumentId(Uuid::max()));
    let plan = plan_of(first_to_last, &read).await;
    assert_eq!(
        plan,
        ["SEARCH r USING PRIMARY KEY (document_id>? AND document_id<?)"]
    );
    store.close().await;
}

/// One writer, or one batch of deletions, looks at the rows of its bases, not at the ledger.
#[tokio::test]
async fn rows_of_a_base_are_found_by_their_base() {
    let folder = tempfile::tempdir().unwrap();
    let (store, read) = fresh(&folder).await;
    let backend: BackendId = "main".parse().unwrap();
    let many = ["a", "b", "c", "d"].repeat(50);
    for bases in [&many[..1], &many[..3], &many] {
        let living = "SEARCH s USING INDEX secrets_living (base=? AND backend_id=?)";
        let plan = plan_of(living_query(&backend, bases), &read).await;
        assert_eq!(plan, [living]);
        let plan = plan_of(highest_query(&backend, bases), &read).await;
        assert_eq!(plan[0], living, "{plan:#?}");
        assert!(!plan.concat().contains("TEMP B-TREE"), "{plan:#?}");
    }
    let plan = plan_of(once_referenced_query(&backend), &read).await;
    assert_eq!(
        plan,
        ["SEARCH s USING COVERING INDEX secrets_once_referenced (backend_id=?)"]
    );
    store.close().await;
}

/// What a run left is found without a look at the ledger.
#[tokio::test]
async fn claims_are_found_by_their_run() {
    let folder = tempfile::tempdir().unwrap();
    let (store, read) = fresh(&folder).await;
    let plan = plan_of(claimed_query(RunId(Uuid::nil()), None, 10), &read).await;
    let index = "SEARCH s USING COVERING INDEX secrets_claimed (claimed_by=? AND coordinate>?)";
    assert_eq!(plan, [index]);
    store.close().await;
}

#[tokio::test]
async fn due_rows_are_ranges_of_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let (store, read) = fresh(&folder).await;
    let backend: BackendId = "main".parse().unwrap();
    let cursor = (0, "airbyte_x_v1");
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
        for after in [None, Some(cursor)] {
            for keep_superseded in [0, 3] {
                let windows = Windows {
                    keep_superseded,
                    ..Windows::default()
                };
                let query = due_query(&backend, class, Cutoffs::new(0, &windows), after, 10);
                let plan = plan_of(query, &read).await;
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

/// What is of no use is counted in time proportional to it, not to the ledger.
#[tokio::test]
async fn unused_rows_are_ranges_of_their_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let (store, read) = fresh(&folder).await;
    let cutoffs = Cutoffs::new(0, &Windows::default());
    let plan = plan_of(unused_query(&"main".parse().unwrap(), cutoffs), &read).await;
    for (index, times) in [
        ("secrets_expiring (backend_id=? AND expires_at", 1),
        ("secrets_orphaned (backend_id=? AND unreferenced_since", 1),
        ("secrets_superseded (backend_id=? AND unreferenced_since", 1),
        ("secrets_by_state (state=? AND backend_id=?)", 2),
    ] {
        let search = format!("SEARCH s USING INDEX {index}");
        let found = plan.iter().filter(|it| it.starts_with(&search));
        assert_eq!(found.count(), times, "{index}: {plan:#?}");
    }
    assert!(!plan.iter().any(|it| it.contains("SCAN s")), "{plan:#?}");
    store.close().await;
}

/// A page of a platform's secrets looks at the mentions of their bases, not at all there are.
#[tokio::test]
async fn a_platforms_pages_are_ranges_of_their_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let (store, read) = fresh(&folder).await;
    let target = PlatformTarget {
        platform: "production".into(),
        backend: "main".parse().unwrap(),
    };
    let pass = RunId(Uuid::max());
    for after in [None, Some("a")] {
        let plan = plan_of(listed_query(&target, pass, after, 10), &read).await;
        let listed = "SEARCH s USING PRIMARY KEY (platform=? AND backend_id=?";
        assert!(plan[0].starts_with(listed), "{plan:#?}");
        assert!(!plan.concat().contains("TEMP B-TREE"), "{plan:#?}");
    }
    let bases = ["a", "b", "c", "d"].repeat(50);
    let plan = plan_of(mentioned_query(&target, &bases), &read).await;
    let mentions = "SEARCH m USING INDEX platform_mentions_by_base (platform=? AND base=?)";
    assert_eq!(plan[0], mentions, "{plan:#?}");
    for (column, index) in NAMED.into_iter().zip([
        "SEARCH s USING PRIMARY KEY (platform=? AND backend_id=? AND name=?)",
        "SEARCH s USING INDEX platform_sightings_by_base (platform=? AND backend_id=? AND base=?)",
    ]) {
        let plan = plan_of(named_query(column, &target, pass, &bases), &read).await;
        assert_eq!(plan[0], index, "{plan:#?}");
    }
    let plan = plan_of(state_query(&target, RowState::Deleting, None, 10), &read).await;
    let begun =
        "SEARCH r USING INDEX platform_removals_by_state (platform=? AND backend_id=? AND state=?)";
    assert_eq!(plan, [begun]);
    let cursor = UnlistedCursor {
        base: "a".into(),
        name: "a_v1".into(),
    };
    for after in [None, Some(&cursor)] {
        for query in [unlisted_query, listed_without_version_query] {
            let query = query(&target, pass, Uuid::nil(), after, 10);
            let plan = plan_of(query, &read).await;
            let mentions = "SEARCH m USING INDEX platform_mentions_by_base (platform=?";
            assert!(plan[0].starts_with(mentions), "{plan:#?}");
            let listed = "SEARCH s USING PRIMARY KEY (platform=? AND backend_id=? AND name=?)";
            assert!(plan.iter().any(|it| it == listed), "{plan:#?}");
            assert!(!plan.concat().contains("TEMP B-TREE"), "{plan:#?}");
        }
    }
    store.close().await;
}
