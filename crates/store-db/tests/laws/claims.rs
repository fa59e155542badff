//! Claiming: what may be deleted, and by whom.

use std::time::Duration;

use cloakroom_core::ledger::{
    Claim, ClaimItem, DeletionOutcome, DueClass, Ledger, Reason, RowState, Windows,
};
use cloakroom_core::store::{Expected, Journal};

use crate::support::*;

pub(crate) async fn claims_mark_and_lapse(bench: Bench) {
    let orphan = bench.orphan(1).await;
    bench.clock.advance(2 * HOUR);
    let Claim::Ready(row) = bench.claim(&orphan, Reason::Orphaned).await else {
        panic!()
    };
    assert_eq!(row.state, RowState::Deleting);
    assert_eq!(
        row.next_attempt.unwrap().as_millisecond(),
        bench.clock.millis() + 60_000
    );
    assert_eq!(*row, bench.row(&orphan).await);
    // Until it lapses nobody else gets it.
    assert_eq!(bench.claim(&orphan, Reason::Orphaned).await, Claim::Changed);
    bench.clock.advance(Duration::from_mins(1));
    assert!(matches!(
        bench.claim(&orphan, Reason::Orphaned).await,
        Claim::Ready(_)
    ));
    assert_eq!(bench.claim(&orphan, Reason::Orphaned).await, Claim::Changed);
}

pub(crate) async fn a_referenced_row_is_not_claimed(bench: Bench) {
    let written = bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    assert_eq!(
        bench.claim(&written[0], Reason::Orphaned).await,
        Claim::Referenced
    );
    // Even where the ledger says it was on its way out.
    bench
        .raw("UPDATE secrets SET state = 'deleting', next_attempt_at = 0")
        .await
        .unwrap();
    assert_eq!(
        bench.claim(&written[0], Reason::Orphaned).await,
        Claim::Referenced
    );
}

pub(crate) async fn reasons_are_checked_again(bench: Bench) {
    let orphan = bench.orphan(1).await;
    bench
        .put(document(2), Expected::Absent, &[("/a", base(2))])
        .await;
    bench.put(document(2), FIRST, &[("/a", base(2))]).await;
    let superseded = base(2);
    let intended = bench.intend(&[base(3)]).await;
    bench.clock.advance(48 * HOUR);
    for (coordinate, right) in [
        (&orphan, Reason::Orphaned),
        (&superseded, Reason::Superseded),
        (&intended[0], Reason::Abandoned),
    ] {
        for wrong in Reason::ALL {
            if wrong != right {
                assert_eq!(
                    bench.claim(coordinate, wrong).await,
                    Claim::Changed,
                    "{wrong:?}"
                );
            }
        }
        assert!(matches!(
            bench.claim(coordinate, right).await,
            Claim::Ready(_)
        ));
    }
    assert_eq!(
        bench.claim(&base(99), Reason::Orphaned).await,
        Claim::Changed
    );
}

pub(crate) async fn a_tombstone_is_claimed_as_resurfaced(bench: Bench) {
    let orphan = bench.orphan(1).await;
    bench.clock.advance(2 * HOUR);
    assert_eq!(
        bench.claim(&orphan, Reason::Resurfaced).await,
        Claim::Changed
    );
    bench.claim(&orphan, Reason::Orphaned).await;
    bench.settle(&orphan, DeletionOutcome::Deleted).await;

    let Claim::Ready(row) = bench.claim(&orphan, Reason::Resurfaced).await else {
        panic!()
    };
    assert_eq!(row.state, RowState::Deleted);
    assert_eq!(
        bench.claim(&orphan, Reason::Resurfaced).await,
        Claim::Changed
    );
    bench
        .store
        .release(
            &lease(&bench.store).await,
            &backend(),
            std::slice::from_ref(&orphan),
        )
        .await
        .unwrap();
    assert!(matches!(
        bench.claim(&orphan, Reason::Resurfaced).await,
        Claim::Ready(_)
    ));

    // A failure leaves a tombstone a tombstone, and its pause counts.
    let failure = settlement(&orphan, Reason::Resurfaced, failed(HOUR, false));
    bench
        .store
        .settle(run(1), &backend(), &[failure])
        .await
        .unwrap();
    assert_eq!(bench.row(&orphan).await.state, RowState::Deleted);
    assert_eq!(
        bench.claim(&orphan, Reason::Resurfaced).await,
        Claim::Changed
    );
    bench.clock.advance(HOUR);
    assert!(matches!(
        bench.claim(&orphan, Reason::Resurfaced).await,
        Claim::Ready(_)
    ));
    let done = settlement(&orphan, Reason::Resurfaced, DeletionOutcome::Deleted);
    bench
        .store
        .settle(run(1), &backend(), &[done])
        .await
        .unwrap();
    assert_eq!(bench.row(&orphan).await.next_attempt, None);
}

