//! Patterns for keys, as ECMA-262 reads them: JSON Schema's dialect. What would be read otherwise here than
//! there is written in words that mean the same in both, or not read at all.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use fancy_regex::{Regex, RegexBuilder};

/// Steps a pattern may go back before it counts as "perhaps": patterns come from the spec, keys
/// from the document, and together they must not hang the process.
pub(super) const BACKTRACK_LIMIT: usize = 2_000;

const DIGITS: &str = "0-9";
const WORDS: &str = "0-9A-Z_a-z";
const SPACES: &str = r"\x{9}-\x{D}\x{20}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}";
const LINE_ENDS: &str = r"\x{A}\x{D}\x{2028}\x{2029}";

/// A pattern for keys.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// `None` for one that only ECMA-262 can tell the meaning of.
    regex: Option<Regex>,
    backs: bool,
}

/// Whether a pattern matches a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    Yes,
    No,
    /// It cannot be told, or would take too many steps: whatever would follow from either answer applies.
    Perhaps,
}

impl Pattern {
    pub(super) fn read(pattern: &str) -> Result<Self, fancy_regex::Error> {
        let translated = Translator::translate(pattern);
        let written = translated.as_deref().unwrap_or(pattern);
        let regex = RegexBuilder::new(written)
            .backtrack_limit(BACKTRACK_LIMIT)
            .build()?;
        Ok(Self {
            backs: may_go_back(pattern),
            regex: translated.is_some().then_some(regex),
        })
    }

    /// One whose answer is never known.
    pub(super) fn perhaps() -> Self {
        Self {
            regex: None,
            backs: false,
        }
    }

    pub(super) fn matches(&self, key: &str) -> Match {
        match self.regex.as_ref().map(|it| it.is_match(key)) {
            Some(Ok(true)) => Match::Yes,
            Some(Ok(false)) => Match::No,
            Some(Err(_)) | None => Match::Perhaps,
        }
    }

    /// Whether it may go back in a key and try again.
    pub(super) fn backs(&self) -> bool {
        self.backs
    }
}

/// Whether a pattern has what only backtracking can answer: looking around, groups that keep what they
/// have, references to what was matched. Some that have not are taken for one that has.
fn may_go_back(pattern: &str) -> bool {
    const SIGNS: [&str; 9] = ["(?=", "(?!", "(?<", "(?>", "(?(", "++", "*+", "?+", "}+"];
    let escapes = pattern.as_bytes().windows(2);
    let mut escapes = escapes.filter(|pair| pair[0] == b'\\');
    SIGNS.iter().any(|sign| pattern.contains(sign))
        || escapes.any(|pair| matches!(pair[1], b'1'..=b'9' | b'g' | b'k' | b'G' | b'K'))
}

/// Writes a pattern of ECMA-262 again as one that is read the same way here.
struct Translator<'p> {
    left: Peekable<Chars<'p>>,
    written: String,
    /// Which of the groups that keep what they match surely did so, once they are closed.
    kept: Vec<bool>,
    /// The groups that are open; those that keep what they match by their number.
    open: Vec<Option<usize>>,
    /// Whether one of several may match, and whether what a group matched is referred to.
    alternatives: bool,
    refers: bool,
}

/// What an escape stands for.
enum Escaped {
    Character(char),
    /// A set of characters, as the inside of a class, and whether all others are meant.
    Set(&'static str, bool),
}

impl<'p> Translator<'p> {
    /// `None` where the two dialects may disagree.
    fn translate(pattern: &'p str) -> Option<String> {
        let mut translator = Self {
            left: pattern.chars().peekable(),
            written: String::with_capacity(pattern.len()),
            kept: Vec::new(),
            open: Vec::new(),
            alternatives: false,
            refers: false,
        };
        while let Some(character) = translator.left.next() {
            translator.one(character)?;
        }
        let is_certain = !(translator.refers && translator.alternatives);
        is_certain.then_some(translator.written)
    }

    fn one(&mut self, character: char) -> Option<()> {
        match character {
            '\\' if matches!(self.left.peek(), Some('1'..='9')) => self.back_reference()?,
            '\\' => match self.escape()? {
                Escaped::Character(character) => self.literal(character),
                Escaped::Set(set, others) => self.set(set, others),
            },
            '[' => self.class()?,
            '(' => self.group()?,
            '{' if self.is_repetition() => self.written.push('{'),
            '.' => self.set(LINE_ENDS, true),
            ')' => self.close(),
            '|' => {
                self.alternatives |= self.open.is_empty();
                self.written.push('|');
            }
            '^' | '$' | '*' | '+' | '?' | ',' | '0'..='9' => self.written.push(character),
            '}' if self.ends_repetition() => self.written.push('}'),
            other => self.literal(other),
        }
        Some(())
    }

