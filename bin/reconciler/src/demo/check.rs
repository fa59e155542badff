//! The outcome held against the tally: nothing in use was lost, nothing unused is left, and every
//! planted damage was found.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use cloakroom_core::ledger::{LedgerRow, Reason, RowState};
use cloakroom_core::store::{Finding, ReferenceCursor};
use cloakroom_core::{Coordinate, Description, ErrorKind, SecretState};
use cloakroom_reconcile::{DeletionCount, Report, is_epoch_mark};
use serde::Serialize;

use super::deployment::Deployment;
use super::tally::Tally;

/// References and secrets looked at together.
const PAGE: u32 = 1_000;

/// Problems named one by one; the rest are only counted.
const NAMED: usize = 10;

/// What is in the backend after the jobs, and what is wrong with that.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Verdict {
    /// Secrets that documents refer to.
    pub(crate) in_use: u64,
    /// Secrets of checks, discovers and writers that have not expired.
    pub(crate) unexpired: u64,
    /// Secrets within their grace.
    pub(crate) in_grace: u64,
    /// Secrets handed to deletion that the backend can still give back.
    pub(crate) recoverable: u64,
    /// How many things are wrong.
    pub(crate) wrong: u64,
    /// The first of them, in words.
    pub(crate) problems: Vec<String>,
}

impl Verdict {
    /// Whether everything is as it has to be.
    pub(crate) fn holds(&self) -> bool {
        self.wrong == 0
    }

    fn wrong(&mut self, problem: impl FnOnce() -> String) {
        self.wrong += 1;
        if self.problems.len() < NAMED {
            self.problems.push(problem());
        }
    }

    fn expect(&mut self, what: &str, expected: u64, seen: u64) {
        if expected != seen {
            self.wrong(|| format!("{what}: {expected} were expected and {seen} were seen"));
        }
    }
}

/// Checks everything, a page at a time.
pub(crate) async fn check(
    deployment: &Deployment,
    tally: &Tally,
    reports: &[Report],
    findings: &[Finding],
) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let in_use = check_references(deployment, tally, &mut verdict).await?;
    check_listing(deployment, &mut verdict).await?;
    verdict.expect("secrets in use in the backend", in_use, verdict.in_use);
    verdict.expect(
        "secrets in their grace",
        tally.unreferenced_lately,
        verdict.in_grace,
    );
    let young = tally.ephemeral_lately..=tally.ephemeral_lately + tally.abandoned_lately;
    if !young.contains(&verdict.unexpired) {
        let seen = verdict.unexpired;
        verdict
            .wrong(|| format!("unexpired secrets: {young:?} were expected and {seen} were seen"));
    }
    check_deletions(tally, reports, &mut verdict);
    check_findings(tally, findings, &mut verdict);
    Ok(verdict)
}

/// Every reference can be followed. Gives back how many secrets are in use and there.
async fn check_references(
    deployment: &Deployment,
    tally: &Tally,
    verdict: &mut Verdict,
) -> Result<u64> {
    let lost: BTreeSet<&Coordinate> = tally
        .damage
        .iter()
        .filter_map(|damaged| damaged.lost.as_ref())
        .collect();
    let backend = &deployment.backend;
    let mut after: Option<ReferenceCursor> = None;
    let (mut references, mut there) = (0, 0);
    loop {
        let page = deployment
            .store
            .references(backend.id(), after.as_ref(), PAGE)
            .await?;
        let Some(last) = page.last() else { break };
        let before = after.replace(ReferenceCursor {
            coordinate: last.coordinate.clone(),
            document: last.document,
            pointer: last.pointer.clone(),
        });
        references += page.len() as u64;
        let mut coordinates: Vec<Coordinate> = page.into_iter().map(|row| row.coordinate).collect();
        coordinates.dedup();
        // One that goes on from the page before was counted there.
        if before.is_some_and(|before| coordinates.first() == Some(&before.coordinate)) {
            coordinates.remove(0);
        }
        for (coordinate, described) in coordinates
            .iter()
            .zip(backend.describe_many(&coordinates).await)
        {
            match described {
                Ok(Description {
                    state: SecretState::Enabled,
                    native_expiry: None,
                    ..
                }) => there += 1,
                Err(error) if error.kind() == ErrorKind::Missing && lost.contains(coordinate) => {}
                Ok(_) => verdict.wrong(|| format!("{coordinate} is in use and about to go")),
                Err(error) => verdict.wrong(|| format!("{coordinate} is in use: {error}")),
            }
        }
    }
    verdict.expect("references", tally.references, references);
    Ok(there)
}

