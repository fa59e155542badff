//! `report`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// Which of the configured platforms; not needed where there is only one
    #[arg(value_name = "NAME")]
    pub platform: Option<String>,
    /// Write a page for people to this file too; it needs nothing beside it
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the report as JSON to this file too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// How many examples of each kind, and how many owners, to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// The database that is there now is the platform's from now on: what was seen beside another one
    /// is forgotten
    #[arg(long)]
    pub accept_database: bool,
}
