//! Key files: who may read them, what is in them, and what happens when they change.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_backends_embedded::{KeyFile, Readers};
use cloakroom_core::keys::{KEY_BYTES, Key};
use cloakroom_core::{ErrorKind, KeySource as _};
use cloakroom_testkit::SeededRandomness;
use tempfile::TempDir;

fn line(byte: u8) -> String {
    format!("{}\n", STANDARD.encode([byte; KEY_BYTES]))
}

fn id(byte: u8) -> String {
    Key::derive([byte; KEY_BYTES]).id().to_string()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    set_mode(path, 0o600);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    (folder, path)
}

fn current(keys: &KeyFile) -> String {
    keys.ring().unwrap().current().id().to_string()
}

#[test]
fn a_made_file_is_its_owners_and_opens() {
    let (_folder, path) = folder();
    KeyFile::create(&path, &SeededRandomness::new(1)).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let keys = KeyFile::open(&path).unwrap();
    assert_eq!(keys.ring().unwrap().keys().len(), 1);
    assert_eq!(keys.path(), path);
}

#[test]
fn a_pipe_is_refused_without_waiting_for_who_writes() {
    let (_folder, path) = folder();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let error = KeyFile::open(&path).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("is not a file"), "{error}");
}

#[test]
fn a_file_that_is_there_is_left_alone() {
    let (_folder, path) = folder();
    write(&path, &line(1));
    let error = KeyFile::create(&path, &SeededRandomness::new(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(fs::read_to_string(&path).unwrap(), line(1));
    let nowhere = path.join("deeper");
    let error = KeyFile::create(&nowhere, &SeededRandomness::new(1)).unwrap_err();
    assert!(error.to_string().contains("deeper"), "{error}");
}

#[test]
fn what_others_may_read_is_refused() {
    let (_folder, path) = folder();
    write(&path, &line(1));
    for mode in [0o640, 0o604, 0o644, 0o660, 0o606, 0o610, 0o666, 0o777] {
        set_mode(&path, mode);
        let error = KeyFile::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{mode:o}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    for mode in [0o600, 0o400] {
        set_mode(&path, mode);
        KeyFile::open(&path).unwrap();
    }
    for (mode, opens) in [
        (0o440, true),
        (0o640, true),
        (0o600, true),
        (0o644, false),
        (0o660, false),
    ] {
        set_mode(&path, mode);
        assert_eq!(
            KeyFile::open_for(&path, Readers::OwnerAndGroup).is_ok(),
            opens,
            "{mode:o}"
        );
    }
}

#[test]
fn what_is_no_key_file_is_refused_without_quoting_it() {
    let (_folder, path) = folder();
    assert_eq!(KeyFile::open(&path).unwrap_err().kind(), ErrorKind::Missing);
    for (text, kind, part) in [
        (String::new(), ErrorKind::Invalid, "no key-encryption key"),
        ("canary-7f3a9c1e2b".to_owned(), ErrorKind::Invalid, "line 1"),
        (
            format!("{}canary-7f3a9c1e2b", line(1)),
            ErrorKind::Invalid,
            "line 2",
        ),
        (
            "# canary-7f3a9c1e2b\n".repeat(10_000),
            ErrorKind::TooLarge,
            "64 KiB",
        ),
    ] {
        write(&path, &text);
        let error = KeyFile::open(&path).unwrap_err();
        assert_eq!(error.kind(), kind);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(part) && !shown.contains("canary"), "{shown}");
    }
    let folder = path.with_file_name("folder");
    fs::create_dir(&folder).unwrap();
    assert_eq!(
        KeyFile::open(&folder).unwrap_err().kind(),
        ErrorKind::Invalid
    );
}

#[test]
fn a_changed_file_is_read_again() {
    let (_folder, path) = folder();
    write(&path, &line(1));
    let keys = KeyFile::open(&path).unwrap();
    assert_eq!(current(&keys), id(1));
    write(&path, &format!("{}{}", line(2), line(1)));
    assert_eq!(current(&keys), id(2));
    assert_eq!(keys.ring().unwrap().keys().len(), 2);

    // Of the same length, as a rotation in place would be, and put there by renaming.
    let next = path.with_file_name("next");
    write(&next, &format!("{}{}", line(3), line(2)));
    fs::rename(&next, &path).unwrap();
    assert_eq!(current(&keys), id(3));
}

#[test]
fn a_link_that_is_turned_is_followed() {
    let (_folder, path) = folder();
    write(&path.with_file_name("data1"), &line(1));
    let both = format!("{}{}", line(2), line(1));
    write(&path.with_file_name("data2"), &both);
    symlink("data1", &path).unwrap();
    let keys = KeyFile::open(&path).unwrap();
    assert_eq!(current(&keys), id(1));
    let next = path.with_file_name("next");
    symlink("data2", &next).unwrap();
    fs::rename(&next, &path).unwrap();
    assert_eq!(current(&keys), id(2));
}

#[test]
fn the_last_good_ring_stays_and_the_problem_is_told() {
    let (_folder, path) = folder();
    write(&path, &line(1));
    let keys = KeyFile::open(&path).unwrap();

    write(&path, "half a key");
    assert_eq!(current(&keys), id(1));
    assert_eq!(keys.problem().unwrap().kind(), ErrorKind::Invalid);
    assert_eq!(current(&keys), id(1));
    assert!(keys.problem().is_some());

    write(&path, &format!("{}{}", line(2), line(1)));
    assert_eq!(current(&keys), id(2));
    assert!(keys.problem().is_none());

    set_mode(&path, 0o644);
    assert_eq!(current(&keys), id(2));
    assert_eq!(keys.problem().unwrap().kind(), ErrorKind::Denied);

    fs::remove_file(&path).unwrap();
    assert_eq!(current(&keys), id(2));
    assert_eq!(keys.problem().unwrap().kind(), ErrorKind::Missing);

    write(&path, &format!("{}{}", line(3), line(2)));
    assert_eq!(current(&keys), id(3));
    assert!(keys.problem().is_none());
}

#[test]
fn a_ring_that_shares_no_key_is_not_taken_over() {
    let (_folder, path) = folder();
    write(&path, &format!("{}{}", line(1), line(2)));
    let keys = KeyFile::open(&path).unwrap();

    // It could open nothing of what was sealed so far.
    write(&path, &format!("{}{}", line(3), line(4)));
    assert_eq!(current(&keys), id(1));
    let problem = keys.problem().unwrap();
    assert_eq!(problem.kind(), ErrorKind::Conflict);
    for part in [id(1), id(2), id(3), id(4)] {
        assert!(problem.to_string().contains(&part), "{problem}");
    }
    assert_eq!(current(&keys), id(1));
    assert!(keys.problem().is_some());

    write(&path, &format!("{}{}", line(3), line(2)));
    assert_eq!(current(&keys), id(3));
    assert!(keys.problem().is_none());
}

fn names(path: &Path) -> Vec<String> {
    let folder = fs::read_dir(path.parent().unwrap()).unwrap();
    folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_file_that_is_being_made_is_not_there_or_whole() {
    for seed in 0..100 {
        let (_folder, path) = folder();
        let (reading, ready) = std::sync::mpsc::channel();
        let reader = std::thread::spawn({
            let path = path.clone();
            move || {
                reading.send(()).unwrap();
                loop {
                    match KeyFile::open(&path) {
                        Ok(keys) => return keys.ring().unwrap(),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Missing, "{error}"),
                    }
                }
            }
        });
        ready.recv().unwrap();
        KeyFile::create(&path, &SeededRandomness::new(seed)).unwrap();
        let seen = reader.join().unwrap();
        assert_eq!(
            seen.current().id().as_str(),
            current(&KeyFile::open(&path).unwrap())
        );
    }
}

#[test]
fn one_of_many_makers_makes_the_file() {
    let (_folder, path) = folder();
    let makers: Vec<_> = (0..8)
        .map(|seed| {
            let path = path.clone();
            std::thread::spawn(move || {
                let made = KeyFile::create(&path, &SeededRandomness::new(seed));
                // Whoever made it, it is whole for each.
                (made, current(&KeyFile::open(&path).unwrap()))
            })
        })
        .collect();
    let mut ids = Vec::new();
    let mut made = 0;
    for maker in makers {
        let (outcome, id) = maker.join().unwrap();
        match outcome {
            Ok(()) => made += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
        ids.push(id);
    }
    ids.dedup();
    assert_eq!((made, ids.len()), (1, 1));
    // No copy of a key is left beside it.
    assert_eq!(names(&path), ["keys"]);
}

#[test]
fn debug_shows_no_key() {
    let (_folder, path) = folder();
    write(&path, &line(7));
    let shown = format!("{:?}", KeyFile::open(&path).unwrap());
    assert!(shown.contains("keys") && !shown.contains("BwcH"), "{shown}");
}

fn put_first(path: &Path, readers: Readers) {
    let keys = KeyFile::open_for(path, readers).unwrap();
    keys.put_first(&SeededRandomness::new(7)).unwrap();
    let ring = keys.ring().unwrap();
    assert!(keys.problem().is_none(), "{:?}", keys.problem());
    assert_eq!(ring.keys().len(), 2);
    assert_ne!(ring.current().id().as_str(), id(1));
}

/// How many entries a folder has: no second copy of a key is left in it.
fn entries(folder: &TempDir) -> usize {
    fs::read_dir(folder.path()).unwrap().count()
}

#[test]
fn a_key_is_added_without_a_change_of_owner_group_or_mode() {
    let (folder, path) = folder();
    let root = fs::metadata(folder.path()).unwrap().uid() == 0;
    for (readers, mode) in [
        (Readers::Owner, 0o600),
        (Readers::Owner, 0o400),
        (Readers::OwnerAndGroup, 0o640),
    ] {
        // Without an end to its last line.
        write(&path, line(1).trim_end());
        set_mode(&path, mode);
        if root {
            chown(&path, Some(65_533), Some(65_532)).unwrap();
        }
        let of = |path| fs::metadata(path).map(|it| (it.uid(), it.gid(), it.mode()));
        let before = of(&path).unwrap();
        put_first(&path, readers);
        assert_eq!(of(&path).unwrap(), before);
        assert_eq!(entries(&folder), 1);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_key_is_added_to_the_file_at_the_end_of_a_link() {
    let (folder, path) = folder();
    fs::create_dir(folder.path().join("real")).unwrap();
    let real = folder.path().join("real").join("keys");
    write(&real, &line(1));
    symlink("real/keys", folder.path().join("between")).unwrap();
    symlink("between", &path).unwrap();
    put_first(&path, Readers::Owner);
    assert!(path.is_symlink() && !real.is_symlink());
    assert!(fs::read_to_string(&real).unwrap().ends_with(&line(1)));
    assert_eq!(fs::read_dir(real.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_key_that_has_no_room_changes_nothing() {
    let (folder, path) = folder();
    let full = format!("{}#{}\n", line(1), "x".repeat(64 * 1024 - 60));
    write(&path, &full);
    let keys = KeyFile::open(&path).unwrap();
    let refused = keys.put_first(&SeededRandomness::new(7)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge, "{refused}");
    assert!(fs::read_to_string(&path).unwrap() == full);
    assert_eq!(entries(&folder), 1);
}
