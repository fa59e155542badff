//! The browser that looks at the service's page.

use std::process::Command;

use anyhow::Result;

use crate::{apt, process};

/// Installs Chromium where there is none.
pub(super) fn ensure() -> Result<()> {
    if process::read(Command::new("chromium").arg("--version")).is_err() {
        apt::install("chromium")?;
    }
    Ok(())
}
