//! Two stores with connections of their own, at the same time.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom_core::Revision;
use cloakroom_core::ledger::{
    Claim, ClaimItem, DeletionOutcome, Ledger, Reason, RowState, Windows,
};
use cloakroom_core::store::{CommitOutcome, DocumentStore, Expected, RemoveOutcome};

use crate::support::*;

const ROUNDS: u128 = 12;

/// No waiting times: what is unreferenced may be claimed at once.
fn at_once() -> Windows {
    Windows {
        put_deadline: Duration::ZERO,
        orphan_ttl: Duration::ZERO,
        superseded_grace: Duration::ZERO,
        keep_superseded: 0,
    }
}

pub(crate) async fn two_commits_at_one_revision(bench: Bench) {
    let other = bench.another().await;
    for n in 0..ROUNDS {
        bench
            .put(document(n), Expected::Absent, &[("/a", base(n))])
            .await;
        let first = bench.intend(&[base(n)]).await;
        let second = bench.intend(&[base(n)]).await;
        let left = commit_of(document(n), FIRST, &[("/a", first[0].clone())], &first);
        let right = commit_of(document(n), FIRST, &[("/a", second[0].clone())], &second);
        let (left, right) = tokio::join!(bench.store.commit(&left), other.commit(&right),);
        let outcomes = [left.unwrap(), right.unwrap()];
        let won = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, CommitOutcome::Committed { .. }))
            .count();
        let lost = CommitOutcome::LostRace {
            current: Some(Revision(2)),
        };
        assert_eq!(won, 1);
        assert!(outcomes.contains(&lost), "{outcomes:?}");
        let stored = bench.store.document(document(n)).await.unwrap().unwrap();
        let held = bench.row(&stored.references[0].coordinate).await;
        assert_eq!(held.state, RowState::Stored);
    }
    other.close().await;
}

pub(crate) async fn two_first_puts(bench: Bench) {
    let other = bench.another().await;
    for n in 0..ROUNDS {
        let first = bench.intend(&[base(n)]).await;
        let second = bench.intend(&[base(n)]).await;
        let left = commit_of(
            document(n),
            Expected::Absent,
            &[("/a", first[0].clone())],
            &first,
        );
        let right = commit_of(
            document(n),
            Expected::Absent,
            &[("/a", second[0].clone())],
            &second,
        );
        let (left, right) = tokio::join!(bench.store.commit(&left), other.commit(&right));
        let outcomes = [left.unwrap(), right.unwrap()];
        let lost = CommitOutcome::LostRace {
            current: Some(Revision(1)),
        };
        assert!(outcomes.contains(&lost), "{outcomes:?}");
        assert!(
            outcomes
                .iter()
                .any(|outcome| matches!(outcome, CommitOutcome::Committed { .. }))
        );
    }
    other.close().await;
}

pub(crate) async fn intends_of_one_base_get_distinct_numbers(bench: Bench) {
    let other = bench.another().await;
    let mut writers = Vec::new();
    for n in 0..24 {
        let store = if n % 2 == 0 {
            bench.store.clone()
        } else {
            other.clone()
        };
        // In opposite orders, so that careless locking would deadlock.
        let mut bases = vec![intent(&base(1)), intent(&base(2))];
        if n % 3 == 0 {
            bases.reverse();
        }
        writers.push(tokio::spawn(async move {
            store.intend(&backend(), &bases, HOUR).await.unwrap()
        }));
    }
    let mut numbers = BTreeSet::new();
    for writer in writers {
        numbers.extend(writer.await.unwrap());
    }
    let expected: BTreeSet<_> = (1..=24)
        .flat_map(|n| [version(&base(1), n), version(&base(2), n)])
        .collect();
    assert_eq!(numbers, expected);
    other.close().await;
}

pub(crate) async fn claimers_get_disjoint_rows(bench: Bench) {
    let other = bench.another().await;
    let mut items = Vec::new();
    for n in 0..40 {
        let coordinate = bench.orphan(n).await;
        items.push(ClaimItem {
            coordinate,
            reason: Reason::Orphaned,
        });
    }
    let backwards: Vec<ClaimItem> = items.iter().rev().cloned().collect();
    let (backend, windows) = (backend(), at_once());
    let lease = lease(&bench.store).await;
    let (left, right) = tokio::join!(
        bench.store.claim(&lease, &backend, &items, &windows, HOUR),
        other.claim(&lease, &backend, &backwards, &windows, HOUR),
    );
    let mut ready = BTreeSet::new();
    for claim in left.unwrap().into_iter().chain(right.unwrap()) {
        if let Claim::Ready(row) = claim {
            assert!(
                ready.insert(row.coordinate.clone()),
                "claimed twice: {row:?}"
            );
        }
    }
    // What each left to the other is there to be claimed next time.
    for claim in bench
        .store
        .claim(&lease, &backend, &items, &windows, HOUR)
        .await
        .unwrap()
    {
        if let Claim::Ready(row) = claim {
            assert!(
                ready.insert(row.coordinate.clone()),
                "claimed twice: {row:?}"
            );
        }
    }
    assert_eq!(ready.len(), 40);
    other.close().await;
}

