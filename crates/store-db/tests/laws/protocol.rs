//! The write protocol: intent, commit, removal.

use cloakroom_core::ErrorKind;
use cloakroom_core::ledger::{DeletionOutcome, Ledger, Reason, RowState};
use cloakroom_core::store::{
    CommitOutcome, DocumentStore, Expected, NewReference, RemoveOutcome, SpecId,
};
use cloakroom_core::{BackendId, IntentId, Revision};
use uuid::Uuid;

use crate::support::*;

/// A restored database may give a number again that a writer of before holds: what that one wrote is not what the
/// row is about.
pub(crate) async fn a_number_that_another_writer_was_given_is_not_committed(bench: Bench) {
    let written = bench.intend(&[base(1), base(2)]).await;
    let places = [("/a", written[0].clone()), ("/b", written[1].clone())];
    let mut commit = commit_of(document(1), Expected::Absent, &places, &written);
    commit.intended[1].intent = IntentId(Uuid::from_u128(0xB000));
    let outcome = bench.store.commit(&commit).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Expired);
    assert!(bench.store.document(document(1)).await.unwrap().is_none());
    for coordinate in &written {
        assert_eq!(bench.row(coordinate).await.state, RowState::Intended);
    }
}

pub(crate) async fn first_put(bench: Bench) {
    let written = bench.intend(&[base(1), base(2)]).await;
    assert_eq!(written, [base(1), base(2)]);
    let row = bench.row(&written[0]).await;
    assert_eq!(row.state, RowState::Intended);
    assert_eq!(
        row.expires.unwrap().as_millisecond(),
        bench.clock.millis() + 2 * 3_600_000
    );
    assert_eq!(row.created.as_millisecond(), bench.clock.millis());
    assert!(!row.once_referenced);

    let references = [("/b", written[1].clone()), ("/a", written[0].clone())];
    let outcome = bench
        .commit(document(1), Expected::Absent, &references, &written)
        .await;
    assert_eq!(
        outcome,
        CommitOutcome::Committed {
            revision: Revision(1),
            unreferenced: Vec::new()
        }
    );
    let row = bench.row(&written[0]).await;
    assert_eq!(
        (row.state, row.once_referenced, row.expires),
        (RowState::Stored, true, None)
    );

    let stored = bench.store.document(document(1)).await.unwrap().unwrap();
    assert_eq!(stored.revision, Revision(1));
    assert_eq!(stored.blob, r#"{"references":2}"#);
    let pointers: Vec<&str> = stored
        .references
        .iter()
        .map(|held| held.pointer.as_str())
        .collect();
    assert_eq!(pointers, ["/a", "/b"]);
    assert_eq!(stored.references[0].digest, digest());
    assert!(!stored.references[0].damaged);
    assert!(bench.store.document(document(2)).await.unwrap().is_none());
}

pub(crate) async fn update_keeps_raises_and_drops(bench: Bench) {
    let first = bench
        .put(
            document(1),
            Expected::Absent,
            &[("/a", base(1)), ("/b", base(2)), ("/c", base(3))],
        )
        .await;
    bench.clock.advance(HOUR);
    let raised = bench.intend(&[base(2)]).await;
    assert_eq!(raised, [version(&base(2), 2)]);
    // /a is kept and moves, /b is raised, /c is dropped.
    let references = [("/moved", first[0].clone()), ("/b", raised[0].clone())];
    let outcome = bench.commit(document(1), FIRST, &references, &raised).await;
    let mut dropped = vec![first[1].clone(), first[2].clone()];
    dropped.sort();
    assert_eq!(
        outcome,
        CommitOutcome::Committed {
            revision: Revision(2),
            unreferenced: dropped
        }
    );

    let kept = bench.row(&first[0]).await;
    assert_eq!(
        (kept.state, kept.unreferenced_since),
        (RowState::Stored, None)
    );
    let superseded = bench.row(&first[1]).await;
    assert!(superseded.superseded);
    assert_eq!(
        superseded.unreferenced_since.unwrap().as_millisecond(),
        bench.clock.millis()
    );
    let orphan = bench.row(&first[2]).await;
    assert!(!orphan.superseded && orphan.unreferenced_since.is_some());
    assert_eq!(bench.row(&raised[0]).await.state, RowState::Stored);

    let stored = bench.store.document(document(1)).await.unwrap().unwrap();
    assert_eq!(stored.references.len(), 2);
    let referrers = bench
        .store
        .referrers(&backend(), &first[0], 10)
        .await
        .unwrap();
    assert_eq!(referrers, [(Some(document(1)), "/moved".to_owned())]);
}

pub(crate) async fn a_lost_race_expires_its_rows(bench: Bench) {
    let first = bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    for (expected, current) in [
        (Expected::Absent, Some(Revision(1))),
        (Expected::At(Revision(7)), Some(Revision(1))),
    ] {
        let written = bench.intend(&[base(1)]).await;
        let references = [("/a", written[0].clone())];
        let outcome = bench
            .commit(document(1), expected, &references, &written)
            .await;
        assert_eq!(outcome, CommitOutcome::LostRace { current });
        let row = bench.row(&written[0]).await;
        assert_eq!(row.state, RowState::Intended);
        assert_eq!(row.expires.unwrap().as_millisecond(), bench.clock.millis());
    }
    let written = bench.intend(&[base(5)]).await;
    let references = [("/a", written[0].clone())];
    let outcome = bench
        .commit(document(9), FIRST, &references, &written)
        .await;
    assert_eq!(outcome, CommitOutcome::LostRace { current: None });

    let stored = bench.store.document(document(1)).await.unwrap().unwrap();
    assert_eq!(stored.revision, Revision(1));
    assert_eq!(stored.references[0].coordinate, first[0]);
    assert!(bench.store.document(document(9)).await.unwrap().is_none());
}

pub(crate) async fn an_expired_intent_aborts(bench: Bench) {
    let written = bench.intend(&[base(1), base(2)]).await;
    let references = [("/a", written[0].clone()), ("/b", written[1].clone())];
    // One of the two expires, at this very millisecond.
    bench
        .store
        .abandon(&backend(), &written[..1])
        .await
        .unwrap();
    let outcome = bench
        .commit(document(1), Expected::Absent, &references, &written)
        .await;
    assert_eq!(outcome, CommitOutcome::Expired);
    assert!(bench.store.document(document(1)).await.unwrap().is_none());
    let second = bench.row(&written[1]).await;
    assert_eq!(second.state, RowState::Intended);
    assert_eq!(
        second.expires.unwrap().as_millisecond(),
        bench.clock.millis()
    );
    assert!(
        bench
            .store
            .spec(&SpecId("spec".into()))
            .await
            .unwrap_err()
            .is_missing()
    );

    // The last millisecond still counts.
    let written = bench.intend(&[base(3)]).await;
    bench.clock.advance(just_before(2 * HOUR));
    let references = [("/a", written[0].clone())];
    let outcome = bench
        .commit(document(1), Expected::Absent, &references, &written)
        .await;
    assert!(matches!(outcome, CommitOutcome::Committed { .. }));
}

pub(crate) async fn a_kept_row_on_its_way_out_aborts(bench: Bench) {
    let first = bench
        .put(
            document(1),
            Expected::Absent,
            &[("/a", base(1)), ("/b", base(2))],
        )
        .await;
    bench
        .raw("UPDATE secrets SET state = 'deleting', next_attempt_at = 0")
        .await
        .unwrap();
    let written = bench.intend(&[base(2)]).await;
    let references = [("/a", first[0].clone()), ("/b", written[0].clone())];
    let outcome = bench
        .commit(document(1), FIRST, &references, &written)
        .await;
    assert_eq!(outcome, CommitOutcome::Expired);
    let stored = bench.store.document(document(1)).await.unwrap().unwrap();
    assert_eq!(stored.revision, Revision(1));
    assert_eq!(
        bench
            .row(&written[0])
            .await
            .expires
            .unwrap()
            .as_millisecond(),
        bench.clock.millis()
    );
}

pub(crate) async fn only_what_the_document_refers_to_can_be_kept(bench: Bench) {
    let orphan = bench.orphan(1).await;
    let foreign = bench
        .put(document(2), Expected::Absent, &[("/a", base(2))])
        .await;
    for coordinate in [orphan, foreign[0].clone(), base(77)] {
        let references = [("/a", coordinate)];
        let outcome = bench
            .commit(document(3), Expected::Absent, &references, &[])
            .await;
        assert_eq!(outcome, CommitOutcome::Expired);
    }
    assert!(bench.store.document(document(3)).await.unwrap().is_none());
}

pub(crate) async fn versions_are_never_used_twice(bench: Bench) {
    // A failed attempt keeps its number.
    let failed_attempt = bench.intend(&[base(1)]).await;
    bench
        .store
        .abandon(&backend(), &failed_attempt)
        .await
        .unwrap();
    let second = bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    assert_eq!(second, [version(&base(1), 2)]);

    // So does a deleted one, and the number in the base that was asked for does not matter.
    bench.remove(document(1)).await;
    bench.clock.advance(3 * HOUR);
    for coordinate in [&failed_attempt[0], &second[0]] {
        let reason = bench.row(coordinate).await;
        let reason = if reason.once_referenced {
            Reason::Orphaned
        } else {
            Reason::Abandoned
        };
        assert!(matches!(
            bench.claim(coordinate, reason).await,
            cloakroom_core::ledger::Claim::Ready(_)
        ));
        bench.settle(coordinate, DeletionOutcome::Deleted).await;
    }
    assert_eq!(
        bench.intend(&[version(&base(1), 2)]).await,
        [version(&base(1), 3)]
    );

    // One call that names a base twice gets two numbers; another backend counts for itself.
    let twice = bench.intend(&[base(1), base(2), base(1)]).await;
    assert_eq!(twice, [version(&base(1), 4), base(2), version(&base(1), 5)]);
    let other: BackendId = "other".parse().unwrap();
    let elsewhere = bench
        .store
        .intend(&other, &[intent(&base(1))], HOUR)
        .await
        .unwrap();
    assert_eq!(elsewhere, [base(1)]);
}

pub(crate) async fn versions_have_an_end(bench: Bench) {
    bench.intend(&[base(1)]).await;
    bench
        .raw("UPDATE secrets SET version = 9223372036854775807")
        .await
        .unwrap();
    let error = bench
        .store
        .intend(&backend(), &[intent(&base(1))], HOUR)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.subject(), Some(base(1).base()));
}

