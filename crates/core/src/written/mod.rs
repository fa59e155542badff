//! Names of secrets wherever they stand in bytes of any kind: as they are, behind escapes of any depth, in
//! hex, in base64 (in lines too), in UTF-16, and in two of these at once.
//!
//! What is found too much keeps a secret that nobody needs; what is missed deletes one in use. So a name
//! needs no border in front of it, and whatever could be read in two ways counts both ways.

mod encoded;
mod escapes;
mod starts;
mod wrapped;

use aho_corasick::Match;
use zeroize::Zeroizing;

use crate::Result;
use encoded::Encoding;
use starts::Starts;

/// How often escapes are undone in what came of undoing escapes.
const MOST_ROUNDS: usize = 16;

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
    starts: Starts,
    meanings: Vec<Meaning>,
    longest: usize,
}

/// What the start of a match says.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    /// A plain beginning, by index.
    Plain(usize),
    /// A name begins here, written otherwise.
    Encoded(Encoding),
    /// A name that is written otherwise begins here, written otherwise.
    Nested(Encoding),
}

impl Beginnings {
    /// Looks for `plain` as they are and for `encoded` written otherwise; a name has at most `longest`
    /// bytes. A beginning of fewer than five bytes is not found in base64, where chance makes as much.
    ///
    /// # Errors
    /// `Invalid` where there are too many.
    pub fn new(plain: &[&[u8]], encoded: &[&[u8]], longest: usize) -> Result<Self> {
        let mut patterns: Vec<Vec<u8>> = plain.iter().map(|it| it.to_vec()).collect();
        let mut meanings: Vec<Meaning> = (0..plain.len()).map(Meaning::Plain).collect();
        for start in encoded.iter().flat_map(|it| encoded::starts(it)) {
            patterns.push(start.bytes);
            meanings.push(if start.nested {
                Meaning::Nested(start.encoding)
            } else {
                Meaning::Encoded(start.encoding)
            });
        }
        Ok(Self {
            starts: Starts::of(&patterns)?,
            meanings,
            longest,
        })
    }

    /// Tells what is in `value`; whether that was looked into to its end, which more than sixteen depths
    /// of escapes are not.
    pub fn look(&self, value: &[u8], looker: &mut impl Looker) -> bool {
        self.look_at_lines(value, looker);
        let mut undone = escapes::undo(value).map(Zeroizing::new);
        for _ in 0..MOST_ROUNDS {
            let Some(text) = undone else {
                return true;
            };
            self.look_at_lines(&text, looker);
            undone = escapes::undo(&text).map(Zeroizing::new);
        }
        undone.is_none()
    }

    fn look_at_lines(&self, text: &[u8], looker: &mut impl Looker) {
        looker.text(text);
        self.look_at(text, looker);
        if let Some(joined) = wrapped::join(text).map(Zeroizing::new) {
            looker.text(&joined);
            self.look_at(&joined, looker);
        }
    }

    fn look_at(&self, text: &[u8], looker: &mut impl Looker) {
        self.starts
            .each(text, |at| match self.meanings[at.pattern().as_usize()] {
                Meaning::Plain(which) => looker.beginning(which, text, at),
                Meaning::Encoded(encoding) => {
                    for bytes in encoding.decode(text, at.start(), self.longest) {
                        looker.decoded(&Zeroizing::new(bytes));
                    }
                }
                Meaning::Nested(encoding) => {
                    for bytes in encoding.decode_nested(text, at.start(), self.longest) {
                        self.look_once(&Zeroizing::new(bytes), looker);
                    }
                }
            });
    }

    /// Names that are written otherwise in this, and not once more.
    fn look_once(&self, text: &[u8], looker: &mut impl Looker) {
        self.starts.each(text, |at| {
            if let Meaning::Encoded(encoding) = self.meanings[at.pattern().as_usize()] {
                for bytes in encoding.decode(text, at.start(), self.longest) {
                    looker.decoded(&Zeroizing::new(bytes));
                }
            }
        });
    }
}
