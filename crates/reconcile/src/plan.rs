//! A plan is data: every candidate with its reason and evidence, and what it rests on.

use cloakroom_core::ledger::{Census, Reason, Windows};
use cloakroom_core::store::{Job, StoreIdentity};
use cloakroom_core::{BackendId, Coordinate, Error, ErrorKind, Result, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::guard::GuardTrip;

/// The format written here. A plan of another format is refused.
const FORMAT: u32 = 1;

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

/// A plan with the hash of its content as its id, so that what is applied is what was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// SHA-256 over header and items, in hex.
    pub id: String,
    /// What it rests on.
    pub header: PlanHeader,
    /// The candidates.
    pub items: Vec<PlanItem>,
}

impl Plan {
    pub(crate) fn new(header: PlanHeader, items: Vec<PlanItem>) -> Result<Self> {
        let header = PlanHeader {
            format: FORMAT,
            ..header
        };
        Ok(Self {
            id: hash(&header, &items)?,
            header,
            items,
        })
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
        if hash(&self.header, &self.items)? != self.id {
            return refuse(
                "its content is not what was planned; make a new one instead of editing it".into(),
            );
        }
        Ok(())
    }
}

fn hash(header: &PlanHeader, items: &[PlanItem]) -> Result<String> {
    let text = serde_json::to_vec(&(header, items)).map_err(|error| {
        Error::new(ErrorKind::Invalid, "hash the plan", "it is not JSON").with_source(error)
    })?;
    Ok(hex::encode(Sha256::digest(text)))
}
