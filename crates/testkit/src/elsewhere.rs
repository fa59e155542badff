//! The running test program once more, in another environment: variables, home and files that an SDK
//! looks for by itself. A process has one environment, and its tests run side by side.

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::process::{Command, ExitCode};

/// Names the task that a test program was started for.
const TASK: &str = "CLOAKROOM_TEST_TASK";

/// What begins so is handed on; everything else of the environment is not.
const KEPT: &str = "CLOAKROOM_TEST_";

/// The task this process was started for, instead of its tests.
pub fn task() -> Option<String> {
    env::var(TASK).ok()
}

/// How such a process ends.
#[expect(clippy::print_stderr, reason = "it is what the calling test is told")]
pub fn end(ended: Result<(), impl Display>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a task in an environment of these variables alone, beside the tests' own. The calling test's
/// runtime goes on meanwhile.
///
/// # Errors
/// What the process said, if it failed.
pub async fn run(
    task: &str,
    variables: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<(), String> {
    run_under(&[], task, variables).await
}

/// The same by a program that is given this one's path as its last argument, to start it in other
/// surroundings.
///
/// # Errors
/// What the process said, if it failed.
pub async fn run_under(
    program: &[&str],
    task: &str,
    variables: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<(), String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = match program {
        [] => Command::new(this),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(this);
            command
        }
    };
    command.env_clear().envs(kept()).env(TASK, task);
    command.envs(variables);
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    let output = ran
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{task}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn kept() -> impl Iterator<Item = (OsString, OsString)> {
    env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(KEPT))
}
