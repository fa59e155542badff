//! Where a database is: no copy of it says the same, and it says the same wherever it is opened.

use std::path::PathBuf;

use cloakroom_core::store::{EpochAdopted, EpochRaise, Epochs, Homes};
use cloakroom_core::{BackendId, Coordinate, ErrorKind, RunId};
use cloakroom_store_db::{DbStore, Location};
use uuid::Uuid;

use crate::support::*;

async fn homes(store: &DbStore) -> Homes {
    store.homes(&backend()).await.unwrap()
}

fn agree(homes: &Homes) -> bool {
    assert_ne!(homes.here.as_str(), "", "something can always be told");
    homes.here.is_still(&homes.known)
}

async fn raise(store: &DbStore, from: i64) {
    raise_to(store, from, None).await;
}

/// An operator raises it.
async fn adopt(store: &DbStore, from: i64) {
    let adopted = EpochAdopted {
        run: RunId(Uuid::from_u128(2)),
        mark: Coordinate::from_stored("cloakroom_epoch_v1").unwrap(),
        evidence: "a law".to_owned(),
    };
    raise_to(store, from, Some(adopted)).await;
}

async fn raise_to(store: &DbStore, from: i64, adopted: Option<EpochAdopted>) {
    let raise = EpochRaise {
        from,
        to: from + 1,
        raise: Uuid::from_u128(1),
        home: homes(store).await.here,
        manager: "a manager".to_owned(),
        adopted,
    };
    store.raise_epoch(&backend(), &raise).await.unwrap();
}

/// From its first moment, opened again and migrated again.
pub(crate) async fn the_same_wherever_it_is_opened(bench: Bench) {
    let first = homes(&bench.store).await;
    assert_eq!(first.here, first.known, "known since it was made");
    DbStore::migrate(&bench.options).await.unwrap();
    let another = bench.another().await;
    assert_eq!(homes(&another).await, first);
    another.close().await;
    bench.orphan(1).await;
    raise(&bench.store, 0).await;
    let raised = Homes {
        manager: Some("a manager".to_owned()),
        ..first
    };
    assert_eq!(homes(&bench.store).await, raised);
}

/// What a raise says counts for its backend alone.
pub(crate) async fn each_backend_has_its_own(bench: Bench) {
    let other: BackendId = "other".parse().unwrap();
    bench
        .raw("UPDATE store_identity SET home = 'made=elsewhere'")
        .await
        .unwrap();
    assert!(!agree(&homes(&bench.store).await));
    raise(&bench.store, 0).await;
    assert!(agree(&homes(&bench.store).await));
    assert!(!agree(&bench.store.homes(&other).await.unwrap()));
    raise(&bench.store, 1).await;
    assert!(agree(&homes(&bench.store).await));
}

/// Adopted where it is for every backend that it knows, a database is at home there for one that is
/// added later; with one left to be adopted it is not.
pub(crate) async fn a_later_backend_goes_by_what_was_adopted(bench: Bench) {
    let later: BackendId = "later".parse().unwrap();
    bench.orphan(1).await;
    bench
        .raw("UPDATE store_identity SET home = 'made=elsewhere'")
        .await
        .unwrap();
    let another = "INSERT INTO backend_epochs (backend_id, epoch, raise_id, raised_at, home) \
                   SELECT 'another', epoch, raise_id, raised_at, 'made=elsewhere' FROM backend_epochs";
    raise(&bench.store, 0).await;
    bench.raw(another).await.unwrap();
    let there = bench.store.homes(&later).await.unwrap();
    assert!(!agree(&there), "no operator has adopted it");
    adopt(&bench.store, 1).await;
    assert!(
        !agree(&bench.store.homes(&later).await.unwrap()),
        "one is left"
    );
    let left = "UPDATE backend_epochs SET home = (SELECT e.home FROM backend_epochs AS e \
                WHERE e.backend_id <> 'another') WHERE backend_id = 'another'";
    bench.raw(left).await.unwrap();
    assert!(
        !agree(&bench.store.homes(&later).await.unwrap()),
        "nobody said so"
    );
    adopt(&bench.store, 2).await;
    assert!(agree(&bench.store.homes(&later).await.unwrap()));
}

