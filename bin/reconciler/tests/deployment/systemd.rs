//! `deploy/systemd`: the unit's own command lines, run.

use std::collections::BTreeMap;
use std::process::Command;

use crate::common::Served;
use crate::program::{PROGRAM, command, named_files, shutdown_deadline, text};

const UNIT: &str = "deploy/systemd/reconciler.service";
const CONFIGURATION: &str = "deploy/systemd/reconciler.yaml";

/// The unit's settings; the last of each name counts.
fn unit() -> BTreeMap<String, String> {
    text(UNIT)
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The arguments of a command line of the unit.
fn arguments(unit: &BTreeMap<String, String>, name: &str, configuration: &str) -> Vec<String> {
    let mut words = unit[name].split_whitespace();
    assert_eq!(words.next(), Some(PROGRAM));
    let place = "/etc/cloakroom/reconciler.yaml";
    assert!(unit[name].contains(place), "{name} reads no configuration");
    words
        .map(|word| word.replace(place, configuration))
        .collect()
}

pub(crate) fn its_command_lines_run() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let file = folder.path().join("reconciler.yaml");
    let configuration = text(CONFIGURATION);
    std::fs::write(&file, configuration.replace("/var/lib/cloakroom", state)).unwrap();
    let unit = unit();
    let config = file.to_str().unwrap();

    let checked = command(&arguments(&unit, "ExecStartPre", config))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let mut serve = command(&arguments(&unit, "ExecStart", config));
    // Another test may have the usual port.
    serve.env("CLOAKROOM_HTTP__LISTEN", "127.0.0.1:0");
    let served = Served::start(serve);
    assert_eq!(served.get("/healthz").0, 200);
    let (code, _, log) = served.terminate();
    assert_eq!(code, Some(0), "{log}");

    let patience = humantime::parse_duration(&unit["TimeoutStopSec"]).unwrap();
    assert!(patience > shutdown_deadline(&configuration));
}

pub(crate) fn it_may_write_where_it_has_to() {
    let unit = unit();
    assert_eq!(unit["ProtectSystem"], "strict");
    let state = format!("/var/lib/{}/", unit["StateDirectory"]);
    let configuration = text(CONFIGURATION);
    for file in named_files(&configuration) {
        assert!(file.starts_with(&state), "{file} is outside {state}");
    }
    assert!(configuration.contains(&format!("path: {state}cloakroom.db")));
    assert_eq!(unit["ConfigurationDirectory"], "cloakroom");
    let users = text("deploy/systemd/cloakroom.sysusers");
    assert!(users.contains(&format!("u {} ", unit["User"])), "{users}");
}

/// What the page about installing tells to add to the unit.
fn additions() -> Vec<String> {
    let page = text("docs/install.md");
    let additions: Vec<String> = page
        .split("```ini\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect();
    assert!(!additions.is_empty());
    additions
}

pub(crate) fn can_be_analysed() -> bool {
    Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_ok()
}

pub(crate) fn is_well_formed_and_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reconciler.service");
    // Where this machine has the program.
    let here = text(UNIT).replace(PROGRAM, env!("CARGO_BIN_EXE_reconciler"));
    // Alone, and with what the pages add to it.
    for addition in std::iter::once(String::new()).chain(additions()) {
        std::fs::write(&file, format!("{here}\n{addition}")).unwrap();
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=one"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(
            verified.status.success() && said.is_empty(),
            "{said}{addition}"
        );
    }
    std::fs::write(&file, &here).unwrap();
    // 10 is open to everything; 2 is what a service that only connects and stores can have.
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--threshold=20"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        judged.status.success(),
        "{}",
        String::from_utf8_lossy(&judged.stdout)
    );
}
