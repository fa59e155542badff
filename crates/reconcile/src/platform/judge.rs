//! The second half of a pass: how each listed secret stands, page by page.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use cloakroom_core::platform::{Evidence, Judgement, NamedSecret, Standing};
use cloakroom_core::{Result, SecretState, Timestamp};

use super::expiry::takes_away_at;
use super::ruling::Ruling;
use super::standing::{is_needed_of_a_user, is_to_be_brought_back, last_changed};
use super::{
    Age, Judged, Pass, PlatformFinding, PlatformFindingKind, PlatformPhase, PlatformReport,
    UnusedSecret,
};

const GOING_FROM_JOBS: &str = "what is deployed may refer to it, and it is switched off, expires or waits for its \
                               deletion: a clean-up brings it back where it can; delete it for good where nothing needs it";

impl Pass<'_> {
    /// Judges everything that this pass listed, writes it down and counts it. Tells how many secrets are
    /// left to be paid for once clean-ups have run to their end.
    pub(super) async fn judge(&self, report: &mut PlatformReport) -> Result<u64> {
        let mut after: Option<String> = None;
        let mut left = 0;
        loop {
            let page = self.page(after.as_deref(), report.started).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name().to_owned());
            let mut judgements = Vec::with_capacity(page.len());
            for Judged { standing, evidence } in &page {
                judgements.push(Judgement {
                    name: evidence.secret.name.clone(),
                    standing: *standing,
                    unused: unused(*standing, report),
                    anew: !self.rules.goes_on(*standing, evidence, report.started),
                });
                self.count(*standing, evidence, report).await?;
                left += u64::from(self.is_left(*standing, evidence, report.started));
            }
            self.sightings()
                .judge(self.target(), report.started, &judgements)
                .await?;
            self.keep_lease().await?;
            self.progressed(PlatformPhase::Judging, report.listed);
        }
        Ok(left)
    }

    /// Whether a secret of the platform's is paid for once clean-ups have run to their end: what they bring
    /// back is too.
    fn is_left(&self, standing: Standing, evidence: &Evidence, now: Timestamp) -> bool {
        if evidence.secret.state.is_waiting() {
            return self.is_needed(standing, evidence)
                && self.touched(&evidence.secret.name).is_some();
        }
        standing.is_the_platforms() && !self.rules.goes_in_the_end(standing, evidence, now)
    }

    /// Whether a clean-up brings it back, whoever handed it to deletion.
    fn is_needed(&self, standing: Standing, evidence: &Evidence) -> bool {
        match standing {
            Standing::InUse => is_to_be_brought_back(self.naming(), evidence),
            Standing::Tombstoned => self.naming().brings_back(),
            Standing::Deployed => self.has_deployed_jobs(),
            _ => false,
        }
    }

    /// Whether anything is deployed that may need what no row mentions. The platform itself deletes none of that with
    /// a job, so that bringing it back takes nothing back that it did.
    pub(super) fn has_deployed_jobs(&self) -> bool {
        self.has_deployed_jobs.load(Ordering::Relaxed)
    }

    async fn count(
        &self,
        standing: Standing,
        evidence: &Evidence,
        report: &mut PlatformReport,
    ) -> Result<()> {
        let secret = &evidence.secret;
        report.listed += 1;
        report
            .secrets
            .entry(standing)
            .or_default()
            .add(secret.state);
        if standing.is_leaked() {
            let age = Age::of(last_changed(secret), report.started);
            *report.leaked_by_age.entry(age).or_default() += 1;
        }
        if standing == Standing::InUse {
            count_history(evidence, report);
        }
        if standing.is_unused() {
            self.count_next(standing, evidence, report);
            self.show_unused(standing, evidence, report);
        }
        let is_needed = self.is_needed(standing, evidence);
        match standing {
            _ if is_needed && is_endangered(secret) => {
                let detail = match standing {
                    Standing::Deployed => GOING_FROM_JOBS,
                    _ => danger(secret),
                };
                let kind = PlatformFindingKind::Endangered;
                self.found(kind, &secret.name, detail, report).await
            }
            Standing::External if is_needed_of_a_user(self.naming(), evidence) => {
                let Some(detail) = self.danger_to_a_users(secret) else {
                    return Ok(());
                };
                let kind = PlatformFindingKind::Endangered;
                self.found(kind, &secret.name, detail, report).await
            }
            Standing::Tombstoned if !is_needed && !secret.state.is_waiting() => {
                let detail = "only rows that were removed mention it, and it is still there";
                let kind = PlatformFindingKind::HeldByRemoved;
                self.found(kind, &secret.name, detail, report).await
            }
            _ => Ok(()),
        }
    }

    /// Whether the manager itself is about to take a secret away: it waits for its deletion, or its
    /// expiry is more than a note.
    pub(super) fn is_going(&self, secret: &NamedSecret) -> bool {
        secret.state.is_waiting() || takes_away_at(&*self.reader.backend, secret).is_some()
    }

    /// What endangers a secret that its user made; a note of an expiry is the user's own.
    pub(super) fn danger_to_a_users(&self, secret: &NamedSecret) -> Option<&'static str> {
        let is_endangered = self.is_going(secret) || secret.state != SecretState::Enabled;
        is_endangered.then(|| danger_to_a_users(secret))
    }

    /// What a clean-up would do with an unused secret.
    fn count_next(&self, standing: Standing, evidence: &Evidence, report: &mut PlatformReport) {
        let ruling = self.rules.ruling(standing, evidence, report.started);
        let next = &mut report.next;
        let count = match ruling {
            Ruling::PutOff(until) => return next.put_off(until),
            Ruling::Waiting => &mut next.waiting,
            Ruling::Never(_) => &mut next.left,
            Ruling::SecondSighting => &mut next.second_sighting,
            Ruling::WithinGrace => &mut next.within_grace,
            Ruling::Due(_) => &mut next.due,
        };
        *count += 1;
    }

    fn show_unused(&self, standing: Standing, evidence: &Evidence, report: &mut PlatformReport) {
        let so_far = report.secrets.get(&standing).map_or(0, |it| it.total());
        if so_far > u64::from(self.reader.settings.examples) {
            return;
        }
        report.unused.push(UnusedSecret {
            name: evidence.secret.name.clone(),
            standing,
            owner: self.naming().read(&evidence.secret.name).owner,
            changed: last_changed(&evidence.secret),
            unused_since: evidence.unused_since,
        });
    }

    /// Counts something amiss with a secret, and says of the first ones where they are mentioned.
    pub(super) async fn found(
        &self,
        kind: PlatformFindingKind,
        name: &str,
        detail: &str,
        report: &mut PlatformReport,
    ) -> Result<()> {
        if !is_another_example(&mut report.findings, kind, self.reader.settings.examples) {
            return Ok(());
        }
        let base = self.naming().read(name).base;
        let mentions = self
            .sightings()
            .mentions_of(self.target(), base, name, 1)
            .await?;
        let place = mentions.into_iter().next();
        report.examples.push(PlatformFinding {
            kind,
            name: Some(name.to_owned()),
            column: place.as_ref().map(|it| it.column.clone()),
            row: place.as_ref().and_then(|it| it.row),
            title: place.as_ref().and_then(|it| it.title.clone()),
            workspace: place.as_ref().and_then(|it| it.workspace),
            pointer: None,
            detail: detail.to_owned(),
        });
        Ok(())
    }
}