/// One that an older program made has its home from the first time this one migrates it.
pub(crate) async fn an_older_one_gets_its_home_once(bench: Bench) {
    for (known, expected) in [("NULL", true), ("'made=elsewhere'", false)] {
        let statement = format!("UPDATE store_identity SET home = {known}");
        bench.raw(statement.leak()).await.unwrap();
        let nothing_known = known == "NULL";
        assert_eq!(agree(&homes(&bench.store).await), nothing_known);
        DbStore::migrate(&bench.options).await.unwrap();
        let homes = homes(&bench.store).await;
        assert_eq!(
            (agree(&homes), homes.here == homes.known),
            (expected, expected)
        );
    }
}

fn path_of(bench: &Bench) -> PathBuf {
    match &bench.options.location {
        Location::Sqlite(path) => path.clone(),
        Location::Postgres(_) => unreachable!("a law of SQLite's"),
    }
}

/// A file that is moved is the same; a copy of it is not, however it was made, and not under the name
/// of the one that is gone either.
pub(crate) async fn a_copy_of_the_file_is_another(bench: Bench) {
    let path = path_of(&bench);
    let at = |name: &str| path.with_file_name(name);
    bench.orphan(1).await;
    raise(&bench.store, 0).await;
    let known = homes(&bench.store).await.known;
    let backup = format!("VACUUM INTO '{}'", at("backup").display());
    bench.raw(backup.leak()).await.unwrap();
    bench.store.close().await;
    std::fs::copy(&path, at("copy")).unwrap();
    std::fs::rename(&path, at("moved")).unwrap();
    std::fs::copy(at("copy"), at("restored")).unwrap();
    std::fs::rename(at("restored"), &path).unwrap();
    for (name, same) in [
        ("moved", true),
        ("copy", false),
        ("backup", false),
        ("store.db", false),
    ] {
        let mut options = bench.options.clone();
        options.location = Location::Sqlite(at(name));
        DbStore::migrate(&options).await.unwrap();
        let store = DbStore::open(&options).await.unwrap();
        let homes = homes(&store).await;
        assert_eq!(
            (agree(&homes), &homes.known),
            (same, &known),
            "{name}: {homes:?}"
        );
        store.close().await;
    }
}

/// Behind an open store the file is gone: nothing is known, which is not the same as another file.
pub(crate) async fn a_file_that_is_gone_is_no_answer(bench: Bench) {
    let path = path_of(&bench);
    let told = homes(&bench.store).await;
    std::fs::rename(&path, path.with_file_name("aside")).unwrap();
    let error = bench.store.homes(&backend()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    std::fs::rename(path.with_file_name("aside"), &path).unwrap();
    assert_eq!(homes(&bench.store).await, told);
}

/// The tables read in anew somewhere else in the same database, as from a dump.
pub(crate) async fn a_dump_that_was_read_in_is_another(bench: Bench) {
    let told = homes(&bench.store).await;
    for part in ["cluster=", "timeline=", "database=", "table="] {
        assert!(told.here.as_str().contains(part), "{told:?}");
    }
    raise(&bench.store, 0).await;
    bench
        .raw("ALTER TABLE store_identity RENAME TO dumped")
        .await
        .unwrap();
    bench
        .raw("CREATE TABLE store_identity (LIKE dumped INCLUDING ALL)")
        .await
        .unwrap();
    bench
        .raw("INSERT INTO store_identity SELECT * FROM dumped")
        .await
        .unwrap();
    let read_in = homes(&bench.store).await;
    assert!(!agree(&read_in), "{read_in:?}");
    assert_eq!(read_in.known, told.known);
}
