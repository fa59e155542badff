//! `serve`, `health`, `run`, `plan`, `apply`, `status` and `findings`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use cloakroom_core::store::Job;
use cloakroom_core::{BackendId, RunId};
use cloakroom_reconcile::Guard;

use super::words::Words;
use crate::repeatable::repeated;

/// Arguments of `serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Address for metrics, health and status, in place of the configured one; port 0 takes any
    /// free one
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Leave the database's schema alone; fail if it is not this program's
    #[arg(long)]
    pub no_migrate: bool,
}

/// Arguments of `health`.
#[derive(Clone, Copy, Debug, Args)]
pub struct HealthArgs {
    /// Where `serve` listens, in place of the configured address
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Ask whether it is ready: the database answers and no job is overdue
    #[arg(long)]
    pub ready: bool,
}

/// Which jobs `run` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// All of them, verify-blobs first.
    All,
    /// One.
    One(Job),
}

impl Target {
    /// The jobs, in the order they run in.
    pub fn jobs(self) -> Vec<Job> {
        match self {
            Self::All => Job::ALL.to_vec(),
            Self::One(job) => vec![job],
        }
    }
}

fn target(word: &str) -> Result<Target, String> {
    if word == "all" {
        Ok(Target::All)
    } else {
        job(word).map(Target::One)
    }
}

fn target_words() -> Words<Target> {
    let jobs = Job::ALL.into_iter().map(Job::as_str);
    Words::new(jobs.chain(["all"]), target)
}

fn job_words() -> Words<Job> {
    Words::new(Job::ALL.into_iter().map(Job::as_str), one_job)
}

fn guard_words() -> Words<Guard> {
    let guards = Guard::ALL.into_iter();
    let passable = guards.filter(|guard| guard.can_be_passed());
    Words::new(passable.map(Guard::as_str), guard)
}

/// Arguments of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Which job, or all of them, verify-blobs first
    #[arg(value_name = "JOB", value_parser = target_words())]
    pub target: Target,
    /// Only look; change nothing anywhere
    #[arg(long)]
    pub dry_run: bool,
    /// Only on this backend
    #[arg(long, value_name = "ID")]
    pub backend: Option<BackendId>,
    /// A guard that this one run may pass; may be given several times
    #[arg(long = "override", value_name = "GUARD", value_parser = guard_words())]
    pub overrides: Vec<Guard>,
    /// verify-blobs reads every value and holds it against its digest
    #[arg(long)]
    pub read_values: bool,
}

/// Arguments of `plan`.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// Which job
    #[arg(value_parser = job_words())]
    pub job: Job,
    /// On which backend; not needed where there is only one
    #[arg(long, value_name = "ID")]
    pub backend: Option<BackendId>,
    /// How many candidates the plan holds at most, and as many findings of verify-blobs
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// Arguments of `apply`.
#[derive(Clone, Debug, Args)]
pub struct ApplyArgs {
    /// A plan that `plan` printed; `-` reads standard input
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// A guard that this one run may pass; may be given several times
    #[arg(long = "override", value_name = "GUARD", value_parser = guard_words())]
    pub overrides: Vec<Guard>,
    /// Only look; change nothing anywhere
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// How many of the latest runs to show
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
}

/// Arguments of `findings`.
#[derive(Clone, Debug, Args)]
pub struct FindingsArgs {
    /// Of which run; the latest verify-blobs of each backend by default
    #[arg(value_name = "RUN")]
    pub run: Option<RunId>,
}

fn job(word: &str) -> Result<Job, String> {
    let names = Job::ALL.map(Job::as_str);
    let names: Vec<&str> = names.into_iter().chain(["all"]).collect();
    Job::from_word(word).ok_or_else(|| unknown("job", word, &names))
}

fn one_job(word: &str) -> Result<Job, String> {
    let names = Job::ALL.map(Job::as_str);
    if word == "all" {
        return Err(format!(
            "a plan is of one job; there are {}",
            names.join(", ")
        ));
    }
    Job::from_word(word).ok_or_else(|| unknown("job", word, &names))
}

fn guard(word: &str) -> Result<Guard, String> {
    let passable: Vec<&str> = Guard::ALL
        .into_iter()
        .filter(|guard| guard.can_be_passed())
        .map(Guard::as_str)
        .collect();
    match Guard::from_word(word) {
        Some(guard) if guard.can_be_passed() => Ok(guard),
        Some(guard) => Err(format!(
            "guard {guard} cannot be passed; see `reconciler epoch show` and `epoch adopt`"
        )),
        None => Err(unknown("guard", word, &passable)),
    }
}

fn unknown(what: &str, word: &str, names: &[&str]) -> String {
    let near = crate::configuration::nearest(word, names.iter().copied());
    let hint = near
        .map(|near| format!("did you mean `{near}`? "))
        .unwrap_or_default();
    format!(
        "there is no {what} `{}`; {hint}there are {}",
        repeated(word, names.iter().copied()),
        names.join(", ")
    )
}
