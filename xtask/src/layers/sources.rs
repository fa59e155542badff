//! Laws about source text: every file says what it is, and nothing is left unfinished.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Finding;

/// Written in two halves, or this file would break the law itself.
const UNFINISHED: [&str; 3] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("FIX", "ME"),
];

/// Where the world is reached through the traits of core alone.
const WITHOUT_INPUT_OR_OUTPUT: [&str; 4] = [
    "crates/coordinates/src",
    "crates/core/src",
    "crates/documents/src",
    "crates/reconcile/src",
];

/// The parts of the standard library that reach the world.
const INPUT_OR_OUTPUT: [&str; 4] = ["std::env", "std::fs", "std::net", "std::process"];

pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in files {
        let text = fs::read_to_string(root.join(file))
            .with_context(|| format!("cannot read {}", file.display()))?;
        let reaches_out = WITHOUT_INPUT_OR_OUTPUT
            .iter()
            .any(|folder| file.starts_with(folder))
            .then(|| input_or_output(&text));
        findings.extend(
            of_text(&text)
                .into_iter()
                .chain(reaches_out.into_iter().flatten())
                .map(|(line, what)| Finding::new(format!("{}:{line}", file.display()), what)),
        );
    }
    Ok(findings)
}

fn of_text(text: &str) -> Vec<(usize, String)> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push((
            1,
            "the first line says in a `//!` what the file is for; add it".to_owned(),
        ));
    }
    for (number, line) in text.lines().enumerate() {
        for marker in UNFINISHED {
            if line.contains(marker) {
                findings.push((
                    number + 1,
                    format!("`{marker}` marks unfinished work; finish it or open an issue"),
                ));
            }
        }
    }
    findings
}

fn input_or_output(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(number, line)| {
            let used = INPUT_OR_OUTPUT.iter().find(|part| {
                line.match_indices(*part).any(|(at, part)| {
                    let rest = &line[at + part.len()..];
                    !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_')
                })
            })?;
            let what =
                format!("`{used}` is input or output, which comes in through a trait of core");
            Some((number + 1, what))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_is_reached_through_traits() {
        for line in [
            "use std::fs;",
            "let text = std::fs::read(path);",
            "use std::{a, b}; std::env::var(x)",
        ] {
            assert_eq!(input_or_output(line).len(), 1, "{line}");
        }
        for line in [
            "use std::fmt;",
            "use std::process_group;",
            "use std::future::ready;",
        ] {
            assert!(input_or_output(line).is_empty(), "{line}");
        }
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert!(of_text("//! Something.\nfn f() {}\n").is_empty());
        assert_eq!(of_text("fn f() {}\n").len(), 1);
        assert_eq!(of_text("").len(), 1);
    }

    #[test]
    fn unfinished_work_is_found_with_its_line() {
        let text = format!("//! Something.\nfn f() {{ {}) }}\n", UNFINISHED[0]);
        assert_eq!(of_text(&text)[0].0, 2);
    }
}
