//! The search at the end of a whole test run finds what is marked and nothing else, so the tests of every
//! backend, and the laws they run, mark what they keep in a manager and what they log in with.
//!
//! Whoever makes a `SecretValue` there by itself stands in [`EXCEPTIONS`], with the reason. A conversion
//! that does not name the type is not seen.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const READ_BACK: &str = "what was read back past the backend";
const OF_THE_SERVER: &str = "a credential that the server gave";
const HOLDS_MARKED: &str = "a text around what is marked";
const FORM: &str = "its whole form is what is tested";
const NO_SECRET: &str = "no secret";

/// File, how many values it makes, and why these are not marked, or not by the makers of marked values.
const EXCEPTIONS: &[(&str, usize, &str)] = &[
    ("backends-aws/tests/conformance/named.rs", 1, READ_BACK),
    ("backends-aws/tests/conformance/server.rs", 3, OF_THE_SERVER),
    (
        "backends-aws/tests/openmetadata_client.rs",
        1,
        OF_THE_SERVER,
    ),
    (
        "backends-azure/tests/conformance/logins.rs",
        1,
        HOLDS_MARKED,
    ),
    ("backends-azure/tests/conformance/main.rs", 1, HOLDS_MARKED),
    ("backends-azure/tests/conformance/named.rs", 1, READ_BACK),
    ("backends-embedded/src/key_text.rs", 2, FORM),
    (
        "backends-gcp/tests/conformance/account.rs",
        2,
        "a key that openssl made, and its credential",
    ),
    ("backends-gcp/tests/conformance/acting.rs", 2, HOLDS_MARKED),
    ("backends-gcp/tests/conformance/double.rs", 1, HOLDS_MARKED),
    ("backends-gcp/tests/conformance/login.rs", 2, HOLDS_MARKED),
    ("backends-gcp/tests/conformance/named.rs", 1, READ_BACK),
    (
        "backends-kubernetes/tests/conformance/own.rs",
        2,
        OF_THE_SERVER,
    ),
    ("backends-vault/src/entry.rs", 1, HOLDS_MARKED),
    (
        "backends-vault/tests/conformance/credentials.rs",
        2,
        OF_THE_SERVER,
    ),
    (
        "backends-vault/tests/conformance/kubernetes.rs",
        1,
        OF_THE_SERVER,
    ),
    ("backends-vault/tests/conformance/named.rs", 1, READ_BACK),
    (
        "backends-vault/tests/conformance/server.rs",
        2,
        OF_THE_SERVER,
    ),
    ("testkit/src/conformance/epoch.rs", 1, NO_SECRET),
    ("testkit/src/conformance/hand.rs", 1, HOLDS_MARKED),
    ("testkit/src/conformance/values.rs", 4, FORM),
];

/// How a value is made of anything.
const MAKERS: [&str; 3] = ["SecretValue::new", "SecretValue::from", "Into<SecretValue>"];

#[test]
fn the_tests_of_backends_mark_their_values() {
    let made = made();
    let excepted = EXCEPTIONS.iter().map(|(file, count, _)| (*file, *count));
    let excepted: BTreeMap<&str, usize> = excepted.collect();
    for (file, count) in &made {
        assert_eq!(
            excepted.get(file.as_str()),
            Some(count),
            "{file} makes {count} values by itself: make them by canary::marked, or say why not",
        );
    }
    for file in excepted.keys() {
        assert!(
            made.contains_key(*file),
            "{file} is an exception for nothing"
        );
    }
}

/// The files of backends' tests and of the laws that make values by themselves, and how many.
fn made() -> BTreeMap<String, usize> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut places: Vec<(PathBuf, bool)> = ["conformance", "faults", "named"]
        .map(|laws| (crates.join("testkit/src").join(laws), true))
        .into();
    for entry in fs::read_dir(&crates).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("backends-") {
            places.push((entry.path().join("tests"), true));
            places.push((entry.path().join("src"), false));
        }
    }
    assert!(
        places.len() > 10,
        "the crates of the backends are elsewhere"
    );
    let mut made = BTreeMap::new();
    for (place, is_all_tests) in places {
        for file in rust_files(&place) {
            let text = fs::read_to_string(&file).unwrap();
            let tests = match text.split_once("#[cfg(test)]\nmod tests {") {
                _ if is_all_tests => text.as_str(),
                Some((_, tests)) => tests,
                None => "",
            };
            let count = count(tests);
            if count > 0 {
                let name = file.strip_prefix(&crates).unwrap();
                made.insert(name.to_string_lossy().into_owned(), count);
            }
        }
    }
    made
}

fn count(text: &str) -> usize {
    let code = text.lines().map(str::trim_start);
    let code = code.filter(|line| !line.starts_with("//"));
    code.map(|line| {
        MAKERS
            .iter()
            .map(|it| line.matches(it).count())
            .sum::<usize>()
    })
    .sum()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut left) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()));
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    files
}
