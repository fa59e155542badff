//! Scans by keyset: complete, in order, without duplicates. Counts for the guards.

use std::time::Duration;

use cloakroom_core::coordinates::Coordinate;
use cloakroom_core::ledger::{Claim, DueClass, Ledger, OwnerCensus, Reason, RowState};
use cloakroom_core::store::{
    DocumentStore, Expected, RecordedReference, ReferenceCursor, ReferenceSource, SecretFilter,
};
use cloakroom_core::{BackendId, ErrorKind, Mark, WorkspaceId};
use uuid::Uuid;

use crate::support::*;

pub(crate) async fn references_are_paged(bench: Bench) {
    let mut all = Vec::new();
    for n in 1..=7 {
        let places = [("/Z", base(n)), ("/a", base(n + 100)), ("/_", base(n))];
        let written = bench.put(document(n), Expected::Absent, &places).await;
        for (place, coordinate) in ["/Z", "/a", "/_"].iter().zip(written) {
            all.push((
                coordinate.as_str().to_owned(),
                document(n),
                (*place).to_owned(),
            ));
        }
    }
    all.sort();
    for limit in [1, 4, 100] {
        let mut seen = Vec::new();
        let mut cursor: Option<ReferenceCursor> = None;
        loop {
            let page = bench
                .store
                .references(&backend(), cursor.as_ref(), limit)
                .await
                .unwrap();
            let Some(last) = page.last() else { break };
            cursor = Some(ReferenceCursor {
                coordinate: last.coordinate.clone(),
                document: last.document,
                pointer: last.pointer.clone(),
            });
            assert!(
                page.iter()
                    .all(|row| row.ledger.as_ref().unwrap().state == RowState::Stored)
            );
            seen.extend(page.into_iter().map(|row| {
                (
                    row.coordinate.as_str().to_owned(),
                    row.document,
                    row.pointer,
                )
            }));
        }
        assert_eq!(seen, all, "limit {limit}");
    }
    let other = "other".parse().unwrap();
    assert_eq!(bench.store.references(&other, None, 10).await.unwrap(), []);
}

pub(crate) async fn documents_are_paged(bench: Bench) {
    // Ids that differ in their first and in their last byte.
    let ids: Vec<_> = [3_u128, 1, 2, 0xff << 120, 0x7f << 120]
        .into_iter()
        .map(document)
        .collect();
    for (n, id) in ids.iter().enumerate() {
        let places = [("/a", base(n as u128)), ("/b", base(n as u128 + 50))];
        bench.put(*id, Expected::Absent, &places[..=n % 2]).await;
    }
    let mut sorted = ids.clone();
    sorted.sort();
    let mut whole = Vec::new();
    let mut listed = Vec::new();
    while let page = bench
        .store
        .documents(whole.last().copied(), 2)
        .await
        .unwrap()
        && !page.is_empty()
    {
        for document in page {
            let stored = bench.store.document(document.id).await.unwrap().unwrap();
            assert_eq!(document.blob, stored.blob);
            let held = stored.references.into_iter().map(|held| RecordedReference {
                pointer: held.pointer,
                backend: held.backend,
                coordinate: held.coordinate,
            });
            assert_eq!(document.references, held.collect::<Vec<_>>());
            assert!(!document.references.is_empty());
            whole.push(document.id);
        }
    }
    while let page = bench
        .store
        .list_documents(None, listed.last().copied(), 3)
        .await
        .unwrap()
        && !page.is_empty()
    {
        listed.extend(page.into_iter().map(|summary| summary.id));
    }
    assert_eq!(whole, sorted);
    assert_eq!(listed, sorted);

    let ours = Some(WorkspaceId(owner()));
    let summaries = bench.store.list_documents(ours, None, 100).await.unwrap();
    assert_eq!(summaries.len(), 5);
    assert_eq!(summaries[0].secrets, 2);
    assert_eq!(summaries[0].updated.as_millisecond(), bench.clock.millis());
    let theirs = Some(WorkspaceId(Uuid::from_u128(9)));
    assert_eq!(
        bench.store.list_documents(theirs, None, 100).await.unwrap(),
        []
    );
    assert!(
        bench
            .store
            .spec_text(&cloakroom_core::store::SpecId("spec".into()))
            .await
            .is_ok()
    );
}

