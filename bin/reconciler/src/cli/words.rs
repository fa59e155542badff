//! Arguments that take one of a few words. Help, manual and completions list the words; whoever reads one
//! says in its own way what is wrong with another.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command};

/// Reads one of `known`.
#[derive(Clone, Debug)]
pub(super) struct Words<T> {
    known: Vec<&'static str>,
    read: fn(&str) -> Result<T, String>,
}

impl<T> Words<T> {
    /// The words to list, and what reads them.
    pub(super) fn new(
        known: impl IntoIterator<Item = &'static str>,
        read: fn(&str) -> Result<T, String>,
    ) -> Self {
        let known = known.into_iter().collect();
        Self { known, read }
    }
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Words<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        word: &OsStr,
    ) -> Result<T, clap::Error> {
        self.read.parse_ref(command, argument, word)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.known.iter().map(PossibleValue::new)))
    }
}
