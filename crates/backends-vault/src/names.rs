//! Names: where the secrets of one backend are, and back from a name to its coordinate.

use std::fmt;

use cloakroom_core::capabilities::{Characters, CoordinateName, NameFault, NameRules, NameShape};
use cloakroom_core::coordinates::MAX_LENGTH;
use cloakroom_core::{Coordinate, Error, ErrorKind, Result};

/// Of the paths that an engine takes those that stay themselves in a URL; a longer one is nobody's.
pub(crate) const NAMES: NameRules = NameRules {
    characters: Characters::letters_digits_and("-_./"),
    longest: 1_024,
    shape: NameShape::Path,
    reserved: &[],
    case_counts: true,
    respelled: &[],
    coordinate: CoordinateName::Itself,
};

/// The longest prefix, in bytes: it leaves room for every coordinate.
const LONGEST_PREFIX: usize = NAMES.longest - MAX_LENGTH;

/// Where the secrets of one backend are. A name is prefix and coordinate, nothing between and
/// nothing changed: a coordinate's characters are plain in every path.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    mount: String,
    /// The folder of all names, empty or ending in `/`.
    folder: String,
    /// What every name within the folder begins with.
    stem: String,
}

impl Names {
    /// Fails with `Invalid` for a mount or prefix that would not stay what it is in a URL.
    pub(crate) fn new(mount: &str, prefix: &str) -> Result<Self> {
        let mount = path(mount).ok_or_else(|| invalid("mount", mount))?;
        let (folder, stem) = match prefix.rfind('/') {
            Some(slash) => prefix.split_at(slash + 1),
            None => ("", prefix),
        };
        let folder_is_plain = folder.is_empty() || folder.strip_suffix('/').is_some_and(is_path);
        if prefix.len() > LONGEST_PREFIX {
            let message = format!("the prefix has more than {LONGEST_PREFIX} bytes");
            return Err(Error::new(ErrorKind::Invalid, "configure Vault", message));
        }
        // A dot alone would be a step in the path; the coordinate makes any other stem a name.
        if !folder_is_plain || !NAMES.characters.are_all_of(stem) {
            return Err(invalid("prefix", prefix));
        }
        Ok(Self {
            mount: mount.to_owned(),
            folder: folder.to_owned(),
            stem: stem.to_owned(),
        })
    }

    pub(crate) fn mount(&self) -> &str {
        &self.mount
    }

    /// The path of a secret below one of the engine's parts (`data`, `metadata`, …).
    pub(crate) fn path(&self, part: &str, name: &impl fmt::Display) -> String {
        let Self {
            mount,
            folder,
            stem,
        } = self;
        format!("{mount}/{part}/{folder}{stem}{name}")
    }

    /// The path below one of the engine's parts of a folder within the one of all names; the latter
    /// is the empty text, any other ends in `/`.
    pub(crate) fn folder(&self, part: &str, within: &str) -> String {
        format!("{}/{part}/{}{within}", self.mount, self.folder)
    }

    /// Whether a platform's name leads to a secret here.
    pub(crate) fn check(&self, name: &str) -> Result<(), NameFault> {
        let prefix = format!("{}{}", self.folder, self.stem);
        NAMES.written(&prefix, name).map(drop)
    }

    /// Whether a key, with the folders it is in, can be asked for: a path of plain names.
    pub(crate) fn takes_key(&self, key: &str) -> bool {
        key.starts_with(&self.stem) && is_path(&format!("{}{key}", self.folder))
    }

    /// The platform's name of such a key; `None` for what is none.
    pub(crate) fn name<'a>(&self, key: &'a str) -> Option<&'a str> {
        let name = key.strip_prefix(&self.stem)?;
        self.check(name).is_ok().then_some(name)
    }

    /// What every key of the folder that may be ours begins with.
    pub(crate) fn stem(&self) -> &str {
        &self.stem
    }

    /// The coordinate of a key of the folder; `None` for what cannot be ours.
    pub(crate) fn coordinate(&self, key: &str) -> Option<Coordinate> {
        Coordinate::from_stored(key.strip_prefix(&self.stem)?).ok()
    }
}

/// A path with neither leading nor trailing slash, where it is plain.
pub(crate) fn path(text: &str) -> Option<&str> {
    let text = text.strip_suffix('/').unwrap_or(text);
    is_path(text).then_some(text)
}

