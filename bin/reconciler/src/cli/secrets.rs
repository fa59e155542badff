//! `secret` and `quarantine`.

use std::ffi::OsStr;

use clap::builder::{TypedValueParser, ValueParserFactory};
use clap::error::ErrorKind;
use clap::{Arg, Args, Command, Subcommand};
use cloakroom_core::ledger::RowState;
use cloakroom_core::{BackendId, Coordinate, WorkspaceId};

use super::operator::By;
use super::words::Words;
use crate::repeatable::repeated;

/// A secret as lists name it: `backend/coordinate`.
#[derive(Clone, Debug)]
pub struct SecretPlace {
    /// Where it is kept.
    pub backend: BackendId,
    /// Under which name.
    pub coordinate: Coordinate,
}

impl SecretPlace {
    fn read(text: &str) -> Option<Self> {
        let (backend, coordinate) = text.split_once('/')?;
        Some(Self {
            backend: backend.parse().ok()?,
            coordinate: Coordinate::from_stored(coordinate).ok()?,
        })
    }
}

impl ValueParserFactory for SecretPlace {
    type Parser = SecretPlaces;

    fn value_parser() -> SecretPlaces {
        SecretPlaces
    }
}

/// Reads a secret's place. What is none is not repeated: it may be the secret itself.
#[derive(Clone, Debug)]
pub struct SecretPlaces;

impl TypedValueParser for SecretPlaces {
    type Value = SecretPlace;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        text: &OsStr,
    ) -> Result<SecretPlace, clap::Error> {
        let place = text.to_str().and_then(SecretPlace::read);
        place.ok_or_else(|| {
            let argument = argument.map(ToString::to_string).unwrap_or_default();
            let message = format!(
                "what was given for '{argument}' is no secret's place; one is written `backend/coordinate`, as \
                 the list's last line names it\n"
            );
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// `secret …`
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// List secrets and how they stand
    List(ListSecretsArgs),
    /// Show one secret, its versions and who refers to it
    Show(ShowSecretArgs),
    /// List secrets that no document refers to although none let go of them; let them go if asked
    LetGo(LetGoArgs),
}

/// Arguments of `secret list`.
#[derive(Clone, Debug, Args)]
pub struct ListSecretsArgs {
    /// Only of this workspace
    #[arg(long, value_name = "UUID")]
    pub workspace: Option<WorkspaceId>,
    /// Only versions of this base (a coordinate without its version; one with it means the same)
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,
    /// Only those in this state
    #[arg(long, value_name = "STATE", value_parser = state_words())]
    pub state: Option<RowState>,
    /// Go on behind this one, as the list's last line names it (`backend/coordinate`)
    #[arg(long, value_name = "SECRET")]
    pub after: Option<SecretPlace>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// Arguments of `secret show`.
#[derive(Clone, Debug, Args)]
pub struct ShowSecretArgs {
    /// Which secret
    pub coordinate: String,
    /// Print its value, in clear and as it is, and nothing else
    #[arg(long)]
    pub reveal: bool,
    /// In which backend; needed only where several have it
    #[arg(long, value_name = "ID")]
    pub backend: Option<BackendId>,
}

/// Arguments of `secret let-go`.
#[derive(Clone, Debug, Args)]
pub struct LetGoArgs {
    /// Only these secrets
    #[arg(value_name = "COORDINATE")]
    pub coordinates: Vec<String>,
    /// Let them go, so that each waits out its time and is cleared then; without this nothing is
    /// changed
    #[arg(long)]
    pub apply: bool,
    /// In which backend; not needed where there is only one
    #[arg(long, value_name = "ID")]
    pub backend: Option<BackendId>,
    /// Who does it, for the receipts
    #[command(flatten)]
    pub by: By,
}

/// `quarantine …`
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List parked deletions and what they last met
    List(ListQuarantineArgs),
    /// Try parked deletions again with the next run
    Release(ReleaseArgs),
}

/// Arguments of `quarantine list`.
#[derive(Clone, Debug, Args)]
pub struct ListQuarantineArgs {
    /// Go on behind this one, as the list's last line names it (`backend/coordinate`)
    #[arg(long, value_name = "SECRET")]
    pub after: Option<SecretPlace>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// Arguments of `quarantine release`.
#[derive(Clone, Debug, Args)]
pub struct ReleaseArgs {
    /// Which secrets
    #[arg(
        value_name = "COORDINATE",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub coordinates: Vec<String>,
    /// Every parked deletion
    #[arg(long)]
    pub all: bool,
    /// In which backend; not needed where there is only one
    #[arg(long, value_name = "ID")]
    pub backend: Option<BackendId>,
}

fn state_words() -> Words<RowState> {
    Words::new(RowState::ALL.map(RowState::as_str), state)
}

fn state(word: &str) -> Result<RowState, String> {
    RowState::from_word(word).ok_or_else(|| {
        let known = RowState::ALL.map(RowState::as_str);
        let near = crate::configuration::nearest(word, known.iter().copied());
        let hint = near
            .map(|near| format!("did you mean `{near}`? "))
            .unwrap_or_default();
        format!(
            "there is no state `{}`; {hint}there are {}",
            repeated(word, known.iter().copied()),
            known.join(", ")
        )
    })
}
