//! What the database holds, as plain data: a snapshot is a clone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloakroom_core::ledger::{LedgerRow, Reason, RowState};
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::{
    Epoch, Finding, Home, NewReference, NewRun, Receipt, RunOutcome, SpecId, StoreIdentity,
};
use cloakroom_core::{
    BackendId, Coordinate, Digest, DocumentId, Error, ErrorKind, IntentId, Revision, RunId,
    StoreId, Timestamp, Version, WorkspaceId,
};

use crate::happening::Key;
use crate::stage::moment;

/// A clock that is farther behind than this is believed.
const FARTHEST_BEHIND: i64 = 31 * 24 * 3_600_000;
/// How far the latest time known may lag.
const LAG: i64 = 1_000;

/// All of a database.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) identity: StoreIdentity,
    /// The latest time that something was written at.
    latest: i64,
    pub(crate) documents: BTreeMap<DocumentId, Document>,
    pub(crate) specs: BTreeMap<SpecId, String>,
    pub(crate) rows: BTreeMap<Key, Row>,
    /// Rows that a deliberate bug keeps back until their writer commits.
    pub(super) kept_back: BTreeMap<Key, Row>,
    pub(crate) runs: BTreeMap<RunId, Run>,
    pub(super) leases: BTreeMap<String, Standing>,
    pub(super) epochs: BTreeMap<BackendId, Epoch>,
    /// Where the database was made, and where it was when each epoch was raised.
    pub(super) home: Home,
    pub(super) homes: BTreeMap<BackendId, Home>,
    /// Which manager each backend's name means.
    pub(super) managers: BTreeMap<BackendId, String>,
    pub(crate) receipts: Vec<Receipt>,
}

/// A document.
#[derive(Clone)]
pub(crate) struct Document {
    pub(crate) workspace: WorkspaceId,
    pub(crate) revision: Revision,
    pub(crate) spec: SpecId,
    pub(crate) blob: String,
    pub(crate) updated: i64,
    /// By place.
    pub(crate) references: BTreeMap<String, NewReference>,
}

/// A row of the ledger.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) ledger: LedgerRow,
    /// The workspace it counts to, where that is known.
    pub(super) owner: Option<WorkspaceId>,
    pub(super) quarantined: Option<i64>,
    /// When each run that claimed it last did: one that slept settles what it claimed itself.
    pub(super) claimed: BTreeMap<usize, i64>,
}

/// A run.
#[derive(Clone)]
pub(crate) struct Run {
    pub(super) new: NewRun,
    pub(super) started: i64,
    /// The order in which it was written down.
    pub(super) seq: usize,
    pub(super) finished: Option<(i64, RunOutcome)>,
    pub(crate) report: serde_json::Value,
    pub(crate) findings: Vec<Finding>,
}

/// A lease; one that was given back has no holder.
#[derive(Clone)]
pub(super) struct Standing {
    pub(super) holder: Option<String>,
    pub(super) token: i64,
    pub(super) acquired: i64,
    pub(super) expires: i64,
}

impl Standing {
    pub(super) fn stands(&self, now: i64) -> bool {
        let lasts = self.expires.saturating_sub(self.acquired);
        let jumped = self.acquired.saturating_sub(now) > lasts;
        self.holder.is_some() && now < self.expires && !jumped
    }
}

impl State {
    pub(super) fn new(store: StoreId, deployment: &str, home: Home) -> Self {
        Self {
            identity: StoreIdentity {
                store,
                deployment: deployment.to_owned(),
                epoch: 0,
            },
            latest: 0,
            documents: BTreeMap::new(),
            specs: BTreeMap::new(),
            rows: BTreeMap::new(),
            kept_back: BTreeMap::new(),
            runs: BTreeMap::new(),
            leases: BTreeMap::new(),
            epochs: BTreeMap::new(),
            home,
            homes: BTreeMap::new(),
            managers: BTreeMap::new(),
            receipts: Vec::new(),
        }
    }

    /// `now`, or the latest moment written where the clock has fallen behind that.
    pub(super) fn lasting(&mut self, now: i64) -> i64 {
        let ahead = self.latest - now;
        let believed = ahead <= FARTHEST_BEHIND;
        let lasting = if believed { now.max(self.latest) } else { now };
        if ahead <= -LAG || !believed {
            self.latest = now;
        }
        lasting
    }

    /// Where the database was for this backend.
    pub(super) fn known_home(&self, backend: &BackendId) -> Home {
        self.homes.get(backend).unwrap_or(&self.home).clone()
    }

    pub(crate) fn is_referenced(&self, key: &Key) -> bool {
        let refers =
            |reference: &NewReference| reference.backend == key.0 && reference.coordinate == key.1;
        self.documents
            .values()
            .any(|document| document.references.values().any(refers))
    }

    /// The rows of one coordinate under other backends' names.
    fn of_others<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = (&'a Key, &'a LedgerRow)> {
        let rows = self.rows.iter().map(|(key, row)| (key, &row.ledger));
        rows.filter(|(other, _)| other.0 != key.0 && other.1 == key.1)
    }

    /// The other backend under whose name the ledger has this very secret.
    pub(super) fn known_elsewhere(
        &self,
        key: &Key,
        digest: &Digest,
        intent: Option<IntentId>,
    ) -> Option<BackendId> {
        let mut known = self.of_others(key).filter(|(other, row)| {
            let counts = row.state != RowState::Deleted || self.is_referenced(other);
            counts && row.intent == intent && (intent.is_some() || row.digest == *digest)
        });
        known.next().map(|(other, _)| other.0.clone())
    }

