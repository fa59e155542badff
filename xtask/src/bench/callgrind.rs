//! Instruction counts: a program run under valgrind's callgrind.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{apt, process};

/// The instructions that a program executes inside the named functions, or in all of it.
pub(super) fn count(program: &Path, arguments: &[&str], functions: &[&str]) -> Result<u64> {
    if process::read(Command::new("valgrind").arg("--version")).is_err() {
        apt::install("valgrind")?;
    }
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("callgrind.out");
    let mut option = std::ffi::OsString::from("--callgrind-out-file=");
    option.push(&out);
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind"]).arg(option);
    for function in functions {
        command.arg(format!("--toggle-collect={function}"));
    }
    command.arg(program).args(arguments);
    process::read(&mut command)?;
    let text = std::fs::read_to_string(&out)
        .with_context(|| format!("callgrind wrote no {}", out.display()))?;
    match total(&text) {
        None => bail!("callgrind's output has neither a summary nor totals"),
        // The pattern has to fit the whole name as callgrind shows it, and what the compiler
        // inlined has no name any more.
        Some(0) => bail!(
            "nothing was counted: no function of {} fits {functions:?}; \
             is it inlined, or does the pattern lack a leading and a trailing *?",
            program.display()
        ),
        Some(count) => Ok(count),
    }
}

fn total(text: &str) -> Option<u64> {
    let of = |key: &str| {
        text.lines()
            .filter_map(|line| line.strip_prefix(key))
            .find_map(|it| it.split_whitespace().next()?.parse().ok())
    };
    // With toggles the summary may be left out, the totals are always there.
    of("summary:").or_else(|| of("totals:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found_in_either_line() {
        assert_eq!(
            total("version: 1\nsummary: 4321\n\ntotals: 4321\n"),
            Some(4321)
        );
        assert_eq!(total("fn=x\n1 2\ntotals: 77\n"), Some(77));
        assert_eq!(total("version: 1\n"), None);
    }
}
