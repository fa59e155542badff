//! What a move did, found and left.

use std::collections::BTreeMap;

use cloakroom_core::store::{MoveSize, MoveState};
use cloakroom_core::{BackendId, Coordinate, DocumentId, Error, ErrorKind, MoveId, WorkspaceId};
use serde::Serialize;

use super::MoveOrder;

/// What was asked of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveStep {
    /// Copy secrets and let documents refer to the copies.
    Copy,
    /// Take documents back to where they were.
    Reverse,
    /// Let the old copies go.
    Finish,
}

/// Something that stands in the way of one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MoveIssue {
    /// Which document; it stands as before.
    pub document: DocumentId,
    /// About which of its secrets, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordinate: Option<Coordinate>,
    /// What kind of answer it was.
    pub kind: ErrorKind,
    /// What happened and what to do.
    pub message: String,
}

impl MoveIssue {
    pub(super) fn of(document: DocumentId, error: &Error) -> Self {
        Self {
            document,
            coordinate: None,
            kind: error.kind(),
            message: error.to_string(),
        }
    }
}

/// Issues that a report holds; what is more is counted.
const MOST_ISSUES: usize = 1_000;

/// What one step of a move did, found and left.
#[derive(Clone, Debug, Serialize)]
pub struct MoveReport {
    /// Which move; `None` for a dry run before any.
    pub id: Option<MoveId>,
    /// What was asked.
    pub step: MoveStep,
    /// Out of which backend the move leads.
    pub from: BackendId,
    /// Into which.
    pub to: BackendId,
    /// Whose documents; none means everybody's.
    pub workspaces: Vec<WorkspaceId>,
    /// Whether it only looked.
    pub dry_run: bool,
    /// Where the move stands now; `None` for a dry run before any.
    pub state: Option<MoveState>,
    /// Documents whose references were switched; in a dry run, that would be.
    pub documents: u64,
    /// Secrets that were written anew; in a dry run, that would be.
    pub copied: u64,
    /// Values that were read and are what was stored: copies before documents refer to them, and in a
    /// dry run the originals.
    pub verified: u64,
    /// Old copies that documents refer to again, each read and found to be what was stored.
    pub returned: u64,
    /// Secrets that earlier runs of this move had taken along.
    pub already_there: u64,
    /// Old copies that were let go: the jobs delete them recoverably in their time.
    pub released: u64,
    /// Values that are not what was stored, here or there. Their documents stand as before.
    pub differing: u64,
    /// Documents that stand as before, by what was in the way.
    pub failed: BTreeMap<ErrorKindWord, u64>,
    /// What still is to be moved.
    pub left: MoveSize,
    /// What was in the way, the first thousand.
    pub issues: Vec<MoveIssue>,
    /// Whether it was told to stop before the end.
    pub cut_short: bool,
}

/// An error kind by its word, so that it can be a key.
type ErrorKindWord = &'static str;

impl MoveReport {
    pub(super) fn new(step: MoveStep, order: &MoveOrder, dry_run: bool) -> Self {
        Self {
            id: None,
            step,
            from: order.from.clone(),
            to: order.to.clone(),
            workspaces: order.workspaces.clone(),
            dry_run,
            state: None,
            documents: 0,
            copied: 0,
            verified: 0,
            returned: 0,
            already_there: 0,
            released: 0,
            differing: 0,
            failed: BTreeMap::new(),
            left: MoveSize::default(),
            issues: Vec::new(),
            cut_short: false,
        }
    }

    /// How many documents stand as before since something was in the way.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Whether the step did all it was to do.
    pub fn is_complete(&self) -> bool {
        // A copy that only looked leaves everything.
        let looked = self.dry_run && self.step == MoveStep::Copy;
        let stays = self.left != MoveSize::default() && !looked;
        !self.cut_short && self.failures() == 0 && !stays
    }

    /// A document stands as before: what was in the way counts once, however many of its secrets it
    /// is about.
    pub(super) fn take_failure(&mut self, issues: Vec<MoveIssue>) {
        if let Some(first) = issues.first() {
            *self.failed.entry(first.kind.as_str()).or_default() += 1;
        }
        let room = MOST_ISSUES.saturating_sub(self.issues.len());
        self.issues.extend(issues.into_iter().take(room));
    }
}
