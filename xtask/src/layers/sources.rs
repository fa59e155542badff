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

pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in files {
        let text = fs::read_to_string(root.join(file))
            .with_context(|| format!("cannot read {}", file.display()))?;
        findings.extend(
            of_text(&text)
                .into_iter()
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

#[cfg(test)]
mod tests {
    use super::*;

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
