//! The search for what marks a value, whoever's it is, in bytes and in files of any size.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use memchr::memmem::Finder;

use super::each_file;
use super::forms::{MARKER, forms};

/// Read at once.
const WINDOW: usize = 1 << 20;

/// Where a marked value was found. Does not repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Find {
    /// How it was written.
    pub form: &'static str,
    /// At which byte.
    pub at: u64,
    /// In which file, where files were searched.
    pub file: Option<PathBuf>,
}

impl fmt::Display for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a marked value as {} at byte {}", self.form, self.at)?;
        match &self.file {
            Some(file) => write!(f, " of {}", file.display()),
            None => Ok(()),
        }
    }
}

/// What looks for [`MARKER`] in all its forms.
///
/// ```
/// use cloakroom_testkit::canary::{Marker, marked};
///
/// let marker = Marker::new();
/// assert_eq!(marker.search(b"nothing here"), []);
/// let log = [b"password=", marked("one").expose()].concat();
/// assert_eq!(marker.search(&log)[0].to_string(), "a marked value as plain text at byte 9");
/// ```
pub struct Marker(Vec<(&'static str, Finder<'static>)>);

impl Default for Marker {
    fn default() -> Self {
        Self::new()
    }
}

impl Marker {
    /// Ready to look.
    pub fn new() -> Self {
        let finders = forms(MARKER).into_iter();
        Self(
            finders
                .map(|(form, needle)| (form, Finder::new(&needle).into_owned()))
                .collect(),
        )
    }

    /// The first place of each form in `bytes`.
    pub fn search(&self, bytes: &[u8]) -> Vec<Find> {
        let found = self.0.iter().filter_map(|(form, finder)| {
            Some(Find {
                form,
                at: finder.find(bytes)? as u64,
                file: None,
            })
        });
        found.collect()
    }

    /// One place of each form in every file below `folder`, or in the one file that it is,
    /// but for those that `is_left_out`. Links are not followed.
    ///
    /// # Errors
    /// A file or folder that cannot be read.
    pub fn search_tree(
        &self,
        folder: &Path,
        is_left_out: &dyn Fn(&Path) -> bool,
    ) -> io::Result<Vec<Find>> {
        let mut finds = Vec::new();
        each_file(folder, &mut |path| {
            if !is_left_out(path) {
                let found = self.search_file(&File::open(path)?)?;
                finds.extend(found.into_iter().map(|find| Find {
                    file: Some(path.to_owned()),
                    ..find
                }));
            }
            Ok(())
        })?;
        Ok(finds)
    }

    /// Windows overlap by the longest form, so that none is missed where two of them meet.
    fn search_file(&self, file: &File) -> io::Result<Vec<Find>> {
        let overlap = self.0.iter().map(|(_, it)| it.needle().len()).max();
        let overlap = overlap.unwrap_or_default();
        let mut finds: Vec<Find> = Vec::new();
        let (mut window, mut passed) = (Vec::new(), 0_u64);
        loop {
            let read = file.take(WINDOW as u64).read_to_end(&mut window)?;
            for find in self.search(&window) {
                if finds.iter().all(|it| it.form != find.form) {
                    finds.push(Find {
                        at: passed + find.at,
                        ..find
                    });
                }
            }
            if read == 0 {
                return Ok(finds);
            }
            let done = window.len().saturating_sub(overlap);
            window.drain(..done);
            passed += done as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::marked;
    use super::*;

    fn planted(before: usize, text: &[u8]) -> Vec<u8> {
        let mut bytes = vec![b'.'; before];
        bytes.extend_from_slice(text);
        bytes.extend_from_slice(b" and more");
        bytes
    }

    #[test]
    fn it_is_found_with_its_file_and_offset() {
        let folder = tempfile::tempdir().unwrap();
        let value = marked("one");
        // Across the end of a window, and right behind it.
        for before in [0, WINDOW - 5, WINDOW, 3 * WINDOW + 7] {
            let path = folder.path().join(before.to_string());
            fs::write(&path, planted(before, value.expose())).unwrap();
            let found = Marker::new().search_tree(&path, &|_| false).unwrap();
            let expected = Find {
                form: "plain text",
                at: before as u64,
                file: Some(path),
            };
            assert_eq!(found, [expected]);
        }
        let left_out = Marker::new().search_tree(folder.path(), &|_| true);
        assert_eq!(left_out.unwrap(), []);
    }

    #[test]
    fn every_form_of_it_is_found() {
        for (form, needle) in forms(MARKER) {
            let found = Marker::new().search(&planted(3, &needle));
            assert_eq!(found.len(), 1, "{form}");
            assert_eq!((found[0].form, found[0].at), (form, 3));
        }
        assert_eq!(Marker::new().search(b"canary-7f3a9c1e2"), []);
    }
}
