//! Laws as trials of libtest-mimic, so that `cargo test` names each one.

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use super::law::{Law, laws};
use super::{Broken, Manager, Verdict};

/// How `cargo xtask test` tells what does not apply from what was skipped.
pub(crate) const UNSUPPORTED: &str = "unsupported";

/// Every law as a trial, each on an empty namespace of its own. A law that does not apply is
/// ignored, with the reason behind its name.
pub fn trials(manager: impl Manager) -> Vec<Trial> {
    let manager: Arc<dyn Manager> = Arc::new(manager);
    let (capabilities, powers) = (manager.capabilities(), manager.powers());
    let credentials = manager.credentials();
    let trial = |law: &'static Law| {
        let name = format!("{}::{}", manager.name(), law.name);
        if let Some(reason) = law.excluded_with(&capabilities, powers, credentials) {
            return ignored(&name, reason).with_kind(UNSUPPORTED);
        }
        let manager = Arc::clone(&manager);
        Trial::test(name, move || Ok(hold(&*manager, law)?))
    };
    laws().iter().map(trial).collect()
}

/// The trials of a manager that is not there, each [`skipped`].
pub fn absent(name: &str, reason: &str) -> Vec<Trial> {
    let names = laws().iter().map(|law| format!("{name}::{}", law.name));
    names.map(|name| skipped(&name, reason)).collect()
}

/// A trial that cannot run here: ignored with the reason, failed where CI=true, since what is never
/// run would otherwise look like what holds.
pub fn skipped(name: &str, reason: &str) -> Trial {
    if env::var_os("CI").is_none_or(|value| value != "true") {
        return ignored(name, reason);
    }
    let reason = reason.to_owned();
    Trial::test(name, move || Err(Failed::from(reason)))
}

/// Runs trials as the command line asks: the whole `main` of a test with `harness = false`.
pub fn run(trials: Vec<Trial>) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

pub(crate) fn ignored(name: &str, reason: &str) -> Trial {
    let told = reason.to_owned();
    let skip = move || Ok(Completion::ignored_with(told));
    Trial::ignorable_test(format!("{name} ({reason})"), skip).with_ignored_flag(true)
}

fn hold(manager: &dyn Manager, law: &Law) -> Verdict {
    block_on(async {
        let subject = manager.subject().await?;
        let verdict = (law.check)(&*subject).await;
        subject.finish().await;
        verdict
    })?
}

/// Runs one trial on a runtime of its own.
pub(crate) fn block_on<T>(trial: impl Future<Output = T>) -> Result<T, Broken> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Broken::new(error.to_string()))?;
    Ok(runtime.block_on(trial))
}
