//! What `cargo test` printed, read line by line: suites with their counts and names.

/// The suites of one `cargo test`, in the order they ran.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) suites: Vec<Suite>,
    /// Whether what tests that passed printed is being repeated.
    repeats: bool,
}

/// Who says a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The run, or a test that failed.
    Run,
    /// A test that passed: nobody wants to read it.
    Passed,
}

/// One test program, or the doc tests of one crate.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Suite {
    pub(super) name: String,
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) ignored: usize,
    /// Whether it came to its result line; one that crashed did not.
    pub(super) finished: bool,
    pub(super) failures: Vec<String>,
    pub(super) ignores: Vec<Ignored>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ignored {
    pub(super) name: String,
    pub(super) reason: String,
}

impl Output {
    pub(super) fn take(&mut self, line: &str) -> Whose {
        // With `--show-output` a test program repeats it between these lines.
        let ends = line == "failures:" || line.starts_with("test result: ");
        self.repeats = (self.repeats && !ends) || line == "successes:";
        if self.repeats {
            return Whose::Passed;
        }
        self.read(line);
        Whose::Run
    }

    fn read(&mut self, line: &str) {
        if let Some(name) = heading(line) {
            self.suites.push(Suite {
                name,
                ..Suite::default()
            });
            return;
        }
        let Some(suite) = self.suites.last_mut() else {
            return;
        };
        if let Some(counts) = line.strip_prefix("test result: ") {
            suite.finished = true;
            // Merged and separate doc tests of one crate each print a result.
            suite.passed += count(counts, "passed");
            suite.failed += count(counts, "failed");
            suite.ignored += count(counts, "ignored");
        } else if let Some((name, outcome)) = trial(line) {
            match outcome.split_once(", ").unwrap_or((outcome, "")) {
                ("FAILED", _) => suite.failures.push(name.to_owned()),
                ("ignored", reason) => suite.ignores.push(Ignored {
                    name: name.to_owned(),
                    reason: reason.to_owned(),
                }),
                _ => {}
            }
        }
    }
}

/// Cargo announces `     Running unittests src/lib.rs (target/debug/deps/NAME-HASH)` and
/// `   Doc-tests NAME`.
fn heading(line: &str) -> Option<String> {
    if let Some(name) = line.strip_prefix("   Doc-tests ") {
        return Some(format!("{name}, doc tests"));
    }
    let (what, program) = line
        .strip_prefix("     Running ")?
        .strip_suffix(')')?
        .rsplit_once(" (")?;
    let (_, file) = program.rsplit_once("deps/")?;
    let program = file.rsplit_once('-').map_or(file, |(name, _)| name);
    Some(format!("{program}, {what}"))
}

fn trial(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("test ")?.rsplit_once(" ... ")
}

fn count(counts: &str, what: &str) -> usize {
    counts
        .split(['.', ';'])
        .filter_map(|it| it.trim().strip_suffix(what))
        .find_map(|it| it.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Suite> {
        let mut output = Output::default();
        for line in text.lines() {
            output.take(line);
        }
        output.suites
    }

    #[test]
    fn what_passing_tests_printed_is_not_shown_or_read() {
        let mut output = Output::default();
        let text = "     Running tests/x.rs (target/debug/deps/x-1)\ntest a ... ok\n\nsuccesses:\n\n\
                    ---- a stdout ----\ntest b ... FAILED\n\nsuccesses:\n    a\n\n\
                    test result: ok. 1 passed; 0 failed; 0 ignored\n     Doc-tests y";
        let shown: Vec<&str> = text
            .lines()
            .filter(|line| output.take(line) == Whose::Run)
            .collect();
        let last = "test result: ok. 1 passed; 0 failed; 0 ignored";
        assert_eq!(shown[1..4], ["test a ... ok", "", last]);
        assert_eq!(output.suites[0].failures, Vec::<String>::new());
        assert_eq!(output.suites[0].passed, 1);
    }

    #[test]
    fn suites_are_told_apart() {
        let suites = read(
            "   Compiling x v0.1.0\n\
             \x20    Running unittests src/lib.rs (/t/debug/deps/cloakroom_core-0123abcd)\n\
             test a::b ... ok\ntest c ... FAILED\n\
             test d ... ignored, needs a server\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
             \x20  Doc-tests cloakroom_core\n\
             test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
             test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n",
        );
        assert_eq!(suites.len(), 2);
        assert_eq!(suites[0].name, "cloakroom_core, unittests src/lib.rs");
        assert_eq!((suites[0].passed, suites[0].failed), (1, 1));
        assert_eq!(suites[0].failures, ["c"]);
        assert_eq!(suites[0].ignores[0].reason, "needs a server");
        assert_eq!((suites[1].passed, suites[1].ignored), (5, 1));
    }

    #[test]
    fn a_trial_of_a_kind_keeps_it_in_its_name() {
        let suites = read(
            "     Running tests/conformance.rs (target/debug/deps/conformance-0123abcd)\n\
             test [unsupported] embedded::native_expiry ... ignored\n",
        );
        assert_eq!(
            suites[0].ignores[0].name,
            "[unsupported] embedded::native_expiry"
        );
        assert!(!suites[0].finished);
    }

    #[test]
    fn a_tests_own_output_is_no_heading() {
        assert!(read("     Running in circles (really)\nRunning x (deps/y-1)\n").is_empty());
    }
}
