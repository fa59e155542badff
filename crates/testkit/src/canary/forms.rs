//! What marks a value, and the forms in which a text could leak.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// In every marked value of every test. Letters, digits and a dash, which no usual encoder escapes
/// in text, in JSON or in a URL.
pub const MARKER: &str = "canary-7f3a9c1e2b";

/// The text in every form in which it could leak, each with its name.
pub(super) fn forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("plain text", text.as_bytes().to_vec()),
        (
            "UTF-16",
            text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        ),
    ];
    for (name, before) in [
        ("hex", ""),
        ("percent signs", "%"),
        ("JSON escapes", "\\u00"),
    ] {
        let mut lower = String::new();
        for byte in text.bytes() {
            // Writing to a String cannot fail.
            let _ = write!(lower, "{before}{byte:02x}");
        }
        let upper = lower.to_uppercase().replace("\\U", "\\u");
        forms.push((name, upper.into_bytes()));
        forms.push((name, lower.into_bytes()));
    }
    // In the middle of something longer, base64 looks one of three ways; its ends depend on the
    // neighbours and are left out. The text is ASCII without `+` or `/` in any of them.
    for before in 0..3 {
        let padded = [&b"???"[..before], text.as_bytes()].concat();
        let code = STANDARD_NO_PAD.encode(&padded);
        let begin = (before * 8).div_ceil(6);
        let end = padded.len() / 3 * 4;
        forms.push(("base64", code.as_bytes()[begin..end].to_vec()));
    }
    forms
}