/// Everything in the backend has a reason to be there.
async fn check_listing(deployment: &Deployment, verdict: &mut Verdict) -> Result<()> {
    let backend = &deployment.backend;
    let deadline = deployment.deadline();
    let mut page = backend.list(None).await?;
    loop {
        // An epoch mark is no secret, and no row is written for it.
        page.secrets
            .retain(|listed| !is_epoch_mark(&listed.coordinate));
        let coordinates: Vec<Coordinate> = page
            .secrets
            .iter()
            .map(|listed| listed.coordinate.clone())
            .collect();
        let rows = deployment.store.rows(backend.id(), &coordinates).await?;
        for (listed, row) in page.secrets.iter().zip(rows) {
            let coordinate = &listed.coordinate;
            let Some(row) = row else {
                verdict.wrong(|| {
                    format!("{coordinate} is in the backend and the ledger has no row for it")
                });
                continue;
            };
            let waiting = listed.state.is_waiting();
            match Standing::of(&row) {
                Standing::InUse if waiting => {
                    verdict.wrong(|| format!("{coordinate} is in use and waits for deletion"));
                }
                Standing::InUse => verdict.in_use += 1,
                _ if waiting => verdict.recoverable += 1,
                Standing::Unexpired if deadline.expired(row.created) => {
                    verdict.wrong(|| format!("{coordinate} expired and is left"));
                }
                Standing::Unexpired => verdict.unexpired += 1,
                Standing::Unreferenced if deadline.lost_long_ago(&row) => {
                    verdict.wrong(|| format!("{coordinate} is unused past its grace and is left"));
                }
                Standing::Unreferenced => verdict.in_grace += 1,
                Standing::Gone => verdict.wrong(|| {
                    format!(
                        "{coordinate} is in the backend and its row is {}",
                        row.state.as_str()
                    )
                }),
            }
        }
        let Some(next) = page.next else { return Ok(()) };
        page = backend.list(Some(&next)).await?;
    }
}

/// Why a row's secret may be in the backend.
enum Standing {
    InUse,
    Unexpired,
    Unreferenced,
    Gone,
}

impl Standing {
    fn of(row: &LedgerRow) -> Self {
        match row.state {
            RowState::Stored if row.once_referenced && row.unreferenced_since.is_none() => {
                Self::InUse
            }
            RowState::Stored if row.once_referenced => Self::Unreferenced,
            RowState::Intended | RowState::Stored => Self::Unexpired,
            _ => Self::Gone,
        }
    }
}

fn check_deletions(tally: &Tally, reports: &[Report], verdict: &mut Verdict) {
    let done = |reasons: &[Reason]| -> u64 {
        let counts = reports.iter().flat_map(|report| {
            reasons
                .iter()
                .filter_map(|reason| report.deletions.get(reason.as_str()))
        });
        counts.map(DeletionCount::went).sum()
    };
    verdict.expect(
        "deletions of what dead writers left",
        tally.abandoned,
        done(&[Reason::Abandoned]),
    );
    verdict.expect(
        "deletions after checks and discovers",
        tally.ephemeral,
        done(&[Reason::Ephemeral]),
    );
    verdict.expect(
        "deletions of what landed late",
        tally.late,
        done(&[Reason::Resurfaced]),
    );
    verdict.expect(
        "deletions of what lost its last reference",
        tally.unreferenced,
        done(&[Reason::Orphaned, Reason::Superseded]),
    );
    for report in reports {
        verdict.expect("deletions that failed", 0, report.failed);
        for trip in &report.guards {
            verdict.wrong(|| {
                format!(
                    "{}: the guard {} stepped in: {}",
                    report.job, trip.guard, trip.saw
                )
            });
        }
    }
}

fn check_findings(tally: &Tally, findings: &[Finding], verdict: &mut Verdict) {
    let mut expected = BTreeMap::new();
    for damaged in &tally.damage {
        for kind in &damaged.findings {
            expected.insert((damaged.document, *kind), damaged.what);
        }
    }
    for finding in findings {
        let planted = finding
            .document
            .is_some_and(|document| expected.remove(&(document, finding.kind)).is_some());
        if !planted {
            verdict.wrong(|| {
                format!(
                    "a finding that nobody planted: {}, {}",
                    finding.kind.as_str(),
                    finding.detail
                )
            });
        }
    }
    for ((document, kind), what) in expected {
        verdict.wrong(|| {
            format!(
                "{what} in document {document} was not found as {}",
                kind.as_str()
            )
        });
    }
}
