//! Text written as other bytes: in hex (as PostgreSQL writes bytea), in base64, in UTF-16. Whatever could
//! be such a text is decoded, wherever it begins, so that whatever hides a name in it is found there.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// As many bytes of a text make it worth a look. Chance makes as much of fewer too often.
const SHORTEST: usize = 11;

/// The groups of four letters of base64 that are whole in so many bytes, wherever these begin.
const GROUPS: usize = (SHORTEST - 2) / 3;

/// What a byte may be in a group of four letters of base64 that is three characters of ASCII. The first three
/// have these characters' highest bits.
const FIRST: u8 = 1;
const SECOND: u8 = 2;
const THIRD: u8 = 4;
const LETTER: u8 = 8;
/// And in a pair of digits of hex that is one.
const HIGH: u8 = 16;
const LOW: u8 = 32;

const CLASSES: [u8; 256] = classes();

/// Hands over whatever a part of `text` is when it is decoded.
pub(super) fn each(text: &[u8], found: &mut dyn FnMut(&[u8])) {
    base64(text, found);
    hex(text, found);
    utf16(text, found);
}

/// Whatever is ASCII in groups of four letters, from each of the four bytes where these can begin. The
/// characters at both ends may be in a group with others.
fn base64(text: &[u8], found: &mut dyn FnMut(&[u8])) {
    let is_letter = |it: &&u8| class_of(**it) & LETTER != 0;
    for phase in 0..4.min(text.len()) {
        let (groups, _) = text[phase..].as_chunks::<4>();
        let is_text = |[first, second, third, fourth]: [u8; 4]| {
            let first = class_of(first) & class_of(second) >> 1 & class_of(third) >> 2;
            first & class_of(fourth) >> 3 & 1 != 0
        };
        stretches(groups, GROUPS, is_text, &mut |from, to| {
            let (from, to) = (phase + 4 * from, phase + 4 * to);
            let before = text[..from].iter().rev().take(4).take_while(is_letter);
            let before = if before.count() == 4 { 4 } else { 0 };
            let behind = text[to..].iter().take(4).take_while(is_letter).count();
            found(&decoded(&text[from - before..to + behind]));
        });
    }
}

/// Whatever is ASCII in pairs of digits, from either byte where these can begin.
fn hex(text: &[u8], found: &mut dyn FnMut(&[u8])) {
    for phase in 0..2.min(text.len()) {
        let (pairs, _) = text[phase..].as_chunks::<2>();
        let is_text = |[high, low]: [u8; 2]| class_of(high) & class_of(low) >> 1 & HIGH != 0;
        stretches(pairs, SHORTEST, is_text, &mut |from, to| {
            let bytes = hex::decode(pairs[from..to].as_flattened()).map(Zeroizing::new);
            found(&bytes.unwrap_or_default());
        });
    }
}

/// Every other byte, as long as the ones between are zeros. In one order of the bytes the one behind the
/// last zero is no part of it, so both readings count.
fn utf16(text: &[u8], found: &mut dyn FnMut(&[u8])) {
    let mut at = 0;
    while let Some(next) = memchr::memchr(0, &text[at..]) {
        let zeros = text[at + next..].iter().take_while(|it| **it == 0).count();
        let first = at + next + zeros - 1;
        let between = text[first..].chunks_exact(2);
        let more = between
            .zip(text[first + 1..].chunks_exact(2))
            .take_while(|(pair, next)| pair[1] != 0 && next[1] == 0)
            .count();
        let last = first + 2 * more;
        if more + 1 >= SHORTEST {
            let from = first.checked_sub(1).unwrap_or(1);
            let characters = |end: usize| -> Zeroizing<Vec<u8>> {
                let all = text[from..end.min(text.len())].iter();
                Zeroizing::new(all.copied().step_by(2).collect())
            };
            found(&characters(last));
            found(&characters(last + 2));
        }
        at = last + 1;
    }
}

/// Hands over where every stretch of at least so many that each `fits` begins and ends. Where one does not, none
/// before it is looked at.
fn stretches<T: Copy>(
    all: &[T],
    least: usize,
    fits: impl Fn(T) -> bool,
    found: &mut dyn FnMut(usize, usize),
) {
    let mut at = 0;
    while let Some(window) = all.get(at..at + least) {
        if let Some(other) = window.iter().rposition(|it| !fits(*it)) {
            at += other + 1;
            continue;
        }
        let length = all[at..].iter().take_while(|it| fits(**it)).count();
        found(at, at + length);
        at += length;
    }
}

fn decoded(letters: &[u8]) -> Zeroizing<Vec<u8>> {
    // A single letter more than whole groups says nothing.
    let letters = &letters[..letters.len() - usize::from(letters.len() % 4 == 1)];
    let plain: Zeroizing<Vec<u8>> = Zeroizing::new(letters.iter().copied().map(standard).collect());
    let bytes = BASE64.decode(&*plain).map(Zeroizing::new);
    bytes.unwrap_or_default()
}

fn standard(letter: u8) -> u8 {
    match letter {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }
}

fn class_of(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        classes[byte as usize] = class(byte);
        byte += 1;
    }
    classes
}

const fn class(byte: u8) -> u8 {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return 0,
    };
    let mut class = LETTER;
    if value & 32 == 0 {
        class |= FIRST;
    }
    if value & 8 == 0 {
        class |= SECOND;
    }
    if value & 2 == 0 {
        class |= THIRD;
    }
    if matches!(byte, b'0'..=b'7') {
        class |= HIGH;
    }
    if byte.is_ascii_hexdigit() {
        class |= LOW;
    }
    class
}
