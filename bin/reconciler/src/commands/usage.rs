//! What a command line cannot mean, though it could be read: names that the configuration does not know,
//! and words that contradict each other. Told before anything is opened.

use cloakroom_core::BackendId;
use cloakroom_core::store::Job;

use super::migrate_secrets::DATABASE;
use crate::cli::{BackendCommand, Command, EpochCommand, Global, QuarantineCommand, SecretCommand};
use crate::configuration::{Configuration, nearest};
use crate::exit::Misuse;
use crate::repeatable::repeated;

type Checked = Result<(), Misuse>;

/// Refuses such a command line.
pub(super) fn check(command: &Command, configuration: &Configuration) -> Checked {
    known_platform(platform(command), configuration)?;
    for backend in backends(command) {
        known_backend(backend.as_str(), configuration)?;
    }
    if needs_one(command) && configuration.backends.len() > 1 {
        let names: Vec<&str> = configuration.backends.keys().map(String::as_str).collect();
        return Err(Misuse::new(format!(
            "there are several backends; say which with --backend: {}",
            names.join(", ")
        )));
    }
    contradictions(command, configuration)
}

/// The name of a platform that is on the command line.
fn platform(command: &Command) -> Option<&str> {
    match command {
        Command::Report(args) => args.platform.as_deref(),
        Command::Adopt(args) => args.platform.as_deref(),
        Command::Clean(args) => args.platform.as_deref(),
        Command::Move(args) => args.platform.as_deref(),
        Command::MigrateSecrets(args) => args.platform.as_deref(),
        _ => None,
    }
}

/// The backends that are on the command line and have to be configured. The ledger may know one that is
/// not: `secret show` asks it.
fn backends(command: &Command) -> Vec<&BackendId> {
    let (one, other) = match command {
        Command::Run(args) => (&args.backend, &None),
        Command::Plan(args) => (&args.backend, &None),
        Command::Sweep(args) => (&args.backend, &None),
        Command::Secret(SecretCommand::LetGo(args)) => (&args.backend, &None),
        Command::Backend(BackendCommand::Check(args)) => (&args.backend, &None),
        Command::Quarantine(QuarantineCommand::Release(args)) => (&args.backend, &None),
        Command::Epoch(EpochCommand::Show(args)) => (&args.backend, &None),
        Command::Epoch(EpochCommand::Adopt(args)) => (&args.backend, &None),
        Command::Move(args) => (&args.from, &args.to),
        _ => (&None, &None),
    };
    one.iter().chain(other).collect()
}

/// Whether a command works on one backend, and was not told which.
fn needs_one(command: &Command) -> bool {
    match command {
        Command::Plan(args) => args.backend.is_none(),
        Command::Sweep(args) => args.backend.is_none(),
        Command::Secret(SecretCommand::LetGo(args)) => args.backend.is_none(),
        Command::Quarantine(QuarantineCommand::Release(args)) => args.backend.is_none(),
        Command::Epoch(EpochCommand::Adopt(args)) => args.backend.is_none(),
        _ => false,
    }
}

fn contradictions(command: &Command, configuration: &Configuration) -> Checked {
    match command {
        Command::Run(args)
            if args.read_values && !args.target.jobs().contains(&Job::VerifyBlobs) =>
        {
            wrong("--read-values is for verify-blobs; the other jobs read no value")
        }
        Command::Move(args) if args.from.is_some() && args.from == args.to => {
            wrong("--from and --to are one backend: nothing is to be moved")
        }
        Command::MigrateSecrets(args) => {
            for place in args.from.iter().chain(&args.to) {
                if place != DATABASE {
                    known_backend(place, configuration)?;
                }
            }
            if args.from.is_some() && args.from == args.to {
                return wrong("--from and --to are one place: nothing is to be moved");
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Refuses `--config` for the demo, whose deployment has a configuration of its own. A shell whose
/// environment names a file for the other commands means nothing by it here.
pub(super) fn no_file_for_the_demo(global: &Global) -> Checked {
    let of_the_shell = std::env::var_os("CLOAKROOM_CONFIG");
    match &global.config {
        Some(file) if of_the_shell.as_deref() != Some(file.as_os_str()) => wrong(
            "demo takes no --config: it makes a deployment with a configuration of its own, in --folder; \
             to run the jobs on yours, use `reconciler run all`",
        ),
        _ => Ok(()),
    }
}

/// Refuses the name of a platform that the configuration has not.
pub(super) fn known_platform(name: Option<&str>, configuration: &Configuration) -> Checked {
    let configured = configuration.platforms.keys().map(String::as_str);
    name.map_or(Ok(()), |name| known("platform", name, configured))
}

/// Refuses the name of a backend that the configuration has not.
pub(super) fn known_backend(name: &str, configuration: &Configuration) -> Checked {
    let configured = configuration.backends.keys().map(String::as_str);
    known("backend", name, configured)
}

fn known<'c>(what: &str, name: &str, configured: impl Iterator<Item = &'c str>) -> Checked {
    let configured: Vec<&str> = configured.collect();
    if configured.contains(&name) {
        return Ok(());
    }
    let told = repeated(name, configured.iter().copied());
    if configured.is_empty() {
        return wrong(&format!(
            "there is no {what} {told}: none is configured; name it under `{what}s` of the file that \
             --config or CLOAKROOM_CONFIG names"
        ));
    }
    let near = nearest(name, configured.iter().copied());
    let hint = near
        .map(|near| format!("did you mean `{near}`? "))
        .unwrap_or_default();
    wrong(&format!(
        "there is no {what} {told}; {hint}configured: {}",
        configured.join(", ")
    ))
}

fn wrong(message: &str) -> Checked {
    Err(Misuse::new(message))
}
