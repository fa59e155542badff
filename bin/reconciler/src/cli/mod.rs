//! The command line as clap reads it.

mod backends;
mod config;
mod demo_args;
mod documents;
mod jobs;
mod keys;
mod misplaced;
mod moving;
mod openmetadata;
mod operator;
mod platform;
mod report;
mod secrets;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

pub use backends::{BackendCommand, CheckBackendArgs};
pub use config::{ConfigCommand, ImportArgs};
pub use demo_args::DemoArgs;
pub use documents::{
    DocumentCommand, EphemeralCommand, GetArgs, HydrateArgs, ListDocumentsArgs, PutArgs,
    PutEphemeralArgs, RemoveArgs,
};
pub use jobs::{
    ApplyArgs, FindingsArgs, HealthArgs, PlanArgs, RunArgs, ServeArgs, StatusArgs, Target,
};
pub use keys::{GenerateArgs, KeyCommand, RenewArgs, RotateArgs};
pub use moving::MoveArgs;
pub use openmetadata::{FernetCommand, MigrateSecretsArgs, RotateFernetArgs};
pub use operator::{
    AdoptEpochArgs, AuditCommand, By, EpochCommand, ExportArgs, ShowEpochArgs, SweepArgs, UndoArgs,
    VerifyArgs,
};
pub use platform::{AdoptArgs, CleanArgs};
pub use report::ReportArgs;
pub use secrets::{
    LetGoArgs, ListQuarantineArgs, ListSecretsArgs, QuarantineCommand, ReleaseArgs, SecretCommand,
    SecretPlace, ShowSecretArgs,
};

use crate::exit;
use crate::output::Format;
use crate::telemetry;

/// Keeps the secrets of connector configurations in a secrets manager, and the manager clean.
#[derive(Debug, Parser)]
#[command(name = "reconciler", version, propagate_version = true, after_help = exit::HELP)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads a command line. What is wrong with one is told without what may be a secret in a wrong place.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(arguments)
            .map_err(|error| misplaced::not_repeated(error, &Self::command()))
    }
}

/// What holds for every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Configuration file (YAML). Without one: SQLite and the embedded backend in this platform's
    /// data folder
    #[arg(
        long,
        value_name = "FILE",
        env = "CLOAKROOM_CONFIG",
        value_parser = OsStringValueParser::new().try_map(config_file),
        value_hint = ValueHint::FilePath,
        global = true,
        help_heading = "Global options"
    )]
    pub config: Option<PathBuf>,
    /// How results are written
    #[arg(long, value_enum, default_value_t = Format::Table, global = true, help_heading = "Global options")]
    pub output: Format,
    /// error, warn, info, debug or trace
    #[arg(
        long,
        value_name = "LEVEL",
        env = "CLOAKROOM_LOG_LEVEL",
        value_parser = log_level,
        global = true,
        help_heading = "Global options"
    )]
    pub log_level: Option<String>,
}

/// Taken for none, a name that is empty by mistake would put the default database in the place of the one meant.
fn config_file(name: OsString) -> Result<PathBuf, &'static str> {
    if name.is_empty() {
        return Err(
            "it names no file; unset CLOAKROOM_CONFIG, or leave --config out, to do without one",
        );
    }
    Ok(name.into())
}

fn log_level(directives: &str) -> anyhow::Result<String> {
    telemetry::filter(directives).map(|_| directives.to_owned())
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the jobs on their schedules; serve metrics, health and status
    Serve(ServeArgs),
    /// Ask a running `serve` on this machine how it is: for a container's health check
    Health(HealthArgs),
    /// Make a sample deployment, run the three jobs on it and show what they found and did
    Demo(DemoArgs),
    /// Run a job now, or all of them
    Run(RunArgs),
    /// Print what a job would delete or restore, as a plan that `apply` takes
    Plan(PlanArgs),
    /// Carry out exactly one plan, once
    Apply(ApplyArgs),
    /// Show the store, its backends and the latest runs
    Status(StatusArgs),
    /// Bring the database to this program's schema
    MigrateSchema,
    /// Put, read and remove documents
    #[command(subcommand)]
    Document(DocumentCommand),
    /// Secrets of a check or discover: gone after two hours
    #[command(subcommand)]
    Ephemeral(EphemeralCommand),
    /// Metadata of secrets; a value only with `show --reveal`
    #[command(subcommand)]
    Secret(SecretCommand),
    /// The secrets managers: what they can do, and whether they can be used
    #[command(subcommand)]
    Backend(BackendCommand),
    /// The key-encryption keys of the embedded backend
    #[command(subcommand)]
    Key(KeyCommand),
    /// Deletions that failed too often and were parked
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// What verify-blobs found amiss
    Findings(FindingsArgs),
    /// The epoch: what tells a restored or cloned database from the one that goes on
    #[command(subcommand)]
    Epoch(EpochCommand),
    /// List secrets that bear this store's mark and are unknown to its ledger; adopt them if asked
    Sweep(SweepArgs),
    /// Bring back what a run deleted, as far as the manager still can
    Undo(UndoArgs),
    /// Move the secrets of documents, or of a platform, from one backend to another, with a way back
    Move(MoveArgs),
    /// The receipts of what was deleted, adopted and restored
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Read a platform whose secrets somebody else wrote, and say what it left in its secrets manager
    Report(ReportArgs),
    /// Show what cleaning a platform's secrets manager would do, and confirm it once
    Adopt(AdoptArgs),
    /// Delete what a platform left behind in its secrets manager, once its plan is confirmed
    Clean(CleanArgs),
    /// The Fernet keys of an OpenMetadata database
    #[command(subcommand)]
    Fernet(FernetCommand),
    /// Take an OpenMetadata's secrets out of its database into a manager, back, or to another manager
    MigrateSecrets(MigrateSecretsArgs),
    /// The configuration in force
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual (roff), every command on one page
    Man {
        /// Write it to this folder instead, a page for each command
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
    },
}
