//! Names written otherwise: in hex (as PostgreSQL writes bytea), in base64, in UTF-16, and in two of
//! these at once. They are found by what the prefix becomes there.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// How a name is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Encoding {
    Hex,
    /// So many characters of its group of four stand before what was found.
    Base64(usize),
    /// Every character is followed, or preceded, by a byte of zeros.
    Utf16,
}

/// Something that the prefix becomes.
pub(super) struct Start {
    pub(super) bytes: Vec<u8>,
    pub(super) encoding: Encoding,
    /// Whether what it is decoded to is itself written otherwise.
    pub(super) nested: bool,
}

const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(false)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// The fewest characters of base64 that tell a prefix from chance.
const FEWEST: usize = 6;

/// Groups that are decoded in front of what is nested: one of whatever it is written in begins among
/// them.
const BEFORE: usize = 8;

/// How the prefix begins in each encoding, and in each encoding of these.
pub(super) fn starts(prefix: &[u8]) -> Vec<Start> {
    let mut starts = encodings_of(prefix, false);
    let once: Vec<Vec<u8>> = starts.iter().map(|it| it.bytes.clone()).collect();
    for bytes in once {
        for start in encodings_of(&bytes, true) {
            if !starts.iter().any(|known| known.bytes == start.bytes) {
                starts.push(start);
            }
        }
    }
    starts
}

/// In base64 it depends on what stands before, but for the first and last characters.
fn encodings_of(text: &[u8], nested: bool) -> Vec<Start> {
    let start = |bytes: Vec<u8>, encoding| Start {
        bytes,
        encoding,
        nested,
    };
    let mut starts = vec![start(hex::encode(text).into_bytes(), Encoding::Hex)];
    // Around something else PostgreSQL alone writes hex, in small letters.
    if !nested {
        starts.push(start(hex::encode_upper(text).into_bytes(), Encoding::Hex));
    }
    // Either order of the bytes has this in it, from its first character on.
    if !text.contains(&0) {
        let wide: Vec<u8> = text.iter().flat_map(|byte| [*byte, 0]).collect();
        starts.push(start(wide[..wide.len() - 1].to_vec(), Encoding::Utf16));
    }
    for before in 0..3 {
        let open = [0, 2, 3][before];
        let mut padded = vec![0; before];
        padded.extend_from_slice(text);
        let fixed = padded.len() * 8 / 6;
        for engine in [STANDARD, URL_SAFE] {
            let written = engine.encode(&padded);
            let bytes = written.as_bytes()[open..fixed].to_vec();
            let known = starts.iter().any(|other| other.bytes == bytes);
            if bytes.len() >= FEWEST && !known {
                starts.push(start(bytes, Encoding::Base64(open)));
            }
        }
    }
    starts
}

impl Encoding {
    /// The bytes around something nested: a little of what stands before it, and as far as a name may
    /// go that is written otherwise.
    pub(super) fn decode_nested(self, text: &[u8], at: usize, longest: usize) -> Vec<Vec<u8>> {
        let from = match self {
            Self::Hex => back(text, at, 2, |pair| pair.iter().all(u8::is_ascii_hexdigit)),
            Self::Utf16 => back(text, at, 2, |pair| pair[1] == 0),
            Self::Base64(open) => {
                let Some(group) = at.checked_sub(open) else {
                    return Vec::new();
                };
                back(text, group, 4, |letters| {
                    letters.iter().copied().all(is_of_base64)
                })
            }
        };
        match self {
            // From the beginning of a group.
            Self::Base64(_) => Self::Base64(0).decode(text, from, longest * 4),
            other => other.decode(text, from, longest * 4),
        }
    }

    /// The bytes from where the prefix begins, as far as a name of so many may go. Where it is not plain
    /// whether the last one belongs to it, with and without that.
    pub(super) fn decode(self, text: &[u8], at: usize, longest: usize) -> Vec<Vec<u8>> {
        match self {
            Self::Hex => {
                let digits = leading(&text[at..], longest * 2, u8::is_ascii_hexdigit);
                let decoded = hex::decode(&digits[..digits.len() / 2 * 2]);
                decoded.into_iter().collect()
            }
            Self::Utf16 => wide(&text[at..], longest),
            Self::Base64(open) => {
                let decoded = at
                    .checked_sub(open)
                    .and_then(|from| base64(&text[from..], longest));
                let open = open.saturating_sub(1);
                let decoded = decoded.and_then(|it| it.get(open..).map(<[u8]>::to_vec));
                decoded.into_iter().collect()
            }
        }
    }
}

/// Where the groups begin that stand right before `at`, a few of them.
fn back(text: &[u8], at: usize, group: usize, belongs: impl Fn(&[u8]) -> bool) -> usize {
    let groups = text[..at].rchunks_exact(group).take(BEFORE);
    at - groups.take_while(|it| belongs(it)).count() * group
}

/// Every other byte, as long as the ones between are zeros. In one order of the bytes the one behind
/// the last character is no part of it.
fn wide(text: &[u8], longest: usize) -> Vec<Vec<u8>> {
    let is_wide = |pair: &&[u8]| pair.get(1) == Some(&0);
    let pairs = text.chunks(2).take(longest);
    let mut narrow: Vec<u8> = pairs.clone().take_while(is_wide).map(|it| it[0]).collect();
    let mut readings = vec![narrow.clone()];
    if let Some(last) = pairs.clone().nth(narrow.len()) {
        narrow.push(last[0]);
        readings.push(narrow);
    }
    readings
}

fn base64(text: &[u8], longest: usize) -> Option<Vec<u8>> {
    let letters = leading(text, longest / 3 * 4, |byte| is_of_base64(*byte));
    // A single character more than whole groups says nothing.
    let letters = &letters[..letters.len() - usize::from(letters.len() % 4 == 1)];
    let plain: Vec<u8> = letters.iter().copied().map(standard).collect();
    STANDARD.decode(plain).ok()
}

fn leading(text: &[u8], most: usize, belongs: impl Fn(&u8) -> bool) -> &[u8] {
    let length = text.iter().take(most).take_while(|it| belongs(it)).count();
    &text[..length]
}

fn is_of_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

fn standard(letter: u8) -> u8 {
    match letter {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }
}
