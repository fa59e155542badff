//! Every configuration in the documentation is one that the program reads.

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
    let text = std::fs::read_to_string(docs().join("configuration.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut read = 0;
    for piece in text.split("```yaml\n").skip(1) {
        let piece = piece.split("```").next().unwrap();
        let file = folder.path().join("piece.yaml");
        std::fs::write(&file, piece).unwrap();
        configuration::load(Some(&file), &[]).unwrap_or_else(|error| panic!("{error:#}\n{piece}"));
        read += 1;
    }
    assert!(read >= 5, "{read} pieces");
}
