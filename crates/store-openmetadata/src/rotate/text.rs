//! Tokens in a text, each exchanged in its place: whatever stands around them stays byte for byte.

use std::ops::Range;

use cloakroom_core::SecretValue;
use memchr::memmem;
use zeroize::Zeroizing;

use crate::fernet_keys::{FernetKeys, TOKEN_PREFIX};
use crate::find::TOKEN_START;

/// Tokens in what a token held, and so on; a server seals once.
const DEEPEST: u32 = 3;

/// How the tokens of some texts are sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Under the first key.
    pub(crate) current: u64,
    /// Under another key.
    pub(crate) older: u64,
    /// Under none of the keys, sealed too many times over to be looked into, or written with an escape
    /// where it begins.
    pub(crate) unopened: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.current += other.current;
        self.older += other.older;
        self.unopened += other.unopened;
    }
}

/// How the tokens of a text are sealed, and the text with every one that another key opens sealed
/// under the first; no text where there is none to change.
pub(crate) fn reseal(text: &[u8], keys: &FernetKeys) -> (Tally, Option<SecretValue>) {
    let mut tally = Tally::default();
    let resealed = exchange(text, keys, 0, &mut tally);
    (tally, resealed)
}

fn exchange(text: &[u8], keys: &FernetKeys, depth: u32, tally: &mut Tally) -> Option<SecretValue> {
    tally.unopened += escaped(text);
    let mut exchanged = Zeroizing::new(Vec::new());
    let mut copied = 0;
    for place in tokens(text) {
        let token = std::str::from_utf8(&text[place.clone()]).ok()?;
        let opened = (depth < DEEPEST)
            .then(|| keys.open_and_tell(token))
            .flatten();
        let Some(opened) = opened else {
            tally.unopened += 1;
            continue;
        };
        let inner = exchange(opened.value.expose(), keys, depth + 1, tally);
        if opened.by_first {
            tally.current += 1;
            if inner.is_none() {
                continue;
            }
        } else {
            tally.older += 1;
        }
        let Some(sealed) = keys.seal_again(token, &inner.unwrap_or(opened.value)) else {
            continue;
        };
        exchanged.extend_from_slice(&text[copied..place.start]);
        exchanged.extend_from_slice(sealed.as_bytes());
        copied = place.end;
    }
    if copied == 0 {
        return None;
    }
    exchanged.extend_from_slice(&text[copied..]);
    Some(SecretValue::new(std::mem::take(&mut *exchanged)))
}

/// Escapes in escapes, and so on; whatever nests JSON in JSON stops far before.
const MOST_ESCAPED: u32 = 16;

/// What every escape of a letter or a colon begins with in JSON.
const ESCAPE: &[u8] = b"\\u";

/// Whether a text could hold a token, written plainly or not.
pub(super) fn may_hold_tokens(text: &[u8]) -> bool {
    [TOKEN_PREFIX.as_bytes(), ESCAPE]
        .iter()
        .any(|sign| memmem::find(text, sign).is_some())
}

/// Tokens that only a reader of JSON sees as such, whichever of their letters is escaped. They are left, and told; so is
/// what is escaped deeper than it is read.
fn escaped(text: &[u8]) -> u64 {
    let Some(mut read) = unescaped(text) else {
        return 0;
    };
    for _ in 1..MOST_ESCAPED {
        let Some(again) = unescaped(&read) else {
            return hidden(text, &read);
        };
        read = again;
    }
    hidden(text, &read) + u64::from(unescaped(&read).is_some())
}

/// Tokens that reading its escapes brought out in a text: no reading takes one away, since none has an escape where it
/// begins.
fn hidden(text: &[u8], read: &[u8]) -> u64 {
    tokens(read).count().saturating_sub(tokens(text).count()) as u64
}

/// A text with its escapes of ASCII read; `None` where it has none. How many backslashes stand before an escape does
/// not count: each nesting of JSON doubles them.
fn unescaped(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut read = Zeroizing::new(Vec::new());
    let mut copied = 0;
    for at in memmem::find_iter(text, ESCAPE) {
        let Some(character) = escaped_ascii(&text[at + ESCAPE.len()..]) else {
            continue;
        };
        if read.capacity() == 0 {
            // Whatever is read is shorter, so that no copy of it is left behind.
            read.reserve_exact(text.len());
        }
        let before = &text[copied..at];
        let backslashes = before.iter().rev().take_while(|it| **it == b'\\').count();
        read.extend_from_slice(&before[..before.len() - backslashes]);
        read.push(character);
        copied = at + ESCAPE.len() + HEX_DIGITS;
    }
    if copied == 0 {
        return None;
    }
    read.extend_from_slice(&text[copied..]);
    Some(read)
}

const HEX_DIGITS: usize = 4;

/// The character of ASCII that the digits of an escape stand for.
fn escaped_ascii(digits: &[u8]) -> Option<u8> {
    let digits = digits.get(..HEX_DIGITS)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    u8::try_from(code).ok().filter(u8::is_ascii)
}