    /// Whether `{`, just read, begins `{n}`, `{n,}` or `{n,m}`; otherwise it is a character like any other.
    fn is_repetition(&self) -> bool {
        let is_inside = |it: &char| *it == ',' || it.is_ascii_digit();
        let inside: String = self.left.clone().take_while(is_inside).collect();
        let closed = self.left.clone().find(|it| !is_inside(it)) == Some('}');
        let (least, most) = inside.split_once(',').unwrap_or((&inside, ""));
        closed && !least.is_empty() && !most.contains(',')
    }

    /// Whether what was written last opens a repetition.
    fn ends_repetition(&self) -> bool {
        let is_inside = |it: char| it == ',' || it.is_ascii_digit();
        let opened = self.written.trim_end_matches(is_inside);
        opened.len() < self.written.len() && opened.ends_with('{')
    }

    /// What comes behind `(`: groups and looking around are the same in both.
    fn group(&mut self) -> Option<()> {
        self.written.push('(');
        if self.left.next_if_eq(&'?').is_none() {
            self.open.push(Some(self.kept.len()));
            self.kept.push(false);
            return Some(());
        }
        self.written.push('?');
        let sign = self.left.next()?;
        self.written.push(sign);
        match sign {
            ':' | '=' | '!' | '>' => {
                self.open.push(None);
                Some(())
            }
            // Of ECMA-262 there is only one way to read it, and it is an error there.
            'i' => {
                let end = self.left.next_if(|it| matches!(it, ')' | ':'))?;
                self.written.push(end);
                if end == ':' {
                    self.open.push(None);
                }
                Some(())
            }
            '<' => {
                let looks = self.left.next_if(|it| matches!(it, '=' | '!'))?;
                self.written.push(looks);
                self.open.push(None);
                Some(())
            }
            _ => None,
        }
    }

    fn close(&mut self) {
        self.written.push(')');
        let group = self.open.pop().flatten();
        let may_be_left_out = matches!(self.left.peek(), Some('?' | '*' | '{'));
        if let Some(group) = group.filter(|_| self.open.is_empty() && !may_be_left_out) {
            self.kept[group] = true;
        }
    }

    /// What a group has matched. Where it matched nothing that is nothing there, and fails here.
    fn back_reference(&mut self) -> Option<()> {
        let number = self.left.next()?.to_digit(10)?;
        let is_longer = self.left.peek().is_some_and(char::is_ascii_digit);
        let kept = self.kept.get(usize::try_from(number).ok()? - 1);
        self.refers = true;
        let _ = write!(self.written, r"\{number}");
        kept.filter(|kept| **kept && !is_longer).map(|_| ())
    }

    fn escape(&mut self) -> Option<Escaped> {
        let escaped = self.left.next()?;
        Some(match escaped {
            'd' | 'D' => Escaped::Set(DIGITS, escaped == 'D'),
            'w' | 'W' => Escaped::Set(WORDS, escaped == 'W'),
            's' | 'S' => Escaped::Set(SPACES, escaped == 'S'),
            't' => Escaped::Character('\t'),
            'n' => Escaped::Character('\n'),
            'r' => Escaped::Character('\r'),
            'v' => Escaped::Character('\x0b'),
            'f' => Escaped::Character('\x0c'),
            'x' => Escaped::Character(self.code(2)?),
            'u' => Escaped::Character(self.code(4)?),
            _ if escaped.is_alphanumeric() => return None,
            _ => Escaped::Character(escaped),
        })
    }

    /// A character by its number, written in so many digits. None of them is half a character.
    fn code(&mut self, digits: usize) -> Option<char> {
        let mut code = 0;
        for _ in 0..digits {
            code = code * 16 + self.left.next()?.to_digit(16)?;
        }
        char::from_u32(code)
    }

    fn class(&mut self) -> Option<()> {
        self.written.push('[');
        if self.left.next_if_eq(&'^').is_some() {
            self.written.push('^');
        }
        if self.left.peek() == Some(&']') {
            return None;
        }
        loop {
            match self.member()? {
                None => break,
                Some(Escaped::Set(set, others)) => self.set_within(set, others),
                Some(Escaped::Character(first)) => {
                    self.literal(first);
                    if self.begins_range() {
                        self.left.next();
                        match self.member()?? {
                            Escaped::Character(last) => {
                                self.written.push('-');
                                self.literal(last);
                            }
                            Escaped::Set(set, others) => {
                                self.literal('-');
                                self.set_within(set, others);
                            }
                        }
                    }
                }
            }
        }
        self.written.push(']');
        Some(())
    }