/// Counts what nothing keeps but places without a known meaning that can be left out.
fn count_history(evidence: &Evidence, report: &mut PlatformReport) {
    let name = &evidence.secret.name;
    let itself = evidence.mentions.iter().find(|it| it.name == *name);
    let places = itself.map_or(&[][..], |it| &it.history);
    let table = |place: &String| place.rsplit_once('.').map(|(table, _)| table.to_owned());
    let tables: BTreeSet<String> = places.iter().filter_map(table).collect();
    let is_essential = |table: &String| report.scan.essential.contains(table);
    if !tables.is_empty() && !tables.iter().any(is_essential) {
        let tables: Vec<String> = tables.into_iter().collect();
        *report.kept_by_history.entry(tables.join(", ")).or_default() += 1;
    }
}

/// Whether nothing keeps a secret of that standing. What a pass saw keep one does so whatever else it may
/// have missed.
fn unused(standing: Standing, report: &PlatformReport) -> Option<bool> {
    if standing.is_unused() {
        report.is_complete().then_some(true)
    } else {
        Some(false)
    }
}

/// Counts one more of a kind; whether it is one of the first, which are told.
fn is_another_example(
    findings: &mut BTreeMap<PlatformFindingKind, u64>,
    kind: PlatformFindingKind,
    most: u32,
) -> bool {
    let count = findings.entry(kind).or_default();
    *count += 1;
    *count <= u64::from(most)
}

pub(super) fn is_endangered(secret: &NamedSecret) -> bool {
    secret.state != SecretState::Enabled || secret.native_expiry.is_some()
}

/// What endangers a secret in use.
pub(super) fn danger(secret: &NamedSecret) -> &'static str {
    match secret.state {
        SecretState::ScheduledForDeletion { .. } => {
            "in use, and it waits for its deletion: restore it in the manager"
        }
        SecretState::Disabled => "in use, and switched off: enable it in the manager",
        SecretState::Destroyed => {
            "in use, and its value was destroyed in the manager: save it in the platform again"
        }
        SecretState::Enabled => {
            "in use, and it carries an expiry: take that off in the manager; a clean-up does where it can"
        }
    }
}

fn danger_to_a_users(secret: &NamedSecret) -> &'static str {
    match secret.state {
        SecretState::ScheduledForDeletion { .. } => {
            "your own and referred to, and it waits for its deletion: restore it in the manager, for no clean-up does"
        }
        SecretState::Disabled => {
            "your own and referred to, and switched off: enable it in the manager"
        }
        SecretState::Destroyed => {
            "your own and referred to, and its value was destroyed in the manager: enter it there again"
        }
        SecretState::Enabled => {
            "your own and referred to, and it carries an expiry: take that off in the manager, for no clean-up does"
        }
    }
}

impl From<cloakroom_core::platform::Defect> for PlatformFinding {
    fn from(defect: cloakroom_core::platform::Defect) -> Self {
        Self {
            kind: defect.kind.into(),
            name: None,
            column: Some(defect.column),
            row: defect.row,
            title: defect.title,
            workspace: defect.workspace,
            pointer: defect.pointer,
            detail: defect.detail,
        }
    }
}
