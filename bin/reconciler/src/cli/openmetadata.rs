//! `fernet` and `migrate-secrets`: what is changed in OpenMetadata's own database.

use clap::{ArgGroup, Args, Subcommand};
use cloakroom_core::MoveId;

/// `fernet …`
#[derive(Clone, Debug, Subcommand)]
pub enum FernetCommand {
    /// Seal every value of OpenMetadata's database under the first Fernet key, so that the others can
    /// be taken out
    Rotate(RotateFernetArgs),
}

/// Arguments of `fernet rotate`.
#[derive(Clone, Debug, Args)]
pub struct RotateFernetArgs {
    /// Which of the configured platforms; not needed where there is only one
    #[arg(long, value_name = "NAME")]
    pub platform: Option<String>,
    /// Only look; change nothing in the database
    #[arg(long)]
    pub dry_run: bool,
    /// Refuse to seal under the key that OpenMetadata ships, which everybody knows
    #[arg(long)]
    pub strict: bool,
}

/// Arguments of `migrate-secrets`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("step").required(true).args(["from", "reverse", "list", "restored"]))]
pub struct MigrateSecretsArgs {
    /// Which of the configured platforms; not needed where there is only one
    #[arg(long, value_name = "NAME")]
    pub platform: Option<String>,
    /// Where the secrets are: `db` or a backend. Started again, a migration goes on where it was
    #[arg(long, value_name = "PLACE", requires = "to")]
    pub from: Option<String>,
    /// Where they are to be: `db` or a backend
    #[arg(
        long,
        value_name = "PLACE",
        requires = "from",
        conflicts_with = "reverse"
    )]
    pub to: Option<String>,
    /// Let the fields that this migration switched, and nobody edited since, have what they had
    #[arg(long, value_name = "RUN")]
    pub reverse: Option<MoveId>,
    /// Only say which migrations there were, with their ids, and where OpenMetadata is taken to keep its secrets
    #[arg(long, conflicts_with_all = ["set_to", "dry_run"])]
    pub list: bool,
    /// Only say that the platform's database is the one before, restored from a backup or moved: what is written down of
    /// migrations of that one counts for it from now on
    #[arg(long, conflicts_with = "set_to")]
    pub restored: bool,
    /// Where OpenMetadata keeps its secrets by now, `db` or a backend, if that is not where the last migration that was
    /// through led it
    #[arg(long, value_name = "PLACE")]
    pub set_to: Option<String>,
    /// Read every value and say what would be done; write nothing
    #[arg(long)]
    pub dry_run: bool,
}
