//! How deletions end: states, receipts, quarantine.

use cloakroom_core::ErrorKind;
use cloakroom_core::coordinates::Coordinate;
use cloakroom_core::ledger::{
    Claim, DeletionOutcome, DueClass, Ledger, QuarantineRelease, Reason, RowState,
};
use cloakroom_core::store::Expected;

use crate::support::*;

/// Orphans that are claimed and wait to be settled.
async fn claimed(bench: &Bench, numbers: std::ops::Range<u128>) -> Vec<Coordinate> {
    let mut orphans = Vec::new();
    for n in numbers {
        orphans.push(bench.orphan(n).await);
    }
    bench.clock.advance(2 * HOUR);
    for orphan in &orphans {
        assert!(matches!(
            bench.claim(orphan, Reason::Orphaned).await,
            Claim::Ready(_)
        ));
    }
    orphans
}

pub(crate) async fn outcomes_and_receipts(bench: Bench) {
    assert_eq!(bench.store.verify_receipts().await.unwrap(), 0);
    let orphans = claimed(&bench, 1..5).await;
    let due = "2030-01-01T00:00:00Z".parse().unwrap();
    let outcomes = [
        DeletionOutcome::Deleted,
        DeletionOutcome::Scheduled { due: Some(due) },
        DeletionOutcome::AlreadyGone,
        failed(HOUR, false),
    ];
    let settlements: Vec<_> = orphans
        .iter()
        .zip(outcomes)
        .map(|(orphan, outcome)| settlement(orphan, Reason::Orphaned, outcome))
        .collect();
    bench
        .store
        .settle(run(7), &backend(), &settlements)
        .await
        .unwrap();
    for orphan in &orphans[..3] {
        assert_eq!(bench.row(orphan).await.state, RowState::Deleted);
    }

    assert_eq!(bench.store.verify_receipts().await.unwrap(), 4);
    let page = bench.store.receipts(1, 2).await.unwrap();
    assert_eq!(page.length, 4);
    let outcomes: Vec<&str> = page
        .receipts
        .iter()
        .map(|receipt| receipt.outcome.as_str())
        .collect();
    assert_eq!(outcomes, ["scheduled", "already_gone"]);
    let receipt = &page.receipts[0];
    assert_eq!(receipt.run, run(7));
    assert_eq!(receipt.coordinate, orphans[1]);
    assert_eq!(receipt.reason, "orphaned");
    assert_eq!(receipt.evidence, "nothing refers to it");
    assert_eq!(receipt.detail.as_deref(), Some("due 2030-01-01T00:00:00Z"));
    assert_eq!(receipt.at.as_millisecond(), bench.clock.millis());
}

pub(crate) async fn failures_pause_and_park(bench: Bench) {
    let orphan = claimed(&bench, 1..2).await.remove(0);
    bench.settle(&orphan, failed(HOUR, false)).await;
    let row = bench.row(&orphan).await;
    assert_eq!((row.state, row.attempts), (RowState::Deleting, 1));
    assert_eq!(row.last_error.as_deref(), Some("denied: no"));
    assert!(bench.due(DueClass::Resumable, &windows()).await.is_empty());
    bench.clock.advance(HOUR);
    assert_eq!(bench.due(DueClass::Resumable, &windows()).await.len(), 1);

    bench.claim(&orphan, Reason::Orphaned).await;
    bench.settle(&orphan, failed(HOUR, true)).await;
    let row = bench.row(&orphan).await;
    assert_eq!((row.state, row.attempts), (RowState::Quarantined, 2));
    bench.clock.advance(1000 * HOUR);
    assert!(bench.due(DueClass::Resumable, &windows()).await.is_empty());
    assert_eq!(bench.claim(&orphan, Reason::Orphaned).await, Claim::Changed);
    assert_eq!(
        bench.store.receipts(0, 10).await.unwrap().receipts[1].outcome,
        "quarantined"
    );
}

pub(crate) async fn quarantine_is_released(bench: Bench) {
    let orphans = claimed(&bench, 1..4).await;
    for orphan in &orphans {
        bench.settle(orphan, failed(HOUR, true)).await;
        bench.clock.advance(HOUR);
    }
    let one = QuarantineRelease::Coordinates(vec![orphans[2].clone(), base(99)]);
    assert_eq!(
        bench
            .store
            .release_quarantine(&backend(), &one)
            .await
            .unwrap(),
        1
    );
    let row = bench.row(&orphans[2]).await;
    assert_eq!((row.state, row.attempts), (RowState::Deleting, 0));
    assert_eq!(bench.due(DueClass::Resumable, &windows()).await.len(), 1);

    let old = QuarantineRelease::OlderThan(3 * HOUR);
    assert_eq!(
        bench
            .store
            .release_quarantine(&backend(), &old)
            .await
            .unwrap(),
        1
    );
    assert_eq!(bench.row(&orphans[0]).await.state, RowState::Deleting);
    assert_eq!(bench.row(&orphans[1]).await.state, RowState::Quarantined);
}

