//! `docs/` as a book.

use anyhow::Result;
use clap::Args;

use crate::workspace::Workspace;
use crate::{process, tools};

const MDBOOK: &str = "0.5.4";

/// Build the documentation in docs/ as a book, into target/book
///
/// Installs mdbook, which takes a few minutes once. What a reader could stumble over (dead links,
/// samples and commands that do not hold) is checked without it, by the tests of bin/reconciler.
#[derive(Args)]
pub(crate) struct Options {
    /// Show it in a browser
    #[arg(long)]
    open: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let program = tools::installed(workspace, "mdbook", MDBOOK)?;
    let place = workspace.target("book");
    let mut build = workspace.command(program);
    build.args(["build", "docs", "--dest-dir"]).arg(&place);
    if options.open {
        build.arg("--open");
    }
    process::run(&mut build)?;
    println!("{}", place.join("index.html").display());
    Ok(())
}
