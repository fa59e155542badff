//! What one step of a platform's move did, found and left.

use std::collections::BTreeMap;

use cloakroom_core::platform::{Obstacle, PlatformMove, PlatformTarget};
use cloakroom_core::store::MoveState;
use cloakroom_core::{BackendId, Error, ErrorKind, MoveId, Timestamp, WorkspaceId};
use serde::Serialize;

use super::super::PlatformReport;

/// What was asked of a platform's move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlatformMoveStep {
    /// Copy what is not there yet.
    Copy,
    /// Remove what the move wrote.
    Reverse,
    /// Compare once more, and remove the old copies.
    Finish,
}

/// Something that stands in the way of one secret. No value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlatformMoveIssue {
    /// Its name.
    pub name: String,
    /// What kind of answer it was.
    pub kind: ErrorKind,
    /// What happened and what to do.
    pub message: String,
}

/// Issues that a report holds; what is more is counted.
const MOST_ISSUES: usize = 1_000;

/// What one step did, found and left. Names only, never a value.
#[derive(Clone, Debug, Serialize)]
pub struct PlatformMoveReport {
    /// Which move; `None` for a dry run before any.
    pub id: Option<MoveId>,
    /// What was asked.
    pub step: PlatformMoveStep,
    /// The name the platform has in the configuration.
    pub platform: String,
    /// Out of which manager the move leads.
    pub from: BackendId,
    /// Into which.
    pub to: BackendId,
    /// Whose secrets; none means everybody's.
    pub owners: Vec<WorkspaceId>,
    /// Whether it only looked.
    pub dry_run: bool,
    /// Where the move stands now; `None` for a dry run before any.
    pub state: Option<MoveState>,
    /// Secrets that the old manager lists, whosever.
    pub listed: u64,
    /// Those of them that the platform needs.
    pub needed: u64,
    /// Secrets that were written, read back and found equal; in a dry run, that would be written.
    pub copied: u64,
    /// Needed secrets that the new manager has already, as it had them when they were compared.
    pub already_there: u64,
    /// Secrets handed to deletion: the old ones when it is finished, the new ones when it is taken back;
    /// in a dry run, that would be.
    pub removed: u64,
    /// Secrets that were to be removed and were gone before.
    pub gone: u64,
    /// Secrets that the manager could not give back, so that they wait out the backup horizon before they
    /// are removed for good: run the same command again then.
    pub put_off: u64,
    /// When the last of them has waited.
    pub put_off_until: Option<Timestamp>,
    /// Secrets that stay, though the move is over for them: a user made them, they are in use under a
    /// name without a version, or they were there before the move.
    pub left_alone: u64,
    /// Old copies that stay, though the move is over for them, since another installation of the platform
    /// may need them: their owner is not in this database, or another platform of this configuration
    /// mentions them.
    pub left_to_others: u64,
    /// Secrets that other storages of the platform read in the old manager. A copy leaves out what they alone
    /// read; a finish removes none of those that have a copy.
    pub of_other_storages: u64,
    /// Names that the database mentions and neither manager has. They were gone before.
    pub dangling: u64,
    /// Names that the database mentions and only the new manager has: the platform writes there already.
    pub only_new: u64,
    /// What in the old manager was changed or written since it was last compared: run the move again.
    pub changed: u64,
    /// Secrets that stand as before, by what was in the way.
    pub failed: BTreeMap<&'static str, u64>,
    /// What was in the way of single secrets, the first thousand.
    pub issues: Vec<PlatformMoveIssue>,
    /// Why not everything could be seen, if it could not.
    pub obstacles: Vec<Obstacle>,
    /// Whether it was told to stop before the end.
    pub cut_short: bool,
}

impl PlatformMoveReport {
    pub(super) fn new(
        step: PlatformMoveStep,
        from: &PlatformTarget,
        to: &BackendId,
        dry_run: bool,
    ) -> Self {
        Self {
            id: None,
            step,
            platform: from.platform.clone(),
            from: from.backend.clone(),
            to: to.clone(),
            owners: Vec::new(),
            dry_run,
            state: None,
            listed: 0,
            needed: 0,
            copied: 0,
            already_there: 0,
            removed: 0,
            gone: 0,
            put_off: 0,
            put_off_until: None,
            left_alone: 0,
            left_to_others: 0,
            of_other_storages: 0,
            dangling: 0,
            only_new: 0,
            changed: 0,
            failed: BTreeMap::new(),
            issues: Vec::new(),
            obstacles: Vec::new(),
            cut_short: false,
        }
    }

    /// How many secrets stand as before since something was in the way.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Whether the step did all it was to do. After a copy that means: the new manager has what the
    /// platform needs.
    pub fn is_complete(&self) -> bool {
        !self.cut_short
            && self.obstacles.is_empty()
            && self.failures() == 0
            && self.changed == 0
            && self.put_off == 0
    }

    pub(super) fn put_off(&mut self, until: Timestamp) {
        self.put_off += 1;
        self.put_off_until = self.put_off_until.max(Some(until));
    }

    pub(super) fn stands(&mut self, record: &PlatformMove) {
        self.id = Some(record.id);
        self.owners.clone_from(&record.owners);
        self.state = Some(record.state);
    }

    /// A dry run of a move that is under way.
    pub(super) fn goes_on_with(&mut self, record: &PlatformMove) {
        let asked = std::mem::take(&mut self.owners);
        self.stands(record);
        let everybody = asked.is_empty() || record.owners.is_empty();
        if everybody {
            self.owners.clear();
        } else {
            self.owners.extend(asked);
            self.owners.sort_unstable();
            self.owners.dedup();
        }
    }

    pub(super) fn saw(&mut self, seen: &PlatformReport) {
        self.listed = seen.listed;
        self.obstacles.clone_from(&seen.obstacles);
    }

    pub(super) fn take_error(&mut self, name: &str, error: &Error) {
        self.take_issue(name, error.kind(), error.to_string());
    }

    pub(super) fn take_issue(&mut self, name: &str, kind: ErrorKind, message: String) {
        *self.failed.entry(kind.as_str()).or_default() += 1;
        if self.issues.len() < MOST_ISSUES {
            self.issues.push(PlatformMoveIssue {
                name: name.to_owned(),
                kind,
                message,
            });
        }
    }
}
