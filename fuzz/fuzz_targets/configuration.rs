//! Reading any configuration: no panic, and what `config show` prints is the same configuration.
#![no_main]

use std::fs;
use std::path::PathBuf;

use cloakroom_reconciler::configuration::{load, print};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let folder = folder();
    let file = folder.join("reconciler.yaml");
    fs::write(&file, text).expect("a writable folder");
    let Ok(loaded) = load(Some(&file), &[]) else {
        return;
    };
    let printed = print(&loaded).expect("what was read can be printed");
    let shown = folder.join("printed.yaml");
    fs::write(&shown, &printed).expect("a writable folder");
    let again = load(Some(&shown), &[]).expect("what was printed can be read");
    assert_eq!(again.configuration, loaded.configuration, "{printed}");
});

/// In memory, one for each process.
fn folder() -> PathBuf {
    let folder = PathBuf::from(format!("/dev/shm/cloakroom-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("/dev/shm can be written to");
    folder
}
