//! Migrations are append-only: somebody's database has already run the old text.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::Finding;
use crate::process;
use crate::workspace::Workspace;

const FOLDER: &str = "migrations";

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let git = |arguments: &[&str]| process::read(workspace.command("git").args(arguments));
    let mut findings = Vec::new();
    // A repository without commits has no history to keep.
    let Ok(head) = git(&["rev-parse", "--verify", "--quiet", "HEAD"]) else {
        return Ok(findings);
    };
    let log = git(&[
        "log",
        "--reverse",
        "--no-renames",
        "--diff-filter=A",
        "--name-only",
        "--format=commit %H",
        "--",
        FOLDER,
    ])?;
    for (path, commit) in first_additions(&log) {
        // Whoever has just added it may still amend that commit.
        if commit == head.trim() {
            continue;
        }
        let short = &commit[..commit.len().min(10)];
        let what = if workspace.root().join(path).is_file() {
            let added = git(&["rev-parse", &format!("{commit}:{path}")])?;
            let now = git(&["hash-object", "--", path])?;
            if added == now {
                continue;
            }
            "has changed since"
        } else {
            "is gone since"
        };
        findings.push(Finding::new(
            path,
            format!(
                "{what} commit {short} added it; migrations are append-only: \
                 `git checkout {short} -- {path}`, then add a new migration"
            ),
        ));
    }
    Ok(findings)
}

/// Each migration with the commit that first brought it, from a log that starts with the oldest.
fn first_additions(log: &str) -> BTreeMap<&str, &str> {
    let mut commit = "";
    let mut additions = BTreeMap::new();
    for line in log.lines() {
        if let Some(hash) = line.strip_prefix("commit ") {
            commit = hash;
        } else if Path::new(line).extension().is_some_and(|it| it == "sql") {
            additions.entry(line).or_insert(commit);
        }
    }
    additions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_addition_counts() {
        let log = "commit aaa\n\nmigrations/a.sql\nmigrations/README.md\n\
                   commit bbb\n\nmigrations/a.sql\nmigrations/b.sql\n";
        let additions = first_additions(log);
        assert_eq!(additions.len(), 2);
        assert_eq!(additions["migrations/a.sql"], "aaa");
        assert_eq!(additions["migrations/b.sql"], "bbb");
    }
}
