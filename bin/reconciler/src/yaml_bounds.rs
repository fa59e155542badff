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

/// What the parser may be within, between brackets. Outside of them it is anywhere: where a bracket may open
/// something there, it is followed as if it did, beside all that was followed before.
#[derive(Clone, Copy)]
enum Within {
    /// Nothing: a sign counts as one.
    Nothing,
    /// A text without quotes; quotes in it are none.
    Plain,
    /// An anchor, an alias or a tag, up to the next blank.
    Name,
    /// A tag in `!<…>`.
    Tag,
    Comment,
    Single,
    /// A single quote within single quotes: the end, or the first of two.
    SingleAgain,
    Double,
    /// Behind a backslash within double quotes.
    Escaped,
}

const ALL: [Within; 9] = [
    Within::Nothing,
    Within::Plain,
    Within::Name,
    Within::Tag,
    Within::Comment,
    Within::Single,
    Within::SingleAgain,
    Within::Double,
    Within::Escaped,
];

/// The brackets of a text that are open: the most of them, for each that the parser may be within.
#[derive(Default)]
struct Brackets {
    open: [usize; ALL.len()],
    looks: usize,
}

impl Brackets {
    fn read(&mut self, text: &str) -> Result<(), TooMuch> {
        let (mut before, mut line) = ('\n', 1);
        let mut signs = text.chars().peekable();
        while let Some(sign) = signs.next() {
            let next = signs.peek().copied().unwrap_or('\n');
            self.step(before, sign, next);
            let open = self.open.into_iter().max().unwrap_or(0);
            if open > MOST_OPEN {
                return Err(TooMuch::Open { line });
            }
            if self.looks > MOST_LOOKS {
                return Err(TooMuch::Within { line, open });
            }
            line += usize::from(sign == '\n');
            before = sign;
        }
        Ok(())
    }

    fn step(&mut self, before: char, sign: char, next: char) {
        let opens = matches!(sign, '[' | '{') && is_blank(before);
        if !opens && self.open == [0; ALL.len()] {
            return;
        }
        let mut open = [0; ALL.len()];
        let mut looked = 0;
        for within in ALL {
            let is_open = self.open[within as usize];
            if is_open == 0 {
                continue;
            }
            let then = within.then(before, sign, next);
            let counts = within.counts(before, sign);
            let is_open = match sign {
                '[' | '{' if counts => is_open + 1,
                ']' | '}' if counts => is_open - 1,
                _ => is_open,
            };
            open[then as usize] = is_open.max(open[then as usize]);
            if counts {
                looked = is_open.max(looked);
            }
        }
        if opens {
            let nothing = &mut open[Within::Nothing as usize];
            *nothing = 1.max(*nothing);
            looked = 1.max(looked);
        }
        if sign.is_ascii_punctuation() {
            self.looks = self.looks.saturating_add(looked);
        }
        self.open = open;
    }
}

impl Within {
    /// Whether a sign is one of the structure's, or may be: what it stands in ends before it.
    fn counts(self, before: char, sign: char) -> bool {
        match self {
            Self::Nothing => true,
            Self::Plain | Self::Name => {
                matches!(sign, ',' | '[' | ']' | '{' | '}') || (sign == '#' && is_blank(before))
            }
            Self::SingleAgain => sign != '\'',
            Self::Tag | Self::Comment | Self::Single | Self::Double | Self::Escaped => false,
        }
    }

    /// What the parser is within behind a sign.
    fn then(self, before: char, sign: char, next: char) -> Self {
        match (self, sign) {
            _ if self.counts(before, sign) => Self::begun_by(sign, next),
            (Self::Plain, ':') if is_blank(next) => Self::Nothing,
            (Self::Name, _) if is_blank(sign) => Self::Nothing,
            (Self::Comment, _) if is_break(sign) => Self::Nothing,
            (Self::Single, '\'') => Self::SingleAgain,
            (Self::SingleAgain, _) => Self::Single,
            (Self::Tag, '>') | (Self::Double, '"') => Self::Nothing,
            (Self::Double, '\\') => Self::Escaped,
            (Self::Escaped, _) => Self::Double,
            _ => self,
        }
    }

