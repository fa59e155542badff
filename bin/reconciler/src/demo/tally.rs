//! What the scenario planted, counted while it did, so that the outcome can be held against it.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom_core::ledger::{LedgerRow, Windows};
use cloakroom_core::store::FindingKind;
use cloakroom_core::{Capabilities, Coordinate, DocumentId, Timestamp, WorkspaceId};
use cloakroom_documents::{Change, ChangeKind};
use serde::Serialize;

use super::shares::Shares;

/// Numbers of what was made, and the few damaged things by name.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Tally {
    /// Documents made.
    pub(crate) documents: u64,
    /// Documents saved again, whatever changed.
    pub(crate) saved_again: u64,
    /// Documents removed.
    pub(crate) removed: u64,
    /// Checks and discovers.
    pub(crate) checks: u64,
    /// Writers that died.
    pub(crate) died: u64,
    /// References that documents hold.
    pub(crate) references: u64,
    /// Rows of writers that died and are past saving.
    pub(crate) abandoned: u64,
    /// Rows of writers that died a moment ago.
    pub(crate) abandoned_lately: u64,
    /// Secrets of old checks and discovers.
    pub(crate) ephemeral: u64,
    /// Secrets of checks and discovers still going on.
    pub(crate) ephemeral_lately: u64,
    /// Secrets nothing refers to any more, past their grace.
    pub(crate) unreferenced: u64,
    /// Secrets nothing refers to any more, within their grace.
    pub(crate) unreferenced_lately: u64,
    /// Secrets that landed after their row was deleted.
    pub(crate) late: u64,
    /// What was damaged.
    pub(crate) damage: Vec<Damaged>,
    /// What is due of what was once referenced, by workspace.
    #[serde(skip)]
    pub(crate) shares: Shares,
}

/// One thing damaged on purpose, and how verify-blobs is to call it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Damaged {
    /// What was done to it, in words.
    pub(crate) what: &'static str,
    /// In which document.
    pub(crate) document: DocumentId,
    /// The secret that is no longer there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<Coordinate>,
    /// What is to be found.
    pub(crate) findings: BTreeSet<FindingKind>,
}

/// When what was planted falls due: the end of the scenario, and how long things are left alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// The end of the scenario.
    pub(crate) now: Timestamp,
    windows: Windows,
    expiry: Duration,
}

impl Deadline {
    /// Deadlines under `windows`, for a backend whose recovery covers the backup horizon only in
    /// part or not at all.
    pub(crate) fn new(
        now: Timestamp,
        windows: Windows,
        horizon: Duration,
        capabilities: &Capabilities,
        expiry: Duration,
    ) -> Self {
        let covered = capabilities
            .recovery
            .map(|recovery| recovery.longest)
            .unwrap_or_default();
        let wait = horizon.saturating_sub(covered);
        let windows = Windows {
            orphan_ttl: windows.orphan_ttl.max(wait),
            superseded_grace: windows.superseded_grace.max(wait),
            ..windows
        };
        Self {
            now,
            windows,
            expiry,
        }
    }

    /// Whether what was intended at `at` and never referenced is due.
    pub(crate) fn expired(&self, at: Timestamp) -> bool {
        self.passed(at, self.expiry + self.windows.put_deadline)
    }

    /// Whether what lost its last reference is past its grace.
    pub(crate) fn lost_long_ago(&self, row: &LedgerRow) -> bool {
        row.unreferenced_since
            .is_some_and(|since| self.passed(since, self.grace(row.superseded)))
    }

    /// Whether what loses its last reference at `at` can be past its grace in the end.
    pub(crate) fn may_be_due(&self, at: Timestamp) -> bool {
        [true, false]
            .iter()
            .any(|superseded| self.passed(at, self.grace(*superseded)))
    }

    fn grace(&self, superseded: bool) -> Duration {
        if superseded {
            self.windows.superseded_grace
        } else {
            self.windows.orphan_ttl
        }
    }

    fn passed(&self, at: Timestamp, window: Duration) -> bool {
        self.now.duration_since(at).unsigned_abs() >= window
    }
}

impl Tally {
    /// Counts what one put at `at` did to the references of a workspace.
    pub(crate) fn changed(
        &mut self,
        changes: &[Change],
        workspace: WorkspaceId,
        at: Timestamp,
        deadline: &Deadline,
    ) {
        let raised: BTreeSet<&str> = changes
            .iter()
            .filter(|change| change.change == ChangeKind::Raised)
            .filter_map(|change| base(&change.coordinate))
            .collect();
        for change in changes {
            match change.change {
                ChangeKind::New | ChangeKind::Raised => {
                    self.references += 1;
                    self.shares.made(workspace);
                }
                ChangeKind::Unreferenced => {
                    self.references -= 1;
                    let superseded =
                        base(&change.coordinate).is_some_and(|base| raised.contains(base));
                    self.lost(superseded, workspace, at, deadline);
                }
                ChangeKind::Kept | ChangeKind::External => {}
            }
        }
    }

    /// Counts a document's last references lost at `at`.
    pub(crate) fn removed(
        &mut self,
        unreferenced: usize,
        workspace: WorkspaceId,
        at: Timestamp,
        deadline: &Deadline,
    ) {
        self.removed += 1;
        for _ in 0..unreferenced {
            self.references -= 1;
            self.lost(false, workspace, at, deadline);
        }
    }

    /// Counts the rows of a writer that died at `at`.
    pub(crate) fn died(&mut self, rows: u64, at: Timestamp, deadline: &Deadline) {
        self.died += 1;
        *(if deadline.expired(at) {
            &mut self.abandoned
        } else {
            &mut self.abandoned_lately
        }) += rows;
    }

    /// Counts the secrets of a check or discover at `at`.
    pub(crate) fn checked(&mut self, secrets: u64, at: Timestamp, deadline: &Deadline) {
        self.checks += 1;
        *(if deadline.expired(at) {
            &mut self.ephemeral
        } else {
            &mut self.ephemeral_lately
        }) += secrets;
    }

    fn lost(
        &mut self,
        superseded: bool,
        workspace: WorkspaceId,
        at: Timestamp,
        deadline: &Deadline,
    ) {
        if deadline.passed(at, deadline.grace(superseded)) {
            self.unreferenced += 1;
            self.shares.due(workspace, superseded);
        } else {
            self.unreferenced_lately += 1;
        }
    }
}

/// A coordinate's text without its version.
fn base(coordinate: &str) -> Option<&str> {
    coordinate.rsplit_once("_v").map(|(base, _)| base)
}
