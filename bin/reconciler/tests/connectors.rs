//! The whole of it over real connectors' specs: configurations for every branch are put, edited,
//! saved masked, hydrated and removed; then the three jobs run, and the backend holds exactly the
//! live secrets. `cargo xtask test` fetches the specs and names their folder in
//! `CLOAKROOM_TEST_SPECS`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that has no harness is a test all the same"
)]

#[path = "connectors/airbyte.rs"]
mod airbyte;
#[path = "connectors/life.rs"]
mod life;
#[path = "connectors/rig.rs"]
mod rig;

use std::path::PathBuf;
use std::process::ExitCode;

use cloakroom_reconciler::demo::{samples, specs_folder};
use libtest_mimic::{Arguments, Failed, Trial};

const FOLDER: &str = "CLOAKROOM_TEST_SPECS";

const A_DOZEN: usize = 12;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = sample_trials();
    match std::env::var_os(FOLDER).map(PathBuf::from) {
        Some(folder) => trials.extend(real_trials(&folder)),
        None => trials.push(missing()),
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The sample specs need no network, so they are always lived through.
fn sample_trials() -> Vec<Trial> {
    let connectors = samples::connectors().expect("the sample specs compile");
    connectors
        .into_iter()
        .map(|connector| {
            Trial::test(format!("sample/{}", connector.name), move || {
                life::live(&connector)
            })
        })
        .collect()
}

fn real_trials(folder: &std::path::Path) -> Vec<Trial> {
    let found = match specs_folder::read(folder) {
        Ok(found) => found,
        Err(error) => return vec![failing(FOLDER.to_owned(), format!("{error:#}"))],
    };
    let mut trials = vec![variety(&found)];
    trials.extend(lives(found));
    trials
}

/// A dozen connectors at least, and each way that a package carries its spec: with fewer the suite
/// would pass for having nothing to do.
fn variety(found: &[specs_folder::Found]) -> Trial {
    let count = found.len();
    let missing: Vec<&str> = ["spec.json", "spec.yaml", "manifest.yaml"]
        .into_iter()
        .filter(|name| !found.iter().any(|it| it.file.ends_with(name)))
        .collect();
    Trial::test("real/a_varied_dozen", move || {
        if count >= A_DOZEN && missing.is_empty() {
            return Ok(());
        }
        Err(format!("{count} connectors; none with {missing:?}").into())
    })
}

fn lives(found: Vec<specs_folder::Found>) -> Vec<Trial> {
    found
        .into_iter()
        .map(|found| {
            let name = format!("real/{}", found.file.display());
            match found.connector {
                Ok(connector) => Trial::test(name, move || life::live(&connector)),
                Err(error) => failing(name, format!("{error:#}")),
            }
        })
        .collect()
}

/// In CI a test that cannot run has failed; on a machine without network it is ignored.
fn missing() -> Trial {
    let reason = format!("{FOLDER} is not set: `cargo xtask test` fetches the specs and sets it");
    if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
        return failing("real/all".to_owned(), reason);
    }
    Trial::test(format!("real/all ({reason})"), || Ok(())).with_ignored_flag(true)
}

fn failing(name: String, reason: String) -> Trial {
    Trial::test(name, move || Err(Failed::from(reason)))
}
