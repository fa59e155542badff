//! Names in plain bytes, from where one begins.

use cloakroom_core::{Coordinate, Grammar};

use super::{LONGEST, Maker, Names};

/// Adds what begins with the prefix at the start of `text`: every reading of it that ends in a
/// version, and if there is none, a canonical name without its version.
///
/// Of `…_v1_v2` both `…_v1` and `…_v1_v2` count, since what followed the first may be another text.
pub(super) fn names(grammar: &Grammar, text: &[u8], maker: Maker, names: &mut Names) {
    let length = text
        .iter()
        .take(LONGEST)
        .take_while(|byte| is_of_names(**byte))
        .count();
    // Only ASCII is in it.
    let Ok(run) = std::str::from_utf8(&text[..length]) else {
        return;
    };
    let mut versioned = false;
    for at in memchr::memchr_iter(b'_', run.as_bytes()) {
        let Some(behind) = run[at + 1..].strip_prefix('v') else {
            continue;
        };
        let digits = version_length(behind);
        if digits > 0 && at > grammar.prefix().len() {
            names.add(&run[..at + 2 + digits], maker);
            versioned = true;
        }
    }
    if !versioned && let Some(base) = canonical_base(grammar, run) {
        names.add(base, maker);
    }
}

/// Whether it may stand in a name.
pub(super) fn is_of_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The bytes of a number as the platform reads one, a sign and leading zeros included.
fn version_length(text: &str) -> usize {
    let sign = usize::from(text.starts_with('-'));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 { 0 } else { sign + digits }
}

/// `<prefix><scope><owner>_secret_<secret>` at the start, as older releases named secrets in AWS.
fn canonical_base<'a>(grammar: &Grammar, run: &'a str) -> Option<&'a str> {
    const MIDDLE: &str = "_secret_";
    const UUID: usize = 36;
    let base = run.get(..run.find(MIDDLE)? + MIDDLE.len() + UUID)?;
    let first: Coordinate = grammar.coordinate(&format!("{base}_v1")).ok()?;
    first.is_managed().then_some(base)
}
