//! No file grows past what one reads in a sitting, unless it is listed here with a reason.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Finding;

const MOST: usize = 600;

/// Files that may be longer, each with the reason.
const LONG: &[(&str, &str)] = &[];

pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (listed, _) in LONG {
        if !files.iter().any(|it| it == Path::new(listed)) {
            findings.push(Finding::new(
                *listed,
                "is listed as a long file, but there is none; take it off the list",
            ));
        }
    }
    for file in files {
        let text = fs::read_to_string(root.join(file))
            .with_context(|| format!("cannot read {}", file.display()))?;
        let long = of_code(&text) > MOST;
        let listed = LONG.iter().any(|(it, _)| file == Path::new(it));
        let what = match (long, listed) {
            (true, false) => format!(
                "has {} lines of code, more than {MOST}; split it by subject, \
                 or list it with a reason in xtask/src/layers/lines.rs",
                of_code(&text)
            ),
            (false, true) => {
                "is listed as a long file and is none; take it off the list".to_owned()
            }
            _ => continue,
        };
        findings.push(Finding::new(file.display().to_string(), what));
    }
    Ok(findings)
}

fn of_code(text: &str) -> usize {
    text.lines()
        .map(str::trim_start)
        .filter(|it| !it.is_empty() && !it.starts_with("//"))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_are_free() {
        assert_eq!(of_code("//! A.\n\n    // why\nfn f() {\n}\n"), 2);
    }
}