    /// The next member of a class; within, `None` is its end.
    #[expect(
        clippy::option_option,
        reason = "the outer one says whether both dialects agree"
    )]
    fn member(&mut self) -> Option<Option<Escaped>> {
        Some(match self.left.next()? {
            ']' => None,
            '\\' => Some(self.escape()?),
            other => Some(Escaped::Character(other)),
        })
    }

    /// Whether a `-` follows that is not the last in its class.
    fn begins_range(&self) -> bool {
        let mut ahead = self.left.clone();
        ahead.next() == Some('-') && ahead.next().is_some_and(|it| it != ']')
    }

    fn set(&mut self, set: &str, others: bool) {
        self.written.push_str(if others { "[^" } else { "[" });
        self.written.push_str(set);
        self.written.push(']');
    }

    fn set_within(&mut self, set: &str, others: bool) {
        if others {
            self.set(set, true);
        } else {
            self.written.push_str(set);
        }
    }

    /// A character that means itself, whatever it means elsewhere.
    fn literal(&mut self, character: char) {
        if character.is_alphanumeric() || matches!(character, '_' | '/' | ' ') {
            self.written.push(character);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(self.written, r"\x{{{:X}}}", u32::from(character));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use super::*;

    /// A character of each kind that some dialect has its own mind about.
    const CHARACTERS: &str =
        "aZ059_-~&[]^:.,{}()|\\/ \t\n\r\u{b}\u{85}\u{a0}\u{2028}\u{feff}٣éß\u{212a}";

    fn matched(pattern: &str) -> String {
        let pattern = Pattern::read(pattern).unwrap();
        let is_matched = |it: &char| match pattern.matches(it.encode_utf8(&mut [0; 4])) {
            Match::Yes => true,
            Match::No => false,
            Match::Perhaps => panic!("not read: {pattern:?}"),
        };
        CHARACTERS.chars().filter(is_matched).collect()
    }

    #[test]
    fn classes_are_those_of_ecma_262() {
        for (pattern, expected) in [
            (r"^[a&&_]$", "a_&"),
            (r"^[a~~_]$", "a_~"),
            (r"^[+--]$", "-,"),
            (r"^[[^]$", "[^"),
            (r"^[\w-.]$", "aZ059_-."),
            (r"^[.-]$", "-."),
            (r"^[+-\/]$", "-.,/"),
            (r"^\d$", "059"),
            (r"^[\d_]$", "059_"),
            (r"^\s$", " \t\n\r\u{b}\u{a0}\u{2028}\u{feff}"),
            (r"^[^\S]$", " \t\n\r\u{b}\u{a0}\u{2028}\u{feff}"),
            (r"^\-|\[|\]$", "-[]"),
            (r"^[{}]|\x5E|\u007e$", "~^{}"),
        ] {
            assert_eq!(matched(pattern), expected, "{pattern}");
        }
        for (one, others) in [(r"^\d$", r"^\D$"), (r"^\w$", r"^\W$"), (r"^\s$", r"^[\S]$")] {
            let both: Vec<char> = matched(one)
                .chars()
                .chain(matched(others).chars())
                .collect();
            assert_eq!(both.len(), CHARACTERS.chars().count(), "{one}");
        }
        assert!(!matched("^.$").contains(['\n', '\r', '\u{2028}']));
        assert!(matched("^.$").contains('\u{85}'));
    }

    #[test]
    fn what_only_ecma_262_can_tell_the_meaning_of_matches_perhaps() {
        for pattern in [
            r"^\ba", r"(a)?\1", r"(a)|\1a", r"\1(a)", r"\p{L}", r"[]a]", r"[^]a]", r"(?x) a",
            r"\ca", r"\a",
        ] {
            let read = Pattern::read(pattern).map(|it| it.matches("a"));
            assert!(!matches!(read, Ok(Match::Yes | Match::No)), "{pattern}");
        }
    }

    #[test]
    fn the_rest_is_read_as_ever() {
        for (pattern, key, expected) in [
            (r"^(?:ab|c){2,}$", "abc", Match::Yes),
            (r"^x{1,2}$", "xxx", Match::No),
            (r"^x{$", "x{", Match::Yes),
            (r"^x{,2}$", "x{,2}", Match::Yes),
            (r"^x{1,2}?y,3$", "xy,3", Match::Yes),
            (r"(?i)^PASS", "password", Match::Yes),
            (r"^(?!a)b(?=c)", "bc", Match::Yes),
            (r"^a$", "a\n", Match::No),
            (r"^(a|b)\1$", "bb", Match::Yes),
            (r"^é#<>$", "é#<>", Match::Yes),
            (r"^\<a\>$", "<a>", Match::Yes),
        ] {
            let read = Pattern::read(pattern).unwrap();
            assert_eq!(read.matches(key), expected, "{pattern}");
        }
    }
}
