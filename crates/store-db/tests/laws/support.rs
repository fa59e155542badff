//! What the laws stand on: a store with a clock that is set by hand, and short ways to use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cloakroom_core::coordinates::{Coordinate, Grammar, Scope, Version};
use cloakroom_core::ledger::{
    Candidate, Claim, ClaimItem, DeletionOutcome, DueClass, Ledger, LedgerRow, Reason, Settlement,
    Windows,
};
use cloakroom_core::store::{
    CommitOutcome, DocumentCommit, DocumentStore, Expected, Intended, Intent, Journal, Lease,
    NewReference, Receipts as _, RemoveOutcome, Restored, Spec, SpecId,
};
use cloakroom_core::{
    BackendId, Clock, Digest, DocumentId, IntentId, Revision, RunId, Timestamp, ValueKind,
    WorkspaceId,
};
use cloakroom_store_db::{DbStore, Location, Options, Pool, StoreClock};
use uuid::Uuid;

/// What [`intent`] intends.
pub(crate) const INTENT: IntentId = IntentId(Uuid::from_u128(0xA000));

pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// The last millisecond before a time is up.
pub(crate) fn just_before(wait: Duration) -> Duration {
    wait.saturating_sub(Duration::from_millis(1))
}

pub(crate) fn millis(wait: Duration) -> i64 {
    wait.as_millis().try_into().unwrap()
}

/// A clock that stands still until it is moved.
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self(AtomicI64::new(1_700_000_000_000))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::SeqCst);
    }

    pub(crate) fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::SeqCst);
    }

    pub(crate) fn millis(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.millis()).unwrap()
    }
}

/// A fresh, migrated store.
pub(crate) struct Bench {
    pub(crate) store: DbStore,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) options: Options,
}

pub(crate) fn options_at(location: Location, clock: &Arc<ManualClock>) -> Options {
    let mut options = Options::new(location, "laws");
    options.clock = StoreClock::Given(Arc::clone(clock) as Arc<dyn Clock>);
    options.max_connections = 6;
    options
}

pub(crate) fn owner() -> Uuid {
    Uuid::from_u128(0xA11CE)
}

pub(crate) fn backend() -> BackendId {
    "main".parse().unwrap()
}

/// The first version of the `n`th secret.
pub(crate) fn base(n: u128) -> Coordinate {
    base_of(owner(), n)
}

pub(crate) fn base_of(owner: Uuid, n: u128) -> Coordinate {
    Grammar::default().managed(Scope::Workspace, owner, Uuid::from_u128(n), Version::FIRST)
}

pub(crate) fn version(base: &Coordinate, version: i64) -> Coordinate {
    base.with_version(Version::new(version).unwrap()).unwrap()
}

pub(crate) fn document(n: u128) -> DocumentId {
    DocumentId(Uuid::from_u128(n))
}

pub(crate) fn run(n: u128) -> RunId {
    RunId(Uuid::from_u128(0xF000 + n))
}

pub(crate) fn digest() -> Digest {
    format!("0123456789abcdef:{}", "ab".repeat(32))
        .parse()
        .unwrap()
}

pub(crate) fn intent(base: &Coordinate) -> Intent {
    Intent {
        base: base.clone(),
        kind: ValueKind::Text,
        digest: digest(),
        id: INTENT,
        workspace: WorkspaceId(base.owner().unwrap_or(owner())),
    }
}

/// A row that [`intent`] was written down with.
pub(crate) fn intended_in(backend: BackendId, coordinate: &Coordinate) -> Intended {
    Intended {
        backend,
        coordinate: coordinate.clone(),
        intent: INTENT,
    }
}

pub(crate) fn commit_of(
    id: DocumentId,
    expected: Expected,
    references: &[(&str, Coordinate)],
    intended: &[Coordinate],
) -> DocumentCommit {
    DocumentCommit {
        id,
        workspace: WorkspaceId(owner()),
        spec: Spec {
            id: SpecId("spec".into()),
            text: r#"{"type":"object"}"#.into(),
        },
        blob: format!("{{\"references\":{}}}", references.len()),
        expected,
        references: references
            .iter()
            .map(|(pointer, coordinate)| NewReference {
                pointer: (*pointer).to_owned(),
                backend: backend(),
                coordinate: coordinate.clone(),
                array_digest: None,
            })
            .collect(),
        intended: intended
            .iter()
            .map(|coordinate| intended_in(backend(), coordinate))
            .collect(),
    }
}

pub(crate) fn windows() -> Windows {
    Windows::default()
}

