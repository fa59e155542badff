//! Helm, to render the chart with: no server, but it comes the way they do.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::install;

const PACKAGE: &str = "helm.sh/helm/v3/cmd/helm@v3.18.4";

/// The program, built once.
pub(super) fn program(servers: &Path) -> Result<PathBuf> {
    Ok(install::go(servers, "helm", PACKAGE)?.join("helm"))
}
