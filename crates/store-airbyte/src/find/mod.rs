//! Finding names of secrets in bytes of any kind: as they are, behind escapes of any depth, in hex,
//! in base64 (in lines too), in UTF-16, and in two of these at once.
//!
//! What is found too much keeps a secret that nobody needs; what is missed deletes one in use. So
//! a name needs no border in front of it, and whatever could be read in two ways counts both ways.

mod encoded;
mod escapes;
mod run;
mod starts;
#[cfg(test)]
mod tests;
mod wrapped;

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, MatchKind};
use cloakroom_core::config::EXTERNAL_PREFIX;
use cloakroom_core::{Grammar, Result};

use crate::failure::invalid;
use encoded::Encoding;
use starts::Starts;

/// The longest name looked for, in bytes; no manager takes a longer one.
const LONGEST: usize = 512;

/// The name of a user's secret has this many bytes at most: an ARN is the longest there is.
pub(crate) const LONGEST_EXTERNAL: usize = 2048;

/// How often escapes are undone in what came of undoing escapes.
const MOST_ROUNDS: usize = 16;

/// Looks for names that begin with the platform's prefix, and for those that a user made.
pub(crate) struct Finder {
    grammar: Grammar,
    starts: Starts,
    meanings: Vec<Meaning>,
    /// Names that do not show themselves by their shape, looked for as they are.
    given: Option<(AhoCorasick, Vec<String>)>,
}

/// What the start of a match says.
#[derive(Clone, Copy)]
enum Meaning {
    /// A name begins here.
    Name,
    /// The name of a user's secret begins behind it.
    External,
    /// A name begins here, written otherwise.
    Encoded(Encoding),
    /// A name that is written otherwise begins here, written otherwise.
    Nested(Encoding),
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
        let mut starts = vec![prefix.to_vec(), EXTERNAL_PREFIX.as_bytes().to_vec()];
        let mut meanings = vec![Meaning::Name, Meaning::External];
        for start in encoded::starts(prefix) {
            starts.push(start.bytes);
            meanings.push(if start.nested {
                Meaning::Nested(start.encoding)
            } else {
                Meaning::Encoded(start.encoding)
            });
        }
        let starts = Starts::of(&starts)?;
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
            starts,
            meanings,
            given,
        })
    }

    pub(crate) fn grammar(&self) -> &Grammar {
        &self.grammar
    }

    /// Adds every name in `value` to `names`.
    pub(crate) fn find(&self, value: &[u8], names: &mut Names) {
        self.look_at_lines(value, names);
        let mut undone = escapes::undo(value);
        for _ in 0..MOST_ROUNDS {
            let Some(text) = undone else {
                return;
            };
            self.look_at_lines(&text, names);
            undone = escapes::undo(&text);
        }
        names.too_deep |= undone.is_some();
    }

    fn look_at_lines(&self, text: &[u8], names: &mut Names) {
        self.look(text, names);
        if let Some(joined) = wrapped::join(text) {
            self.look(&joined, names);
        }
    }

    /// Names that are written otherwise in this, and not once more.
    fn look_once(&self, text: &[u8], names: &mut Names) {
        self.starts.each(text, |start| {
            if let Meaning::Encoded(encoding) = self.meanings[start.pattern().as_usize()] {
                for decoded in encoding.decode(text, start.start()) {
                    run::names(&self.grammar, &decoded, names);
                }
            }
        });
    }

    fn look(&self, text: &[u8], names: &mut Names) {
        self.starts.each(text, |start| {
            match self.meanings[start.pattern().as_usize()] {
                Meaning::Name => run::names(&self.grammar, &text[start.start()..], names),
                Meaning::External => run::external(&self.grammar, &text[start.end()..], names),
                Meaning::Encoded(encoding) => {
                    for decoded in encoding.decode(text, start.start()) {
                        run::names(&self.grammar, &decoded, names);
                    }
                }
                Meaning::Nested(encoding) => {
                    for decoded in encoding.decode_nested(text, start.start()) {
                        self.look_once(&decoded, names);
                    }
                }
            }
        });
        if let Some((matcher, given)) = &self.given {
            for found in matcher.find_overlapping_iter(text) {
                names.add(&given[found.pattern().as_usize()], false);
            }
        }
    }
}
