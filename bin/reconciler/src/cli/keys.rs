//! `key`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use cloakroom_core::BackendId;

/// `key …`
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key file (mode 0600), or put a new key first in one
    Generate(GenerateArgs),
    /// Wrap every data key under the first key of the key file, so that the others can go
    Rotate(RotateArgs),
    /// Write every secret again whose digest was made under another key than the first
    ///
    /// A digest tells whether a value is the one that was stored. As long as there are digests under
    /// a key (`key list` counts them) that key has to stay in the key file, in any line but the first.
    /// The versions before are superseded and go as such.
    Renew(RenewArgs),
    /// List the keys in use, by their ids
    List,
}

/// Arguments of `key generate`.
#[derive(Clone, Debug, Args)]
pub struct GenerateArgs {
    /// The file to make; one that is there already is left as it is
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The file is there already: put the new key first and keep the others
    #[arg(long)]
    pub add: bool,
}

/// Arguments of `key renew`.
#[derive(Clone, Copy, Debug, Args)]
pub struct RenewArgs {
    /// Also where the key of the digest is lost: take whatever value the backend gives
    #[arg(long)]
    pub trust_values: bool,
}

/// Arguments of `key rotate`.
#[derive(Clone, Debug, Args)]
pub struct RotateArgs {
    /// Which embedded backend; not needed where there is only one
    #[arg(long, value_name = "ID")]
    pub backend: Option<BackendId>,
}