pub(crate) async fn removing_a_document(bench: Bench) {
    assert_eq!(
        bench.store.remove(document(1), None).await.unwrap(),
        RemoveOutcome::Missing
    );
    let written = bench
        .put(
            document(1),
            Expected::Absent,
            &[("/a", base(1)), ("/b", base(2))],
        )
        .await;
    assert_eq!(
        bench
            .store
            .remove(document(1), Some(Revision(2)))
            .await
            .unwrap(),
        RemoveOutcome::LostRace {
            current: Revision(1)
        }
    );
    assert_eq!(
        bench
            .store
            .remove(document(1), Some(Revision(1)))
            .await
            .unwrap(),
        RemoveOutcome::Removed {
            unreferenced: written.clone()
        }
    );
    assert!(bench.store.document(document(1)).await.unwrap().is_none());
    let row = bench.row(&written[0]).await;
    assert_eq!(row.state, RowState::Stored);
    assert_eq!(
        row.unreferenced_since.unwrap().as_millisecond(),
        bench.clock.millis()
    );
}

pub(crate) async fn a_document_comes_again(bench: Bench) {
    bench.orphan(1).await;
    let again = bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    assert_eq!(again, [version(&base(1), 2)]);
    let stored = bench.store.document(document(1)).await.unwrap().unwrap();
    assert_eq!(stored.revision, Revision(1));
    // The orphan has a referenced successor now.
    assert!(bench.row(&base(1)).await.superseded);
}

