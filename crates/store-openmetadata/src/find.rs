//! Tokens and ids wherever they stand in a text, in JSON in JSON or in prose.
//!
//! A token is of base64's characters and an id of its manager's: neither needs an escape in JSON but
//! the slash, which some writers give a backslash, so no depth of nesting hides one.

use memchr::memmem;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// What follows `fernet:`, without that.
    Token(String),
    /// What follows `secret:` or `secrets:`.
    Id(String),
}

/// What every text that could mention a secret has in it, as far as escapes let one see.
const SIGNS: [&[u8]; 3] = [b"secret", b"fernet", b"\\u00"];

/// A token's version, and of its time the bytes that are zero until the year 2106.
pub(crate) const TOKEN_START: &str = "gAAAA";

/// Whether a text is worth a closer look.
pub(crate) fn is_telling(text: &[u8]) -> bool {
    SIGNS.iter().any(|sign| memmem::find(text, sign).is_some())
}

/// Everything in a text that reads as a token or an id.
pub(crate) fn find(text: &[u8], mut each: impl FnMut(Found)) {
    for at in memmem::find_iter(text, b"fernet:") {
        let token = run(&text[at + b"fernet:".len()..], |it| {
            it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'=')
        });
        if token.starts_with(TOKEN_START) {
            each(Found::Token(token));
        }
    }
    for at in memmem::find_iter(text, b"secret") {
        let behind = &text[at + b"secret".len()..];
        let behind = behind.strip_prefix(b"s").unwrap_or(behind);
        let Some(behind) = behind.strip_prefix(b":") else {
            continue;
        };
        let id = run(behind, |it| {
            it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'/')
        });
        if !id.is_empty() {
            each(Found::Id(id));
        }
    }
}

/// The characters at the beginning that belong, with backslashes before slashes taken out.
fn run(text: &[u8], belongs: impl Fn(u8) -> bool) -> String {
    let mut taken = String::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if belongs(byte) {
            taken.push(char::from(byte));
            at += 1;
            continue;
        }
        let backslashes = text[at..].iter().take_while(|it| **it == b'\\').count();
        if backslashes == 0 || text.get(at + backslashes) != Some(&b'/') || !belongs(b'/') {
            break;
        }
        at += backslashes;
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<Found> {
        let mut all = Vec::new();
        find(text.as_bytes(), |it| all.push(it));
        all
    }

    #[test]
    fn nested_texts_hide_nothing() {
        let id = "/om/database/x/password";
        let mut text = format!("{{\"password\":\"secret:{id}\",\"n\":1}}");
        for _ in 0..5 {
            assert_eq!(found(&text), [Found::Id(id.to_owned())], "{text}");
            let php = text.replace('/', "\\/");
            assert_eq!(found(&php), [Found::Id(id.to_owned())], "{php}");
            text = serde_json::json!({ "v": text }).to_string();
        }
        assert_eq!(found("see secrets:om_x."), [Found::Id("om_x".to_owned())]);
    }

    #[test]
    fn a_token_is_told_from_prose() {
        assert_eq!(
            found("fernet: the cipher; fernet:x; a secret; secret: no"),
            []
        );
        let token = Found::Token("gAAAAABk-_12=".to_owned());
        assert_eq!(found("\\\"fernet:gAAAAABk-_12=\\\""), [token]);
    }
}
