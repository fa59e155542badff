//! Moves: one document's references go to another backend in one transaction, and what they leave is
//! held until the move is over.

use std::time::Duration;

use cloakroom_core::ledger::{DueClass, Ledger as _, LedgerRow, RowState};
use cloakroom_core::store::{
    CommitOutcome, DocumentStore as _, Expected, Journal as _, Lease, MoveRecord, MoveSize,
    MoveState, MovedSecret, Moves as _, NewMove, NewReference, Switch, Way,
};
use cloakroom_core::{BackendId, Coordinate, DocumentId, ErrorKind, MoveId, Revision, WorkspaceId};
use cloakroom_store_db::OpenMoves;
use uuid::Uuid;

use crate::support::*;

const YEAR: Duration = Duration::from_hours(24 * 365);

fn there() -> BackendId {
    "other".parse().unwrap()
}

fn new_move(n: u128, workspaces: &[Uuid]) -> NewMove {
    NewMove {
        id: MoveId(Uuid::from_u128(0xE000 + n)),
        from: backend(),
        to: there(),
        workspaces: workspaces.iter().copied().map(WorkspaceId).collect(),
    }
}

/// A move of everybody's documents, and the lease it is made under.
async fn begun(bench: &Bench) -> (Lease, MoveRecord) {
    let lease = lease(&bench.store).await;
    let record = bench.store.begin_move(&lease, &new_move(1, &[])).await;
    (lease, record.unwrap())
}

/// A document with one secret at `/a`.
async fn written(bench: &Bench, n: u128) -> Coordinate {
    let places = [("/a", base(n))];
    let written = bench.put(document(n), Expected::Absent, &places).await;
    written[0].clone()
}

/// A copy of it, intended and not referred to yet.
async fn copied(bench: &Bench, n: u128) -> Coordinate {
    let intents = [intent(&base(n))];
    let copies = bench.store.intend(&there(), &intents, 2 * HOUR).await;
    copies.unwrap().remove(0)
}

fn reference(backend: BackendId, coordinate: &Coordinate) -> NewReference {
    NewReference {
        pointer: "/a".to_owned(),
        backend,
        coordinate: coordinate.clone(),
        array_digest: None,
    }
}

fn forth(id: MoveId, document: DocumentId, from: &Coordinate, to: &Coordinate) -> Switch {
    Switch {
        id,
        way: Way::Forth,
        document,
        revision: Revision(1),
        blob: "{}".to_owned(),
        references: vec![reference(there(), to)],
        intended: vec![intended_in(there(), to)],
        returned: Vec::new(),
        moved: vec![MovedSecret {
            from: from.clone(),
            to: to.clone(),
        }],
    }
}

async fn copy_of(bench: &Bench, coordinate: &Coordinate) -> LedgerRow {
    let backend = there();
    let rows = bench.store.rows(&backend, std::slice::from_ref(coordinate));
    rows.await.unwrap().remove(0).unwrap()
}

/// Lets go what the move holds of the first document.
async fn let_go(bench: &Bench, lease: &Lease, id: MoveId) -> u64 {
    let documents = [document(1)];
    bench.store.let_go(lease, id, &documents).await.unwrap()
}

fn is_committed(outcome: &CommitOutcome) -> bool {
    matches!(outcome, CommitOutcome::Committed { .. })
}

pub(crate) async fn a_switch_holds_what_it_leaves(bench: Bench) {
    let original = written(&bench, 1).await;
    let copy = copied(&bench, 1).await;
    let (lease, record) = begun(&bench).await;
    let switch = forth(record.id, document(1), &original, &copy);
    let outcome = bench.store.switch(&lease, &switch).await.unwrap();
    let expected = CommitOutcome::Committed {
        revision: Revision(2),
        unreferenced: vec![original.clone()],
    };
    assert_eq!(outcome, expected);
    assert_eq!(bench.row(&original).await.state, RowState::Held);
    let row = copy_of(&bench, &copy).await;
    assert_eq!((row.state, row.expires), (RowState::Stored, None));
    assert!(row.once_referenced && row.unreferenced_since.is_none());
    let one = MoveSize {
        documents: 1,
        references: 1,
    };
    assert_eq!(bench.store.count_moved(record.id).await.unwrap(), one);
    assert_eq!(
        bench
            .store
            .moved_secrets(record.id, document(1))
            .await
            .unwrap(),
        switch.moved
    );

    // However long it takes, nothing makes it due but the end of the move.
    bench.clock.advance(50 * YEAR);
    assert_eq!(bench.due(DueClass::Orphaned, &windows()).await, []);
    let lease = self::lease(&bench.store).await;
    assert_eq!(let_go(&bench, &lease, record.id).await, 1);
    bench.clock.advance(just_before(windows().orphan_ttl));
    assert_eq!(bench.due(DueClass::Orphaned, &windows()).await, []);
    bench.clock.advance(Duration::from_millis(1));
    let due = bench.due(DueClass::Orphaned, &windows()).await;
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].row.coordinate, original);
    let lease = self::lease(&bench.store).await;
    assert_eq!(let_go(&bench, &lease, record.id).await, 0);
}

