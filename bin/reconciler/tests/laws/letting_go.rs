//! Secrets that nobody let go: listed, let go at an operator's word, and cleared as all others.

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{Job, Receipts as _};
use cloakroom_core::{Coordinate, DocumentId};
use cloakroom_reconcile::{Guard, LetGoOptions, LetGoReport, Missed};
use serde_json::json;

use crate::harness::{Kind, MILLISECOND, World, a_millisecond_less, hours};

pub(crate) async fn let_go(world: &World, options: &LetGoOptions) -> (LetGoReport, Vec<Missed>) {
    let mut all = Vec::new();
    let done = world
        .reconciler()
        .let_go(&world.id(), options, &mut |it| all.push(it.clone()))
        .await;
    (done.unwrap(), all)
}

pub(crate) fn options(apply: bool) -> LetGoOptions {
    LetGoOptions {
        apply,
        by: "a law".to_owned(),
        ..LetGoOptions::default()
    }
}

/// A document is taken away behind the store's back.
pub(crate) async fn lose(world: &World, id: DocumentId) {
    for table in ["secret_references", "documents"] {
        let statement = format!("DELETE FROM {table} WHERE document_id = '{id}'");
        world.behind_the_back(&statement).await;
    }
}

pub(crate) async fn two_lost(world: &World) -> Vec<Coordinate> {
    let id = world.create(json!({"a": "one", "b": "two"})).await.id;
    let lost = [
        world.coordinate(id, "/a").await,
        world.coordinate(id, "/b").await,
    ];
    lose(world, id).await;
    let mut lost = lost.to_vec();
    lost.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    lost
}

/// Its recorded references were changed past this program, and the document was not: what it names stays.
pub(crate) async fn what_a_document_still_names_is_not_let_go(kind: Kind, seed: u64) {
    for damaged in [false, true] {
        let mut world = World::new(kind, seed).await;
        world.settings.page = 1;
        let id = world.create(json!({"a": "one", "b": "two"})).await.id;
        let named = world.coordinate(id, "/a").await;
        let lost = two_lost(&world).await;
        let gone =
            format!("DELETE FROM secret_references WHERE document_id = '{id}' AND pointer = '/a'");
        world.behind_the_back(&gone).await;
        if damaged {
            let cut = format!("{{\"a\": {{\"_secret\": \"{named}\"}}");
            world.replace_blob(id, &cut).await;
        }
        for apply in [false, true] {
            let (report, all) = let_go(&world, &options(apply)).await;
            assert_eq!((report.missed, report.named), (2, 1), "{report:#?}");
            assert_eq!(report.named_still[0].coordinate, named);
            assert_eq!(report.named_still[0].named_by, id);
            assert!(
                all.iter().all(|it| lost.contains(&it.coordinate)),
                "{all:?}"
            );
        }
        let only = LetGoOptions {
            only: [named.clone()].into(),
            ..options(true)
        };
        let (report, _) = let_go(&world, &only).await;
        assert_eq!((report.let_go, report.named), (0, 1), "{report:#?}");
        assert!(report.others.is_empty(), "{report:#?}");
        let row = world.row(&named).await.unwrap();
        assert_eq!(row.unreferenced_since, None);
        world.close().await;
    }
}