fn is_path(text: &str) -> bool {
    NAMES.check(text).is_ok()
}

fn invalid(what: &'static str, text: &str) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "configure Vault",
        format!("the {what} {text:?} is not made of names of A-Z a-z 0-9 _ - . with / between"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn coordinate(text: &str) -> Coordinate {
        Coordinate::from_stored(text).unwrap()
    }

    #[test]
    fn a_name_is_prefix_and_coordinate() {
        for (prefix, name) in [
            ("", "kv/team/data/x_a_v1"),
            ("airbyte-", "kv/team/data/airbyte-x_a_v1"),
            ("a/b/", "kv/team/data/a/b/x_a_v1"),
            ("a/b.", "kv/team/data/a/b.x_a_v1"),
        ] {
            let names = Names::new("kv/team/", prefix).unwrap();
            assert_eq!(names.path("data", &coordinate("x_a_v1")), name);
        }
        let names = Names::new("secret", "a/b-").unwrap();
        assert_eq!(names.folder("metadata", ""), "secret/metadata/a/");
        assert_eq!(names.folder("data", "b-c/"), "secret/data/a/b-c/");
        assert_eq!(names.coordinate("b-x_a_v1"), Some(coordinate("x_a_v1")));
        for foreign in ["x_a_v1", "b-", "b-x_a", "b-x_a_v1/", "c-x_a_v1"] {
            assert_eq!(names.coordinate(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_platforms_name_is_a_path_of_plain_names() {
        let names = Names::new("secret", "a/b-").unwrap();
        for (key, name) in [("b-x", "x"), ("b-x/y", "x/y"), ("b-/x", "/x"), ("b-.", ".")] {
            assert_eq!(names.name(key), Some(name));
            assert_eq!(names.check(name), Ok(()));
        }
        for foreign in [
            "b-", "x", "b-x/", "b-x//y", "b-x/../y", "b-x y", "b-ä", "b-x%2Fy",
        ] {
            assert_eq!(names.name(foreign), None, "{foreign}");
        }
        let names = Names::new("secret", "a/").unwrap();
        let takes = |name: &str| names.check(name).is_ok();
        assert!(!takes("..") && !takes("/x") && takes("x/y"));
        assert!(takes(&"x".repeat(1_022)) && !takes(&"x".repeat(1_023)));
    }

    #[test]
    fn what_would_not_stay_itself_in_a_url_is_refused() {
        for mount in [
            "", "/", "/secret", "a//b", "..", "a/../b", "a b", "ä", "a%2Fb", "a?b",
        ] {
            assert!(Names::new(mount, "").is_err(), "{mount}");
        }
        for prefix in ["/", "/a", "a//", "../", "a/./", "a b", "ä/", "a?", "#"] {
            assert!(Names::new("secret", prefix).is_err(), "{prefix}");
        }
    }

    #[test]
    fn a_prefix_leaves_room_for_every_coordinate() {
        let longest = coordinate(&format!("{}_v1", "x".repeat(MAX_LENGTH - 3)));
        let prefix = "p".repeat(LONGEST_PREFIX);
        let names = Names::new("secret", &prefix).unwrap();
        assert_eq!(names.check(longest.as_str()), Ok(()));
        let refused = Names::new("secret", &format!("{prefix}p")).unwrap_err();
        assert!(refused.to_string().contains("768 bytes"), "{refused}");
    }

    proptest! {
        #[test]
        fn every_name_leads_back(
            prefix in "([a-zA-Z0-9_-]{1,8}/){0,2}[a-zA-Z0-9_.-]{0,8}",
            body in "[a-zA-Z0-9_-]{1,40}|[a-zA-Z0-9_-]{230,235}",
            version in 1_i64..,
        ) {
            let names = Names::new("secret", &prefix).unwrap();
            let coordinate = coordinate(&format!("{body}_v{version}"));
            let path = names.path("metadata", &coordinate);
            let key = path.strip_prefix(&names.folder("metadata", "")).unwrap();
            prop_assert!(!key.contains('/'));
            prop_assert_eq!(names.coordinate(key), Some(coordinate.clone()));
            prop_assert_eq!(names.check(coordinate.as_str()), Ok(()));
        }
    }
}
