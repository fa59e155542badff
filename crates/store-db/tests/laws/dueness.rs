//! What is due, and from which millisecond on.

use std::time::Duration;

use cloakroom_core::coordinates::Coordinate;
use cloakroom_core::ledger::{
    Candidate, Claim, DeletionOutcome, DueClass, Reason, RowState, Windows,
};
use cloakroom_core::store::Expected;
use uuid::Uuid;

use crate::support::*;

const CLASSES: [DueClass; 4] = [
    DueClass::Resumable,
    DueClass::Expired,
    DueClass::Orphaned,
    DueClass::Superseded,
];

fn named(candidates: &[Candidate]) -> Vec<(Coordinate, Reason)> {
    candidates
        .iter()
        .map(|candidate| (candidate.row.coordinate.clone(), candidate.reason))
        .collect()
}

/// Asserts that the class has nothing a millisecond before and this one at the time itself.
async fn due_exactly_after(
    bench: &Bench,
    wait: Duration,
    class: DueClass,
    coordinate: &Coordinate,
    reason: Reason,
) {
    bench.clock.advance(just_before(wait));
    assert_eq!(named(&bench.due(class, &windows()).await), []);
    assert_eq!(bench.claim(coordinate, reason).await, Claim::Changed);
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(
        named(&bench.due(class, &windows()).await),
        [(coordinate.clone(), reason)]
    );
    assert!(matches!(
        bench.claim(coordinate, reason).await,
        Claim::Ready(_)
    ));
    bench.settle(coordinate, DeletionOutcome::Deleted).await;
    assert_eq!(named(&bench.due(class, &windows()).await), []);
}

pub(crate) async fn boundaries_to_the_millisecond(bench: Bench) {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let abandoned = bench.intend(&[base(1)]).await;
    let wait = 2 * HOUR + minutes(5);
    due_exactly_after(
        &bench,
        wait,
        DueClass::Expired,
        &abandoned[0],
        Reason::Abandoned,
    )
    .await;

    let ephemeral = bench.intend(&[base_of(Uuid::nil(), 1)]).await;
    due_exactly_after(
        &bench,
        wait,
        DueClass::Expired,
        &ephemeral[0],
        Reason::Ephemeral,
    )
    .await;

    let stored = bench.intend(&[base_of(Uuid::nil(), 2)]).await;
    cloakroom_core::store::DocumentStore::confirm_ephemeral(&bench.store, &backend(), &stored[0])
        .await
        .unwrap();
    due_exactly_after(
        &bench,
        wait,
        DueClass::Expired,
        &stored[0],
        Reason::Ephemeral,
    )
    .await;

    let orphan = bench.orphan(2).await;
    due_exactly_after(
        &bench,
        2 * HOUR,
        DueClass::Orphaned,
        &orphan,
        Reason::Orphaned,
    )
    .await;

    let old = bench
        .put(document(3), Expected::Absent, &[("/a", base(3))])
        .await;
    bench.put(document(3), FIRST, &[("/a", base(3))]).await;
    due_exactly_after(
        &bench,
        24 * HOUR,
        DueClass::Superseded,
        &old[0],
        Reason::Superseded,
    )
    .await;

    // A claim that lapses.
    let lapsing = bench.orphan(4).await;
    bench.clock.advance(2 * HOUR);
    assert!(matches!(
        bench.claim(&lapsing, Reason::Orphaned).await,
        Claim::Ready(_)
    ));
    due_exactly_after(
        &bench,
        minutes(1),
        DueClass::Resumable,
        &lapsing,
        Reason::Orphaned,
    )
    .await;
}

/// The failed writer's v3 over a referenced v2 is no version that was replaced.
pub(crate) async fn a_failed_writer_leaves_an_abandoned_row(bench: Bench) {
    bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    bench.put(document(1), FIRST, &[("/a", base(1))]).await;
    let third = bench.intend(&[base(1)]).await;
    bench.clock.advance(48 * HOUR);
    let expired = bench.due(DueClass::Expired, &windows()).await;
    assert_eq!(named(&expired), [(third[0].clone(), Reason::Abandoned)]);
    assert_eq!(expired[0].superseded_by, None);
    let superseded = bench.due(DueClass::Superseded, &windows()).await;
    assert_eq!(named(&superseded), [(base(1), Reason::Superseded)]);
    assert_eq!(superseded[0].superseded_by, Some(version(&base(1), 2)));
}

