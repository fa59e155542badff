//! What the demo prints in the end.

mod tables;

use std::time::Duration;

use anyhow::Result;
use cloakroom_core::store::{Finding, Job};
use cloakroom_reconcile::Report;
use serde::Serialize;

use super::check::Verdict;
use super::deployment::Deployment;
use super::tally::Tally;
use super::words;
use crate::configuration;
use crate::output::Console;

/// Everything there is to tell.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// Where the deployment is.
    pub(super) folder: String,
    /// What makes it again.
    pub(super) seed: u64,
    /// The connectors whose specs were used.
    pub(super) connectors: Vec<ConnectorLine>,
    /// Specs that could not be used.
    pub(super) skipped: Vec<SkippedLine>,
    /// What was planted.
    pub(super) planted: Tally,
    /// What the jobs report, in the order they ran.
    pub(super) runs: Vec<Report>,
    /// What verify-blobs found.
    pub(super) findings: Vec<Finding>,
    /// What is there afterwards.
    pub(super) verdict: Verdict,
    /// How long making the deployment took, in seconds.
    pub(super) making_seconds: f64,
    /// How long each job took, in seconds.
    pub(super) job_seconds: Vec<f64>,
}

/// One connector.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ConnectorLine {
    pub(super) name: String,
    pub(super) secret_fields: usize,
}

/// One spec that could not be used.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SkippedLine {
    pub(super) file: String,
    pub(super) reason: String,
}

/// Prints it the way the console is set.
pub(super) fn show(outcome: &Outcome, deployment: &Deployment, console: &Console) -> Result<()> {
    if console.is_json() {
        return console.json(outcome);
    }
    console.line(planted(outcome))?;
    for (report, seconds) in outcome.runs.iter().zip(&outcome.job_seconds) {
        console.line("")?;
        console.line(headline(report, *seconds))?;
        if report.job == Job::VerifyBlobs {
            if !outcome.findings.is_empty() {
                fitted(
                    &tables::findings(&outcome.findings, console.width()),
                    console,
                )?;
            }
        } else {
            fitted(&tables::deletions(report, console.width()), console)?;
        }
    }
    console.line("")?;
    guards(&outcome.runs, console)?;
    console.line(left(outcome))?;
    verdict(&outcome.verdict, console)?;
    console.line("")?;
    next(outcome, deployment, console)
}

fn fitted(fitted: &tables::Fitted, console: &Console) -> Result<()> {
    console.line(fitted.table.trim_fmt())?;
    fitted.below.iter().try_for_each(|line| console.line(line))
}

/// The specs of `--specs`, before anything is made from them.
pub(super) fn show_specs(
    connectors: &[ConnectorLine],
    skipped: &[SkippedLine],
    console: &Console,
) -> Result<()> {
    if console.is_json() {
        return Ok(());
    }
    console.table(&tables::specs(connectors))?;
    console.line(
        "secret fields: places in a configuration; one that several alternatives share counts once, and \
         a list or map counts once whatever it holds",
    )?;
    for skipped in skipped {
        console.line(format_args!("skipped {}: {}", skipped.file, skipped.reason))?;
    }
    console.line("")
}

fn planted(outcome: &Outcome) -> String {
    let planted = &outcome.planted;
    format!(
        "Twelve days of a sample deployment, made in {:.1} s (seed {}):\n\
         {} of {} in {}, saved again {}, {} removed;\n\
         {}, {}, {}, {}.",
        outcome.making_seconds,
        outcome.seed,
        words::count(planted.documents, "document", "documents"),
        // The first documents are of one connector each.
        words::count(
            planted.documents.min(outcome.connectors.len() as u64),
            "connector",
            "connectors"
        ),
        words::count(planted.documents.min(3), "workspace", "workspaces"),
        words::count(planted.saved_again, "time", "times"),
        planted.removed,
        words::count(planted.checks, "check or discover", "checks and discovers"),
        words::count(
            planted.died,
            "writer that died halfway",
            "writers that died halfway"
        ),
        words::count(
            planted.late,
            "put that landed late",
            "puts that landed late"
        ),
        words::count(
            planted.damage.len() as u64,
            "thing damaged on purpose",
            "things damaged on purpose"
        ),
    )
}