pub(crate) async fn superseded_versions_below_keep_their_grace(bench: Bench) {
    let first = written(&bench, 1).await;
    let second = bench.put(document(1), FIRST, &[("/a", base(1))]).await;
    let copy = copied(&bench, 1).await;
    let (lease, record) = begun(&bench).await;
    let switch = Switch {
        revision: Revision(2),
        ..forth(record.id, document(1), &second[0], &copy)
    };
    let outcome = bench.store.switch(&lease, &switch).await.unwrap();
    assert!(is_committed(&outcome), "{outcome:?}");
    assert!(bench.row(&first).await.superseded);
    assert_eq!(bench.row(&second[0]).await.state, RowState::Held);
    bench.clock.advance(windows().superseded_grace);
    let due = bench.due(DueClass::Superseded, &windows()).await;
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].row.coordinate, first);
    assert_eq!(bench.due(DueClass::Orphaned, &windows()).await, []);
}

pub(crate) async fn the_way_back_refers_to_what_was_held(bench: Bench) {
    let original = written(&bench, 1).await;
    let copy = copied(&bench, 1).await;
    let (lease, record) = begun(&bench).await;
    let switch = forth(record.id, document(1), &original, &copy);
    bench.store.switch(&lease, &switch).await.unwrap();
    let back = Switch {
        way: Way::Back,
        revision: Revision(2),
        references: vec![reference(backend(), &original)],
        intended: Vec::new(),
        returned: vec![(backend(), original.clone())],
        ..switch
    };
    let outcome = bench.store.switch(&lease, &back).await.unwrap();
    assert!(is_committed(&outcome), "{outcome:?}");
    let row = bench.row(&original).await;
    assert_eq!(row.state, RowState::Stored);
    assert_eq!((row.unreferenced_since, row.superseded), (None, false));
    // The copy is an orphan like any other.
    let row = copy_of(&bench, &copy).await;
    assert_eq!(row.state, RowState::Stored);
    assert!(row.unreferenced_since.is_some());
    // What is not held is not taken back.
    let twice = Switch {
        revision: Revision(3),
        ..back
    };
    let outcome = bench.store.switch(&lease, &twice).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Expired);
    assert_eq!(let_go(&bench, &lease, record.id).await, 0);
}

pub(crate) async fn a_switch_that_lost_leaves_no_trace(bench: Bench) {
    let original = written(&bench, 1).await;
    let copy = copied(&bench, 1).await;
    let (lease, record) = begun(&bench).await;
    let newer = bench.put(document(1), FIRST, &[("/a", base(1))]).await;
    let switch = forth(record.id, document(1), &original, &copy);
    let outcome = bench.store.switch(&lease, &switch).await.unwrap();
    let current = Some(Revision(2));
    assert_eq!(outcome, CommitOutcome::LostRace { current });
    let document = bench.store.document(document(1)).await.unwrap().unwrap();
    assert_eq!(document.references[0].coordinate, newer[0]);
    let row = copy_of(&bench, &copy).await;
    assert_eq!(row.state, RowState::Intended);
    assert!(row.expires.unwrap() <= bench.store.now().await.unwrap());
    assert_eq!(
        bench.store.count_moved(record.id).await.unwrap(),
        MoveSize::default()
    );
}

pub(crate) async fn an_expired_copy_is_not_referred_to(bench: Bench) {
    let original = written(&bench, 1).await;
    let copy = copied(&bench, 1).await;
    bench.clock.advance(2 * HOUR);
    let (lease, record) = begun(&bench).await;
    let switch = forth(record.id, document(1), &original, &copy);
    let outcome = bench.store.switch(&lease, &switch).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Expired);
    assert_eq!(bench.row(&original).await.state, RowState::Stored);
}

pub(crate) async fn nothing_moves_without_the_lease(bench: Bench) {
    let original = written(&bench, 1).await;
    let copy = copied(&bench, 1).await;
    let (lapsed, record) = begun(&bench).await;
    bench.clock.advance(HOUR);
    let taken = bench.store.acquire_lease("laws", "another", HOUR).await;
    assert!(taken.unwrap().is_some());
    let switch = forth(record.id, document(1), &original, &copy);
    let refused = bench.store.switch(&lapsed, &switch).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    let (from, to) = (MoveState::Open, MoveState::Finishing);
    let refused = bench
        .store
        .set_move_state(&lapsed, record.id, from, to)
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    let refused = bench.store.begin_move(&lapsed, &new_move(2, &[])).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    let refused = bench.store.let_go(&lapsed, record.id, &[document(1)]).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(bench.row(&original).await.state, RowState::Stored);
}

