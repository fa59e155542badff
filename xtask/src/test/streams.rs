//! Test programs in several streams side by side: some mostly wait for a server while others compute.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use super::leavings::Leavings;
use super::output::{Output, Whose};
use crate::interrupt;
use crate::process::{self, Limit};
use crate::workspace::Workspace;

/// Integration tests by this name ask servers most of the time: the managers' contract.
const WAITING: &str = "conformance";
/// Many times what any single test takes on a loaded machine.
const SILENCE: Duration = Duration::from_mins(10);

/// What there is to run in the chosen packages.
pub(super) struct Suites {
    /// Cargo refuses to run the doc tests of packages that have no library.
    pub(super) has_library: bool,
    /// The names of the integration tests; several packages may have one of the same name.
    names: BTreeSet<String>,
}

/// What is told of a stream.
enum Told {
    Line(String),
    Ended {
        succeeded: bool,
        /// Why it had to be stopped.
        stopped: Option<String>,
    },
}

/// A stream, and its lines that are held back until their suite has ended.
#[derive(Default)]
struct Stream {
    output: Output,
    held: Vec<String>,
    succeeded: bool,
}

impl Suites {
    pub(super) fn of(workspace: &Workspace, chosen: &[String]) -> Self {
        let packages = workspace.metadata().workspace_packages();
        let targets: Vec<_> = packages
            .iter()
            .filter(|it| chosen.is_empty() || chosen.iter().any(|name| it.name == *name))
            .flat_map(|it| &it.targets)
            .collect();
        Self {
            has_library: targets.iter().any(|it| it.is_lib() || it.is_proc_macro()),
            names: targets
                .iter()
                // One that is named runs even where its manifest says that it is no test of the run.
                .filter(|it| it.is_test() && it.test)
                .map(|it| it.name.clone())
                .collect(),
        }
    }

    /// What cargo is told to run, a list of arguments a stream.
    pub(super) fn streams(&self) -> Vec<Vec<String>> {
        let named = |name: &String| ["--test".to_owned(), name.clone()];
        let (waiting, others): (Vec<_>, Vec<_>) = self.names.iter().partition(|it| *it == WAITING);
        let mut rest = vec!["--bins".to_owned(), "--examples".to_owned()];
        if self.has_library {
            rest.push("--lib".to_owned());
        }
        rest.extend(others.into_iter().flat_map(named));
        let mut streams = vec![rest];
        if !waiting.is_empty() {
            streams.push(waiting.into_iter().flat_map(named).collect());
        }
        streams
    }
}

/// Runs the commands, a stream each, and prints what a suite said when it has ended. Gives what each
/// stream printed and whether it succeeded.
pub(super) fn follow(
    commands: Vec<Command>,
    leavings: &mut Leavings,
) -> Result<Vec<(Output, bool)>> {
    let mut streams: Vec<Stream> = commands.iter().map(|_| Stream::default()).collect();
    let (tell, told) = mpsc::channel();
    for (number, command) in commands.into_iter().enumerate() {
        let tell = tell.clone();
        thread::spawn(move || run(command, number, &tell));
    }
    drop(tell);
    for (number, told) in told {
        if let Told::Line(line) = &told {
            leavings.note(line)?;
        }
        for line in streams[number].take(told) {
            println!("{line}");
        }
    }
    if interrupt::requested() {
        bail!("the tests were interrupted");
    }
    Ok(streams
        .into_iter()
        .map(|it| (it.output, it.succeeded))
        .collect())
}

fn run(mut command: Command, number: usize, tell: &Sender<(usize, Told)>) {
    // Nobody listens any more only when the whole run has failed.
    let say = |it| drop(tell.send((number, it)));
    let status = process::watch(&mut command, Limit::Silence(SILENCE), |line| {
        say(Told::Line(line.to_owned()));
    });
    say(match status {
        Ok(status) => Told::Ended {
            succeeded: status.success(),
            stopped: None,
        },
        Err(error) => Told::Ended {
            succeeded: false,
            stopped: Some(format!("{error:#}")),
        },
    });
}

impl Stream {
    /// Gives the lines that can be shown now: those of the suite that has ended.
    fn take(&mut self, told: Told) -> Vec<String> {
        match told {
            Told::Line(line) => {
                let suites = self.output.suites.len();
                let whose = self.output.take(&line);
                let ended = if self.output.suites.len() > suites {
                    std::mem::take(&mut self.held)
                } else {
                    Vec::new()
                };
                if whose == Whose::Run {
                    self.held.push(line);
                }
                ended
            }
            Told::Ended { succeeded, stopped } => {
                self.succeeded = succeeded;
                self.held.extend(stopped);
                std::mem::take(&mut self.held)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Told {
        Told::Line(text.to_owned())
    }

    #[test]
    fn a_suite_is_shown_whole_when_it_has_ended() {
        let mut stream = Stream::default();
        let first = "     Running tests/x.rs (target/debug/deps/x-1)";
        let second = "     Running tests/y.rs (target/debug/deps/y-1)";
        assert!(stream.take(line(first)).is_empty());
        assert!(stream.take(line("test a ... ok")).is_empty());
        assert_eq!(stream.take(line(second)), [first, "test a ... ok"]);
        let stopped = Told::Ended {
            succeeded: false,
            stopped: Some("printed nothing".to_owned()),
        };
        assert_eq!(stream.take(stopped), [second, "printed nothing"]);
        assert!(!stream.succeeded);
    }

    #[test]
    fn every_target_is_in_one_stream() {
        let suites = Suites {
            has_library: true,
            names: ["conformance", "laws", "page"].map(str::to_owned).into(),
        };
        let streams = suites.streams();
        assert_eq!(
            streams[0].join(" "),
            "--bins --examples --lib --test laws --test page"
        );
        assert_eq!(streams[1].join(" "), "--test conformance");
    }
}
