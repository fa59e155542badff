//! How a law ends: held, or broken and how.

use std::fmt;

use cloakroom_core::{Error, ErrorKind, Result};

/// Whether a law held.
pub type Verdict = std::result::Result<(), Broken>;

/// What was otherwise than the law says. Holds no secret value.
#[derive(Debug)]
pub struct Broken(String);

impl Broken {
    /// A breach, told in a sentence.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// An error where the law needs an answer.
impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        let mut text = format!("{} error: {error}", error.kind());
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self(text)
    }
}

/// Breaks the law unless `holds`.
pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Broken(what())) }
}

/// Breaks the law unless both are equal.
pub(crate) fn ensure_eq<T: PartialEq + fmt::Debug>(is: &T, should: &T, what: &str) -> Verdict {
    ensure(is == should, || {
        format!("{what}: is {is:?}, should be {should:?}")
    })
}

/// Breaks the law unless the answer is an error of one of these kinds.
pub(crate) fn ensure_kind<T: fmt::Debug>(
    answer: Result<T>,
    kinds: &[ErrorKind],
    what: &str,
) -> Verdict {
    match answer {
        Ok(answer) => Err(Broken(format!(
            "{what}: succeeded ({answer:?}), should be {kinds:?}"
        ))),
        Err(error) => ensure(kinds.contains(&error.kind()), || {
            format!("{what}: is {} ({error}), should be {kinds:?}", error.kind())
        }),
    }
}
