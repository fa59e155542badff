//! The documentation as a reader meets it: every page is found, every link leads somewhere, every
//! sample is read and every command is one that the program knows.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "book/commands.rs"]
mod commands;
#[path = "book/elsewhere.rs"]
mod elsewhere;
#[path = "book/pages.rs"]
mod pages;
#[path = "book/reference.rs"]
mod reference;

use std::collections::BTreeSet;

use pages::{Page, root};

#[test]
fn every_page_is_in_the_summary() {
    let summary = Page::read("docs/SUMMARY.md");
    let listed: BTreeSet<String> = summary
        .links()
        .into_iter()
        .map(|link| summary.resolve(&link.target))
        .collect();
    let written: BTreeSet<String> = pages::of_the_book()
        .into_iter()
        .map(|page| page.path)
        .collect();
    assert_eq!(listed, written);
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for page in pages::of_the_book().iter().chain(&pages::beside_the_book()) {
        for link in page.links() {
            if link.target.contains("://") || link.target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.target.split_once('#').unwrap_or((&link.target, ""));
            let path = if path.is_empty() {
                page.path.clone()
            } else {
                page.resolve(path)
            };
            if !root().join(&path).exists() {
                wrong.push(format!("{}: {} is not there", page.path, link.target));
            } else if !anchor.is_empty() && !Page::read(&path).anchors().contains(anchor) {
                wrong.push(format!(
                    "{}: {} has no such heading",
                    page.path, link.target
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_configuration_is_read() {
    let mut read = 0;
    for page in pages::of_the_book() {
        for sample in page.samples("yaml") {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("sample.yaml");
            std::fs::write(&file, &sample).unwrap();
            cloakroom_reconciler::configuration::load(Some(&file), &[])
                .unwrap_or_else(|error| panic!("{}: {error:#}\n{sample}", page.path));
            read += 1;
        }
        // What is YAML and no configuration is at least YAML.
        for sample in page.samples("yml") {
            let parsed: Result<serde_json::Value, _> = serde_yaml_ng::from_str(&sample);
            assert!(parsed.is_ok(), "{}: {parsed:?}\n{sample}", page.path);
        }
    }
    assert!(read >= 10, "{read} samples");
}

#[test]
fn every_command_is_one_that_the_program_knows() {
    let mut wrong = Vec::new();
    let mut known = 0;
    for page in pages::of_the_book().iter().chain(&pages::beside_the_book()) {
        for line in commands::of(page) {
            match commands::misunderstood(&line) {
                None => known += 1,
                Some(error) => wrong.push(format!("{}: `{}`: {error}", page.path, line.text)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(known >= 40, "{known} commands");
}

/// Languages of samples. Each is read by a law: commands and configuration here, Rust where the library's
/// samples are, units in tests/deployment.
const LANGUAGES: [&str; 8] = ["console", "ini", "json", "rust", "sh", "sql", "yaml", "yml"];

#[test]
fn every_sample_is_of_a_kind_that_is_checked() {
    for page in pages::of_the_book() {
        for language in page.languages() {
            let known = LANGUAGES.contains(&language.as_str());
            assert!(known, "{}: nobody reads ```{language}", page.path);
        }
        for sample in page.samples("json") {
            let read: Result<serde_json::Value, _> = serde_json::from_str(&sample);
            assert!(read.is_ok(), "{}: {read:?}\n{sample}", page.path);
        }
        let unknown = elsewhere::unknown_statements(&page);
        assert!(unknown.is_empty(), "{}: {unknown:?}", page.path);
    }
}

#[test]
fn commands_of_other_programs_name_what_is_there() {
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for page in pages::of_the_book().iter().chain(&pages::beside_the_book()) {
        let (of_page, commands) = elsewhere::wrong_in(page);
        wrong.extend(of_page);
        looked_at += commands;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(looked_at >= 80, "{looked_at} commands");
}

/// Rust in the library's page stands as it is in a crate's README, where it is compiled and run.
#[test]
fn the_librarys_samples_are_tested_ones() {
    let readmes: Vec<String> = std::fs::read_dir(root().join("crates"))
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path().join("README.md")).ok())
        .collect();
    let samples = Page::read("docs/library.md").samples("rust");
    assert!(!samples.is_empty());
    for sample in samples {
        assert!(
            readmes.iter().any(|readme| readme.contains(sample.trim())),
            "in no README:\n{sample}"
        );
    }
}

/// `CLOAKROOM_WRITE_REFERENCE=1 cargo test -p cloakroom-reconciler --test book` writes it anew.
#[test]
fn the_reference_is_that_of_the_schema() {
    let schema = serde_json::to_value(cloakroom_reconciler::configuration::schema()).unwrap();
    let wanted = reference::of(&schema);
    let path = root().join("docs/reference/configuration.md");
    if std::env::var_os("CLOAKROOM_WRITE_REFERENCE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == wanted,
        "docs/reference/configuration.md is not what the schema says; write it anew with \
         CLOAKROOM_WRITE_REFERENCE=1 cargo test -p cloakroom-reconciler --test book"
    );
}