/// While a document is updated, removed and its secret claimed all at once, nothing that a document
/// refers to is on its way out.
pub(crate) async fn removal_and_claim(bench: Bench) {
    let other = bench.another().await;
    let third = bench.another().await;
    for n in 0..ROUNDS {
        let written = bench
            .put(document(n), Expected::Absent, &[("/a", base(n))])
            .await;
        let kept = commit_of(document(n), FIRST, &[("/b", written[0].clone())], &[]);
        let claim = async {
            let mut last = Claim::Changed;
            for _ in 0..6 {
                last = claim_with(&third, &written[0], Reason::Orphaned, &at_once()).await;
                if matches!(last, Claim::Ready(_)) {
                    break;
                }
            }
            last
        };
        let (committed, removed, claimed) = tokio::join!(
            bench.store.commit(&kept),
            other.remove(document(n), None),
            claim
        );
        assert!(matches!(removed.unwrap(), RemoveOutcome::Removed { .. }));
        assert!(matches!(
            committed.unwrap(),
            CommitOutcome::Committed { .. } | CommitOutcome::LostRace { current: None }
        ));
        let row = bench.row(&written[0]).await;
        let referrers = bench
            .store
            .referrers(&backend(), &written[0], 1)
            .await
            .unwrap();
        assert_eq!(referrers, []);
        assert_eq!(
            row.state == RowState::Deleting,
            matches!(claimed, Claim::Ready(_))
        );
        assert!(row.unreferenced_since.is_some());
    }
    other.close().await;
    third.close().await;
}

/// Documents that share secrets are written and removed crosswise: no deadlock comes through, and
/// in the end every row says the truth.
pub(crate) async fn commits_that_cross(bench: Bench) {
    let other = bench.another().await;
    let mut writers = Vec::new();
    for n in 0..8_u128 {
        let store = if n % 2 == 0 {
            bench.store.clone()
        } else {
            other.clone()
        };
        writers.push(tokio::spawn(async move {
            let mut revision = None;
            for round in 0..4_u128 {
                let mut bases: Vec<_> = (0..4).map(base).collect();
                bases.rotate_left(((n + round) % 4) as usize);
                let intents: Vec<_> = bases.iter().map(intent).collect();
                let written = store.intend(&backend(), &intents, HOUR).await.unwrap();
                let places: Vec<_> = ["/a", "/b", "/c", "/d"]
                    .into_iter()
                    .zip(written.clone())
                    .collect();
                let expected = revision.map_or(Expected::Absent, Expected::At);
                let commit = commit_of(document(n), expected, &places, &written);
                match store.commit(&commit).await.unwrap() {
                    CommitOutcome::Committed { revision: now, .. } => revision = Some(now),
                    outcome => panic!("{outcome:?}"),
                }
            }
            if n % 2 == 0 {
                store.remove(document(n), None).await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    for m in 0..4 {
        let versions: Vec<_> = (1..=32).map(|n| version(&base(m), n)).collect();
        let rows = bench.store.rows(&backend(), &versions).await.unwrap();
        let rows: Vec<_> = rows.into_iter().flatten().collect();
        assert_eq!(rows.len(), 32);
        let mut highest = None;
        let mut alive = 0;
        for row in rows.iter().rev() {
            let referrers = bench
                .store
                .referrers(&backend(), &row.coordinate, 9)
                .await
                .unwrap();
            assert_eq!(row.state, RowState::Stored);
            assert_eq!(
                row.unreferenced_since.is_none(),
                !referrers.is_empty(),
                "{row:?}"
            );
            if referrers.is_empty() {
                assert_eq!(row.superseded, highest.is_some(), "{row:?}");
            } else {
                alive += 1;
                highest = Some(row.coordinate.clone());
            }
        }
        assert_eq!(alive, 4);
    }
    other.close().await;
}

pub(crate) async fn settling_crosses(bench: Bench) {
    let other = bench.another().await;
    let mut orphans = Vec::new();
    for n in 0..16 {
        let orphan = bench.orphan(n).await;
        let claim = claim_with(&bench.store, &orphan, Reason::Orphaned, &at_once()).await;
        assert!(matches!(claim, Claim::Ready(_)));
        orphans.push(orphan);
    }
    let mut settlers = Vec::new();
    for (n, pair) in orphans.chunks(2).enumerate() {
        let store = if n % 2 == 0 {
            bench.store.clone()
        } else {
            other.clone()
        };
        let settlements: Vec<_> = pair
            .iter()
            .rev()
            .map(|orphan| settlement(orphan, Reason::Orphaned, DeletionOutcome::Deleted))
            .collect();
        settlers.push(tokio::spawn(async move {
            store
                .settle(run(n as u128), &backend(), &settlements)
                .await
                .unwrap();
        }));
    }
    for settler in settlers {
        settler.await.unwrap();
    }
    assert_eq!(bench.store.verify_receipts().await.unwrap(), 16);
    other.close().await;
}
