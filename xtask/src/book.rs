//! `docs/` as a book.

mod links;
mod shown;

use std::fs;

use anyhow::{Context, Result};
use clap::Args;

use crate::workspace::Workspace;
use crate::{process, tools};

const MDBOOK: &str = "0.5.4";

/// Build the documentation in docs/ as a book, into target/book
///
/// Installs mdbook, which takes a few minutes once. Files of the repository that a page refers to are
/// shown in pages of their own; a link that leads nowhere is an error. Whether samples and commands
/// hold is looked at by the tests of bin/reconciler.
#[derive(Args)]
pub(crate) struct Options {
    /// Show it in a browser
    #[arg(long)]
    open: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let program = tools::installed(workspace, "mdbook", MDBOOK)?;
    let place = workspace.target("book");
    // Pages that are no more would still be led to.
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
    }
    let mut build = workspace.command(program);
    build.args(["build", "docs", "--dest-dir"]).arg(&place);
    if options.open {
        build.arg("--open");
    }
    process::run(&mut build)?;
    let links = links::mend(workspace.root(), &place)?;
    println!("{links} links lead somewhere");
    println!("{}", place.join("index.html").display());
    Ok(())
}
