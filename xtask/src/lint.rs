//! Everything that is checked without running the product.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::workspace::Workspace;
use crate::{layers, process};

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
    let program = cargo_deny(workspace)?;
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

fn cargo_deny(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.target("tools");
    let program = tools.join("bin/cargo-deny");
    let wanted = format!("cargo-deny {CARGO_DENY}");
    let present = program.is_file()
        && process::read(workspace.command(&program).arg("--version"))
            .is_ok_and(|it| it.trim() == wanted);
    if present {
        return Ok(program);
    }
    eprintln!("installing {wanted}, which takes a few minutes once");
    let build = workspace.target("tools-build");
    process::run(
        workspace
            .cargo()
            .args(["install", "--locked", "--quiet", "--force"])
            .arg(format!("cargo-deny@{CARGO_DENY}"))
            .arg("--root")
            .arg(&tools)
            .arg("--target-dir")
            .arg(&build),
    )?;
    fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
    Ok(program)
}