pub(crate) async fn ephemeral_secrets_are_confirmed_once(bench: Bench) {
    let ephemeral = base_of(Uuid::nil(), 1);
    let written = bench.intend(&[ephemeral]).await;
    bench
        .store
        .confirm_ephemeral(&backend(), &written[0])
        .await
        .unwrap();
    let row = bench.row(&written[0]).await;
    assert_eq!(row.state, RowState::Stored);
    assert_eq!(
        row.expires.unwrap().as_millisecond(),
        bench.clock.millis() + 2 * 3_600_000
    );
    let again = bench
        .store
        .confirm_ephemeral(&backend(), &written[0])
        .await
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);

    let late = bench.intend(&[base_of(Uuid::nil(), 2)]).await;
    bench.clock.advance(2 * HOUR);
    let error = bench
        .store
        .confirm_ephemeral(&backend(), &late[0])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

pub(crate) async fn abandoned_rows_expire_now(bench: Bench) {
    let written = bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    let intended = bench.intend(&[base(2)]).await;
    let both = [written[0].clone(), intended[0].clone(), base(99)];
    bench.store.abandon(&backend(), &both).await.unwrap();
    assert_eq!(bench.row(&written[0]).await.expires, None);
    let at = bench
        .row(&intended[0])
        .await
        .expires
        .unwrap()
        .as_millisecond();
    assert_eq!(at, bench.clock.millis());
    // Once more, later, changes nothing.
    bench.clock.advance(HOUR);
    bench.store.abandon(&backend(), &both).await.unwrap();
    assert_eq!(
        bench
            .row(&intended[0])
            .await
            .expires
            .unwrap()
            .as_millisecond(),
        at
    );
}