pub(crate) async fn secrets_are_paged_and_filtered(bench: Bench) {
    bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    bench.put(document(1), FIRST, &[("/a", base(1))]).await;
    bench
        .intend(&[base_of(Uuid::nil(), 1), base(2), base(1)])
        .await;
    let other = "aaa".parse().unwrap();
    bench
        .store
        .intend(&other, &[intent(&base(1))], HOUR)
        .await
        .unwrap();

    let all = SecretFilter::default();
    let mut seen: Vec<(String, String)> = Vec::new();
    let mut after = None;
    loop {
        let page = bench.store.list_secrets(&all, after, 2).await.unwrap();
        seen.extend(
            page.rows
                .iter()
                .map(|row| (row.backend.to_string(), row.coordinate.as_str().to_owned())),
        );
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(seen, sorted);
    assert_eq!(seen.len(), 6);

    let count = async |filter: SecretFilter| {
        bench
            .store
            .list_secrets(&filter, None, 100)
            .await
            .unwrap()
            .rows
            .len()
    };
    assert_eq!(
        count(SecretFilter {
            owner: Some(WorkspaceId(owner())),
            ..all.clone()
        })
        .await,
        5
    );
    assert_eq!(
        count(SecretFilter {
            base: Some(base(1).base().into()),
            ..all.clone()
        })
        .await,
        4
    );
    assert_eq!(
        count(SecretFilter {
            state: Some(RowState::Stored),
            ..all.clone()
        })
        .await,
        2
    );

    let rows = bench
        .store
        .rows(&backend(), &[base(2), base(77), base(1)])
        .await
        .unwrap();
    let found: Vec<Option<Coordinate>> = rows
        .into_iter()
        .map(|row| row.map(|row| row.coordinate))
        .collect();
    assert_eq!(found, [Some(base(2)), None, Some(base(1))]);
    let counts = bench.store.count_by_state(&backend()).await.unwrap();
    assert_eq!(
        counts[..3],
        [
            (RowState::Intended, 3),
            (RowState::Stored, 2),
            (RowState::Deleting, 0)
        ]
    );
    assert_eq!(counts.len(), 6);
}

pub(crate) async fn due_rows_are_paged(bench: Bench) {
    let mut expected = Vec::new();
    for n in 1..=11 {
        expected.push(bench.orphan(n).await);
        if n % 3 == 0 {
            bench.clock.advance(Duration::from_millis(1));
        }
    }
    bench.clock.advance(2 * HOUR);
    for limit in [1, 2, 5] {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let page = bench
                .store
                .due(
                    &backend(),
                    DueClass::Orphaned,
                    &windows(),
                    cursor.as_ref(),
                    limit,
                )
                .await
                .unwrap();
            let Some(last) = page.last() else { break };
            cursor = Some(last.cursor.clone());
            seen.extend(page.into_iter().map(|candidate| candidate.row.coordinate));
        }
        assert_eq!(
            seen, expected,
            "oldest first, then by coordinate; limit {limit}"
        );
    }
}

pub(crate) async fn census_counts_what_is_due(bench: Bench) {
    let classes = [
        DueClass::Resumable,
        DueClass::Expired,
        DueClass::Orphaned,
        DueClass::Superseded,
    ];
    let empty = bench
        .store
        .census(&backend(), &classes, &windows(), 2)
        .await
        .unwrap();
    assert_eq!(empty, cloakroom_core::ledger::Census::default());

    for n in 1..=3 {
        bench.orphan(n).await;
    }
    let lone = Uuid::from_u128(0xB0B);
    bench
        .put(document(50), Expected::Absent, &[("/a", base_of(lone, 1))])
        .await;
    bench.remove(document(50)).await;
    bench.intend(&[base(60), base_of(Uuid::nil(), 61)]).await;
    bench
        .put(
            document(70),
            Expected::Absent,
            &[("/a", base(70)), ("/b", base(71))],
        )
        .await;
    bench.clock.advance(3 * HOUR);
    // One of the due is being deleted by somebody who died.
    bench.claim(&base(1), Reason::Orphaned).await;
    bench.clock.advance(HOUR);

    let census = bench
        .store
        .census(&backend(), &classes, &windows(), 2)
        .await
        .unwrap();
    assert!(census.any_live_reference);
    assert_eq!(
        (census.due_never_referenced, census.due_once_referenced),
        (2, 4)
    );
    assert_eq!(census.once_referenced, Some(6));
    // The lone one's single due secret is below what was asked about.
    assert_eq!(
        census.owners,
        [OwnerCensus {
            owner: owner(),
            due: 3,
            once_referenced: 5
        }]
    );

    let high = bench
        .store
        .census(&backend(), &classes, &windows(), 5)
        .await
        .unwrap();
    assert_eq!((high.once_referenced, high.owners.len()), (None, 0));
    let one = bench
        .store
        .census(&backend(), &[DueClass::Expired], &windows(), 1)
        .await
        .unwrap();
    assert_eq!((one.due_never_referenced, one.due_once_referenced), (2, 0));
    let none = bench
        .store
        .census(&backend(), &[], &windows(), 0)
        .await
        .unwrap();
    assert!(none.any_live_reference);
}

