//! `config`.

use clap::Subcommand;

/// `config …`
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the configuration in force and where each value came from; secrets stay references
    Print,
    /// Print the JSON Schema of the configuration file
    Schema,
    /// Check the configuration, its secrets' references and its schedules
    Check,
}
