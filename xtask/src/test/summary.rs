//! The counts of a whole run, and what was skipped and why.

use std::fmt;

use super::output::{Ignored, Output, Suite};

/// How a trial is marked that tests what its subject does not claim to do.
const UNSUPPORTED: &str = "[unsupported]";

#[derive(Debug, Default)]
pub(super) struct Summary {
    suites: Vec<Suite>,
    /// Failures that no suite counted: it crashed, or nothing could be built.
    broken: Vec<String>,
    /// What the run could not have, with the reason.
    missing: Vec<(String, String)>,
}

impl Summary {
    pub(super) fn miss(&mut self, name: &str, reason: &str) {
        self.missing.push((name.to_owned(), reason.to_owned()));
    }

    pub(super) fn did_not_build(&mut self) {
        self.broken.push("the tests did not build".to_owned());
    }

    pub(super) fn leaked(&mut self) {
        self.broken.push(
            "values that tests had marked were found where none may be, see above".to_owned(),
        );
    }

    pub(super) fn add(&mut self, run: &str, output: Output, succeeded: bool) {
        if !succeeded {
            let before = self.broken.len();
            for suite in output.suites.iter().filter(|it| !it.finished) {
                self.broken
                    .push(format!("{}: ended without a result", suite.name));
            }
            let counted: usize = output.suites.iter().map(|it| it.failed).sum();
            if counted == 0 && self.broken.len() == before {
                self.broken.push(format!("the {run} failed, see above"));
            }
        }
        self.suites.extend(output.suites);
    }

    pub(super) fn is_failure(&self, ci: bool) -> bool {
        self.failed() > 0 || (ci && self.skipped() > 0)
    }

    fn passed(&self) -> usize {
        self.suites.iter().map(|it| it.passed).sum()
    }

    fn failed(&self) -> usize {
        self.suites.iter().map(|it| it.failed).sum::<usize>() + self.broken.len()
    }

    /// What was ignored without being marked as not applicable. A server that is missing counts
    /// too: the tests that need it may not even have been listed.
    fn skipped(&self) -> usize {
        let ignored: usize = self.suites.iter().map(|it| it.ignored).sum();
        ignored.saturating_sub(self.inapplicable()) + self.missing.len()
    }

    fn inapplicable(&self) -> usize {
        self.ignores().filter(|(_, it)| is_inapplicable(it)).count()
    }

    fn ignores(&self) -> impl Iterator<Item = (&str, &Ignored)> {
        self.suites
            .iter()
            .flat_map(|suite| suite.ignores.iter().map(|it| (suite.name.as_str(), it)))
    }
}

fn is_inapplicable(ignored: &Ignored) -> bool {
    ignored.name.contains(UNSUPPORTED) || ignored.reason.contains(UNSUPPORTED)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = self
            .suites
            .iter()
            .filter(|it| it.passed + it.failed > 0 || !it.finished);
        writeln!(f, "suites run: {}", run.count())?;
        for suite in &self.suites {
            for name in &suite.failures {
                writeln!(f, "failed: {}: {name}", suite.name)?;
            }
        }
        for what in &self.broken {
            writeln!(f, "failed: {what}")?;
        }
        for (name, reason) in &self.missing {
            writeln!(f, "skipped: {name}: {reason}")?;
        }
        for (suite, ignored) in self.ignores().filter(|(_, it)| !is_inapplicable(it)) {
            write!(f, "skipped: {suite}: {}", ignored.name)?;
            if !ignored.reason.is_empty() {
                write!(f, ": {}", ignored.reason)?;
            }
            writeln!(f)?;
        }
        writeln!(f, "not applicable: {}", self.inapplicable())?;
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed(),
            self.failed(),
            self.skipped()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &str) -> Output {
        let mut output = Output::default();
        output.take("     Running tests/x.rs (target/debug/deps/x-1)");
        for line in text.lines() {
            output.take(line);
        }
        output
    }

    fn last(summary: &Summary) -> String {
        summary.to_string().lines().last().unwrap().to_owned()
    }

    #[test]
    fn unsupported_is_not_skipped() {
        let mut summary = Summary::default();
        summary.add(
            "tests",
            output(
                "test [unsupported] a ... ignored\ntest b ... ignored, no server\n\
                 test result: ok. 3 passed; 0 failed; 2 ignored; 0 measured",
            ),
            true,
        );
        assert_eq!(last(&summary), "3 passed, 0 failed, 1 skipped");
        assert!(summary.to_string().contains("b: no server"));
        assert!(!summary.is_failure(false));
        assert!(summary.is_failure(true));
    }

    #[test]
    fn only_unsupported_passes_in_ci() {
        let mut summary = Summary::default();
        summary.add(
            "tests",
            output(
                "test [unsupported] a ... ignored\ntest result: ok. 1 passed; 0 failed; 1 ignored",
            ),
            true,
        );
        assert!(!summary.is_failure(true));
    }

    #[test]
    fn a_crash_is_a_failure() {
        let mut summary = Summary::default();
        summary.add("tests", output("test a ... ok"), false);
        assert_eq!(last(&summary), "0 passed, 1 failed, 0 skipped");
        assert!(summary.is_failure(false));
    }

    #[test]
    fn a_leak_is_a_failure() {
        let mut summary = Summary::default();
        summary.add("tests", output("test result: ok. 1 passed; 0 failed"), true);
        summary.leaked();
        assert_eq!(last(&summary), "1 passed, 1 failed, 0 skipped");
        assert!(summary.is_failure(false));
    }

    #[test]
    fn a_missing_server_is_skipped_with_its_reason() {
        let mut summary = Summary::default();
        summary.miss("postgres", "no package");
        assert_eq!(last(&summary), "0 passed, 0 failed, 1 skipped");
        assert!(
            summary
                .to_string()
                .contains("skipped: postgres: no package")
        );
        assert!(summary.is_failure(true));
    }
}
