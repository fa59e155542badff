//! What a YAML text stands for with its aliases written out, measured before anything is made of it: a text
//! of a hundred kilobytes can stand for gigabytes.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// The most that a text may stand for, in bytes: its texts, and [`A_VALUE`] for each value and key.
pub(crate) const MOST: usize = 16 * 1024 * 1024;

/// What a value counts beside its text, in bytes: a list of nothing takes memory too.
const A_VALUE: usize = 16;

/// The most brackets that may stand open. The parser looks at each of them for every word within, so that
/// a text of brackets alone would keep it busy for hours.
const MOST_OPEN: usize = 1_000;

/// How often the parser may look at an open bracket, which it does for every sign within: a few brackets
/// around a long text are as bad as many.
const MOST_LOOKS: usize = 64 * 1024 * 1024;

/// Why a text is not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TooMuch {
    /// It stands for too much; on this line is what is repeated, or comes after all the rest.
    Expanded {
        /// Counted from 1; `None` where the parser cannot tell it.
        line: Option<usize>,
    },
    /// Too many brackets are open on this line, counted from 1.
    Open {
        /// Counted from 1.
        line: usize,
    },
    /// Too much stands within open brackets, up to this line.
    Within {
        /// Counted from 1.
        line: usize,
        /// So many are open there.
        open: usize,
    },
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expanded { line } => {
                if let Some(line) = line {
                    write!(f, "line {line}: ")?;
                }
                write!(
                    f,
                    "with its aliases (`*name`) written out it stands for more than {MOST} bytes; repeat \
                     less, or shorter texts"
                )
            }
            Self::Open { line } => {
                write!(f, "line {line}: more than {MOST_OPEN} brackets are open")
            }
            Self::Within { line, open } => write!(
                f,
                "line {line}: too much stands within open brackets, of which there are {open} here; write it \
                 in lines instead, or less of it"
            ),
        }
    }
}

impl std::error::Error for TooMuch {}

/// The text without the byte order mark that some editors begin a file with.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Refuses a text that stands for too much. What is no YAML passes: whoever parses it says what is wrong.
pub(crate) fn check(text: &str) -> Result<(), TooMuch> {
    stands_for_at_most(MOST, text)
}

fn stands_for_at_most(most: usize, text: &str) -> Result<(), TooMuch> {
    Brackets::default().read(text)?;
    // No byte makes more than one value of its own.
    if !text.contains('*') && text.len() < most / (A_VALUE + 2) {
        return Ok(());
    }
    let left = Cell::new(Some(most));
    let measured = Measure(&left).deserialize(serde_yaml_ng::Deserializer::from_str(text));
    match (left.get(), measured) {
        (None, Err(error)) => Err(TooMuch::Expanded {
            line: error.location().map(|at| at.line()),
        }),
        _ => Ok(()),
    }
}

/// The brackets of a text that are open. Outside of brackets those in texts and comments count too; no text
/// that is meant leaves so many open there.
#[derive(Default)]
struct Brackets {
    open: usize,
    looks: usize,
}

impl Brackets {
    fn read(&mut self, text: &str) -> Result<(), TooMuch> {
        let bytes = text.as_bytes();
        let (mut at, mut line) = (0, 1);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'[' | b'{' => self.open += 1,
                b']' | b'}' => self.open = self.open.saturating_sub(1),
                _ => {}
            }
            if byte.is_ascii_punctuation() {
                self.looks = self.looks.saturating_add(self.open);
            }
            let open = self.open;
            if open > MOST_OPEN {
                return Err(TooMuch::Open { line });
            }
            if self.looks > MOST_LOOKS {
                return Err(TooMuch::Within { line, open });
            }
            let end = match open {
                0 => at + 1,
                _ => behind_what_hides_brackets(bytes, at),
            };
            line += bytes[at..end].iter().filter(|it| **it == b'\n').count();
            at = end;
        }
        Ok(())
    }
}

/// Where to go on behind a place within brackets: behind the text in quotes or the comment that begins there.
fn behind_what_hides_brackets(bytes: &[u8], at: usize) -> usize {
    let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
    let blank = before.is_ascii_whitespace();
    let begins = blank || matches!(before, b'[' | b'{' | b',' | b':');
    let rest = &bytes[at + 1..];
    let length = match bytes[at] {
        b'#' if blank => rest.iter().position(|byte| *byte == b'\n'),
        quote @ (b'"' | b'\'') if begins => length_in_quotes(rest, quote),
        _ => Some(0),
    };
    length.map_or(bytes.len(), |length| at + 1 + length)
}

/// How long a text in quotes is, the second quote included.
fn length_in_quotes(rest: &[u8], quote: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        let byte = *rest.get(at)?;
        let twice = quote == b'\'' && byte == quote && rest.get(at + 1) == Some(&quote);
        match byte {
            b'\\' if quote == b'"' => at += 2,
            _ if twice => at += 2,
            _ if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Walks over everything, keeps nothing, and fails where no more is left; nothing is left then.
#[derive(Clone, Copy)]
struct Measure<'l>(&'l Cell<Option<usize>>);

impl Measure<'_> {
    fn take<E: de::Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.0.get().and_then(|left| left.checked_sub(bytes));
        self.0.set(left);
        left.map(|_| ()).ok_or_else(|| E::custom("too much"))
    }
}