impl Bench {
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.options.location, Location::Postgres(_))
    }

    /// Another store over the same database, with connections of its own.
    pub(crate) async fn another(&self) -> DbStore {
        DbStore::open(&self.options).await.unwrap()
    }

    pub(crate) async fn intend(&self, bases: &[Coordinate]) -> Vec<Coordinate> {
        let intents: Vec<Intent> = bases.iter().map(intent).collect();
        self.store
            .intend(&backend(), &intents, 2 * HOUR)
            .await
            .unwrap()
    }

    pub(crate) async fn commit(
        &self,
        id: DocumentId,
        expected: Expected,
        references: &[(&str, Coordinate)],
        intended: &[Coordinate],
    ) -> CommitOutcome {
        self.store
            .commit(&commit_of(id, expected, references, intended))
            .await
            .unwrap()
    }

    /// Intends one secret for each place and commits a document that refers to nothing else.
    pub(crate) async fn put(
        &self,
        id: DocumentId,
        expected: Expected,
        places: &[(&str, Coordinate)],
    ) -> Vec<Coordinate> {
        let bases: Vec<Coordinate> = places.iter().map(|(_, base)| base.clone()).collect();
        let written = self.intend(&bases).await;
        let references: Vec<(&str, Coordinate)> = places
            .iter()
            .zip(&written)
            .map(|((pointer, _), coordinate)| (*pointer, coordinate.clone()))
            .collect();
        let outcome = self.commit(id, expected, &references, &written).await;
        assert!(
            matches!(outcome, CommitOutcome::Committed { .. }),
            "{outcome:?}"
        );
        written
    }

    pub(crate) async fn remove(&self, id: DocumentId) -> Vec<Coordinate> {
        match self.store.remove(id, None).await.unwrap() {
            RemoveOutcome::Removed { unreferenced } => unreferenced,
            other => panic!("{other:?}"),
        }
    }

    /// A secret that lost its only reference now.
    pub(crate) async fn orphan(&self, n: u128) -> Coordinate {
        let written = self
            .put(document(n), Expected::Absent, &[("/a", base(n))])
            .await;
        self.remove(document(n)).await;
        written[0].clone()
    }

    pub(crate) async fn row(&self, coordinate: &Coordinate) -> LedgerRow {
        let rows = self
            .store
            .rows(&backend(), std::slice::from_ref(coordinate))
            .await
            .unwrap();
        rows.into_iter()
            .next()
            .flatten()
            .expect("the ledger has it")
    }

    pub(crate) async fn due(&self, class: DueClass, windows: &Windows) -> Vec<Candidate> {
        self.store
            .due(&backend(), class, windows, None, 1000)
            .await
            .unwrap()
    }

    pub(crate) async fn claim(&self, coordinate: &Coordinate, reason: Reason) -> Claim {
        claim_with(&self.store, coordinate, reason, &windows()).await
    }

    /// Holds what an undo brought back.
    pub(crate) async fn hold(
        &self,
        number: u128,
        restored: &[Restored],
        hold: Duration,
    ) -> Vec<bool> {
        let lease = lease(&self.store).await;
        let held = self
            .store
            .hold(&lease, run(number), &backend(), restored, hold)
            .await;
        held.unwrap()
    }

    pub(crate) async fn settle(&self, coordinate: &Coordinate, outcome: DeletionOutcome) {
        let settlement = settlement(coordinate, Reason::Orphaned, outcome);
        self.store
            .settle(run(1), &backend(), &[settlement])
            .await
            .unwrap();
    }

    /// Executes a statement behind the store's back.
    pub(crate) async fn raw(&self, sql: impl Into<String>) -> Result<u64, sqlx::Error> {
        let sql = sqlx::AssertSqlSafe(sql.into());
        match self.store.pool() {
            Pool::Sqlite { write, .. } => {
                Ok(sqlx::query(sql).execute(&write).await?.rows_affected())
            }
            Pool::Postgres(pool) => Ok(sqlx::query(sql).execute(&pool).await?.rows_affected()),
            _ => unreachable!("there are two kinds of database"),
        }
    }
}

/// The lease that every claim of these laws is made under.
pub(crate) async fn lease(store: &DbStore) -> Lease {
    store
        .acquire_lease("laws", "law", HOUR)
        .await
        .unwrap()
        .unwrap()
}

/// One secret as an undo hands it over.
pub(crate) fn restored(coordinate: &Coordinate) -> Restored {
    Restored {
        coordinate: coordinate.clone(),
        evidence: "brought back".into(),
    }
}

pub(crate) async fn claim_with(
    store: &DbStore,
    coordinate: &Coordinate,
    reason: Reason,
    windows: &Windows,
) -> Claim {
    let item = ClaimItem {
        coordinate: coordinate.clone(),
        reason,
    };
    let lease = lease(store).await;
    let claims = store
        .claim(&lease, &backend(), &[item], windows, Duration::from_mins(1))
        .await
        .unwrap();
    claims.into_iter().next().unwrap()
}

pub(crate) fn settlement(
    coordinate: &Coordinate,
    reason: Reason,
    outcome: DeletionOutcome,
) -> Settlement {
    Settlement {
        coordinate: coordinate.clone(),
        reason,
        evidence: "nothing refers to it".into(),
        outcome,
    }
}

pub(crate) fn failed(pause: Duration, quarantine: bool) -> DeletionOutcome {
    DeletionOutcome::Failed {
        kind: cloakroom_core::ErrorKind::Denied,
        message: "no".into(),
        pause,
        quarantine,
    }
}

pub(crate) const FIRST: Expected = Expected::At(Revision(1));
