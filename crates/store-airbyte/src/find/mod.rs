//! Finding names of secrets in bytes of any kind, however they are written there.

mod run;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, Match, MatchKind};
use cloakroom_core::config::EXTERNAL_PREFIX;
use cloakroom_core::written::{Beginnings, Looker};
use cloakroom_core::{Grammar, Result};

use crate::failure::invalid;

/// The longest name looked for, in bytes; no manager takes a longer one.
const LONGEST: usize = 512;

/// The name of a user's secret has this many bytes at most: an ARN is the longest there is.
pub(crate) const LONGEST_EXTERNAL: usize = 2048;

/// Which of the beginnings stands before the name of a user's secret. The other one is a name's own.
const EXTERNAL: usize = 1;

/// Looks for names that begin with the platform's prefix, and for those that a user made.
pub(crate) struct Finder {
    grammar: Grammar,
    beginnings: Beginnings,
    /// Names that do not show themselves by their shape, looked for as they are.
    given: Option<(AhoCorasick, Vec<String>)>,
}

/// A name that was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) text: String,
    /// Whether the platform says that its user made the secret.
    pub(crate) external: bool,
}

/// The names of one value, each once.
#[derive(Default)]
pub(crate) struct Names {
    found: HashSet<Name>,
    /// Whether the value is nested deeper than is looked into.
    pub(crate) too_deep: bool,
}

impl Names {
    pub(crate) fn clear(&mut self) {
        self.found.clear();
        self.too_deep = false;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty() && !self.too_deep
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Name> + '_ {
        self.found.drain()
    }

    pub(crate) fn add(&mut self, text: &str, external: bool) {
        self.found.insert(Name {
            text: text.to_owned(),
            external,
        });
    }
}

impl Finder {
    /// `given` are names that are found wherever they stand, whatever their shape.
    pub(crate) fn new(grammar: Grammar, given: Vec<String>) -> Result<Self> {
        let prefix = grammar.prefix().as_bytes();
        let plain = [prefix, EXTERNAL_PREFIX.as_bytes()];
        let beginnings = Beginnings::new(&plain, &[prefix])?;
        let given = if given.is_empty() {
            None
        } else {
            // Overlapping matches are no automaton's but this one's.
            let built = AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .build(&given);
            let built = built.map_err(|_| invalid("too many names at once"))?;
            Some((built, given))
        };
        Ok(Self {
            grammar,
            beginnings,
            given,
        })
    }

    pub(crate) fn grammar(&self) -> &Grammar {
        &self.grammar
    }

    /// Adds every name in `value` to `names`.
    pub(crate) fn find(&self, value: &[u8], names: &mut Names) {
        let mut looking = Looking {
            finder: self,
            names,
        };
        let is_whole = self.beginnings.look(value, &mut looking);
        names.too_deep |= !is_whole;
    }
}

/// A value that is being looked through.
struct Looking<'a> {
    finder: &'a Finder,
    names: &'a mut Names,
}

impl Looker for Looking<'_> {
    fn text(&mut self, text: &[u8]) {
        if let Some((matcher, given)) = &self.finder.given {
            for found in matcher.find_overlapping_iter(text) {
                self.names.add(&given[found.pattern().as_usize()], false);
            }
        }
    }

    fn beginning(&mut self, which: usize, text: &[u8], at: Match) {
        let grammar = &self.finder.grammar;
        if which == EXTERNAL {
            run::external(grammar, &text[at.end()..], self.names);
        } else {
            run::names(grammar, &text[at.start()..], self.names);
        }
    }

    fn decoded(&mut self, bytes: &[u8]) {
        run::names(&self.finder.grammar, bytes, self.names);
    }
}
