//! What a command line cannot mean, though it could be read: names that the configuration does not know,
//! and words that contradict each other. Told before anything is opened.

use std::path::{Path, PathBuf};

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
    platform(command, configuration)?;
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

/// Refuses a command that is about a platform and does not tell which, or one that is not there.
fn platform(command: &Command, configuration: &Configuration) -> Checked {
    let asked = match command {
        Command::Report(args) => &args.platform,
        Command::Adopt(args) => &args.platform,
        Command::Clean(args) => &args.platform,
        Command::MigrateSecrets(args) => &args.platform,
        Command::Move(args) if args.platform.is_some() => &args.platform,
        _ => return Ok(()),
    };
    known_platform(asked.as_deref(), configuration)
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
        Command::Report(args) if is_one_file(args.html.as_deref(), args.json.as_deref()) => {
            wrong("--html and --json are one file: the one would replace the other; name two")
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

fn is_one_file(one: Option<&Path>, other: Option<&Path>) -> bool {
    one.zip(other)
        .is_some_and(|(one, other)| place(one) == place(other))
}

/// Where a file is or would be made, whichever way it is named.
fn place(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize();
    let made = || Some(folder.ok()?.join(file.file_name()?));
    let found = file.canonicalize().ok();
    found.or_else(made).unwrap_or_else(|| file.to_owned())
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

/// Refuses the name of a platform that the configuration has not, and no name where it has several.
pub(super) fn known_platform(name: Option<&str>, configuration: &Configuration) -> Checked {
    let configured = configuration.platforms.keys().map(String::as_str);
    match name {
        Some(name) => known("platform", name, configured),
        None if configuration.platforms.len() > 1 => {
            let names: Vec<&str> = configured.collect();
            let names = names.join(", ");
            wrong(&format!("there are several platforms; say which: {names}"))
        }
        None => Ok(()),
    }
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
