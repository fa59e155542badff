//! Values that can be found again wherever they leak to.

mod folder;
mod forms;
mod marker;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cloakroom_core::{Randomness, SecretValue};

pub use folder::{Folder, assert_clean};
pub use forms::MARKER;
pub use marker::{Find, Marker};

use forms::forms;

/// A value that every search for marked values finds; `name` tells it from others.
pub fn marked(name: &str) -> SecretValue {
    SecretValue::from(format!("{MARKER}-{name}"))
}

/// A marked value of just so many bytes, ASCII; one that is too short for the mark has its beginning.
pub fn marked_to(bytes: usize) -> SecretValue {
    let mut text = MARKER.as_bytes().to_vec();
    text.resize(bytes, b'v');
    SecretValue::new(text)
}

/// A marked value that ends in these bytes, be they text or not.
pub fn marked_bytes(end: &[u8]) -> SecretValue {
    SecretValue::new([MARKER.as_bytes(), end].concat())
}

/// Makes marked values and looks for them: as they are, in hex, in base64 (standard and for URLs),
/// escaped and as UTF-16, in bytes or in a directory tree.
///
/// ```
/// use cloakroom_testkit::{Canaries, SeededRandomness};
///
/// let mut canaries = Canaries::new(&SeededRandomness::new(1));
/// let secret = canaries.next();
/// assert!(canaries.search(b"nothing here").is_empty());
/// let log = [b"password=", secret.expose()].concat();
/// assert_eq!(canaries.search(&log)[0].to_string(), "canary 0 as plain text at byte 9");
/// ```
pub struct Canaries {
    /// Tells this test's canaries from those of another.
    flock: String,
    count: usize,
}

/// Where a canary was found. Does not repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Which one, from 0.
    pub canary: usize,
    /// How it was written.
    pub form: &'static str,
    /// At which byte.
    pub at: usize,
    /// In which file, where a tree was searched.
    pub file: Option<PathBuf>,
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "canary {} as {} at byte {}",
            self.canary, self.form, self.at
        )?;
        match &self.file {
            Some(file) => write!(f, " of {}", file.display()),
            None => Ok(()),
        }
    }
}

impl Canaries {
    /// Canaries of one test.
    pub fn new(randomness: &dyn Randomness) -> Self {
        Self {
            flock: randomness.uuid().simple().to_string(),
            count: 0,
        }
    }

    /// The next value: [`MARKER`], its number and 32 hex digits; ASCII.
    #[expect(
        clippy::should_implement_trait,
        reason = "an endless iterator would invite collect"
    )]
    pub fn next(&mut self) -> SecretValue {
        let value = SecretValue::from(self.text(self.count));
        self.count += 1;
        value
    }

    /// Every place where a canary, or a part of one that tells it, is in `bytes`; at most one for
    /// each canary and form.
    pub fn search(&self, bytes: &[u8]) -> Vec<Sighting> {
        let mut sightings = Vec::new();
        for canary in 0..self.count {
            for (form, needle) in forms(&self.text(canary)) {
                if let Some(at) = memchr::memmem::find(bytes, &needle) {
                    sightings.push(Sighting {
                        canary,
                        form,
                        at,
                        file: None,
                    });
                }
            }
        }
        sightings
    }

    /// The same in every file under `folder`, or in the one file that it is. Links are not
    /// followed.
    ///
    /// # Errors
    /// A file or folder that cannot be read.
    pub fn search_tree(&self, folder: &Path) -> io::Result<Vec<Sighting>> {
        let mut sightings = Vec::new();
        each_file(folder, &mut |path| {
            let found = self.search(&fs::read(path)?).into_iter();
            sightings.extend(found.map(|it| Sighting {
                file: Some(path.to_owned()),
                ..it
            }));
            Ok(())
        })?;
        Ok(sightings)
    }

    fn text(&self, canary: usize) -> String {
        format!("{MARKER}-{canary}-{}", self.flock)
    }
}

/// Every file below `folder`, or the one file that it is. Links are not followed.
fn each_file(folder: &Path, each: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let mut visit = || -> io::Result<()> {
            let kind = fs::symlink_metadata(&path)?.file_type();
            if kind.is_dir() {
                for entry in fs::read_dir(&path)? {
                    left.push(entry?.path());
                }
            } else if kind.is_file() {
                each(&path)?;
            }
            Ok(())
        };
        match visit() {
            // What a process that is being stopped removes meanwhile leaks nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != folder => {}
            visited => visited?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE};

    use super::*;
    use crate::randomness::SeededRandomness;

    #[test]
    fn every_form_is_found_at_every_offset() {
        let mut canaries = Canaries::new(&SeededRandomness::new(5));
        canaries.next();
        let value = canaries.next();
        let text = value.expose_text().unwrap();
        for before in 0..7 {
            let long = format!("{}{text} and more", "x".repeat(before));
            for (form, bytes) in [
                ("plain text", long.clone().into_bytes()),
                ("base64", STANDARD_NO_PAD.encode(&long).into_bytes()),
                ("base64", URL_SAFE.encode(&long).into_bytes()),
                (
                    "UTF-16",
                    long.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                ),
                (
                    "hex",
                    long.bytes()
                        .flat_map(|byte| format!("{byte:02x}").into_bytes())
                        .collect(),
                ),
                (
                    "percent signs",
                    long.bytes()
                        .flat_map(|byte| format!("%{byte:02X}").into_bytes())
                        .collect(),
                ),
                (
                    "JSON escapes",
                    long.bytes()
                        .flat_map(|byte| format!("\\u{byte:04x}").into_bytes())
                        .collect(),
                ),
            ] {
                let found = canaries.search(&bytes);
                assert_eq!(found.len(), 1, "{form} {before}");
                assert_eq!((found[0].canary, found[0].form), (1, form));
            }
        }
    }

    #[test]
    fn whatever_has_room_for_the_mark_is_found() {
        for value in [marked("x"), marked_bytes(&[0xff, 0]), marked_to(4096)] {
            assert_eq!(Marker::new().search(value.expose()).len(), 1);
        }
        assert!(marked_bytes(&[0xff, 0]).expose().ends_with(&[0xff, 0]));
        for bytes in [0, 1, MARKER.len(), 4096] {
            assert_eq!(marked_to(bytes).len(), bytes);
        }
    }

    #[test]
    fn another_flock_is_not_found() {
        let mut ours = Canaries::new(&SeededRandomness::new(1));
        let mut theirs = Canaries::new(&SeededRandomness::new(2));
        ours.next();
        assert!(ours.search(theirs.next().expose()).is_empty());
        assert!(ours.search(b"").is_empty());
    }

    #[test]
    fn a_tree_is_searched_to_the_bottom() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        let mut canaries = Canaries::new(&SeededRandomness::new(1));
        let value = canaries.next();
        fs::write(deep.join("log"), [b"..", value.expose()].concat()).unwrap();
        fs::write(folder.path().join("clean"), b"nothing").unwrap();
        let found = canaries.search_tree(folder.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].file, Some(deep.join("log")));
        assert!(canaries.search_tree(&folder.path().join("absent")).is_err());
    }
}
