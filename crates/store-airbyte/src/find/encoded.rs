//! Names in hex (as PostgreSQL writes bytea) and in base64, found by what the prefix becomes there.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::LONGEST;

/// How a name is written.
#[derive(Clone, Copy)]
pub(super) enum Encoding {
    Hex,
    /// So many characters of its group of four stand before what was found.
    Base64(usize),
}

const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(false)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// The fewest characters of base64 that tell a prefix from chance.
const FEWEST: usize = 6;

/// How the prefix begins in each encoding. In base64 that depends on what stands before it, but for
/// its first and last characters.
pub(super) fn starts(prefix: &[u8]) -> Vec<(Vec<u8>, Encoding)> {
    let mut starts = vec![
        (hex::encode(prefix).into_bytes(), Encoding::Hex),
        (hex::encode_upper(prefix).into_bytes(), Encoding::Hex),
    ];
    for before in 0..3 {
        let open = [0, 2, 3][before];
        let mut text = vec![0; before];
        text.extend_from_slice(prefix);
        let fixed = text.len() * 8 / 6;
        for engine in [STANDARD, URL_SAFE] {
            let written = engine.encode(&text);
            let start = (
                written.as_bytes()[open..fixed].to_vec(),
                Encoding::Base64(open),
            );
            let known = starts.iter().any(|(other, _)| *other == start.0);
            if start.0.len() >= FEWEST && !known {
                starts.push(start);
            }
        }
    }
    starts
}

impl Encoding {
    /// The bytes from where the prefix begins, as far as a name may go.
    pub(super) fn decode(self, text: &[u8], at: usize) -> Option<Vec<u8>> {
        match self {
            Self::Hex => {
                let digits = leading(&text[at..], LONGEST * 2, u8::is_ascii_hexdigit);
                hex::decode(&digits[..digits.len() / 2 * 2]).ok()
            }
            Self::Base64(open) => {
                let from = at.checked_sub(open)?;
                let of_either = |byte: &u8| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
                };
                let letters = leading(&text[from..], LONGEST / 3 * 4, of_either);
                // A single character more than whole groups says nothing.
                let letters = &letters[..letters.len() - usize::from(letters.len() % 4 == 1)];
                let plain: Vec<u8> = letters.iter().copied().map(standard).collect();
                let decoded = STANDARD.decode(plain).ok()?;
                decoded.get(open.saturating_sub(1)..).map(<[u8]>::to_vec)
            }
        }
    }
}

fn leading(text: &[u8], most: usize, belongs: impl Fn(&u8) -> bool) -> &[u8] {
    let length = text.iter().take(most).take_while(|it| belongs(it)).count();
    &text[..length]
}

fn standard(letter: u8) -> u8 {
    match letter {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }
}
