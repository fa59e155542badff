//! `config`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

/// `config …`
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the configuration in force and where each value came from; secrets stay references
    Print,
    /// Print the JSON Schema of the configuration file
    Schema,
    /// Check the configuration, its secrets' references and its schedules
    Check,
    /// Print another platform's secrets manager in this program's own form, and what could not be
    /// carried over
    Import(ImportArgs),
}

/// Arguments of `config import`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("input").required(true).args(["airbyte_values", "airbyte_storage", "openmetadata"]))]
pub struct ImportArgs {
    /// Airbyte's Helm values (`-` reads standard input)
    #[arg(long, value_name = "FILE")]
    pub airbyte_values: Option<PathBuf>,
    /// The JSON object of a customer's own secrets manager for Airbyte (`-` reads standard input)
    #[arg(long, value_name = "FILE")]
    pub airbyte_storage: Option<PathBuf>,
    /// openmetadata.yaml, or an ingestion workflow's YAML (`-` reads standard input)
    #[arg(long, value_name = "FILE")]
    pub openmetadata: Option<PathBuf>,
    /// The airflow.cfg that the loader `airflow` reads, for what the other file does not say
    #[arg(long, value_name = "FILE", requires = "openmetadata", conflicts_with_all = ["airbyte_values", "airbyte_storage"])]
    pub airflow_cfg: Option<PathBuf>,
}