pub(crate) async fn one_move_is_under_way(bench: Bench) {
    let store = &bench.store;
    let lease = lease(store).await;
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let begun = store
        .begin_move(&lease, &new_move(1, &[one]))
        .await
        .unwrap();
    let again = store
        .begin_move(&lease, &new_move(2, &[two]))
        .await
        .unwrap();
    assert_eq!(again.id, begun.id);
    assert_eq!(again.workspaces, [WorkspaceId(one), WorkspaceId(two)]);
    let everybody = store.begin_move(&lease, &new_move(3, &[])).await.unwrap();
    assert_eq!(everybody.workspaces, []);
    let open = store.open_moves().await.unwrap();
    assert_eq!((open.number, open.oldest), (1, Some(begun.started)));
    let elsewhere = NewMove {
        to: "third".parse().unwrap(),
        ..new_move(4, &[])
    };
    let refused = store.begin_move(&lease, &elsewhere).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");

    let id = begun.id;
    for (from, to) in [
        (MoveState::Open, MoveState::Finishing),
        (MoveState::Finishing, MoveState::Finished),
    ] {
        assert_eq!(store.open_moves().await.unwrap().number, 1);
        store.set_move_state(&lease, id, from, to).await.unwrap();
        let refused = store.set_move_state(&lease, id, from, to).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    }
    assert_eq!(store.open_moves().await.unwrap(), OpenMoves::default());
    let over = store.move_record(id).await.unwrap().unwrap();
    assert!(over.state.is_over() && over.ended.is_some(), "{over:?}");
    let next = store.begin_move(&lease, &elsewhere).await.unwrap();
    assert_eq!(next.id, elsewhere.id);
    let all: Vec<MoveId> = store
        .moves(10)
        .await
        .unwrap()
        .iter()
        .map(|it| it.id)
        .collect();
    assert_eq!(all, [next.id, id]);
    assert_eq!(store.moves(1).await.unwrap().len(), 1);
}

pub(crate) async fn documents_to_move_come_in_pages(bench: Bench) {
    for n in 0..7 {
        written(&bench, n).await;
    }
    let store = &bench.store;
    let mine = [WorkspaceId(owner())];
    for workspaces in [&[][..], &mine] {
        let mut found = Vec::new();
        loop {
            let after = found.last().copied();
            let page = store
                .documents_to_move(&backend(), workspaces, after, 3)
                .await;
            let page = page.unwrap();
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert_eq!(found, (0..7).map(document).collect::<Vec<_>>());
        let size = store.count_to_move(&backend(), workspaces).await.unwrap();
        assert_eq!((size.documents, size.references), (7, 7));
    }
    let others = [WorkspaceId(Uuid::from_u128(9))];
    let none = store.documents_to_move(&backend(), &others, None, 3).await;
    assert_eq!(none.unwrap(), []);
    let none = store.documents_to_move(&there(), &[], None, 3).await;
    assert_eq!(none.unwrap(), []);
    let size = store.count_to_move(&there(), &[]).await.unwrap();
    assert_eq!(size, MoveSize::default());
}

/// One of the two wins, and the document is wholly what that one wrote.
pub(crate) async fn a_switch_and_an_edit_cross(bench: Bench) {
    let other = bench.another().await;
    let (lease, record) = begun(&bench).await;
    for n in 0..12 {
        let original = written(&bench, n).await;
        let copy = copied(&bench, n).await;
        let newer = bench.intend(&[base(n)]).await;
        let edit = commit_of(document(n), FIRST, &[("/a", newer[0].clone())], &newer);
        let switch = forth(record.id, document(n), &original, &copy);
        let (switched, edited) =
            tokio::join!(bench.store.switch(&lease, &switch), other.commit(&edit));
        let outcomes = [switched.unwrap(), edited.unwrap()];
        let won = outcomes
            .iter()
            .filter(|outcome| is_committed(outcome))
            .count();
        assert_eq!(won, 1, "{outcomes:?}");
        let document = bench.store.document(document(n)).await.unwrap().unwrap();
        let held = &document.references[0];
        let row = bench.row(&original).await;
        if is_committed(&outcomes[0]) {
            assert_eq!((&held.backend, &held.coordinate), (&there(), &copy));
            assert_eq!(row.state, RowState::Held);
        } else {
            assert_eq!((&held.backend, &held.coordinate), (&backend(), &newer[0]));
            assert_eq!((row.state, row.superseded), (RowState::Stored, true));
        }
    }
    other.close().await;
}