/// Without any reference it matters whether each was let go, or whether they went another way.
pub(crate) async fn references_that_nobody_dropped_are_missed(bench: Bench) {
    let census = async || {
        let (here, windows) = (backend(), windows());
        let counted = bench
            .store
            .census(&here, &[DueClass::Orphaned], &windows, 2);
        let census = counted.await.unwrap();
        (census.any_live_reference, census.references_missed)
    };
    bench.orphan(1).await;
    bench.intend(&[base(2)]).await;
    assert_eq!(census().await, (false, false), "all were let go");
    for number in [3, 4] {
        bench
            .put(document(number), Expected::Absent, &[("/a", base(number))])
            .await;
    }
    assert_eq!(census().await, (true, false));
    for statement in ["DELETE FROM secret_references", "DELETE FROM documents"] {
        bench.raw(statement).await.unwrap();
    }
    assert_eq!(census().await, (false, true));
    let elsewhere = "other".parse().unwrap();
    let windows = windows();
    let other = bench.store.census(&elsewhere, &[], &windows, 2).await;
    assert!(!other.unwrap().references_missed, "of another backend");
}

pub(crate) async fn damaged_rows_are_named(bench: Bench) {
    let written = bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    bench
        .raw("UPDATE secrets SET digest = 'canary'")
        .await
        .unwrap();
    let error = bench.store.rows(&backend(), &written).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.message().contains("column digest of table secrets"),
        "{error}"
    );
    assert!(
        error.subject().unwrap().contains(written[0].as_str()),
        "{error}"
    );
    assert!(!format!("{error:?} {error}").contains("canary"));
    let error = bench.store.document(document(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    // A damaged blob is handed out as it is: finding it is the jobs' work.
    bench.raw("UPDATE documents SET blob = '{'").await.unwrap();
    bench
        .raw("UPDATE secret_references SET array_digest = NULL")
        .await
        .unwrap();
    let summaries = bench.store.list_documents(None, None, 10).await.unwrap();
    assert_eq!(summaries.len(), 1);
    // A state that is none is refused by the schema, and the error repeats no row.
    bench
        .raw("UPDATE secrets SET state = 'canary'")
        .await
        .unwrap_err();
}

/// One that cannot be read is told alone: it is never due and never claimed, and hides nothing behind it.
pub(crate) async fn an_unreadable_row_holds_up_no_other(bench: Bench) {
    let mut orphans = Vec::new();
    for number in 1..=4 {
        orphans.push(bench.orphan(number).await);
    }
    bench.clock.advance(Duration::from_hours(48));
    bench
        .put(document(9), Expected::Absent, &[("/a", base(9))])
        .await;
    // The first, the last two, and one in use.
    for number in [1, 3, 4, 9] {
        let statement = format!(
            "UPDATE secrets SET digest = 'canary' WHERE coordinate = '{}'",
            base(number)
        );
        bench.raw(statement).await.unwrap();
    }
    let rows = bench.store.each_row(&backend(), &orphans).await.unwrap();
    for (number, row) in (1..).zip(&rows) {
        match row {
            Ok(row) => assert!(number == 2 && row.is_some(), "{number}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                let told = format!("{error}");
                for word in ["digest", "secrets", "backup", orphans[number - 1].as_str()] {
                    assert!(told.contains(word), "{told}");
                }
                assert!(!format!("{error:?}{told}").contains("canary"));
            }
        }
    }
    let readable: Vec<Coordinate> = vec![orphans[1].clone()];
    for limit in [1, 2, 1000] {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let due = bench
                .store
                .due(
                    &backend(),
                    DueClass::Orphaned,
                    &windows(),
                    after.as_ref(),
                    limit,
                )
                .await
                .unwrap();
            let Some(last) = due.last() else { break };
            after = Some(last.cursor.clone());
            found.extend(due.iter().map(|it| it.row.coordinate.clone()));
        }
        assert_eq!(found, readable, "by {limit}");
    }
    let census = bench
        .store
        .census(&backend(), &[DueClass::Orphaned], &windows(), 1)
        .await
        .unwrap();
    assert_eq!(
        (census.due_once_referenced, census.once_referenced),
        (4, Some(5))
    );
    for (at, orphan) in orphans.iter().enumerate() {
        let claim = bench.claim(orphan, Reason::Orphaned).await;
        assert_eq!(matches!(claim, Claim::Ready(_)), at == 1, "{claim:?}");
    }
    let references = bench.store.references(&backend(), None, 10).await.unwrap();
    let [reference] = &*references else {
        panic!("{references:?}");
    };
    let told = reference.unreadable.as_deref().unwrap_or_default();
    assert!(
        reference.ledger.is_none() && told.contains("digest"),
        "{told}"
    );
}

