//! Names of secrets that a user made, wherever one stands: as a whole value, or amid other text.

use cloakroom_core::config::EXTERNAL_PREFIX;
use memchr::memmem;

use super::{LONGEST_EXTERNAL, Maker, Names};

/// Shorter readings of one text that count; a name has few characters that could end one.
const MOST_READINGS: usize = 64;

/// Adds the name of a user's secret at the start of `text`, whatever it reads like: `before` is what stands in front
/// of the prefix. Where other text follows, every reading that could be meant counts, and the likeliest is taken for
/// the user's.
pub(super) fn names(before: &[u8], text: &[u8], names: &mut Names) {
    let run = run(text);
    let behind = &text[run.len()..];
    let is_whole = is_a_whole_value(before, behind);
    let meant = if is_whole {
        Some(run.len())
    } else {
        likeliest(run, text)
    };
    let may_end = |byte: u8| divides(byte) || (!is_whole && (joins(byte) || !byte.is_ascii()));
    let ends = run.bytes().enumerate().filter(|(_, byte)| may_end(*byte));
    let ends = ends
        .map(|(at, _)| at)
        .filter(|at| run.is_char_boundary(*at))
        .take(MOST_READINGS);
    for end in ends.chain([run.len()]) {
        add(&run[..end], Maker::Unknown, names);
    }
    if let Some(end) = meant {
        add(&run[..end], Maker::User, names);
    }
}

fn add(name: &str, maker: Maker, names: &mut Names) {
    if !name.is_empty() && name.len() <= LONGEST_EXTERNAL {
        names.add(name, maker);
    }
}

/// Up to what no name has in it, or to where another one begins.
fn run(text: &[u8]) -> &str {
    let longest = &text[..text.len().min(LONGEST_EXTERNAL + 1)];
    let length = longest.iter().position(|byte| ends(*byte));
    let run = &longest[..length.unwrap_or(longest.len())];
    let next = memmem::find(run, EXTERNAL_PREFIX.as_bytes());
    let run = &run[..next.unwrap_or(run.len())];
    match std::str::from_utf8(run) {
        Ok(run) => run,
        Err(error) => std::str::from_utf8(&run[..error.valid_up_to()]).unwrap_or_default(),
    }
}

fn ends(byte: u8) -> bool {
    byte <= b' ' || matches!(byte, b'"' | b'\'' | b'\\' | b'<' | b'>' | 0x7f)
}

/// No manager but Vault has it in a name.
fn divides(byte: u8) -> bool {
    let divisions = b",;&?#()[]{}|`%!*^$~";
    divisions.contains(&byte)
}

/// It is in names, and amid text behind them.
fn joins(byte: u8) -> bool {
    matches!(byte, b'.' | b':' | b'/' | b'=' | b'+' | b'@')
}

/// Whether the value is the prefix and the name, and no more.
fn is_a_whole_value(before: &[u8], behind: &[u8]) -> bool {
    let opens = before
        .last()
        .is_none_or(|it| matches!(it, b'"' | b'\'' | b'>'));
    let closes = match behind.first() {
        None | Some(b'"' | b'\'' | b'<') => true,
        Some(b'\\') => matches!(escaped(behind), Some(b'"' | b'\'')),
        Some(_) => false,
    };
    opens && closes
}

/// Where a name amid other text ends, most likely; `None` where an escape stands for what is not known yet.
fn likeliest(run: &str, text: &[u8]) -> Option<usize> {
    let end = run.bytes().position(divides).unwrap_or(run.len());
    let goes_on = escaped(&text[end..]).is_some_and(|it| !ends(it) && !divides(it));
    let sure = run[..end].trim_end_matches(|it: char| it.is_ascii() && joins(it as u8));
    (!goes_on).then_some(sure.len())
}

/// The character that an escape at the start of `text` stands for, as far as it is plain ASCII.
fn escaped(text: &[u8]) -> Option<u8> {
    let number = |from: usize, digits: usize| {
        let digits = std::str::from_utf8(text.get(from..from + digits)?).ok()?;
        u8::from_str_radix(digits.trim_start_matches('0'), 16).ok()
    };
    match text.first()? {
        b'%' => number(1, 2),
        b'&' => entity(text),
        b'\\' => {
            let slashes = text.iter().take_while(|it| **it == b'\\').count();
            match text.get(slashes)? {
                b'u' => number(slashes + 1, 4),
                b'x' => number(slashes + 1, 2),
                b'n' => Some(b'\n'),
                b'r' => Some(b'\r'),
                b't' => Some(b'\t'),
                other => Some(*other),
            }
        }
        _ => None,
    }
}

/// One of XML's and HTML's; what only begins as one is the next part of a query.
fn entity(text: &[u8]) -> Option<u8> {
    let end = text.iter().take(10).position(|it| *it == b';')?;
    match &text[1..end] {
        b"quot" | b"QUOT" | b"#34" | b"#x22" | b"#X22" => Some(b'"'),
        b"apos" | b"#39" | b"#x27" | b"#X27" => Some(b'\''),
        b"lt" | b"LT" | b"#60" | b"#x3c" | b"#x3C" => Some(b'<'),
        b"gt" | b"GT" | b"#62" | b"#x3e" | b"#x3E" => Some(b'>'),
        b"nbsp" | b"#32" | b"#160" => Some(b' '),
        name => name
            .iter()
            .all(|it| it.is_ascii_alphanumeric() || *it == b'#')
            .then_some(b'&'),
    }
}
