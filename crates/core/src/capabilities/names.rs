//! Which names a manager takes, as a check and as words.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::error::ErrorKind;

/// Which names a manager takes. A name here is whole, as the manager has it, the backend's prefix included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NameRules {
    /// What a name is made of.
    pub characters: Characters,
    /// Longest name, in bytes.
    pub longest: usize,
    /// How the characters may stand.
    pub shape: NameShape,
    /// Beginnings that the manager keeps to itself, in whatever case and behind a slash too.
    pub reserved: &'static [&'static str],
    /// Whether names that differ in case alone are two.
    pub case_counts: bool,
    /// What of a platform's name is written as something else.
    pub respelled: &'static [(char, char)],
    /// How a coordinate is found again.
    pub coordinate: CoordinateName,
}

/// A set of ASCII characters: small letters and digits, and what is said besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Characters {
    capitals: bool,
    others: &'static str,
}

/// How a name's characters may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NameShape {
    /// In any order.
    Plain,
    /// As a path: `/` between parts, none of which is empty or of dots alone.
    Path,
    /// As a hierarchy: `/` before each of at most so many levels, none of which is empty; or no `/` at all.
    Hierarchy(usize),
    /// As a DNS subdomain: letters or digits first, last, and on both sides of each `.`.
    Subdomain,
}

/// How a coordinate is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CoordinateName {
    /// It is its own name, behind the prefix.
    Itself,
    /// Its name is made from it, and the mark tells it whole.
    InTheMark,
}

/// Why a manager does not take a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameFault {
    /// It is empty.
    #[error("the name is empty")]
    Empty,
    /// It is too long.
    #[error(
        "the name has, with the prefix, {bytes} bytes, more than the {longest} bytes that are taken"
    )]
    TooLong {
        /// What it has.
        bytes: usize,
        /// What the manager takes.
        longest: usize,
    },
    /// A character is none of the manager's.
    #[error("the name has a {found:?}, and a name is made of {characters}")]
    Character {
        /// The first such.
        found: char,
        /// Those it takes.
        characters: Characters,
    },
    /// Its characters stand otherwise than the manager wants them.
    #[error("the name does not have the form that is taken: {0}")]
    Shape(NameShape),
    /// The manager keeps such names to itself.
    #[error("the name begins with {0}, which is kept for the manager's own: set a prefix")]
    Reserved(&'static str),
}

