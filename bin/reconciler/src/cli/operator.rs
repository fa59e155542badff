//! `epoch`, `sweep`, `undo` and `audit`: what an operator does where the jobs stop.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use cloakroom_core::{BackendId, RunId, Timestamp};

use crate::configuration;

/// `epoch …`
#[derive(Debug, Subcommand)]
pub enum EpochCommand {
    /// Show the epoch of each backend on both sides, and whether they agree
    Show(ShowEpochArgs),
    /// Say that this database is the one that goes on, after a restore or beside a clone
    Adopt(AdoptEpochArgs),
}

/// Arguments of `epoch show`.
#[derive(Clone, Debug, Args)]
pub struct ShowEpochArgs {
    /// Only of this backend
    #[arg(long, value_name = "ID")]
    pub backend: Option<BackendId>,
}

/// Arguments of `epoch adopt`.
#[derive(Clone, Debug, Args)]
pub struct AdoptEpochArgs {
    /// In which backend; not needed where there is only one
    #[arg(long, value_name = "ID")]
    pub backend: Option<BackendId>,
    /// Take the backend over from another store that used this deployment's name
    #[arg(long)]
    pub take_over: bool,
    /// The backend's name means another manager than before, and that is right
    #[arg(long)]
    pub manager: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Who does it, for the receipt
    #[command(flatten)]
    pub by: By,
}

/// Arguments of `sweep`.
#[derive(Clone, Debug, Args)]
pub struct SweepArgs {
    /// Write rows for what has none, so that it waits out its time and is cleared then; without
    /// this nothing is changed
    #[arg(long)]
    pub adopt: bool,
    /// In which backend; not needed where there is only one
    #[arg(long, value_name = "ID")]
    pub backend: Option<BackendId>,
    /// Who does it, for the receipts
    #[command(flatten)]
    pub by: By,
}

/// Arguments of `undo`.
#[derive(Clone, Debug, Args)]
pub struct UndoArgs {
    /// Which run
    #[arg(value_name = "RUN")]
    pub run: RunId,
    /// Only look; change nothing anywhere
    #[arg(long)]
    pub dry_run: bool,
    /// How long no job touches what is brought back
    #[arg(long, value_name = "TIME", default_value = "7days", value_parser = configuration::parse_duration)]
    pub hold_for: Duration,
    /// Who does it, for the receipts
    #[command(flatten)]
    pub by: By,
}

/// Who an operator is.
#[derive(Clone, Debug, Args)]
pub struct By {
    /// Your name, for the receipts; the one you are logged in with by default
    #[arg(long = "by", value_name = "NAME")]
    name: Option<String>,
}

impl By {
    /// The name that was given, or the one of the login.
    pub fn name(&self) -> String {
        let login = ["USER", "LOGNAME"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
        self.name
            .clone()
            .or(login)
            .unwrap_or_else(|| "an operator".to_owned())
    }
}

/// `audit …`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Follow the chain of receipts and say where it was broken
    Verify(VerifyArgs),
    /// Write receipts as lines of JSON; never a value
    Export(ExportArgs),
}

/// Arguments of `audit verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The hash that an earlier `audit verify` ended in; it has to be in the chain, or the chain was
    /// cut off or written anew since
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub expect: Option<String>,
}

/// A hash as receipts have it.
pub(super) fn hash(text: &str) -> Result<String, &'static str> {
    let is_hash = text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit());
    is_hash
        .then(|| text.to_ascii_lowercase())
        .ok_or("a hash has 64 hexadecimal digits")
}

/// Arguments of `audit export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// Only of this run
    #[arg(long, value_name = "RUN")]
    pub run: Option<RunId>,
    /// Only from this moment on (`2026-01-31T12:00:00Z`)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// To this new file (mode 0600) instead of standard output
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}