/// A day that passes tells nothing of the item: one more failure parks it again. A hand that releases it
/// says that the reason is gone.
pub(crate) async fn failures_count_until_somebody_releases_by_hand(bench: Bench) {
    let orphans = claimed(&bench, 1..3).await;
    for orphan in &orphans {
        for parks in [false, true] {
            bench.settle(orphan, failed(HOUR, parks)).await;
        }
    }
    bench.clock.advance(24 * HOUR);
    let here = backend();
    let release = async |release: QuarantineRelease| {
        let released = bench.store.release_quarantine(&here, &release);
        released.await.unwrap()
    };
    let parked = async || {
        let rows = [&orphans[0], &orphans[1]].map(|orphan| bench.row(orphan));
        let [one, other] = rows;
        [one.await, other.await].map(|row| (row.state, row.attempts))
    };
    assert_eq!(release(QuarantineRelease::OlderThan(24 * HOUR)).await, 2);
    assert_eq!(parked().await, [(RowState::Deleting, 2); 2]);
    for orphan in &orphans {
        bench.settle(orphan, failed(HOUR, true)).await;
    }
    assert_eq!(parked().await, [(RowState::Quarantined, 3); 2]);
    assert_eq!(release(QuarantineRelease::All).await, 2);
    assert_eq!(parked().await, [(RowState::Deleting, 0); 2]);
}

pub(crate) async fn late_settlements_take_nothing_back(bench: Bench) {
    let orphans = claimed(&bench, 1..3).await;
    // Another worker took over and succeeded; then our failure arrives.
    bench.settle(&orphans[0], DeletionOutcome::Deleted).await;
    bench.settle(&orphans[0], failed(HOUR, true)).await;
    assert_eq!(bench.row(&orphans[0]).await.state, RowState::Deleted);
    // An undo was faster.
    let back = [restored(&orphans[1])];
    assert_eq!(bench.hold(2, &back, 24 * HOUR).await, [true]);
    bench.settle(&orphans[1], DeletionOutcome::Deleted).await;
    assert_eq!(bench.row(&orphans[1]).await.state, RowState::Held);
    assert_eq!(bench.store.verify_receipts().await.unwrap(), 4);
}

pub(crate) async fn unclaimed_rows_cannot_be_settled(bench: Bench) {
    let claimed = claimed(&bench, 1..2).await;
    let used = bench
        .put(document(5), Expected::Absent, &[("/a", base(5))])
        .await;
    for (coordinate, kind) in [
        (&used[0], ErrorKind::Conflict),
        (&base(99), ErrorKind::Missing),
    ] {
        let settlements = [
            settlement(&claimed[0], Reason::Orphaned, DeletionOutcome::Deleted),
            settlement(coordinate, Reason::Orphaned, DeletionOutcome::Deleted),
        ];
        let error = bench
            .store
            .settle(run(1), &backend(), &settlements)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(error.subject(), Some(coordinate.as_str()));
    }
    assert_eq!(bench.row(&claimed[0]).await.state, RowState::Deleting);
    assert_eq!(bench.store.verify_receipts().await.unwrap(), 0);
    bench.store.settle(run(1), &backend(), &[]).await.unwrap();
}

pub(crate) async fn receipts_and_rows_stay(bench: Bench) {
    let orphan = claimed(&bench, 1..2).await.remove(0);
    bench.settle(&orphan, DeletionOutcome::Deleted).await;
    bench
        .raw("UPDATE receipts SET evidence = 'other'")
        .await
        .unwrap_err();
    bench.raw("DELETE FROM receipts").await.unwrap_err();
    bench.raw("DELETE FROM secrets").await.unwrap_err();
    assert_eq!(bench.store.verify_receipts().await.unwrap(), 1);
}

pub(crate) async fn a_forged_receipt_shows(bench: Bench) {
    let orphans = claimed(&bench, 1..4).await;
    for orphan in &orphans {
        bench.settle(orphan, DeletionOutcome::Deleted).await;
    }
    for trigger in ["receipts_stay", "receipts_stand"] {
        let _ = bench
            .raw(match (trigger, bench.is_postgres()) {
                ("receipts_stay", true) => "ALTER TABLE receipts DISABLE TRIGGER receipts_stay",
                ("receipts_stay", false) => "DROP TRIGGER receipts_stay",
                (_, true) => "SELECT 1",
                (_, false) => "DROP TRIGGER receipts_stand",
            })
            .await;
    }
    bench
        .raw("UPDATE receipts SET evidence = 'other' WHERE seq = 2")
        .await
        .unwrap();
    let error = bench.store.verify_receipts().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.subject()),
        (ErrorKind::Corrupt, Some("receipt 2"))
    );
    let audit = bench.store.audit_receipts(None).await.unwrap();
    let broken = audit.broken.unwrap();
    assert_eq!((audit.whole, broken.seq), (1, 2));
    let written = &bench.store.receipts(1, 1).await.unwrap().receipts[0];
    assert_eq!(
        (broken.expected, broken.found),
        (written.expected_hash(), written.hash.clone())
    );
    bench
        .raw("UPDATE receipts SET evidence = 'nothing refers to it' WHERE seq = 2")
        .await
        .unwrap();
    assert_eq!(bench.store.verify_receipts().await.unwrap(), 3);
    bench
        .raw("DELETE FROM receipts WHERE seq = 3")
        .await
        .unwrap();
    let error = bench.store.verify_receipts().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.subject()),
        (ErrorKind::Corrupt, Some("receipt 3"))
    );
}

