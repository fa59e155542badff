//! The last step of a whole test run: it finds what was planted, and nothing where nothing is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use cloakroom_testkit::canary::marked;

fn canaries(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_canaries"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn what_was_planted_is_told_with_file_and_offset() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("logs");
    fs::create_dir(&deep).unwrap();
    let value = marked("one");
    let encoded = base64::engine::general_purpose::STANDARD.encode(value.expose());
    fs::write(deep.join("plain"), [b"password=", value.expose()].concat()).unwrap();
    fs::write(deep.join("encoded"), encoded).unwrap();
    fs::write(deep.join("clean"), "nothing").unwrap();

    let found = canaries(&[folder.path()]);
    assert_eq!(found.status.code(), Some(1));
    let mut told: Vec<String> = String::from_utf8(found.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    told.sort();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("as base64 at byte 0 of") && told[0].ends_with("logs/encoded"));
    assert!(told[1].contains("as plain text at byte 9 of") && told[1].ends_with("logs/plain"));
}

#[test]
fn what_it_plants_itself_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("planted");
    assert!(canaries(&[Path::new("--plant"), &file]).status.success());
    assert_eq!(canaries(&[&file]).status.code(), Some(1));
}

#[test]
fn nothing_found_and_nothing_searched_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("clean"), "nothing").unwrap();
    assert_eq!(canaries(&[folder.path()]).status.code(), Some(0));
    let absent = folder.path().join("absent");
    assert_eq!(canaries(&[&absent]).status.code(), Some(2));
}