impl NameRules {
    /// Whether a secret in the manager can have this name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, name: &str) -> Result<(), NameFault> {
        if name.is_empty() {
            return Err(NameFault::Empty);
        }
        let (bytes, longest) = (name.len(), self.longest);
        if bytes > longest {
            return Err(NameFault::TooLong { bytes, longest });
        }
        let characters = self.characters;
        if let Some(found) = name.chars().find(|it| !characters.contains(*it)) {
            return Err(NameFault::Character { found, characters });
        }
        if !self.shape.is_of(name) {
            return Err(NameFault::Shape(self.shape));
        }
        self.kept(name)
            .map_or(Ok(()), |kept| Err(NameFault::Reserved(kept)))
    }

    /// The name in the manager, behind `prefix`, of what a platform calls `name`.
    ///
    /// ```
    /// use cloakroom_core::capabilities::{Characters, CoordinateName, NameRules, NameShape};
    ///
    /// let rules = NameRules {
    ///     characters: Characters::letters_digits_and("-"),
    ///     longest: 12,
    ///     shape: NameShape::Plain,
    ///     reserved: &[],
    ///     case_counts: false,
    ///     respelled: &[('_', '-')],
    ///     coordinate: CoordinateName::InTheMark,
    /// };
    /// assert_eq!(rules.written("team-", "My_key")?, "team-my-key");
    /// let told = rules.written("team-", "my/key").unwrap_err().to_string();
    /// assert_eq!(told, "the name has a '/', and a name is made of A–Z a–z 0–9 -");
    /// # Ok::<(), cloakroom_core::capabilities::NameFault>(())
    /// ```
    ///
    /// # Errors
    /// Why no secret can have it.
    pub fn written(&self, prefix: &str, name: &str) -> Result<String, NameFault> {
        if name.is_empty() {
            return Err(NameFault::Empty);
        }
        let spelled = name.chars().map(|it| self.spelled(it));
        let written = prefix.chars().chain(spelled).collect::<String>();
        self.check(&written)?;
        Ok(written)
    }

    /// The beginning that the manager keeps to itself, where a name has one.
    pub fn kept(&self, name: &str) -> Option<&'static str> {
        let name = name.trim_start_matches('/').as_bytes();
        let begins = |kept: &&&str| {
            name.get(..kept.len())
                .is_some_and(|it| it.eq_ignore_ascii_case(kept.as_bytes()))
        };
        self.reserved.iter().find(begins).copied()
    }

    fn spelled(&self, character: char) -> char {
        let respelled = self.respelled.iter().find(|(from, _)| *from == character);
        let spelled = respelled.map_or(character, |(_, to)| *to);
        if self.case_counts {
            spelled
        } else {
            spelled.to_ascii_lowercase()
        }
    }

    /// What else a name has to be, in words; `None` where there is nothing.
    pub fn further(&self) -> Option<String> {
        let shape = (self.shape != NameShape::Plain).then(|| self.shape.to_string());
        let reserved = (!self.reserved.is_empty())
            .then(|| format!("not beginning with {}", self.reserved.join(" or ")));
        let respelled = self.respelled.iter();
        let respelled =
            respelled.map(|(from, to)| format!("a platform's {from} is written as {to}"));
        let told: Vec<_> = shape.into_iter().chain(reserved).chain(respelled).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

impl Characters {
    /// Letters of both cases, digits and `others`.
    pub const fn letters_digits_and(others: &'static str) -> Self {
        Self {
            capitals: true,
            others,
        }
    }

    /// Small letters, digits and `others`.
    pub const fn small_letters_digits_and(others: &'static str) -> Self {
        Self {
            capitals: false,
            others,
        }
    }

    /// Whether it is one of them.
    pub fn contains(self, character: char) -> bool {
        character.is_ascii_lowercase()
            || character.is_ascii_digit()
            || self.capitals && character.is_ascii_uppercase()
            || self.others.contains(character)
    }

    /// Whether all of a text is of them.
    pub fn are_all_of(self, text: &str) -> bool {
        text.chars().all(|it| self.contains(it))
    }

    /// Whether capitals are among them.
    pub const fn have_capitals(self) -> bool {
        self.capitals
    }
}

impl fmt::Display for Characters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.capitals { "A–Z " } else { "" })?;
        f.write_str("a–z 0–9")?;
        self.others.chars().try_for_each(|it| write!(f, " {it}"))
    }
}

impl Serialize for Characters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl NameShape {
    fn is_of(self, name: &str) -> bool {
        match self {
            Self::Plain => true,
            Self::Path => name
                .split('/')
                .all(|part| part.bytes().any(|byte| byte != b'.')),
            Self::Hierarchy(most) => match name.strip_prefix('/') {
                Some(levels) => {
                    levels.split('/').all(|level| !level.is_empty())
                        && levels.split('/').count() <= most
                }
                None => !name.contains('/'),
            },
            Self::Subdomain => name.split('.').all(|label| {
                let ends = [label.bytes().next(), label.bytes().next_back()];
                ends.iter()
                    .all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
            }),
        }
    }
}

impl fmt::Display for NameShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("any"),
            Self::Path => f.write_str("a / between parts, none empty or of dots alone"),
            Self::Hierarchy(most) => {
                write!(f, "a / before each of at most {most} levels, or no /")
            }
            Self::Subdomain => {
                f.write_str("a letter or digit first, last and on both sides of each .")
            }
        }
    }
}

impl NameFault {
    /// What it is to whoever asked for the name.
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::TooLong { .. } => ErrorKind::TooLarge,
            _ => ErrorKind::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: NameRules = NameRules {
        characters: Characters::letters_digits_and("/._-"),
        longest: 40,
        shape: NameShape::Plain,
        reserved: &[],
        case_counts: true,
        respelled: &[],
        coordinate: CoordinateName::Itself,
    };

