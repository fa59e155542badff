//! The whole test run: servers up, specs fetched, every suite run, all of it summed up.

mod browser;
mod leavings;
mod output;
mod streams;
mod summary;

use std::ffi::OsStr;
use std::fmt;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::process::{self, Limit};
use crate::workspace::{Workspace, in_ci};
use crate::{connectors, interrupt, servers, simulate};
use leavings::Leavings;
use output::{Output, Whose};
use streams::Suites;
use summary::Summary;

/// Start the real servers, run every test, say what was skipped
///
/// Starts the servers of `cargo xtask servers` unless they already run, fetches the specs of
/// `cargo xtask connectors`, then builds and runs the unit, integration, example and doc tests of
/// the workspace, and then the simulation of `cargo xtask simulate`, its mutants too. Benchmarks
/// are not run. Whatever this started is stopped again, also after
/// Ctrl-C.
///
/// Suites that mostly wait for a server run beside the others, and what a suite printed is shown when it
/// has ended. One that prints nothing for ten minutes is stopped and counts as failed.
///
/// The last step searches for the marked values of the tests: in all that they printed, what passing
/// tests print included, in the temporary files that were left, and in the files of PostgreSQL and MariaDB. A
/// value found there fails the run.
///
/// Tests find what they need in CLOAKROOM_TEST_POSTGRES_URL and CLOAKROOM_TEST_SPECS. A variable
/// you have set yourself is left as it is.
///
/// At the end: suites run, passed, failed and ignored tests, and what was skipped and why. An
/// ignored trial marked `[unsupported]` tests what its subject does not claim to do: it counts as
/// not applicable, not as skipped. The last line is `N passed, N failed, N skipped`. The exit
/// status is 1 after a failure and, with CI=true, also when anything was skipped.
#[derive(Args)]
pub(crate) struct Options {
    /// Test only these packages
    #[arg(short, long = "package", value_name = "NAME")]
    packages: Vec<String>,
    /// Handed to every test program: part of a test's name, or its own options
    #[arg(last = true, value_name = "FILTER")]
    filters: Vec<String>,
}

/// The run failed and its summary has already said so.
#[derive(Debug)]
pub(crate) struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the test run failed")
    }
}

impl std::error::Error for Failed {}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    interrupt::listen()?;
    let started = Instant::now();
    let mut summary = Summary::default();

    heading("servers");
    let servers = servers::ForTests::start(workspace)?;
    for (name, reason) in &servers.missing {
        summary.miss(name, reason);
    }
    let mut variables = servers.variables.clone();

    heading("connectors");
    match connectors::fetch(workspace) {
        Ok(specs) => variables.push((
            "CLOAKROOM_TEST_SPECS".to_owned(),
            specs.to_string_lossy().into_owned(),
        )),
        Err(error) => summary.miss("connectors", &format!("{error:#}")),
    }
    if let Err(error) = browser::ensure() {
        summary.miss("chromium", &format!("{error:#}"));
    }
    heading("helm");
    match servers::helm(workspace) {
        Ok(program) => variables.push((
            "CLOAKROOM_TEST_HELM".to_owned(),
            program.to_string_lossy().into_owned(),
        )),
        Err(error) => summary.miss("helm", &format!("{error:#}")),
    }
    heading("OpenMetadata's client");
    match servers::openmetadata_client(workspace) {
        Ok(python) => variables.push((
            "CLOAKROOM_TEST_OPENMETADATA_CLIENT".to_owned(),
            python.to_string_lossy().into_owned(),
        )),
        Err(error) => summary.miss("OpenMetadata's client", &format!("{error:#}")),
    }
    variables.retain(|(name, _)| std::env::var_os(name).is_none());
    let mut leavings = Leavings::new()?;
    for (name, value) in &variables {
        println!("{name}={value}");
    }

    heading("build");
    // Every library and program as unit tests, every integration test and every example.
    let mut build = test(workspace, options, &["--tests", "--examples", "--no-run"]);
    if follow(&mut build, &mut Output::default(), &mut leavings)? {
        let command = |targets: &[String]| {
            let mut command = test(workspace, options, targets);
            command
                .arg("--no-fail-fast")
                // What a passing test printed is searched as well.
                .args(["--", "--show-output"])
                .args(&options.filters)
                .env("TMPDIR", leavings.temporary())
                .envs(variables.iter().cloned());
            command
        };
        let suites = Suites::of(workspace, &options.packages);
        let side_by_side = suites.streams().iter().map(|it| command(it)).collect();
        let doc_tests = suites.has_library.then(|| command(&["--doc".to_owned()]));
        heading("tests");
        for (output, succeeded) in streams::follow(side_by_side, &mut leavings)? {
            summary.add("tests", output, succeeded);
        }
        if let Some(mut command) = doc_tests {
            heading("doc tests");
            let mut output = Output::default();
            let succeeded = follow(&mut command, &mut output, &mut leavings)?;
            summary.add("doc tests", output, succeeded);
        }
    } else {
        summary.did_not_build();
    }

    if options.packages.is_empty() && options.filters.is_empty() {
        for (name, mut command) in simulate::for_tests(workspace) {
            heading(name);
            let succeeded = follow(&mut command, &mut Output::default(), &mut leavings)?;
            summary.add(name, Output::default(), succeeded);
        }
    }
    heading("marked values");
    if !leavings.are_clean(workspace, &servers.databases)? {
        summary.leaked();
    }
    drop(servers);
    heading(&format!("summary, {} s", started.elapsed().as_secs()));
    println!("{summary}");
    if summary.is_failure(in_ci()) {
        return Err(Failed.into());
    }
    Ok(())
}

fn test(workspace: &Workspace, options: &Options, targets: &[impl AsRef<OsStr>]) -> Command {
    let mut command = workspace.cargo();
    command.arg("test");
    if options.packages.is_empty() {
        command.arg("--workspace");
    }
    for package in &options.packages {
        command.args(["--package", package]);
    }
    command.args(targets);
    command
}

fn follow(command: &mut Command, output: &mut Output, leavings: &mut Leavings) -> Result<bool> {
    let mut kept = Ok(());
    let status = process::watch(command, Limit::None, |line| {
        if output.take(line) == Whose::Run {
            println!("{line}");
        }
        if kept.is_ok() {
            kept = leavings.note(line);
        }
    })?;
    kept?;
    Ok(status.success())
}

fn heading(text: &str) {
    println!("\n=== {text}");
}
