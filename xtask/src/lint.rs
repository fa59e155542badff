//! Everything that is checked without running the product.

use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::workspace::Workspace;
use crate::{layers, process, promtool, tools};

const CARGO_DENY: &str = "0.20.2";

/// Check formatting, clippy, licences and bans, the workspace's laws and the documentation
///
/// Without STEP all of them run, in this order, and the first failure ends the run.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only these
    #[arg(value_name = "STEP")]
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Step {
    /// `cargo fmt --check`, the fuzz targets included
    Format,
    /// `cargo clippy` over every target; any warning is an error
    Clippy,
    /// `cargo deny check bans licenses sources`; installs cargo-deny when it is missing
    Deny,
    /// The same as `cargo xtask layers`
    Layers,
    /// The same as `cargo xtask docs`
    Docs,
    /// The same as `cargo xtask rules`
    Rules,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let steps = if options.steps.is_empty() {
        Step::value_variants()
    } else {
        &options.steps
    };
    for step in steps {
        let started = Instant::now();
        match step {
            Step::Format => format(workspace),
            Step::Clippy => clippy(workspace),
            Step::Deny => deny(workspace),
            Step::Layers => layers::run(workspace),
            Step::Docs => docs(workspace),
            Step::Rules => promtool::run(workspace),
        }
        .with_context(|| format!("{step:?}"))?;
        println!("{step:?}: fine, {:.1} s", started.elapsed().as_secs_f64());
    }
    Ok(())
}

fn format(workspace: &Workspace) -> Result<()> {
    process::run(workspace.cargo().args(["fmt", "--all", "--check"]))?;
    // A workspace of its own, which `--all` does not see.
    let fuzz = workspace.root().join("fuzz/Cargo.toml");
    if fuzz.is_file() {
        process::run(
            workspace
                .cargo()
                .args(["fmt", "--check", "--manifest-path"])
                .arg(fuzz),
        )?;
    }
    Ok(())
}

fn clippy(workspace: &Workspace) -> Result<()> {
    process::run(workspace.cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ]))
}

pub(crate) fn docs(workspace: &Workspace) -> Result<()> {
    process::run(
        workspace
            .cargo()
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn deny(workspace: &Workspace) -> Result<()> {
    let program = tools::installed(workspace, "cargo-deny", CARGO_DENY)?;
    process::run(workspace.command(program).args([
        "--workspace",
        "--all-features",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))
}
