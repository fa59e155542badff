//! Finding names of secrets in bytes of any kind, however they are written there.

mod external;
mod run;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, Match, MatchKind};
use cloakroom_core::config::EXTERNAL_PREFIX;
use cloakroom_core::written::{Beginnings, Looker};
use cloakroom_core::{Grammar, Result};

use crate::failure::invalid;

/// The longest name looked for, in bytes; no manager takes a longer one.
const LONGEST: usize = 512;

/// The name of a user's secret has this many bytes at most: an ARN is the longest there is.
pub(crate) const LONGEST_EXTERNAL: usize = 2048;

/// Which of the beginnings is a name's own.
const OWN: usize = 0;

/// Which of them stands before the name of a user's secret.
const EXTERNAL: usize = 1;

/// As many bytes as escapes have that may stand directly before a name.
const ESCAPE: usize = 10;

/// Looks for names that begin with the platform's prefix, and for those that a user made.
pub(crate) struct Finder {
    grammar: Grammar,
    beginnings: Beginnings,
    /// Beginnings that the name's own one hides, since they begin within it: how far on, and which.
    hidden: Vec<(usize, usize)>,
    /// Names that do not show themselves by their shape, looked for as they are.
    given: Option<(AhoCorasick, Vec<String>)>,
}

/// A name that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) maker: Maker,
}

/// Who made the secret, by what stands around its name; what outweighs the others comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Maker {
    /// It cannot be told, and may be the end of a longer name that somebody else made.
    Amid,
    /// It cannot be told.
    Unknown,
    /// The platform, as nothing says otherwise.
    Platform,
    /// The platform's user, as the platform says.
    User,
}

/// The names of one value, each once.
#[derive(Default)]
pub(crate) struct Names {
    found: HashMap<String, Maker>,
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
        let found = self.found.drain();
        found.map(|(text, maker)| Name { text, maker })
    }

    pub(crate) fn add(&mut self, text: &str, maker: Maker) {
        if let Some(found) = self.found.get_mut(text) {
            *found = maker.max(*found);
        } else {
            self.found.insert(text.to_owned(), maker);
        }
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
            hidden: hidden(prefix),
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
                let name = &given[found.pattern().as_usize()];
                self.names.add(name, Maker::Platform);
            }
        }
    }

    fn beginning(&mut self, which: usize, text: &[u8], at: Match) {
        let at = at.start();
        self.begins(which, text, at);
        let prefix = self.finder.grammar.prefix().as_bytes();
        for (further, hidden) in &self.finder.hidden {
            let behind = &text[at + further..];
            if which == OWN && behind.starts_with(beginning(prefix, *hidden)) {
                self.begins(*hidden, text, at + further);
            }
        }
    }

    fn decoded(&mut self, bytes: &[u8]) {
        // What stands before it is not known.
        run::names(&self.finder.grammar, bytes, Maker::Unknown, self.names);
    }
}

impl Looking<'_> {
    fn begins(&mut self, which: usize, text: &[u8], at: usize) {
        let (before, name) = text.split_at(at);
        if which == EXTERNAL {
            external::names(before, &name[EXTERNAL_PREFIX.len()..], self.names);
        } else {
            run::names(&self.finder.grammar, name, maker(before), self.names);
        }
    }
}

/// Who made what begins as the platform's names do behind this.
fn maker(before: &[u8]) -> Maker {
    if before.ends_with(EXTERNAL_PREFIX.as_bytes()) {
        // A shorter reading of what a user named: the whole of it is found by what stands before it.
        return Maker::Unknown;
    }
    let nearest = &before[before.len().saturating_sub(ESCAPE)..];
    let is_behind_an_escape = memchr::memchr2(b'\\', b'%', nearest).is_some();
    match before.last() {
        Some(byte) if run::is_of_names(*byte) && !is_behind_an_escape => Maker::Amid,
        _ => Maker::Platform,
    }
}

fn beginning(prefix: &[u8], which: usize) -> &[u8] {
    if which == OWN {
        prefix
    } else {
        EXTERNAL_PREFIX.as_bytes()
    }
}

/// What may begin within the prefix: of two beginnings that overlap only the first is told.
fn hidden(prefix: &[u8]) -> Vec<(usize, usize)> {
    let each = |which: usize| {
        let from = usize::from(which == OWN);
        (from..prefix.len())
            .filter(move |at| beginning(prefix, which).starts_with(&prefix[*at..]))
            .map(move |at| (at, which))
    };
    each(OWN).chain(each(EXTERNAL)).collect()
}