    /// Whether a document refers to this very secret under another backend's name.
    pub(super) fn is_referenced_elsewhere(&self, key: &Key) -> bool {
        let intent = self.rows.get(key).and_then(|row| row.ledger.intent);
        intent.is_some()
            && self.of_others(key).any(|(other, row)| {
                row.intent == intent && row.state != RowState::Deleted && self.is_referenced(other)
            })
    }

    pub(super) fn any_reference(&self, backend: &BackendId) -> bool {
        self.documents.values().any(|document| {
            let mut references = document.references.values();
            references.any(|reference| reference.backend == *backend)
        })
    }

    /// The rows of the base of `key`.
    pub(super) fn of_base(&self, key: &Key) -> impl Iterator<Item = (&Key, &Row)> {
        let first = key.1.with_version(Version::FIRST);
        let from = (key.0.clone(), first.unwrap_or_else(|_| key.1.clone()));
        let base = key.1.base().to_owned();
        self.rows
            .range(from..)
            .take_while(move |(other, _)| other.0 == key.0 && other.1.base() == base)
    }

    pub(super) fn highest_referenced(&self, key: &Key) -> Option<Coordinate> {
        self.of_base(key)
            .filter(|(other, row)| {
                row.ledger.state != RowState::Deleted && self.is_referenced(other)
            })
            .map(|(other, _)| other.1.clone())
            .last()
    }

    /// What a writer needs of the living rows of the bases of `keys`, as they are now.
    pub(super) fn living<'a>(&self, keys: impl Iterator<Item = &'a Key>) -> BTreeMap<Key, Row> {
        let mut living = BTreeMap::new();
        for key in keys {
            for (other, row) in self.of_base(key) {
                if row.ledger.state != RowState::Deleted {
                    living.insert(other.clone(), row.clone());
                }
            }
        }
        living
    }

    /// Dates what lost its last reference, and says of every unreferenced row whether a higher
    /// version took its place. `living` is as it was before the transaction wrote.
    pub(super) fn settle_references(
        &mut self,
        living: &BTreeMap<Key, Row>,
        dropped: &BTreeSet<Key>,
        now: i64,
    ) -> Vec<Coordinate> {
        let lost: BTreeSet<Key> = dropped
            .iter()
            .filter(|key| !self.is_referenced(key) && living.contains_key(*key))
            .cloned()
            .collect();
        for key in &lost {
            if let Some(row) = self.rows.get_mut(key) {
                row.ledger.unreferenced_since = Some(moment(now));
                row.ledger.superseded = false;
            }
        }
        for (key, before) in living {
            let settled = matches!(before.ledger.state, RowState::Stored | RowState::Held);
            let unreferenced = lost.contains(key) || before.ledger.unreferenced_since.is_some();
            if settled && unreferenced {
                let highest = self.highest_referenced(key);
                let superseded = highest.is_some_and(|it| it.version() > key.1.version())
                    && !mutant::on(Mutant::SupersededUnmarked);
                if let Some(row) = self.rows.get_mut(key) {
                    row.ledger.superseded = superseded;
                }
            }
        }
        lost.into_iter().map(|(_, coordinate)| coordinate).collect()
    }

    /// Adds a receipt behind the end of the chain.
    pub(super) fn append(&mut self, mut receipt: Receipt) {
        receipt.seq = i64::try_from(self.receipts.len() + 1).unwrap_or(i64::MAX);
        receipt.previous_hash = match self.receipts.last() {
            Some(last) => last.hash.clone(),
            None => "0".repeat(64),
        };
        let run = self.runs.get(&receipt.run);
        receipt.plan = run.and_then(|run| run.new.plan.clone());
        receipt.hash = receipt.expected_hash();
        self.receipts.push(receipt);
    }

    pub(super) fn blank_receipt(run: RunId, key: &Key, now: i64) -> Receipt {
        Receipt {
            seq: 0,
            run,
            backend: key.0.clone(),
            coordinate: (&key.1).into(),
            reason: String::new(),
            evidence: String::new(),
            outcome: String::new(),
            detail: None,
            plan: None,
            at: moment(now),
            previous_hash: String::new(),
            hash: String::new(),
        }
    }
}

/// Why a row goes, read off the row itself.
pub(super) fn reason_of(row: &LedgerRow) -> Reason {
    let once = row.once_referenced || row.unreferenced_since.is_some();
    match (once, row.superseded) {
        (true, true) => Reason::Superseded,
        (true, false) => Reason::Orphaned,
        (false, _) if row.coordinate.is_ephemeral() => Reason::Ephemeral,
        (false, _) => Reason::Abandoned,
    }
}

/// The milliseconds of a wait, rounded up.
pub(crate) fn length(wait: Duration) -> i64 {
    i64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

/// Whether `time` is at least `wait` before `now`.
pub(crate) fn past(time: Option<Timestamp>, now: i64, wait: Duration) -> bool {
    time.is_some_and(|time| time.as_millisecond() <= now.saturating_sub(length(wait)))
}

pub(super) fn refusal(kind: ErrorKind, operation: &'static str, message: &'static str) -> Error {
    Error::new(kind, operation, message)
}
