//! Every test that `docs/safety.md` and `docs/airbyte.md` name is there under that name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

#[test]
fn every_test_it_names_is_there() {
    let folders = ["bin/reconciler/tests", "crates/store-db/tests"];
    tests_are_there("docs/safety.md", &folders, 40);
}

#[test]
fn every_test_for_a_difference_from_airbyte_is_there() {
    let folders = [
        "bin/reconciler/tests",
        "crates/core/tests",
        "crates/coordinates/tests",
    ];
    tests_are_there("docs/airbyte.md", &folders, 25);
}

fn tests_are_there(page: &str, folders: &[&str], at_least: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join(page)).unwrap();
    let named: Vec<(&str, &str)> = page
        .split('`')
        .filter_map(|span| span.split_once(".rs::"))
        .collect();
    assert!(named.len() > at_least, "{}", named.len());
    for (file, test) in named {
        let found = folders
            .iter()
            .map(|folder| root.join(folder).join(format!("{file}.rs")))
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .any(|text| text.contains(&format!("fn {test}(")));
        assert!(found, "{file}.rs has no {test}");
    }
}
