//! The README's own commands, run as they stand there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cloakroom_reconciler::configuration;
use common::Served;

const BEGIN: &str = "<!-- begin: use it (a test runs these lines as they stand) -->";
const END: &str = "<!-- end: use it -->";

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    std::fs::read_to_string(path).unwrap()
}

/// The commands between the markers.
fn commands(readme: &str) -> &str {
    let (_, rest) = readme.split_once(BEGIN).unwrap();
    let (block, _) = rest.split_once(END).unwrap();
    let (_, rest) = block.split_once("```sh\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// A home with nothing in it but the program, by the name that the README calls it.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(
            env!("CARGO_BIN_EXE_reconciler"),
            folder.path().join("bin/reconciler"),
        )
        .unwrap();
        Self { folder }
    }

    fn shell(&self, script: &str) -> Command {
        let mut path = vec![self.folder.path().join("bin")];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", script])
            .env_clear()
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", self.folder.path())
            // Another test may have the usual port.
            .env("CLOAKROOM_HTTP__LISTEN", "127.0.0.1:0")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

#[test]
fn use_it() {
    let readme = readme();
    let lines = commands(&readme).trim_end();
    // The service runs until it is told to stop.
    let (script, service) = lines.rsplit_once('\n').unwrap();
    assert!(service.starts_with("reconciler serve"), "{service}");
    let home = Home::new();
    let ended = home.shell(script).output().unwrap();
    let told = String::from_utf8(ended.stdout).unwrap();
    let noted = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success(), "{told}\n{noted}");
    for promised in [
        "\"password\": \"**********\"",
        "\"_secret\": \"airbyte_workspace_",
        "\"password\":\"correct horse\"",
        "nothing amiss",
    ] {
        assert!(told.contains(promised), "`{promised}` is not in:\n{told}");
    }
    let served = Served::start(home.shell(&format!("exec {service}")));
    assert_eq!(served.get("/healthz").0, 200);
    assert!(served.get("/metrics").1.contains("cloakroom_secrets"));
    let (code, _, log) = served.terminate();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn its_configuration_is_one_that_the_program_reads() {
    let readme = readme();
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("reconciler.yaml");
    let pieces: Vec<&str> = readme.split("```yaml\n").skip(1).collect();
    assert!(!pieces.is_empty());
    for piece in pieces {
        let piece = piece.split("```").next().unwrap();
        std::fs::write(&file, piece).unwrap();
        configuration::load(Some(&file), &[]).unwrap_or_else(|error| panic!("{error:#}\n{piece}"));
    }
}
