//! Tokens wherever they stand in a text, in JSON in JSON or in prose, and whether a text needs a look.
//!
//! A token is of base64's characters, none of which needs an escape in JSON, so no depth of nesting
//! hides one.

use memchr::memmem;

/// What every text that could mention a secret has in it, as far as escapes let one see.
const SIGNS: [&[u8]; 3] = [b"secret", b"fernet", b"\\u00"];

/// A token's version, and of its time the bytes that are zero until the year 2106.
pub(crate) const TOKEN_START: &str = "gAAAA";

/// Whether a text is worth a closer look.
pub(crate) fn is_telling(text: &[u8]) -> bool {
    SIGNS.iter().any(|sign| memmem::find(text, sign).is_some())
}

/// Whatever follows `fernet:` and reads as a token, without that.
pub(crate) fn tokens(text: &[u8]) -> Vec<String> {
    let belongs = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'=');
    let behind = memmem::find_iter(text, b"fernet:").map(|at| &text[at + b"fernet:".len()..]);
    behind
        .filter(|it| it.starts_with(TOKEN_START.as_bytes()))
        .map(|it| {
            let token = it.iter().copied().take_while(|byte| belongs(*byte));
            token.map(char::from).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_from_prose() {
        let prose = tokens(b"fernet: the cipher; fernet:x; a secret; secret: no");
        assert!(prose.is_empty(), "{prose:?}");
        let token = "gAAAAABk-_12=";
        assert_eq!(tokens(b"\\\"fernet:gAAAAABk-_12=\\\""), [token]);
    }
}