pub(crate) async fn one_coordinate_twice_is_claimed_once(bench: Bench) {
    let orphan = bench.orphan(1).await;
    bench.clock.advance(2 * HOUR);
    let item = ClaimItem {
        coordinate: orphan,
        reason: Reason::Orphaned,
    };
    let lease = lease(&bench.store).await;
    let claims = bench
        .store
        .claim(&lease, &backend(), &[item.clone(), item], &windows(), HOUR)
        .await
        .unwrap();
    assert!(matches!(claims[0], Claim::Ready(_)));
    assert_eq!(claims[1], Claim::Changed);
    assert_eq!(
        bench
            .store
            .claim(&lease, &backend(), &[], &windows(), HOUR)
            .await
            .unwrap(),
        []
    );
}

pub(crate) async fn kept_versions_are_not_claimed(bench: Bench) {
    bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    bench.put(document(1), FIRST, &[("/a", base(1))]).await;
    let expected = Expected::At(cloakroom_core::Revision(2));
    bench.put(document(1), expected, &[("/a", base(1))]).await;
    bench.clock.advance(48 * HOUR);
    let keep = Windows {
        keep_superseded: 1,
        ..windows()
    };
    let second = version(&base(1), 2);
    assert_eq!(
        claim_with(&bench.store, &second, Reason::Superseded, &keep).await,
        Claim::Changed
    );
    let first = claim_with(&bench.store, &base(1), Reason::Superseded, &keep).await;
    assert!(matches!(first, Claim::Ready(_)));
    let all = claim_with(&bench.store, &second, Reason::Superseded, &windows()).await;
    assert!(matches!(all, Claim::Ready(_)));
}

pub(crate) async fn released_claims_are_due_at_once(bench: Bench) {
    let orphan = bench.orphan(1).await;
    bench.clock.advance(2 * HOUR);
    bench.claim(&orphan, Reason::Orphaned).await;
    assert!(bench.due(DueClass::Resumable, &windows()).await.is_empty());
    bench
        .store
        .release(
            &lease(&bench.store).await,
            &backend(),
            std::slice::from_ref(&orphan),
        )
        .await
        .unwrap();
    let due = bench.due(DueClass::Resumable, &windows()).await;
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].row.attempts, due[0].reason), (0, Reason::Orphaned));
    assert!(matches!(
        bench.claim(&orphan, Reason::Orphaned).await,
        Claim::Ready(_)
    ));
}

pub(crate) async fn a_release_leaves_what_somebody_else_has_claimed_since(bench: Bench) {
    let orphan = bench.orphan(1).await;
    bench.clock.advance(2 * HOUR);
    let slow = lease(&bench.store).await;
    bench.claim(&orphan, Reason::Orphaned).await;
    bench.clock.advance(2 * HOUR);
    let next = bench.store.acquire_lease("laws", "next", HOUR);
    let next = next.await.unwrap().unwrap();
    let item = ClaimItem {
        coordinate: orphan.clone(),
        reason: Reason::Orphaned,
    };
    let claims = bench
        .store
        .claim(&next, &backend(), &[item], &windows(), HOUR)
        .await
        .unwrap();
    assert!(matches!(claims[..], [Claim::Ready(_)]), "{claims:?}");

    bench
        .store
        .release(&slow, &backend(), std::slice::from_ref(&orphan))
        .await
        .unwrap();

    assert!(bench.due(DueClass::Resumable, &windows()).await.is_empty());
}

pub(crate) async fn a_date_on_a_referenced_row_is_cleared(bench: Bench) {
    let written = bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    bench
        .raw("UPDATE secrets SET unreferenced_since = 0")
        .await
        .unwrap();
    assert_eq!(bench.due(DueClass::Orphaned, &windows()).await.len(), 1);
    assert_eq!(
        bench.claim(&written[0], Reason::Orphaned).await,
        Claim::Referenced
    );
    assert_eq!(bench.row(&written[0]).await.unreferenced_since, None);
    assert!(bench.due(DueClass::Orphaned, &windows()).await.is_empty());

    // What an undo brought back and a document refers to is simply stored.
    bench
        .raw("UPDATE secrets SET state = 'held', held_until = 0, unreferenced_since = 0")
        .await
        .unwrap();
    assert_eq!(
        bench.claim(&written[0], Reason::Orphaned).await,
        Claim::Referenced
    );
    let row = bench.row(&written[0]).await;
    assert_eq!(
        (row.state, row.unreferenced_since),
        (RowState::Stored, None)
    );
}