fn headline(report: &Report, seconds: f64) -> String {
    let checked = &report.checked;
    let time = Duration::from_secs_f64(seconds).as_millis();
    match report.job {
        Job::VerifyBlobs => format!(
            "{}: {}, {}, {} in {time} ms; {}",
            report.job,
            words::count(
                checked.references,
                "reference followed",
                "references followed"
            ),
            words::count(checked.values, "value read", "values read"),
            words::count(checked.documents, "document searched", "documents searched"),
            match report.findings.values().sum() {
                0 => "nothing amiss".to_owned(),
                amiss => words::count(amiss, "finding", "findings"),
            }
        ),
        _ => format!(
            "{}: {} compared with the ledger in {time} ms; {} handed to deletion",
            report.job,
            words::count(
                checked.listed,
                "secret in the backend",
                "secrets in the backend"
            ),
            report.deleted(),
        ),
    }
}

fn guards(reports: &[Report], console: &Console) -> Result<()> {
    let mut none = true;
    for report in reports {
        for trip in &report.guards {
            none = false;
            console.line(format_args!(
                "Guard {} stopped {}: {}",
                trip.guard, report.job, trip.saw
            ))?;
        }
    }
    if none {
        console.line("No guard had to step in.")
    } else {
        Ok(())
    }
}

fn left(outcome: &Outcome) -> String {
    let Verdict {
        in_use,
        unexpired,
        in_grace,
        recoverable,
        ..
    } = outcome.verdict;
    format!(
        "In the backend now: {}; left alone for now: {} within the grace after its use, {} of checks \
         and writers within their two hours; and {} that wait for deletion and can be brought back.",
        words::count(in_use, "secret in use", "secrets in use"),
        in_grace,
        unexpired,
        recoverable,
    )
}

fn verdict(verdict: &Verdict, console: &Console) -> Result<()> {
    if verdict.holds() {
        return console.line("checked: nothing in use was lost, nothing unused is left");
    }
    console.line(format_args!(
        "CHECK FAILED: {}",
        words::count(verdict.wrong, "thing is wrong", "things are wrong")
    ))?;
    for problem in &verdict.problems {
        console.line(format_args!("  {problem}"))?;
    }
    Ok(())
}

fn next(outcome: &Outcome, deployment: &Deployment, console: &Console) -> Result<()> {
    let program = calling(&overrides());
    let config = quoted(&deployment.config.to_string_lossy());
    console.line(format_args!(
        "The deployment is kept in {}. Try next:",
        outcome.folder
    ))?;
    console.line(format_args!("  {program} --config {config} status"))?;
    if let Some(healthy) = &deployment.healthy {
        console.line(format_args!(
            "  {program} --config {config} document get {healthy}"
        ))?;
        console.line(format_args!(
            "  {program} --config {config} document hydrate {healthy} --reveal"
        ))?;
    }
    console.line(format_args!("  {program} --config {config} findings"))?;
    console.line(format_args!(
        "  {program} --config {config} run all --dry-run"
    ))
}

/// Variables of this process that a configuration file gives way to.
fn overrides() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names
        .filter(|name| configuration::is_override(name))
        .collect()
}

/// How this program was called, as far as a shell can repeat it. Variables that would put the user's own
/// store or keys in place of the demo's are taken away.
fn calling(overrides: &[String]) -> String {
    let program = std::env::args().next();
    let program = quoted(program.as_deref().unwrap_or("reconciler"));
    if overrides.is_empty() {
        return program;
    }
    let unset: Vec<String> = overrides
        .iter()
        .map(|name| format!("-u {}", quoted(name)))
        .collect();
    format!("env {} {program}", unset.join(" "))
}

/// As a shell reads it back.
fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Into::into)
}