pub(crate) async fn what_nobody_let_go_is_listed_and_let_go(kind: Kind, seed: u64) {
    for recovery in [true, false] {
        let mut world = World::with_capabilities(kind, seed, |it| {
            if !recovery {
                it.recovery = None;
            }
        })
        .await;
        world.settings.page = 1;
        let stays = world.create(json!({"a": "stays"})).await.id;
        let lost = two_lost(&world).await;
        let gone = world.create(json!({"a": "gone"})).await.id;
        world.documents.remove(gone, None).await.unwrap();
        world.clock.advance(hours(24 * 30));
        let before = world.dump().await;
        let (report, all) = let_go(&world, &options(false)).await;
        assert_eq!(world.dump().await, before, "a look changes nothing");
        let found: Vec<_> = all.iter().map(|it| it.coordinate.clone()).collect();
        assert_eq!((found, report.missed, report.let_go), (lost.clone(), 2, 0));

        let (report, all) = let_go(&world, &options(true)).await;
        assert_eq!((report.missed, report.let_go), (2, 2), "{all:?}");
        let receipts = world.db.receipts_of(report.run, 0, 10).await.unwrap();
        assert_eq!(receipts.len(), 2);
        for receipt in &receipts {
            assert_eq!(
                (&*receipt.reason, &*receipt.outcome),
                ("orphaned", "adopted")
            );
            assert!(receipt.evidence.contains("a law"), "{receipt:?}");
        }
        let (again, _) = let_go(&world, &options(true)).await;
        assert_eq!((again.missed, again.let_go), (0, 0));

        let wait = if recovery { hours(2) } else { hours(24 * 7) };
        world.clock.advance(a_millisecond_less(wait));
        world.run(Job::ExpireOrphans).await;
        for lost in &lost {
            assert_eq!(world.row(lost).await.unwrap().state, RowState::Stored);
        }
        world.clock.advance(MILLISECOND);
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(
            (report.deleted(), report.guards.len()),
            (2, 0),
            "{report:#?}"
        );
        world.assert_nothing_unused("let go").await;
        assert_eq!(world.hydrated(stays).await, json!({"a": "stays"}));
        world.db.verify_receipts().await.unwrap();
        world.close().await;
    }
}

/// The guard stands while nobody let go of what is missed, and no longer.
pub(crate) async fn nothing_in_use_is_let_go(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    let orphan = world.create(json!({"a": "removed"})).await.id;
    world.documents.remove(orphan, None).await.unwrap();
    world.clock.advance(hours(3));
    let (report, all) = let_go(&world, &options(true)).await;
    assert_eq!(
        (report.missed, all.len()),
        (0, 0),
        "in use, or let go before"
    );
    lose(&world, id).await;
    let stopped = world.run(Job::ExpireOrphans).await;
    assert_eq!(stopped.guards[0].guard, Guard::ZeroReferences);
    let saw = &stopped.guards[0].saw;
    assert!(saw.contains("reconciler secret let-go"), "{saw}");
    let (report, _) = let_go(&world, &options(true)).await;
    assert_eq!(report.let_go, 1);
    assert_eq!(world.run(Job::ExpireOrphans).await.guards, []);
    assert!(
        world.is_living(&coordinate).await,
        "its time has just begun"
    );
    world.clock.advance(hours(2));
    world.run(Job::ExpireOrphans).await;
    assert!(world.living().await.is_empty());
    world.close().await;
}

/// Whether anything is missed, a copy or half a backup cannot say.
pub(crate) async fn a_copy_lets_nothing_go(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    two_lost(&world).await;
    let copy = world.copied().await;
    let before = copy.dump().await;
    let (report, all) = let_go(&copy, &options(true)).await;
    assert_eq!(report.guard.as_ref().unwrap().guard, Guard::Identity);
    assert_eq!((all.len(), report.missed, report.let_go), (2, 2, 0));
    let untouched = |rows: Vec<String>| -> Vec<String> {
        // The lease was lent and given back.
        let rows = rows.into_iter();
        rows.filter(|row| !row.contains("reconcile/")).collect()
    };
    assert_eq!(untouched(copy.dump().await), untouched(before));
    copy.close().await;
    world.close().await;
}

pub(crate) async fn some_of_them_alone(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let stays = world.create(json!({"a": "stays"})).await.id;
    let in_use = world.coordinate(stays, "/a").await;
    let lost = two_lost(&world).await;
    let some = LetGoOptions {
        only: [lost[1].clone(), in_use.clone()].into(),
        ..options(true)
    };
    let (report, all) = let_go(&world, &some).await;
    assert_eq!((all.len(), report.missed, report.let_go), (1, 1, 1));
    assert_eq!(report.others, [in_use].into());
    let (left, all) = let_go(&world, &options(false)).await;
    assert_eq!((left.missed, &all[0].coordinate), (1, &lost[0]));
    world.close().await;
}