/// What of another backend's row cannot be read may be anything; it tells of that one secret alone.
pub(crate) async fn an_unreadable_row_is_known_elsewhere_where_it_may_be(bench: Bench) {
    let elsewhere: BackendId = "elsewhere".parse().unwrap();
    let mut marks = Vec::new();
    for number in 1..=3 {
        let coordinate = bench.orphan(number).await;
        let intent = bench.row(&coordinate).await.intent;
        marks.push(Mark {
            store: bench.store.identity().await.unwrap().store,
            deployment: "laws".to_owned(),
            digest: digest(),
            intent: intent.filter(|_| number != 2),
            coordinate,
        });
    }
    let known = async || {
        let known = bench.store.known_elsewhere(&elsewhere, &marks).await;
        let known = known.unwrap().into_iter();
        known.map(|it| it.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(known().await, [true, false, true]);
    for change in ["digest = 'canary'", "backend_id = 'No Name'"] {
        let coordinate = &marks[0].coordinate;
        let damage = format!("UPDATE secrets SET {change} WHERE coordinate = '{coordinate}'");
        bench.raw(damage).await.unwrap();
        assert_eq!(known().await, [true, false, true], "{change}");
    }
    let names = bench.store.backends().await.unwrap();
    assert_eq!(names, [backend()]);
    let coordinates: Vec<_> = marks.iter().map(|it| it.coordinate.clone()).collect();
    let ours = bench.store.known(&coordinates).await.unwrap();
    assert_eq!(ours.len(), 3);
    let rows = bench
        .store
        .each_row(&backend(), &coordinates)
        .await
        .unwrap();
    assert_eq!(rows[0].as_ref().unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(rows[1].is_ok() && rows[2].is_ok());
}

/// However small the pages, each readable row is listed once, and each other one told.
pub(crate) async fn an_unreadable_row_hides_no_other_from_a_list(bench: Bench) {
    let mut all = Vec::new();
    for number in 1..=5 {
        let places = [("/a", base(number))];
        let written = bench.put(document(number), Expected::Absent, &places).await;
        all.push(written[0].clone());
    }
    all.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    bench
        .raw("DELETE FROM secret_references".to_owned())
        .await
        .unwrap();
    for (at, change) in [
        (1, "digest = 'canary'".to_owned()),
        // In the same place of the order, and at its end.
        (2, format!("coordinate = '{}x'", all[2])),
        (4, "coordinate = 'zzz'".to_owned()),
    ] {
        let statement = format!(
            "UPDATE secrets SET {change} WHERE coordinate = '{}'",
            all[at]
        );
        bench.raw(statement).await.unwrap();
    }
    let readable = vec![all[0].clone(), all[3].clone()];
    let filter = SecretFilter {
        backend: Some(backend()),
        ..SecretFilter::default()
    };
    for limit in [1, 2, 3, 1000] {
        let (mut listed, mut missed, mut told) = (Vec::new(), Vec::new(), Vec::new());
        let mut after = None;
        loop {
            let page = bench
                .store
                .list_secrets(&filter, after, limit)
                .await
                .unwrap();
            listed.extend(page.rows.into_iter().map(|row| row.coordinate));
            told.extend(page.unreadable.into_iter().map(|row| row.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, readable, "by {limit}");
        let names = [all[1].to_string(), format!("{}x", all[2]), "zzz".to_owned()];
        assert_eq!(told.len(), names.len(), "by {limit}: {told:?}");
        for (told, name) in told.iter().zip(names) {
            assert!(told.contains(&format!("coordinate={name}")), "{told}");
            assert!(!told.contains("canary"), "{told}");
        }
        let here = backend();
        let mut after = None;
        let mut unreadable = 0;
        loop {
            let page = bench.store.missed(&here, after.as_ref(), limit);
            let page = page.await.unwrap();
            missed.extend(page.rows.into_iter().map(|row| row.coordinate));
            unreadable += page.unreadable.len();
            after = page.next.map(|(_, coordinate)| coordinate);
            if after.is_none() {
                break;
            }
        }
        assert_eq!((missed, unreadable), (readable.clone(), 3), "by {limit}");
    }
}
