//! A plan is data: every candidate with its reason and evidence, and what it rests on.

use cloakroom_core::ledger::{Census, Reason, Windows};
use cloakroom_core::store::{Finding, Job, StoreIdentity};
use cloakroom_core::{BackendId, Coordinate, DocumentId, Error, ErrorKind, Result, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::guard::GuardTrip;

/// The format written here. A plan of another format is refused.
const FORMAT: u32 = 3;

/// What a plan rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanHeader {
    /// The format of the plan.
    pub format: u32,
    /// Which job.
    pub job: Job,
    /// The store it was made from.
    pub store: StoreIdentity,
    /// The backend it is for.
    pub backend: BackendId,
    /// Which manager the backend was.
    pub manager: String,
    /// When it was made, by the store's clock.
    pub made: Timestamp,
    /// The windows in force.
    pub windows: Windows,
    /// The counts the guards rested on.
    pub census: Census,
    /// Secrets the backend listed.
    pub listed: u64,
    /// Guards that would step in.
    pub guards: Vec<GuardTrip>,
    /// Whether more is due than the plan holds.
    pub more: bool,
    /// Secrets handed to deletion before whose recovery window is over: the next whole run removes them
    /// for good, and no plan's application does.
    #[serde(default, skip_serializing_if = "is_none")]
    pub to_purge: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_none(number: &u64) -> bool {
    *number == 0
}

/// One candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanItem {
    /// Which secret.
    pub coordinate: Coordinate,
    /// Why it is to be deleted.
    pub reason: Reason,
    /// Whether a document ever referred to it.
    pub once_referenced: bool,
    /// What the decision rests on, in words; no value.
    pub evidence: String,
}

/// Why a secret that is needed is to be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RescueReason {
    /// It waits for its deletion, and may carry an expiry beside.
    ScheduledForDeletion,
    /// It carries an expiry.
    Expiring,
}

/// One secret to be restored: in use, or held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRescue {
    /// Which secret.
    pub coordinate: Coordinate,
    /// A document that refers to it; none where an undo brought it back, or a move left it, and it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentId>,
    /// Where in that document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What it is to be saved from.
    pub reason: RescueReason,
    /// What the decision rests on, in words; no value.
    pub evidence: String,
}

/// What a plan asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlanContent {
    pub(crate) items: Vec<PlanItem>,
    pub(crate) rescues: Vec<PlanRescue>,
    pub(crate) findings: Vec<Finding>,
}

/// A plan with the hash of its content as its id, so that what is applied is what was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// SHA-256 over all the rest, in hex.
    pub id: String,
    /// What it rests on.
    pub header: PlanHeader,
    /// What a deletion job would delete.
    pub items: Vec<PlanItem>,
    /// What verify-blobs would restore.
    #[serde(default)]
    pub rescues: Vec<PlanRescue>,
    /// What verify-blobs found that nothing but a person can mend; applying the plan does nothing
    /// about it.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

impl Plan {
    pub(crate) fn new(header: PlanHeader, content: PlanContent) -> Result<Self> {
        let mut plan = Self {
            id: String::new(),
            header: PlanHeader {
                format: FORMAT,
                ..header
            },
            items: content.items,
            rescues: content.rescues,
            findings: content.findings,
        };
        plan.id = plan.hash()?;
        Ok(plan)
    }

    /// Whether applying it does nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.rescues.is_empty()
    }

    /// Reads a plan that `plan` printed. `Invalid` where it is not one, is of another format, or
    /// was changed since it was made.
    pub fn read(text: &str) -> Result<Self> {
        let refuse = |message: String| Error::new(ErrorKind::Invalid, "read the plan", message);
        let plan: Self = serde_json::from_str(text).map_err(|error| {
            refuse(format!(
                "it is not a plan (line {}, column {}); make one with `reconciler plan`",
                error.line(),
                error.column()
            ))
        })?;
        plan.is_whole()?;
        Ok(plan)
    }

    /// Whether it is of this format and says what was planned.
    pub(crate) fn is_whole(&self) -> Result<()> {
        let refuse =
            |message: String| Err(Error::new(ErrorKind::Invalid, "read the plan", message));
        if self.header.format != FORMAT {
            return refuse(format!(
                "it has format {} and this program reads {FORMAT}; make a new one",
                self.header.format
            ));
        }
        if self.hash()? != self.id {
            return refuse(
                "its content is not what was planned; make a new one instead of editing it".into(),
            );
        }
        Ok(())
    }

    fn hash(&self) -> Result<String> {
        let content = (&self.header, &self.items, &self.rescues, &self.findings);
        let text = serde_json::to_vec(&content).map_err(|error| {
            Error::new(ErrorKind::Invalid, "hash the plan", "it is not JSON").with_source(error)
        })?;
        Ok(hex::encode(Sha256::digest(text)))
    }
}
