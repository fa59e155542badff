//! `demo`. Its `--output` is the global one.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// Arguments of `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Exit after the jobs instead of serving metrics and status until Ctrl-C
    #[arg(long)]
    pub once: bool,
    /// Makes the sample deployment repeatable
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How many documents to make
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub documents: u64,
    /// Folder of real connectors' specs (spec.json, spec.yaml, manifest.yaml) to use in place of
    /// the sample ones
    #[arg(long, value_name = "DIR")]
    pub specs: Option<PathBuf>,
    /// Folder to make the deployment in, new or empty; a fresh temporary one by default
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Remove the deployment an earlier demo made in the folder, with all that was put into it since
    #[arg(long, requires = "folder")]
    pub replace: bool,
    /// Address for metrics, health and status; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    pub listen: SocketAddr,
}