    /// What begins with a sign.
    fn begun_by(sign: char, next: char) -> Self {
        match sign {
            '[' | ']' | '{' | '}' | ',' | ':' | '?' => Self::Nothing,
            _ if is_blank(sign) => Self::Nothing,
            '#' => Self::Comment,
            '\'' => Self::Single,
            '"' => Self::Double,
            '!' if next == '<' => Self::Tag,
            '!' | '&' | '*' => Self::Name,
            _ => Self::Plain,
        }
    }
}

fn is_break(sign: char) -> bool {
    matches!(sign, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank(sign: char) -> bool {
    matches!(sign, ' ' | '\t' | '\0') || is_break(sign)
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

    /// What looks like quotes or a comment and is none hides no bracket behind it.
    #[test]
    fn nothing_hides_brackets_that_the_parser_sees() {
        for before in [
            "a: [x ', ",
            "a: [x \"y, ",
            "a: [it's, x 'y, ",
            "a: [it'' s, ",
            "a: ['x''\"', ",
            "a: [\"x\\\"'\", ",
            "a: [!<x'> 'y', ",
            "a: [!x'y z, ",
            "a: [&a \"]\", x ', ",
            "a: [ # x\r",
            "a: [ # x\u{85}",
            "a: [1 # 2\n, ",
            "a: [{'x':'y\"'}, ",
            "a: |\n  \"\nb: [",
            "a: it \"is\nb: [x, ",
            "a: 'x [\"'\nb: [\"]\", ",
            "a: x ['y\nb: [",
        ] {
            let list = |number: usize| {
                let (open, close) = ("[".repeat(number), "]".repeat(number));
                format!("{before}{open}{close}]\n")
            };
            let read = serde_yaml_ng::from_str::<serde_yaml_ng::Value>(&list(2));
            assert!(read.is_ok(), "{before:?}: {read:?}");
            let refused = check(&list(MOST_OPEN + 1));
            assert!(matches!(refused, Err(TooMuch::Open { .. })), "{before:?}");
        }
    }

    fn lists_within(value: &serde_yaml_ng::Value) -> usize {
        match value {
            serde_yaml_ng::Value::Sequence(items) => {
                1 + items.iter().map(lists_within).max().unwrap_or(0)
            }
            serde_yaml_ng::Value::Mapping(members) => {
                let both = members.iter().flat_map(|(key, value)| [key, value]);
                both.map(lists_within).max().unwrap_or(0)
            }
            serde_yaml_ng::Value::Tagged(tagged) => lists_within(&tagged.value),
            _ => 0,
        }
    }

    #[test]
    fn no_list_is_deeper_than_the_brackets_that_were_counted() {
        use crate::demo::generator::Dice;
        const PARTS: [&str; 24] = [
            "[", "[", "[", "]", "]", "{", "}", ",", ",", " ", " ", "'", "'", "\"", "\"", "#", "\n",
            "\r", "x", ":", ": ", "!<x> ", "\\", "''",
        ];
        let randomness = crate::demo::seeded::Seeded::new(5);
        let dice = Dice::new(&randomness);
        let mut read = 0;
        for _ in 0..60_000 {
            let parts = (0..dice.between(2, 14)).map(|_| PARTS[dice.below(PARTS.len())]);
            let before = ["", "a: ", "- '[' \n- ", "a: \"[\n b: ["][dice.below(4)];
            let mut text = format!("{before}[{}", parts.collect::<String>());
            for _ in 0..dice.below(4) {
                text.push(']');
            }
            let Ok(value) = serde_yaml_ng::from_str::<serde_yaml_ng::Value>(&text) else {
                continue;
            };
            read += 1;
            let mut brackets = Brackets::default();
            let mut most = 0;
            let signs: Vec<char> = text.chars().collect();
            for (at, sign) in signs.iter().enumerate() {
                let before = at.checked_sub(1).map_or('\n', |at| signs[at]);
                brackets.step(before, *sign, signs.get(at + 1).copied().unwrap_or('\n'));
                most = brackets.open.into_iter().max().unwrap().max(most);
            }
            let lists = lists_within(&value) - usize::from(before.starts_with('-'));
            assert!(most >= lists, "{text:?} has {lists}, counted were {most}");
        }
        assert!(read > 1_000, "{read} could be read");
    }

    #[test]
    fn what_is_no_yaml_is_for_the_parser_to_tell() {
        for text in ["", "a: [b\n", "a: *b", "--- 1\n--- 2\n", "{? [a] : b}"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }
}