impl<'de> DeserializeSeed<'de> for Measure<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Measure<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        self.take(A_VALUE)
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.take(A_VALUE)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.take(A_VALUE)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.take(A_VALUE)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.take(A_VALUE)
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<(), E> {
        self.take(A_VALUE)
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<(), E> {
        self.take(A_VALUE)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.take(A_VALUE)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.take(A_VALUE + text.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.take(A_VALUE)?;
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.take(A_VALUE)?;
        while members.next_entry_seed(self, self)?.is_some() {}
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let (_, content) = tagged.variant::<IgnoredAny>()?;
        content.newtype_variant_seed(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aliases_stand_for_is_bounded_and_their_line_named() {
        let long = "x".repeat(40_000);
        let text = |repeated: usize| {
            format!(
                "a: 1\nlong: &l '{long}'\nmany: [{}]\n",
                "*l,".repeat(repeated)
            )
        };
        let fits = MOST / (long.len() + A_VALUE) - 2;
        assert_eq!(check(&text(fits)), Ok(()));
        let refused = check(&text(fits + 2)).unwrap_err();
        assert_eq!(refused, TooMuch::Expanded { line: Some(2) });
        let said = refused.to_string();
        assert!(
            said.contains("line 2") && said.contains("16777216 bytes"),
            "{said}"
        );
    }

    #[test]
    fn values_without_a_text_count_too() {
        for value in [
            "x,",
            "null,",
            "{? [] : },",
            "!tag x,",
            "1,",
            "1.5,",
            "true,",
        ] {
            let hundred = format!("a: &a [{}]\n", value.repeat(100));
            let text = |repeated: usize| format!("{hundred}b: [{}]", "*a,".repeat(repeated));
            let measured = |repeated: usize| stands_for_at_most(100_000, &text(repeated));
            assert_eq!(measured(5), Ok(()), "{value}");
            let refused = measured(100).unwrap_err();
            assert_eq!(refused, TooMuch::Expanded { line: Some(1) }, "{value}");
        }
    }

    /// What nests so deep that the parser itself gives up is not read either.
    #[test]
    fn aliases_of_aliases_end_somewhere() {
        let level = |level: usize| {
            format!(
                "a{level}: &a{level} [{}]\n",
                format!("*a{},", level - 1).repeat(40)
            )
        };
        for leaf in ["x".to_owned(), "null".to_owned(), "x".repeat(5_000)] {
            let text = format!("a0: &a0 {leaf}\n{}", (1..30).map(level).collect::<String>());
            let parsed: Result<serde_yaml_ng::Value, String> = check(&text)
                .map_err(|refused| refused.to_string())
                .and_then(|()| serde_yaml_ng::from_str(&text).map_err(|error| error.to_string()));
            parsed.unwrap_err();
        }
    }

    #[test]
    fn many_open_brackets_are_not_even_parsed() {
        let open = |number: usize| format!("a:\n{}", "[".repeat(number));
        assert_eq!(check(&open(MOST_OPEN)), Ok(()));
        assert_eq!(check(&open(MOST_OPEN + 1)), Err(TooMuch::Open { line: 2 }));
        assert_eq!(check(&"[{]}".repeat(100_000)), Ok(()));
        // Those in texts and comments close nothing, and open nothing either.
        for hidden in ["\"]\",", "'}',", "\"\\\"]\",", "']''',", " # ]\n"] {
            let text = format!("a: {}", format!("[{hidden}").repeat(MOST_OPEN + 1));
            let refused = check(&text).unwrap_err();
            assert!(matches!(refused, TooMuch::Open { .. }), "{hidden}");
            let hidden = hidden.replace([']', '}'], "[[[");
            let closed = format!("a: [{}]", hidden.repeat(MOST_OPEN));
            assert_eq!(check(&closed), Ok(()), "{hidden}");
        }
    }

    /// The parser's work is as many signs as there are, times the brackets around them.
    #[test]
    fn what_stands_within_brackets_is_bounded_by_the_work_it_makes() {
        let read = |text: &str| Brackets::default().read(text);
        let within = |open: usize, signs: usize| {
            format!("a: 1\nb: {}{}", "[".repeat(open), "x,".repeat(signs))
        };
        for open in [999, 100] {
            let fits = (MOST_LOOKS - open * (open + 1) / 2) / open;
            assert_eq!(read(&within(open, fits)), Ok(()));
            let refused = check(&within(open, fits + 1)).unwrap_err();
            assert_eq!(refused, TooMuch::Within { line: 2, open });
        }
        // JSON of the largest size a spec may have goes through.
        let leaf = r#"{"p":{"type":"string","title":"x"},"q":["a","b"]},"#;
        let most = 4 * 1024 * 1024 / leaf.len();
        assert_eq!(
            read(&format!("{}{}", "[".repeat(10), leaf.repeat(most))),
            Ok(())
        );
    }

    #[test]
    fn what_is_no_yaml_is_for_the_parser_to_tell() {
        for text in ["", "a: [b\n", "a: *b", "--- 1\n--- 2\n", "{? [a] : b}"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }
}
