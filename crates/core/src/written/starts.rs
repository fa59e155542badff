//! Where in a text any of many patterns begins, by the quickest search there is for them.

use aho_corasick::packed::{self, Searcher};
use aho_corasick::{AhoCorasick, Match, MatchKind};

use crate::{Error, ErrorKind, Result};

/// Finds the leftmost of the patterns; of those that begin at one place the first that was given.
#[derive(Debug)]
pub(super) enum Starts {
    /// Sixteen bytes and more at a time. The automaton does so by itself for a few patterns, and not for
    /// as many as there are kinds of names.
    Packed(Searcher),
    /// Byte by byte, where the machine or the patterns do not allow that.
    Automaton(AhoCorasick),
}

impl Starts {
    pub(super) fn of(patterns: &[&[u8]]) -> Result<Self> {
        let mut packed = packed::Config::new()
            .match_kind(packed::MatchKind::LeftmostFirst)
            .builder();
        match packed.extend(patterns).build() {
            Some(searcher) => Ok(Self::Packed(searcher)),
            None => Self::automaton(patterns),
        }
    }

    fn automaton(patterns: &[&[u8]]) -> Result<Self> {
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(patterns);
        let automaton = automaton.map_err(|_| {
            let message = "too many beginnings of names at once";
            Error::new(ErrorKind::Invalid, "look for names", message)
        })?;
        Ok(Self::Automaton(automaton))
    }

    /// Hands over every place, from the first to the last.
    pub(super) fn each(&self, text: &[u8], found: impl FnMut(Match)) {
        match self {
            Self::Packed(searcher) => searcher.find_iter(text).for_each(found),
            Self::Automaton(automaton) => automaton.find_iter(text).for_each(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATTERNS: [&[u8]; 5] = [
        b"airbyte_",
        b"secret_coordinate::",
        b"/prod/database/",
        b"/prod/databaseService/",
        b"/prod/bot/",
    ];

    fn all(starts: &Starts, text: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        starts.each(text, |it| found.push((it.pattern().as_usize(), it.start())));
        found
    }

    /// Patterns, beginnings of them and other bytes, one after the other.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let pattern = (0..PATTERNS.len(), 0_usize..40).prop_map(|(at, length)| {
            let pattern = PATTERNS[at];
            pattern[..pattern.len().min(length)].to_vec()
        });
        let other = proptest::collection::vec(any::<u8>(), 0..40);
        proptest::collection::vec(prop_oneof![pattern, other], 0..12)
            .prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn both_searches_find_the_same(text in text()) {
            let quickest = Starts::of(&PATTERNS).unwrap();
            let plain = Starts::automaton(&PATTERNS).unwrap();
            prop_assert_eq!(all(&quickest, &text), all(&plain, &text));
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_usual_prefix_is_looked_for_many_bytes_at_a_time() {
        let quickest = Starts::of(&PATTERNS[..2]).unwrap();
        let can = std::arch::is_x86_feature_detected!("avx2");
        assert_eq!(matches!(quickest, Starts::Packed(_)), can);
    }
}
