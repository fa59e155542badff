//! Cargo's own programs that a chore needs, by version, in a folder below the target directory.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

/// The program, built once.
pub(crate) fn installed(workspace: &Workspace, name: &str, version: &str) -> Result<PathBuf> {
    let tools = workspace.target("tools");
    let program = tools.join("bin").join(name);
    // Some print `name 1.2.3`, others `name v1.2.3`.
    let present = program.is_file()
        && process::read(workspace.command(&program).arg("--version")).is_ok_and(|told| {
            told.split_whitespace()
                .next_back()
                .is_some_and(|it| it.trim_start_matches('v') == version)
        });
    if present {
        return Ok(program);
    }
    eprintln!("installing {name} {version}, which takes a few minutes once");
    let build = workspace.target("tools-build");
    process::run(
        workspace
            .cargo()
            .args(["install", "--locked", "--quiet", "--force"])
            .arg(format!("{name}@{version}"))
            .arg("--root")
            .arg(&tools)
            .arg("--target-dir")
            .arg(&build),
    )?;
    fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
    Ok(program)
}
