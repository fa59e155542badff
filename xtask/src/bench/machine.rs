//! The machine that figures were measured on: without it they say nothing.

use std::fs;
use std::thread;

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

pub(super) fn describe(workspace: &Workspace) -> Result<String> {
    let rustc = process::read(workspace.command("rustc").arg("--version"))?;
    let cores = thread::available_parallelism()?;
    let kibibytes: f64 = field("/proc/meminfo", "MemTotal")
        .and_then(|it| it.trim_end_matches(" kB").parse().ok())
        .unwrap_or(0.0);
    Ok(format!(
        "{}, {cores} cores, {:.0} GiB, {}",
        field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned()),
        kibibytes / 1_048_576.0,
        rustc.trim()
    ))
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let (_, value) = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}
