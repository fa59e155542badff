//! Whatever a name is written in, and whatever breaks that into lines, the name is found.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

/// Keeps whatever begins with the prefix, as far as a name's characters go.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn keep(&mut self, text: &[u8]) {
        let belongs = |it: &u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-');
        let name = text.iter().copied().take_while(belongs).map(char::from);
        self.0.insert(name.collect());
    }
}

impl Looker for Names {
    fn beginning(&mut self, _: usize, text: &[u8], at: Match) {
        self.keep(&text[at.start()..]);
    }

    fn decoded(&mut self, bytes: &[u8]) {
        self.keep(bytes);
    }
}

fn found(text: &[u8]) -> BTreeSet<String> {
    let prefix: &[u8] = b"airbyte_";
    let beginnings = Beginnings::new(&[prefix], &[prefix]).unwrap();
    let mut names = Names::default();
    assert!(beginnings.look(text, &mut names), "too deep");
    names.0
}

/// How a text is written. It is broken into lines between its units.
type Way = fn(&[u8]) -> Vec<Vec<u8>>;

fn letters(text: impl AsRef<[u8]>) -> Vec<Vec<u8>> {
    text.as_ref().iter().map(|it| vec![*it]).collect()
}

fn each(text: &[u8], written: impl Fn(u8) -> String) -> Vec<Vec<u8>> {
    let written = text.iter().map(|it| written(*it).into_bytes());
    written.collect()
}

/// What an escape that leaves most as it is does not leave.
fn is_odd(byte: u8) -> bool {
    !byte.is_ascii_alphanumeric() || byte.is_multiple_of(5)
}

fn odd(text: &[u8], written: impl Fn(u8) -> String) -> Vec<Vec<u8>> {
    let written = text.iter().map(|it| {
        if is_odd(*it) {
            written(*it).into_bytes()
        } else {
            vec![*it]
        }
    });
    written.collect()
}

const WAYS: [(&str, Way); 17] = [
    ("plain", |text| letters(text)),
    ("hex", |text| letters(hex::encode(text))),
    ("hex in capitals", |text| letters(hex::encode_upper(text))),
    ("base64", |text| letters(BASE64_STANDARD.encode(text))),
    ("base64 for URLs", |text| {
        letters(BASE64_URL_SAFE_NO_PAD.encode(text))
    }),
    ("UTF-16", |text| {
        text.iter().map(|it| vec![*it, 0]).collect()
    }),
    ("UTF-16, high byte first", |text| {
        text.iter().map(|it| vec![0, *it]).collect()
    }),
    ("JSON", |text| each(text, |it| format!("\\u{it:04x}"))),
    ("JSON, some", |text| odd(text, |it| format!("\\u{it:04X}"))),
    ("JSON in JSON", |text| {
        odd(text, |it| format!("\\\\u{it:04x}"))
    }),
    ("hex escapes", |text| {
        each(text, |it| format!("\\x{it:02x}"))
    }),
    ("URL", |text| each(text, |it| format!("%{it:02X}"))),
    ("URL, some", |text| odd(text, |it| format!("%{it:02x}"))),
    ("URL in URL", |text| odd(text, |it| format!("%25{it:02x}"))),
    ("XML", |text| each(text, |it| format!("&#{it};"))),
    ("XML, some", |text| odd(text, |it| format!("&#x{it:X};"))),
    ("PostgreSQL", |text| each(text, |it| format!("\\{it:03o}"))),
];

/// So many of these, the last ones, are escapes.
const ESCAPES: usize = 10;

const BREAKS: [&str; 15] = [
    "\n",
    "\r\n",
    "\r",
    "\n    ",
    " \n",
    " \r\n\t",
    "\\\n",
    "\\n",
    "\\r\\n",
    "\\\\n  ",
    "\\u000a",
    "\\u000d\\u000A",
    "%0D%0A",
    "%0A%20%20",
    "&#xD;&#10;",
];

/// A way to write a text, and whether and how that is broken into lines.
#[derive(Clone, Debug)]
struct Written {
    way: usize,
    width: Option<usize>,
    line_break: usize,
}

impl Written {
    fn of(&self, text: &[u8]) -> Vec<u8> {
        // In UTF-16 a line break is in UTF-16 as well.
        let (_, way) = WAYS[self.way];
        if self.is_wide() {
            return way(&self.broken(&letters(text))).concat();
        }
        self.broken(&way(text))
    }

    fn broken(&self, units: &[Vec<u8>]) -> Vec<u8> {
        let Some(width) = self.width else {
            return units.concat();
        };
        let lines: Vec<Vec<u8>> = units.chunks(width).map(<[_]>::concat).collect();
        lines.join(BREAKS[self.line_break].as_bytes())
    }

    fn is_wide(&self) -> bool {
        WAYS[self.way].0.starts_with("UTF-16")
    }

    /// Whether it is letters alone, which lines can break anywhere.
    fn is_letters(&self) -> bool {
        self.way < WAYS.len() - ESCAPES && !self.is_wide()
    }

    /// Whether several characters of it stand for one.
    fn has_units(&self) -> bool {
        let line_break = BREAKS[self.line_break];
        !self.is_letters() || self.width.is_some() && line_break.contains(['\\', '%', '&'])
    }
}

fn written() -> impl Strategy<Value = Written> {
    let width = prop_oneof![
        Just(None),
        (1..12_usize).prop_map(Some),
        (1..100_usize).prop_map(Some)
    ];
    (0..WAYS.len(), width, 0..BREAKS.len()).prop_map(|(way, width, line_break)| Written {
        way,
        width,
        line_break,
    })
}

fn name() -> impl Strategy<Value = String> {
    let canonical =
        (any::<u128>(), any::<u128>(), 1..100_u32).prop_map(|(owner, secret, version)| {
            let [owner, secret] = [owner, secret].map(uuid::Uuid::from_u128);
            format!("airbyte_workspace_{owner}_secret_{secret}_v{version}")
        });
    prop_oneof![canonical, "airbyte_[A-Za-z0-9_-]{1,20}_v[1-9]"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn a_name_written_in_two_ways_and_in_lines_is_found(
        name in name(), inner in written(), outer in written(), alone: bool,
        before in "[ -~]{0,12}[^A-Za-z0-9_+/=-]", bytes in proptest::collection::vec(any::<u8>(), 0..6)
    ) {
        // UTF-16 of UTF-16 is none.
        prop_assume!(!(inner.is_wide() && outer.is_wide()));
        // Nobody breaks lines within an escape, unless what is broken is no escape any more.
        let is_encoded = outer.way > 0 && outer.is_letters();
        let width = outer.width.filter(|_| is_encoded || !inner.has_units());
        let outer = Written { width, ..outer };
        let around = format!("{before}{{\"_secret\":\"{name}\"}}");
        let around = [&bytes, around.as_bytes()].concat();
        let once = inner.of(if alone { name.as_bytes() } else { &around });
        let shown = String::from_utf8_lossy(&once).into_owned();
        prop_assert!(found(&once).contains(&name), "{:?} {inner:?}: {shown}", WAYS[inner.way].0);
        let twice = outer.of(&once);
        prop_assert!(
            found(&twice).contains(&name),
            "{} {inner:?}, {} {outer:?}: {}", WAYS[inner.way].0, WAYS[outer.way].0,
            String::from_utf8_lossy(&twice)
        );
    }
}