/// Where the tokens of a text are, without what stands before them.
fn tokens(text: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    memmem::find_iter(text, TOKEN_PREFIX).filter_map(move |at| {
        let start = at + TOKEN_PREFIX.len();
        let belongs = |it: &&u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'=');
        let length = text[start..].iter().take_while(belongs).count();
        let is_token = text[start..].starts_with(TOKEN_START.as_bytes());
        is_token.then_some(start..start + length)
    })
}

#[cfg(test)]
mod tests {
    use cloakroom_core::Timestamp;

    use super::*;

    fn keys(text: &str) -> FernetKeys {
        FernetKeys::parse(&SecretValue::from(text.to_owned())).unwrap()
    }

    fn seal(keys: &FernetKeys, text: &str) -> String {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        keys.seal(&SecretValue::from(text.to_owned()), at).unwrap()
    }

    const NEW: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    const OLD: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";
    #[test]
    fn what_an_escape_hides_is_left_and_told() {
        let old = keys(OLD);
        let token = seal(&old, "text");
        let hidden = token.replacen(':', "\\u003A", 1);
        let text = format!("{{\"a\":\"{hidden}\",\"b\":\"fernet\\u003d\"}}");
        let (tally, resealed) = reseal(text.as_bytes(), &keys(&format!("{NEW},{OLD}")));
        assert_eq!((tally.unopened, tally.older), (1, 0));
        assert!(resealed.is_none());
    }

    #[test]
    fn what_an_escape_hides_in_a_sealed_text_is_told() {
        let (both, old) = (keys(&format!("{NEW},{OLD}")), keys(OLD));
        let hidden = seal(&old, "text").replacen('f', "\\u0066", 1);
        let (tally, _) = reseal(seal(&both, &hidden).as_bytes(), &both);
        assert_eq!((tally.current, tally.unopened), (1, 1));
    }

    #[test]
    fn what_is_escaped_too_deep_is_told() {
        let deep = |depth| format!("\\u005c{}u0066", "u005c".repeat(depth));
        for (depth, told) in [(0, 0), (14, 0), (15, 1), (1000, 1)] {
            let (tally, _) = reseal(deep(depth).as_bytes(), &keys(NEW));
            assert_eq!(tally.unopened, told, "{depth}");
        }
    }

    const LOST: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";

    #[test]
    fn everything_around_a_token_stays() {
        let (both, old) = (keys(&format!("{NEW},{OLD}")), keys(OLD));
        let (a, b) = (seal(&old, "text"), seal(&old, "secret:/x/y"));
        let done = seal(&both, "done");
        let lost = seal(&keys(LOST), "lost");
        // Numbers, order, doubled keys, spaces and escapes as nobody would write them again.
        let text = |a: &str, b: &str| {
            format!(
                "{{\"z\": 1.00, \"z\":1e400 ,\"a\":\"{a}\",\"k\":\"{b}\",\"d\":\"{done}\",\"l\":\"{lost}\",\
                 \"e\":\"\\u00e4\\/\",\"n\":\"{{\\\"p\\\":\\\"{a}\\\"}}\",\"p\":\"fernet: prose\"}}"
            )
        };
        let before = text(&a, &b);
        let (tally, after) = reseal(before.as_bytes(), &both);
        let expected = Tally {
            current: 1,
            older: 3,
            unopened: 1,
        };
        assert_eq!(tally, expected);
        let after = after.unwrap();
        let after = after.expose_text().unwrap();
        assert_eq!(before.len(), after.len());
        // Only tokens that the old key opens have gone.
        let new = keys(NEW);
        let (tally, unchanged) = reseal(after.as_bytes(), &new);
        assert_eq!((tally.current, tally.older, tally.unopened), (4, 0, 1));
        assert!(unchanged.is_none());
        let without_tokens = |text: &str| {
            let mut rest = text.to_owned();
            let places: Vec<_> = tokens(text.as_bytes()).collect();
            for place in places.into_iter().rev() {
                rest.replace_range(place, "");
            }
            rest
        };
        assert_eq!(without_tokens(&before), without_tokens(after));
        assert!(after.contains(&done) && after.contains(&lost));
    }

    #[test]
    fn a_token_in_a_token_and_an_escaped_padding() {
        let (both, old) = (keys(&format!("{NEW},{OLD}")), keys(OLD));
        let inner = seal(&old, "text");
        let outer = seal(&both, &format!("see {inner}"));
        let (tally, after) = reseal(outer.as_bytes(), &both);
        assert_eq!((tally.current, tally.older), (1, 1));
        let (tally, _) = reseal(after.unwrap().expose(), &keys(NEW));
        assert_eq!((tally.current, tally.unopened), (2, 0));

        let token = seal(&old, "text");
        assert!(token.ends_with('='));
        let escaped = token.replace('=', "\\u003d");
        let (_, after) = reseal(escaped.as_bytes(), &both);
        let after = after
            .unwrap()
            .expose_text()
            .unwrap()
            .replace("\\u003d", "=");
        assert_eq!(both.open(&after).unwrap().expose(), b"text");
    }

    #[test]
    fn nothing_to_change_is_nothing() {
        let both = keys(&format!("{NEW},{OLD}"));
        for text in [String::new(), "fernet:".to_owned(), seal(&both, "text")] {
            let (tally, after) = reseal(text.as_bytes(), &both);
            assert!(after.is_none() && tally.older == 0, "{text}");
        }
    }
}
