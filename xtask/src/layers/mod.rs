//! The workspace's laws: who may depend on whom, and tidiness.

mod arrows;
mod lines;
mod manifests;
mod migrations;
mod sources;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// One law broken: where, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    place: String,
    what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let files = rust_files(workspace)?;
    let mut findings = arrows::check(workspace)?;
    findings.extend(manifests::check(workspace)?);
    findings.extend(sources::check(workspace.root(), &files)?);
    findings.extend(lines::check(workspace.root(), &files)?);
    findings.extend(migrations::check(workspace)?);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!(
            "{} of the workspace's laws are broken, see above",
            findings.len()
        );
    }
    println!(
        "{} packages and {} files keep the workspace's laws",
        workspace.metadata().workspace_packages().len(),
        files.len()
    );
    Ok(())
}

/// The Rust files that are, or are about to be, in the repository.
fn rust_files(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let listed = process::read(workspace.command("git").args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
        "--",
        "*.rs",
    ]))?;
    Ok(listed
        .split_terminator('\0')
        .map(PathBuf::from)
        .filter(|it| workspace.root().join(it).is_file())
        .collect())
}
