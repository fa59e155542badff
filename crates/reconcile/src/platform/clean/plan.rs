//! The plan that an operator reads before a platform may be cleaned.

use std::collections::BTreeMap;

use cloakroom_core::platform::{Obstacle, PlatformScope, Standing};
use cloakroom_core::{DeleteMode, Error, ErrorKind, Result, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::ruling::Ruling;
use super::super::standing::last_changed;
use super::super::{Cost, Judged, NextRun, Pass, StandingCount};
use super::PlatformCleaner;
use super::report::CleanGuardTrip;
use super::share::Census;

/// The format written here.
const FORMAT: u32 = 1;

const CONFIRMS: &str = "no copy of this database is used with this manager, and this is none itself: no \
                        clone for staging or tests, no restored backup beside the original. What the \
                        other side made since the copy looks unused here and is deleted, though it is in \
                        use there";

/// What a plan rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlatformPlanHeader {
    /// The format of the plan.
    pub format: u32,
    /// The name the platform has in the configuration.
    pub platform: String,
    /// Which platform that is: `airbyte`, `openmetadata`.
    pub kind: String,
    /// What it is for.
    pub scope: PlatformScope,
    /// Where the database is.
    pub place: String,
    /// When it was made, by the store's clock.
    pub made: Timestamp,
    /// Secrets the manager lists, whosever.
    pub listed: u64,
    /// Listed secrets by standing.
    pub secrets: BTreeMap<Standing, StandingCount>,
    /// What could go now, and what has to wait.
    pub next: NextRun,
    /// Dollars a month.
    pub cost: Cost,
    /// Why nothing may be deleted; empty where everything was seen.
    pub obstacles: Vec<Obstacle>,
    /// Guards that would step in besides.
    pub guards: Vec<CleanGuardTrip>,
    /// Whether there is more than the plan holds.
    pub more: bool,
    /// What whoever confirms it says, since no program can see it.
    #[serde(default)]
    pub confirms: String,
}

/// What is planned for a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedFate {
    /// Deleted so that it can be brought back for the backup horizon.
    Recoverably,
    /// Deleted for good.
    Finally,
    /// Another sighting comes first.
    SecondSighting,
    /// It was changed too lately, or at a time that is not known.
    WithinGrace,
    /// It waits out the backup horizon first, and is deleted for good then.
    PutOff,
    /// It waits for its deletion already.
    Waiting,
    /// It is never deleted by a run.
    Left,
}

impl PlannedFate {
    /// The fate as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recoverably => "recoverably",
            Self::Finally => "finally",
            Self::SecondSighting => "second_sighting",
            Self::WithinGrace => "within_grace",
            Self::PutOff => "put_off",
            Self::Waiting => "waiting",
            Self::Left => "left",
        }
    }
}

/// One unused secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformPlanItem {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// What is planned for it.
    pub fate: PlannedFate,
    /// Until when it waits, where that is known.
    pub until: Option<Timestamp>,
    /// When it was last changed, by the manager's clock.
    pub changed: Option<Timestamp>,
    /// Since when every pass has found it unused.
    pub unused_since: Option<Timestamp>,
}

/// A plan with the hash of its content as its id, so that what is confirmed is what was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlatformPlan {
    /// SHA-256 over all the rest, in hex.
    pub id: String,
    /// What it rests on.
    pub header: PlatformPlanHeader,
    /// Unused secrets, in the order of their names.
    pub items: Vec<PlatformPlanItem>,
}

impl PlatformPlan {
    fn new(header: PlatformPlanHeader, items: Vec<PlatformPlanItem>) -> Result<Self> {
        let text = serde_json::to_vec(&(&header, &items)).map_err(|error| {
            Error::new(ErrorKind::Invalid, "hash the plan", "it is not JSON").with_source(error)
        })?;
        Ok(Self {
            id: hex::encode(Sha256::digest(text)),
            header,
            items,
        })
    }

    /// Whether everything was seen that could keep a secret: only then can it be confirmed.
    pub fn is_complete(&self) -> bool {
        self.header.obstacles.is_empty()
    }
}

impl PlatformCleaner {
    pub(super) async fn draw_up(&self, pass: &Pass<'_>, limit: usize) -> Result<PlatformPlan> {
        let seen = pass.work().await?;
        let mut items = Vec::new();
        let mut more = false;
        let mut census = Census::default();
        let mut after: Option<String> = None;
        loop {
            let page = pass.page(after.as_deref(), seen.started).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name().to_owned());
            for judged in page {
                let ruling = pass.ruling(&judged, seen.started);
                census.add(pass, &judged, matches!(ruling, Some(Ruling::Due(_))));
                let Some(ruling) = ruling else { continue };
                more |= items.len() == limit;
                if items.len() < limit {
                    items.push(item(judged, ruling));
                }
            }
        }
        let header = PlatformPlanHeader {
            format: FORMAT,
            platform: seen.platform,
            scope: self.reader.scope(&seen.database).await?,
            kind: seen.database.platform,
            place: seen.database.place,
            made: seen.started,
            listed: seen.listed,
            secrets: seen.secrets,
            next: seen.next,
            cost: seen.cost,
            obstacles: seen.obstacles,
            guards: census.trip(&self.settings, false).into_iter().collect(),
            more,
            confirms: CONFIRMS.to_owned(),
        };
        PlatformPlan::new(header, items)
    }
}

impl Pass<'_> {
    /// What to do with a secret; `None` where it is in use or not the platform's.
    pub(super) fn ruling(&self, judged: &Judged, started: Timestamp) -> Option<Ruling> {
        let standing = judged.standing;
        let ruling = || self.rules.ruling(standing, &judged.evidence, started);
        standing.is_unused().then(ruling)
    }
}

fn item(judged: Judged, ruling: Ruling) -> PlatformPlanItem {
    let (fate, until) = match ruling {
        Ruling::Due(DeleteMode::Recoverable(_)) => (PlannedFate::Recoverably, None),
        Ruling::Due(DeleteMode::Final) => (PlannedFate::Finally, None),
        Ruling::SecondSighting => (PlannedFate::SecondSighting, None),
        Ruling::WithinGrace => (PlannedFate::WithinGrace, None),
        Ruling::PutOff(until) => (PlannedFate::PutOff, Some(until)),
        Ruling::Waiting => (PlannedFate::Waiting, None),
        Ruling::Never(_) => (PlannedFate::Left, None),
    };
    let secret = judged.evidence.secret;
    PlatformPlanItem {
        standing: judged.standing,
        fate,
        until,
        changed: last_changed(&secret),
        unused_since: judged.evidence.unused_since,
        name: secret.name,
    }
}