    fn taken(shape: NameShape, name: &str) -> bool {
        NameRules { shape, ..RULES }.check(name).is_ok()
    }

    #[test]
    fn each_rule_is_told_by_what_breaks_it() {
        let rules = NameRules {
            reserved: &["aws"],
            ..RULES
        };
        let (long, longest) = ("x".repeat(41), "x".repeat(40));
        let characters = rules.characters;
        let found = |found| NameFault::Character { found, characters };
        for (name, fault) in [
            ("", NameFault::Empty),
            (
                &long,
                NameFault::TooLong {
                    bytes: 41,
                    longest: 40,
                },
            ),
            ("a b", found(' ')),
            ("aäb", found('ä')),
            ("a\nb", found('\n')),
            ("AWSome", NameFault::Reserved("aws")),
            ("//aws/a", NameFault::Reserved("aws")),
        ] {
            assert_eq!(rules.check(name), Err(fault), "{name:?}");
        }
        for name in ["a", "aw", "a/aws", "A.b_c-0", &longest] {
            assert_eq!(rules.check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn characters_are_said_as_they_are_checked() {
        for (characters, told) in [
            (Characters::letters_digits_and("-_"), "A–Z a–z 0–9 - _"),
            (Characters::small_letters_digits_and("."), "a–z 0–9 ."),
        ] {
            assert_eq!(characters.to_string(), told);
            for byte in 0..=u8::MAX {
                let it = char::from(byte);
                let listed = it.is_ascii_lowercase()
                    || it.is_ascii_digit()
                    || told.contains('Z') && it.is_ascii_uppercase()
                    || it != ' ' && told[told.len() - 3..].contains(it);
                assert_eq!(characters.contains(it), listed, "{it:?} of {told}");
            }
        }
    }

    #[test]
    fn shapes_are_what_they_are_called() {
        use NameShape::{Hierarchy, Path, Subdomain};
        for name in ["a", "a/b", "..a/b", "a/.b"] {
            assert!(taken(Path, name), "{name}");
        }
        for name in ["/a", "a/", "a//b", "a/../b", ".", "a/."] {
            assert!(!taken(Path, name), "{name}");
        }
        for name in ["a", "..", "/a", "/a/b", "/a/b/c"] {
            assert!(taken(Hierarchy(3), name), "{name}");
        }
        for name in ["a/b", "/", "/a/", "/a//b", "/a/b/c/d"] {
            assert!(!taken(Hierarchy(3), name), "{name}");
        }
        for name in ["a", "a-b", "0.a-b.c"] {
            assert!(taken(Subdomain, name), "{name}");
        }
        for name in ["-a", "a-", "a..b", ".a", "a.", "a.-b", "a-.b"] {
            assert!(!taken(Subdomain, name), "{name}");
        }
    }

    #[test]
    fn a_platforms_name_is_written_behind_the_prefix() {
        assert_eq!(RULES.written("p/", "A_b").as_deref(), Ok("p/A_b"));
        assert_eq!(RULES.written("p/", ""), Err(NameFault::Empty));
        let (bytes, longest) = (42, 40);
        assert_eq!(
            RULES.written("p/", &"x".repeat(40)),
            Err(NameFault::TooLong { bytes, longest })
        );
        let folded = NameRules {
            case_counts: false,
            respelled: &[('_', '-')],
            ..RULES
        };
        assert_eq!(folded.written("p-", "A_b").as_deref(), Ok("p-a-b"));
    }

    #[test]
    fn what_is_further_to_say_is_said() {
        assert_eq!(RULES.further(), None);
        let rules = NameRules {
            shape: NameShape::Hierarchy(15),
            reserved: &["aws", "ssm"],
            respelled: &[('_', '-')],
            ..RULES
        };
        assert_eq!(
            rules.further().as_deref(),
            Some(
                "a / before each of at most 15 levels, or no /; not beginning with aws or ssm; \
                 a platform's _ is written as -"
            )
        );
    }
}
