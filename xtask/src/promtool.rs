//! Prometheus' own opinion of the rules, the alerts' unit tests and the scrape configuration.

use std::process::Command;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{apt, process};

/// What is asked, from within `deploy/prometheus`.
const QUESTIONS: [&[&str]; 3] = [
    &["check", "rules", "--lint-fatal", "rules.yml"],
    &["test", "rules", "rules_test.yml"],
    &["check", "config", "--lint-fatal", "prometheus.yml"],
];

/// Checks the alert rules and runs their unit tests.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    ensure("promtool")?;
    let folder = workspace.root().join("deploy/prometheus");
    for question in QUESTIONS {
        process::read(Command::new("promtool").current_dir(&folder).args(question))?;
    }
    Ok(())
}

/// Installs Debian's package unless the program, which it brings, is there.
pub(crate) fn ensure(program: &str) -> Result<()> {
    if process::read(Command::new(program).arg("--version")).is_err() {
        apt::install("prometheus")?;
    }
    Ok(())
}
