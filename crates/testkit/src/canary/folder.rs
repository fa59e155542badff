//! A test's folder, searched for marked values before it goes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use super::Marker;

/// A folder of a test's own, gone when it is dropped. What is in it then is searched: a marked value
/// there fails the test, since only a manager has values in clear.
pub struct Folder {
    folder: TempDir,
    /// What the test itself wrote values into.
    own: Mutex<Vec<PathBuf>>,
}

impl Folder {
    /// An empty one where temporary files are.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
            own: Mutex::default(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The test itself writes a value into this file, as the owner of a secret does: it is not
    /// searched.
    pub fn leave_out(&self, path: &Path) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.push(path.to_owned());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let own = self.own.get_mut().unwrap_or_else(PoisonError::into_inner);
        let is_own = |path: &Path| own.iter().any(|it| it == path);
        let found = Marker::new().search_tree(self.folder.path(), &is_own);
        // A test that fails already says why, and a second panic would keep it from saying so.
        if std::thread::panicking() {
            return;
        }
        match found {
            Ok(found) if found.is_empty() => {}
            Ok(found) => {
                self.folder.disable_cleanup(true);
                let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                panic!("a value was left: {}", found.join("; "));
            }
            Err(error) => panic!("the test's folder could not be searched: {error}"),
        }
    }
}

/// Fails the test where a marked value is in `bytes`; `what` they are is told, they are not.
///
/// # Panics
/// Where one is.
#[track_caller]
pub fn assert_clean(what: &str, bytes: &[u8]) {
    let found = Marker::new().search(bytes);
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{what}: {}", found.join("; "));
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::super::marked;
    use super::*;

    fn left(name: &str, own: bool) -> Result<(), String> {
        let folder = Folder::new().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, marked("left").expose()).unwrap();
        if own {
            folder.leave_out(&path);
        }
        let place = folder.path().to_owned();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(folder)));
        let _ = fs::remove_dir_all(place);
        dropped.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
    }

    #[test]
    fn what_is_left_in_it_fails_the_test() {
        let told = left("store.db", false).unwrap_err();
        assert!(told.contains("plain text at byte 0 of"), "{told}");
        assert!(
            told.contains("store.db") && !told.contains("left\""),
            "{told}"
        );
        assert_eq!(left("input.json", true), Ok(()));
    }

    #[test]
    fn what_is_clean_passes() {
        assert_clean("a log", b"nothing");
        let planted = catch_unwind(|| assert_clean("a log", marked("x").expose()));
        assert!(planted.is_err());
    }
}
