//! The grammar byte by byte: what both the borrowed and the owned views are read with.

use uuid::Uuid;

use crate::{MAX_LENGTH, Scope, Version};

/// `<uuid>_secret_<uuid>`: the part of a managed base whose length never varies.
pub(crate) const IDS_LENGTH: usize = 80;
pub(crate) const UUID_LENGTH: usize = 36;

/// What stands at each place of the ids; a zero byte asks for a lower-case hex digit.
const IDS_SHAPE: [u8; IDS_LENGTH] = {
    let mut shape = [0; IDS_LENGTH];
    let middle = b"_secret_";
    let mut at = 0;
    while at < middle.len() {
        shape[UUID_LENGTH + at] = middle[at];
        at += 1;
    }
    let hyphens = [8, 13, 18, 23];
    let mut hyphen = 0;
    while hyphen < hyphens.len() {
        shape[hyphens[hyphen]] = b'-';
        shape[IDS_LENGTH - UUID_LENGTH + hyphens[hyphen]] = b'-';
        hyphen += 1;
    }
    shape
};

const HEX: [u8; 256] = {
    let mut table = [0; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    table
};

/// Where the 16 pairs of digits of a hyphenated UUID start.
const PAIRS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// Whether every byte may stand in a prefix or a body: `A-Z`, `a-z`, `0-9`, `_`, `-`.
pub(crate) fn is_body(bytes: &[u8]) -> bool {
    // No early exit, here and below: a loop without branches becomes a few vector operations.
    let mut wrong = false;
    for &byte in bytes {
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let digit = byte.wrapping_sub(b'0') < 10;
        let joint = matches!(byte, b'_' | b'-');
        wrong |= !(letter | digit | joint);
    }
    !wrong
}

/// Whether the bytes are `<uuid>_secret_<uuid>`, both canonical.
pub(crate) fn is_ids(bytes: &[u8; IDS_LENGTH]) -> bool {
    let mut wrong = false;
    for (&byte, &wanted) in bytes.iter().zip(&IDS_SHAPE) {
        let hex = (byte.wrapping_sub(b'0') < 10) | (byte.wrapping_sub(b'a') < 6);
        wrong |= !(if wanted == 0 { hex } else { byte == wanted });
    }
    !wrong
}

/// The UUID written in 36 bytes that [`is_ids`] has accepted.
pub(crate) fn uuid_at(text: &str, start: usize) -> Uuid {
    let mut value = [0; 16];
    let written = &text.as_bytes()[start..start + UUID_LENGTH];
    for (byte, at) in value.iter_mut().zip(PAIRS) {
        *byte = HEX[usize::from(written[at])] << 4 | HEX[usize::from(written[at + 1])];
    }
    Uuid::from_bytes(value)
}

/// Reads `_v<n>` and nothing else.
pub(crate) fn version_tail(tail: &[u8]) -> Option<Version> {
    let [b'_', b'v', digits @ ..] = tail else {
        return None;
    };
    version(digits)
}

fn version(digits: &[u8]) -> Option<Version> {
    // 19 digits are what i64::MAX has, and no 19 digits overflow a u64.
    if digits.first() == Some(&b'0') || digits.len() > 19 {
        return None;
    }
    let mut value = 0_u64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Version::new(i64::try_from(value).ok()?)
}

/// Splits off a canonical `_v<n>` at the last `_v`; gives the length of the base.
///
/// Nothing is said about the bytes of the base.
pub(crate) fn split_version(bytes: &[u8]) -> Option<(usize, Version)> {
    if bytes.len() > MAX_LENGTH {
        return None;
    }
    let digits = bytes
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let base = bytes.len().checked_sub(digits + 2)?;
    Some((base, version_tail(&bytes[base..])?))
}

/// The scope of a base that is managed under whatever prefix it has.
pub(crate) fn scope_under_any_prefix(base: &[u8]) -> Option<Scope> {
    let (head, ids) = base.split_last_chunk::<IDS_LENGTH>()?;
    if !is_ids(ids) {
        return None;
    }
    Scope::LONGEST_FIRST.into_iter().find(|scope| {
        head.strip_suffix(scope.as_written().as_bytes())
            .is_some_and(|prefix| prefix.last() == Some(&b'_'))
    })
}
