//! Epochs, adoptions, and rows that an undo brought back: each change with its receipt, none twice.

use cloakroom_core::ledger::{DeletionOutcome, DueClass, Ledger, Reason, RowState};
use cloakroom_core::store::{
    Adoption, DocumentStore, Epoch, EpochAdopted, EpochRaise, Epochs, Expected, Home, Job, Journal,
    NewRun, Receipts,
};
use cloakroom_core::{BackendId, Coordinate, ErrorKind, IntentId};
use uuid::Uuid;

use crate::support::*;

fn raise(from: i64, to: i64) -> EpochRaise {
    EpochRaise {
        from,
        to,
        raise: Uuid::from_u128(u128::try_from(to).unwrap()),
        home: Home::default(),
        manager: "a manager".to_owned(),
        adopted: None,
    }
}

fn adoption(number: u128) -> Adoption {
    Adoption {
        coordinate: base(number),
        digest: intent(&base(number)).digest,
        intent: Some(IntentId(Uuid::from_u128(number))),
        evidence: "it was listed".into(),
    }
}

pub(crate) async fn an_epoch_is_compared_and_swapped(bench: Bench) {
    let store = &bench.store;
    let other: BackendId = "other".parse().unwrap();
    assert_eq!(store.epoch(&backend()).await.unwrap(), Epoch::default());
    let first = store.raise_epoch(&backend(), &raise(0, 1)).await.unwrap();
    assert_eq!((first.number, first.raise), (1, Uuid::from_u128(1)));
    assert_eq!(first.raised.unwrap().as_millisecond(), bench.clock.millis());
    bench.clock.advance(HOUR);
    for stale in [raise(0, 1), raise(0, 5), raise(2, 3)] {
        let error = store.raise_epoch(&backend(), &stale).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    }
    for backwards in [raise(1, 1), raise(1, 0), raise(-1, 4)] {
        let mut backwards = backwards;
        backwards.raise = Uuid::nil();
        let error = store.raise_epoch(&backend(), &backwards).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert_eq!(store.epoch(&backend()).await.unwrap(), first);
    let second = store.raise_epoch(&backend(), &raise(1, 7)).await.unwrap();
    assert_eq!(second.number, 7);
    assert!(second.raised > first.raised);
    // Backends are counted apart; the store knows the highest.
    assert_eq!(store.epoch(&other).await.unwrap(), Epoch::default());
    store.raise_epoch(&other, &raise(0, 2)).await.unwrap();
    assert_eq!(store.identity().await.unwrap().epoch, 7);
    assert_eq!(store.receipts(0, 10).await.unwrap().length, 0);
}

pub(crate) async fn of_two_raises_one_wins(bench: Bench) {
    let other = bench.another().await;
    for from in [0, 1] {
        let (left, right) = (raise(from, from + 1), raise(from, from + 1));
        let backend = backend();
        let (left, right) = tokio::join!(
            bench.store.raise_epoch(&backend, &left),
            other.raise_epoch(&backend, &right),
        );
        let lost = [left, right]
            .into_iter()
            .filter_map(Result::err)
            .map(|error| error.kind())
            .collect::<Vec<_>>();
        assert_eq!(lost, [ErrorKind::Conflict]);
    }
    other.close().await;
}

pub(crate) async fn an_operators_raise_is_in_the_chain(bench: Bench) {
    let mut by_hand = raise(0, 4);
    by_hand.adopted = Some(EpochAdopted {
        run: run(9),
        mark: base(1),
        evidence: "by somebody".into(),
    });
    let store = &bench.store;
    store.raise_epoch(&backend(), &by_hand).await.unwrap();
    // One that changed nothing says nothing.
    store.raise_epoch(&backend(), &by_hand).await.unwrap_err();
    let receipts = store.receipts_of(run(9), 0, 10).await.unwrap();
    assert_eq!(receipts.len(), 1);
    assert_eq!(
        (
            &*receipts[0].reason,
            &*receipts[0].outcome,
            &*receipts[0].evidence
        ),
        ("epoch", "raised", "by somebody")
    );
    assert_eq!(receipts[0].detail.as_deref(), Some("from 0 to 4"));
    assert_eq!(store.verify_receipts().await.unwrap(), 1);
}

pub(crate) async fn what_is_adopted_waits_its_whole_time(bench: Bench) {
    let store = &bench.store;
    let used = bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    let known = Adoption {
        coordinate: used[0].clone(),
        ..adoption(1)
    };
    let adoptions = [adoption(2), known, adoption(2)];
    let adopted = store.adopt(run(3), &backend(), &adoptions).await.unwrap();
    assert_eq!(adopted, [true, false, false]);
    assert_eq!(bench.row(&used[0]).await.unreferenced_since, None);
    let row = bench.row(&base(2)).await;
    assert_eq!((row.state, row.once_referenced), (RowState::Stored, true));
    assert_eq!(row.digest, adoptions[0].digest);
    assert_eq!(row.expires, None);
    let again = store.adopt(run(4), &backend(), &adoptions).await.unwrap();
    assert_eq!(again, [false; 3]);
    let none = store.adopt(run(4), &backend(), &[]).await.unwrap();
    assert!(none.is_empty());
    let receipts = store.receipts(0, 10).await.unwrap().receipts;
    assert_eq!(receipts.len(), 1);
    assert_eq!(
        (&*receipts[0].reason, &*receipts[0].outcome),
        ("unknown_marked", "adopted")
    );
    // Its number is used up as any other's.
    let next = bench.intend(&[base(2)]).await;
    assert_eq!(next[0], version(&base(2), 2));
    bench.clock.advance(just_before(2 * HOUR));
    assert_eq!(bench.due(DueClass::Orphaned, &windows()).await, []);
    bench.clock.advance(std::time::Duration::from_millis(1));
    let due = bench.due(DueClass::Orphaned, &windows()).await;
    assert_eq!(due.len(), 1);
    assert_eq!(
        (&due[0].row.coordinate, due[0].reason),
        (&base(2), Reason::Orphaned)
    );
}

pub(crate) async fn what_is_held_has_a_receipt(bench: Bench) {
    let orphan = bench.orphan(1).await;
    bench.clock.advance(2 * HOUR);
    bench.claim(&orphan, Reason::Orphaned).await;
    let scheduled = DeletionOutcome::Scheduled { due: None };
    bench.settle(&orphan, scheduled).await;
    let store = &bench.store;
    let restored = [restored(&orphan)];
    assert_eq!(bench.hold(5, &restored, HOUR).await, [true]);
    assert!(bench.hold(5, &[], HOUR).await.is_empty());
    let receipts = store.receipts_of(run(5), 0, 10).await.unwrap();
    assert_eq!(receipts.len(), 1);
    assert_eq!(
        (&*receipts[0].reason, &*receipts[0].outcome),
        ("undone", "restored")
    );
    assert_eq!(store.verify_receipts().await.unwrap(), 2);
}

pub(crate) async fn receipts_name_the_plan(bench: Bench) {
    let store = &bench.store;
    for (number, plan) in [(1, Some("the plan's id".to_owned())), (2, None)] {
        let new = NewRun {
            id: run(number),
            job: Job::ExpireOrphans,
            backend: backend(),
            dry_run: false,
            plan: plan.clone(),
        };
        store.start_run(&new).await.unwrap();
        let orphan = bench.orphan(number).await;
        bench.clock.advance(2 * HOUR);
        bench.claim(&orphan, Reason::Orphaned).await;
        let gone = settlement(&orphan, Reason::Orphaned, DeletionOutcome::Deleted);
        store
            .settle(run(number), &backend(), &[gone])
            .await
            .unwrap();
        let receipts = store.receipts_of(run(number), 0, 10).await.unwrap();
        assert_eq!(receipts[0].plan, plan);
        assert_eq!(receipts[0].evidence, "nothing refers to it");
    }
    assert_eq!(store.verify_receipts().await.unwrap(), 2);
    let paged = store.receipts_of(run(1), 1, 10).await.unwrap();
    assert_eq!(paged, [], "the second is another run's");
}

/// Between the renewal of a lease and the claim a process may be frozen for any time.
pub(crate) async fn a_lease_that_was_taken_claims_nothing(bench: Bench) {
    let orphan = bench.orphan(1).await;
    bench.clock.advance(2 * HOUR);
    let store = &bench.store;
    let items = [cloakroom_core::ledger::ClaimItem {
        coordinate: orphan.clone(),
        reason: Reason::Orphaned,
    }];
    let lapsed = lease(store).await;
    bench.clock.advance(2 * HOUR);
    let taken = store.acquire_lease("laws", "another", HOUR).await.unwrap();
    let claim = async || {
        store
            .claim(&lapsed, &backend(), &items, &windows(), HOUR)
            .await
    };
    assert_eq!(claim().await.unwrap_err().kind(), ErrorKind::Unavailable);
    store.release_lease(&taken.unwrap()).await.unwrap();
    assert_eq!(claim().await.unwrap_err().kind(), ErrorKind::Unavailable);
    // Even under the same name it is another turn.
    let anew = lease(store).await;
    assert_eq!(claim().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(bench.row(&orphan).await.state, RowState::Stored);
    // One that has lapsed claims nothing either; unless it is renewed, being still its holder's.
    bench.clock.advance(2 * HOUR);
    let claim = async |lease| {
        store
            .claim(&lease, &backend(), &items, &windows(), HOUR)
            .await
    };
    let lapsed = claim(anew.clone()).await.unwrap_err();
    assert_eq!(lapsed.kind(), ErrorKind::Unavailable);
    let renewed = store.renew_lease(&anew, HOUR).await.unwrap().unwrap();
    let claims = claim(renewed).await.unwrap();
    assert!(matches!(claims[0], cloakroom_core::ledger::Claim::Ready(_)));
}

/// What was restored under a lease that is another's by now may have been deleted again.
pub(crate) async fn a_lease_that_was_taken_holds_nothing(bench: Bench) {
    let orphan = bench.orphan(1).await;
    bench.clock.advance(2 * HOUR);
    bench.claim(&orphan, Reason::Orphaned).await;
    bench.settle(&orphan, DeletionOutcome::Deleted).await;
    let store = &bench.store;
    let restored = [restored(&orphan)];
    let lapsed = lease(store).await;
    let hold = async |lease| {
        store
            .hold(&lease, run(5), &backend(), &restored, HOUR)
            .await
    };
    bench.clock.advance(2 * HOUR);
    let refused = hold(lapsed.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    let taken = store.acquire_lease("laws", "another", HOUR).await.unwrap();
    let refused = hold(lapsed).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(bench.row(&orphan).await.state, RowState::Deleted);
    assert_eq!(store.receipts_of(run(5), 0, 10).await.unwrap(), []);
    assert_eq!(hold(taken.unwrap()).await.unwrap(), [true]);
    store.verify_receipts().await.unwrap();
}

/// What is held for longer, by an earlier undo or by a move, stays so.
pub(crate) async fn no_hold_is_made_shorter(bench: Bench) {
    let orphan = bench.orphan(1).await;
    bench.clock.advance(2 * HOUR);
    bench.claim(&orphan, Reason::Orphaned).await;
    bench.settle(&orphan, DeletionOutcome::Deleted).await;
    let mut until = None;
    for (hours, later) in [(9, true), (2, false), (9, false), (10, true)] {
        let restored = [restored(&orphan)];
        assert_eq!(bench.hold(5, &restored, hours * HOUR).await, [true]);
        let row = bench.row(&orphan).await;
        assert_eq!(row.state, RowState::Held);
        assert_eq!(row.unreferenced_since > until, later, "{hours} h");
        until = until.max(row.unreferenced_since);
        assert_eq!(row.unreferenced_since, until, "{hours} h");
    }
}

/// What another history put under a number that this one used and let go of takes its row over; what is in
/// use or held keeps its own, and so does what somebody repaired: its intent is what it was.
pub(crate) async fn what_was_let_go_gives_way_to_another_intent(bench: Bench) {
    let store = &bench.store;
    let used = bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    let gone = bench.orphan(2).await;
    let held = bench.orphan(3).await;
    let left = bench.orphan(4).await;
    let adopt = async |coordinate: &Coordinate, other_intent: bool| {
        let row = bench.row(coordinate).await;
        let other = Some(IntentId(Uuid::from_u128(77)));
        let adoption = Adoption {
            coordinate: coordinate.clone(),
            digest: adoption(9).digest,
            intent: if other_intent { other } else { row.intent },
            evidence: "it was listed".into(),
        };
        let adopted = store.adopt(run(3), &backend(), &[adoption]).await.unwrap();
        adopted[0]
    };
    bench.clock.advance(2 * HOUR);
    for coordinate in [&gone, &held] {
        bench.claim(coordinate, Reason::Orphaned).await;
        assert!(!adopt(coordinate, true).await, "somebody is at deleting it");
        bench.settle(coordinate, DeletionOutcome::Deleted).await;
    }
    let brought_back = [restored(&held)];
    assert_eq!(bench.hold(5, &brought_back, HOUR).await, [true]);
    for coordinate in [&used[0], &gone, &held, &left] {
        assert!(!adopt(coordinate, false).await, "{coordinate} was repaired");
    }
    assert!(!adopt(&used[0], true).await, "it is in use");
    assert!(!adopt(&held, true).await, "it is held");
    assert!(adopt(&gone, true).await && adopt(&left, true).await);
    bench.clock.advance(HOUR);
    assert!(adopt(&held, true).await);
    for coordinate in [&gone, &left, &held] {
        let row = bench.row(coordinate).await;
        assert_eq!((row.state, row.once_referenced), (RowState::Stored, true));
        assert_eq!(row.intent, Some(IntentId(Uuid::from_u128(77))));
    }
    assert_eq!(bench.row(&used[0]).await.unreferenced_since, None);
    store.verify_receipts().await.unwrap();
}

/// Who left the configuration is known to the ledger alone.
pub(crate) async fn backends_and_digests_are_counted_whether_configured_or_not(bench: Bench) {
    let store = &bench.store;
    assert_eq!(store.backends().await.unwrap(), []);
    assert_eq!(store.count_digests().await.unwrap(), []);
    assert_eq!(store.some_digest_keys().await.unwrap(), []);
    let other: BackendId = "another".parse().unwrap();
    let written = [intent(&base(7))];
    store.intend(&other, &written, HOUR).await.unwrap();
    let places = [("/a", base(1)), ("/b", base(2))];
    bench.put(document(1), Expected::Absent, &places).await;
    bench.orphan(3).await;
    assert_eq!(store.backends().await.unwrap(), [other, backend()]);
    // Only what a document depends on is counted.
    let key = digest().key().clone();
    let counted = store.count_digests().await.unwrap();
    assert_eq!(counted, [(backend(), key.clone(), 2)]);
    assert_eq!(store.some_digest_keys().await.unwrap(), [key]);
}
