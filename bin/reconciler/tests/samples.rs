//! Every configuration in the documentation is one that the program reads.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use cloakroom_reconciler::configuration;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn the_samples_are_read() {
    let mut read = 0;
    for entry in std::fs::read_dir(docs().join("samples")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            configuration::load(Some(&path), &[]).unwrap();
            read += 1;
        }
    }
    assert!(read >= 3, "{read} samples");
}

#[test]
fn the_pieces_in_the_text_are_read() {
    let mut pages = vec![docs().join("configuration.md")];
    for entry in std::fs::read_dir(docs().join("backends")).unwrap() {
        pages.push(entry.unwrap().path());
    }
    let mut read = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        read += pieces(&text).iter().map(|piece| load(&page, piece)).count();
    }
    assert!(read >= 10, "{read} pieces");
}

/// What stands between the fences of YAML, without the indentation of the list it stands in.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(indent) = line.find("```yaml") else {
            continue;
        };
        let within = lines
            .by_ref()
            .take_while(|line| !line.trim_start().starts_with("```"));
        let piece: Vec<&str> = within
            .map(|line| line.get(indent..).unwrap_or(""))
            .collect();
        pieces.push(piece.join("\n"));
    }
    pieces
}

fn load(page: &Path, piece: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("piece.yaml");
    std::fs::write(&file, piece).unwrap();
    configuration::load(Some(&file), &[])
        .unwrap_or_else(|error| panic!("{}: {error:#}\n{piece}", page.display()));
}