/// Whoever damages a row hides nothing by it.
pub(crate) async fn a_damaged_chain_is_a_finding(bench: Bench) {
    for orphan in &claimed(&bench, 1..4).await {
        bench.settle(orphan, DeletionOutcome::Deleted).await;
    }
    let stands = if bench.is_postgres() {
        "ALTER TABLE receipts DISABLE TRIGGER receipts_stay"
    } else {
        "DROP TRIGGER receipts_stand"
    };
    bench.raw(stands).await.unwrap();
    bench
        .raw("UPDATE receipts SET coordinate = 'no coordinate' WHERE seq = 2")
        .await
        .unwrap();
    let audit = bench.store.audit_receipts(None).await.unwrap();
    let broken = audit.broken.unwrap();
    assert_eq!((audit.whole, broken.seq), (1, 2), "{broken:?}");
    assert!(broken.found.contains("coordinate"), "{broken:?}");
    let written = bench.store.receipts(2, 1).await.unwrap();
    assert_eq!(written.receipts.len(), 1);
    let error = bench.store.verify_receipts().await.unwrap_err();
    assert_eq!(error.subject(), Some("receipt 2"));
}

/// A row that cannot be read, was changed or is gone is told by its number, and so is each behind it.
pub(crate) async fn what_is_behind_a_break_is_checked_too(bench: Bench) {
    for orphan in &claimed(&bench, 1..10).await {
        bench.settle(orphan, DeletionOutcome::Deleted).await;
    }
    for trigger in ["receipts_stay", "receipts_stand"] {
        let statement = match (trigger, bench.is_postgres()) {
            ("receipts_stay", true) => "ALTER TABLE receipts DISABLE TRIGGER receipts_stay",
            ("receipts_stay", false) => "DROP TRIGGER receipts_stay",
            (_, true) => "SELECT 1",
            (_, false) => "DROP TRIGGER receipts_stand",
        };
        bench.raw(statement).await.unwrap();
    }
    for statement in [
        "UPDATE receipts SET coordinate = 'no coordinate' WHERE seq IN (2, 6)",
        "UPDATE receipts SET evidence = 'other' WHERE seq IN (4, 7)",
        "DELETE FROM receipts WHERE seq = 8",
    ] {
        bench.raw(statement).await.unwrap();
    }
    let audit = bench.store.audit_receipts(None).await.unwrap();
    let told = audit.broken.iter().chain(&audit.further);
    let told: Vec<_> = told.map(|broken| broken.seq).collect();
    assert_eq!((told, audit.breaks), (vec![2, 4, 6, 7, 8], 5));
    assert_eq!(audit.whole, 1);
    let noted = bench.store.receipts(8, 1).await.unwrap().head;
    let again = bench.store.audit_receipts(Some(&noted)).await.unwrap();
    assert_eq!(
        again.breaks, 5,
        "of what is behind a break nothing is trusted"
    );
}

/// A chain that was cut off and given a new end is whole in itself.
pub(crate) async fn a_chain_cut_off_lacks_what_was_noted(bench: Bench) {
    let orphans = claimed(&bench, 1..4).await;
    let nothing = bench.store.audit_receipts(None).await.unwrap().head;
    let mut noted = Vec::new();
    for orphan in &orphans {
        bench.settle(orphan, DeletionOutcome::Deleted).await;
        noted.push(bench.store.audit_receipts(None).await.unwrap().head);
    }
    for hash in noted.iter().chain([&nothing]) {
        let audit = bench.store.audit_receipts(Some(hash)).await.unwrap();
        assert_eq!((audit.whole, audit.broken), (3, None), "{hash}");
    }
    let stays = if bench.is_postgres() {
        "ALTER TABLE receipts DISABLE TRIGGER receipts_stay"
    } else {
        "DROP TRIGGER receipts_stay"
    };
    bench.raw(stays).await.unwrap();
    for statement in [
        "DELETE FROM receipts WHERE seq = 3",
        "UPDATE receipt_head SET seq = 2, hash = (SELECT hash FROM receipts WHERE seq = 2)",
    ] {
        bench.raw(statement).await.unwrap();
    }
    assert_eq!(bench.store.verify_receipts().await.unwrap(), 2);
    let audit = bench.store.audit_receipts(Some(&noted[1])).await.unwrap();
    assert_eq!(audit.broken, None);
    let audit = bench.store.audit_receipts(Some(&noted[2])).await.unwrap();
    let broken = audit.broken.unwrap();
    assert_eq!((broken.seq, broken.expected), (3, noted[2].clone()));

    bench.raw("DELETE FROM receipt_head").await.unwrap();
    let audit = bench.store.audit_receipts(None).await.unwrap();
    assert_eq!((audit.whole, audit.broken.unwrap().seq), (2, 3));
}