pub(crate) async fn superseded_until_the_document_goes(bench: Bench) {
    bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    bench.put(document(1), FIRST, &[("/a", base(1))]).await;
    bench.clock.advance(3 * HOUR);
    assert_eq!(named(&bench.due(DueClass::Orphaned, &windows()).await), []);
    bench.remove(document(1)).await;
    // Nothing took the first version's place any more, and it has waited long enough for an orphan.
    let orphans = bench.due(DueClass::Orphaned, &windows()).await;
    assert_eq!(named(&orphans), [(base(1), Reason::Orphaned)]);
    bench.clock.advance(2 * HOUR);
    let orphans = bench.due(DueClass::Orphaned, &windows()).await;
    assert_eq!(
        named(&orphans),
        [
            (base(1), Reason::Orphaned),
            (version(&base(1), 2), Reason::Orphaned)
        ]
    );
    assert_eq!(
        named(&bench.due(DueClass::Superseded, &windows()).await),
        []
    );
}

pub(crate) async fn the_newest_superseded_stay(bench: Bench) {
    let windows = Windows {
        keep_superseded: 2,
        ..windows()
    };
    bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    for revision in 1..=4 {
        let expected = Expected::At(cloakroom_core::Revision(revision));
        bench.put(document(1), expected, &[("/a", base(1))]).await;
    }
    bench.clock.advance(30 * HOUR);
    // Five versions, one referenced, two kept.
    let due = bench.due(DueClass::Superseded, &windows).await;
    assert_eq!(
        named(&due),
        [
            (base(1), Reason::Superseded),
            (version(&base(1), 2), Reason::Superseded)
        ]
    );
    assert_eq!(due[0].superseded_by, Some(version(&base(1), 5)));
}

pub(crate) async fn a_field_dropped_makes_orphans_of_all_its_versions(bench: Bench) {
    bench
        .put(
            document(1),
            Expected::Absent,
            &[("/a", base(1)), ("/b", base(2))],
        )
        .await;
    let other = bench
        .put(document(1), FIRST, &[("/a", base(1)), ("/b", base(2))])
        .await;
    assert!(bench.row(&base(1)).await.superseded);
    let expected = Expected::At(cloakroom_core::Revision(2));
    bench
        .commit(document(1), expected, &[("/b", other[1].clone())], &[])
        .await;
    assert!(!bench.row(&base(1)).await.superseded);
    assert!(bench.row(&base(2)).await.superseded);
    bench.clock.advance(2 * HOUR);
    let orphans = bench.due(DueClass::Orphaned, &windows()).await;
    assert_eq!(named(&orphans).len(), 2);
}

pub(crate) async fn held_rows_wait(bench: Bench) {
    let orphan = bench.orphan(1).await;
    bench.clock.advance(2 * HOUR);
    bench.claim(&orphan, Reason::Orphaned).await;
    bench
        .settle(&orphan, DeletionOutcome::Scheduled { due: None })
        .await;
    let week = 7 * 24 * HOUR;
    let both = [restored(&orphan), restored(&base(50)), restored(&orphan)];
    assert_eq!(bench.hold(2, &both, week).await, [true, false, false]);
    assert_eq!(bench.row(&orphan).await.state, RowState::Held);
    due_exactly_after(
        &bench,
        week + 2 * HOUR,
        DueClass::Orphaned,
        &orphan,
        Reason::Orphaned,
    )
    .await;

    let used = bench
        .put(document(9), Expected::Absent, &[("/a", base(9))])
        .await;
    let used = [restored(&used[0])];
    assert_eq!(bench.hold(2, &used, week).await, [false]);
}

pub(crate) async fn nothing_referenced_is_ever_due(bench: Bench) {
    bench
        .put(
            document(1),
            Expected::Absent,
            &[("/a", base(1)), ("/b", base(2))],
        )
        .await;
    bench.clock.advance(Duration::from_hours(20 * 365 * 24));
    let now = Windows {
        put_deadline: Duration::ZERO,
        orphan_ttl: Duration::ZERO,
        superseded_grace: Duration::ZERO,
        keep_superseded: 0,
    };
    for class in CLASSES {
        assert_eq!(named(&bench.due(class, &now).await), []);
    }
    for reason in Reason::ALL {
        assert_eq!(
            claim_with(&bench.store, &base(1), reason, &now).await,
            Claim::Referenced
        );
    }
    // Windows longer than time itself make nothing due.
    bench.orphan(7).await;
    let never = Windows {
        orphan_ttl: Duration::MAX,
        ..now
    };
    assert_eq!(named(&bench.due(DueClass::Orphaned, &never).await), []);
    assert_eq!(named(&bench.due(DueClass::Orphaned, &now).await).len(), 1);
}