pub(crate) async fn a_shared_secret_lives_as_long_as_one_document(bench: Bench) {
    let written = bench
        .put(
            document(1),
            Expected::Absent,
            &[("/a", base(1)), ("/b", base(1))],
        )
        .await;
    // The same coordinate at two places, then at one.
    let references = [("/a", written[0].clone()), ("/c", written[0].clone())];
    let outcome = bench.commit(document(1), FIRST, &references, &[]).await;
    assert_eq!(
        outcome,
        CommitOutcome::Committed {
            revision: Revision(2),
            unreferenced: vec![written[1].clone()]
        }
    );
    let outcome = bench
        .commit(
            document(1),
            Expected::At(Revision(2)),
            &references[..1],
            &[],
        )
        .await;
    assert_eq!(
        outcome,
        CommitOutcome::Committed {
            revision: Revision(3),
            unreferenced: Vec::new()
        }
    );
    // v2 is unreferenced and above what is referenced: an orphan, not superseded.
    let above = bench.row(&written[1]).await;
    assert!(above.unreferenced_since.is_some() && !above.superseded);
}

pub(crate) async fn nonsense_is_refused(bench: Bench) {
    let written = bench.intend(&[base(1)]).await;
    let mut commit = commit_of(document(1), Expected::Absent, &[], &written);
    let error = bench.store.commit(&commit).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for _ in 0..2 {
        commit.references.push(NewReference {
            pointer: "/a".into(),
            backend: backend(),
            coordinate: written[0].clone(),
            array_digest: None,
        });
    }
    let error = bench.store.commit(&commit).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(bench.store.intend(&backend(), &[], HOUR).await.unwrap(), []);
}

pub(crate) async fn secrets_in_two_backends(bench: Bench) {
    let other: BackendId = "other".parse().unwrap();
    let here = bench
        .put(
            document(1),
            Expected::Absent,
            &[("/a", base(1)), ("/b", base(2))],
        )
        .await;
    let there = bench
        .store
        .intend(&other, &[intent(&base(1))], HOUR)
        .await
        .unwrap();
    assert_eq!(there, here[..1]);

    let mut commit = commit_of(document(1), FIRST, &[("/b", here[1].clone())], &[]);
    commit.references.push(NewReference {
        pointer: "/a".into(),
        backend: other.clone(),
        coordinate: there[0].clone(),
        array_digest: Some(digest()),
    });
    commit.intended.push(intended_in(other.clone(), &there[0]));
    let outcome = bench.store.commit(&commit).await.unwrap();
    assert_eq!(
        outcome,
        CommitOutcome::Committed {
            revision: Revision(2),
            unreferenced: vec![here[0].clone()]
        }
    );
    // Another backend's copy is no successor.
    assert!(!bench.row(&here[0]).await.superseded);
    let rows = bench.store.rows(&other, &there).await.unwrap();
    assert_eq!(rows[0].as_ref().unwrap().state, RowState::Stored);
    let stored = bench.store.document(document(1)).await.unwrap().unwrap();
    assert_eq!(stored.references[0].backend, other);
    assert_eq!(stored.references[0].array_digest, Some(digest()));
}

pub(crate) async fn specs_are_kept_once(bench: Bench) {
    let spec = SpecId("spec".into());
    assert!(bench.store.spec(&spec).await.unwrap_err().is_missing());
    for n in 1..=2 {
        bench
            .put(document(n), Expected::Absent, &[("/a", base(n))])
            .await;
    }
    assert_eq!(
        bench.store.spec(&spec).await.unwrap(),
        r#"{"type":"object"}"#
    );
}

/// More secrets than one statement names.
pub(crate) async fn large_documents(bench: Bench) {
    let places: Vec<(String, _)> = (0..1200)
        .map(|n| (format!("/field/{n}"), base(n)))
        .collect();
    let places: Vec<(&str, _)> = places
        .iter()
        .map(|(pointer, base)| (pointer.as_str(), base.clone()))
        .collect();
    let written = bench.put(document(1), Expected::Absent, &places).await;
    let stored = bench.store.document(document(1)).await.unwrap().unwrap();
    assert_eq!(stored.references.len(), 1200);
    let rows = bench.store.rows(&backend(), &written).await.unwrap();
    assert!(
        rows.iter()
            .flatten()
            .all(|row| row.state == RowState::Stored)
    );
    assert_eq!(bench.remove(document(1)).await.len(), 1200);
}
