//! Names of secrets wherever they stand in bytes of any kind: as they are, behind escapes of any depth, in
//! hex, in base64, in UTF-16, in two of these at once, and in lines, whichever of these was broken into them.
//!
//! What is found too much keeps a secret that nobody needs; what is missed deletes one in use. So a name
//! needs no border in front of it, and whatever could be read in two ways counts both ways.

mod encoded;
mod escapes;
mod starts;
#[cfg(test)]
mod tests;
mod wrapped;

use aho_corasick::Match;
use zeroize::Zeroizing;

use crate::Result;
use starts::Starts;

/// How often escapes are undone in what came of undoing escapes.
const MOST_ROUNDS: usize = 16;

/// How often what is written otherwise is looked for in what came of that.
const DEEPEST: u32 = 2;

/// What is told of a text as it is looked through.
pub trait Looker {
    /// The text, once as it is and once for each depth of escapes that was undone.
    fn text(&mut self, _text: &[u8]) {}

    /// One of the plain beginnings stands in `text`, which is one of those told.
    fn beginning(&mut self, _which: usize, _text: &[u8], _at: Match) {}

    /// Bytes that were written otherwise, from where one of the beginnings stands in them.
    fn decoded(&mut self, bytes: &[u8]);
}

/// Finds what begins as names do.
#[derive(Debug)]
pub struct Beginnings {
    plain: Starts,
    encoded: Starts,
}

impl Beginnings {
    /// Looks for `plain` as they are and for `encoded` written otherwise. Text of fewer than eleven
    /// bytes is not looked for there.
    ///
    /// # Errors
    /// `Invalid` where there are too many.
    pub fn new(plain: &[&[u8]], encoded: &[&[u8]]) -> Result<Self> {
        Ok(Self {
            plain: Starts::of(plain)?,
            encoded: Starts::of(encoded)?,
        })
    }

    /// Tells what is in `value`; whether that was looked into to its end, which more than sixteen depths
    /// of escapes are not.
    pub fn look(&self, value: &[u8], looker: &mut impl Looker) -> bool {
        self.look_behind_escapes(value, 0, looker)
    }

    /// `depth` says how often it was decoded.
    fn look_behind_escapes(&self, text: &[u8], depth: u32, looker: &mut impl Looker) -> bool {
        let mut is_whole = self.look_at_lines(text, depth, looker);
        let mut undone = escapes::undo(text).map(Zeroizing::new);
        for _ in 0..MOST_ROUNDS {
            let Some(text) = undone else {
                return is_whole;
            };
            is_whole &= self.look_at_lines(&text, depth, looker);
            undone = escapes::undo(&text).map(Zeroizing::new);
        }
        is_whole && undone.is_none()
    }

    fn look_at_lines(&self, text: &[u8], depth: u32, looker: &mut impl Looker) -> bool {
        let is_whole = self.look_at(text, depth, looker);
        let joined = wrapped::join(text).map(Zeroizing::new);
        is_whole & joined.is_none_or(|joined| self.look_at(&joined, depth, looker))
    }

    fn look_at(&self, text: &[u8], depth: u32, looker: &mut impl Looker) -> bool {
        if depth == 0 {
            looker.text(text);
            let each = |at: Match| looker.beginning(at.pattern().as_usize(), text, at);
            self.plain.each(text, each);
        } else {
            let each = |at: Match| looker.decoded(&text[at.start()..]);
            self.encoded.each(text, each);
        }
        let mut is_whole = true;
        if depth < DEEPEST {
            encoded::each(text, &mut |decoded| {
                is_whole &= self.look_behind_escapes(decoded, depth + 1, looker);
            });
        }
        is_whole
    }
}
