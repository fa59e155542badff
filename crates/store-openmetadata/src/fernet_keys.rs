//! Fernet keys as OpenMetadata's configuration has them, and the tokens it stores.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use cloakroom_core::{Error, ErrorKind, Result, SecretValue, Timestamp};
use fernet::Fernet;
use zeroize::Zeroizing;

/// What a sealed text begins with.
pub const TOKEN_PREFIX: &str = "fernet:";

/// What the configuration says where nothing is sealed.
const NO_KEY: &str = "no_encryption_at_rest";

/// The key in the configuration that OpenMetadata ships, known to everybody.
const PUBLIC: &str = "jJ_9sz0g0OHxsfxOoSfdFdmk3ysNmPRnH3TUAbz3IHA";

/// A server's clock may be ahead of ours: a token's age says nothing, and neither does its youth.
const ANY_TIME: u64 = u64::MAX / 2;

/// Keys may be written with padding or without, and their last character may have bits to spare.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// `fernetConfiguration.fernetKey`: the first key seals, each opens. Keys are overwritten when dropped.
///
/// ```
/// use cloakroom_core::{SecretValue, Timestamp};
/// use cloakroom_store_openmetadata::FernetKeys;
///
/// let text = "jJ/9sz0g0OHxsfxOoSfdFdmk3ysNmPRnH3TUAbz3IHA=";
/// let keys = FernetKeys::parse(&SecretValue::from(text.to_owned()))?;
/// assert!(keys.has_public_key(), "everybody has this one");
///
/// let sealed = keys.seal(&SecretValue::from("secret:/om/x".to_owned()), Timestamp::UNIX_EPOCH)?;
/// assert!(sealed.starts_with("fernet:"));
/// assert_eq!(keys.open(&sealed)?.expose_text(), Some("secret:/om/x"));
/// # Ok::<(), cloakroom_core::Error>(())
/// ```
#[derive(Clone)]
pub struct FernetKeys {
    keys: Vec<Fernet>,
    has_public_key: bool,
    first_is_public: bool,
}

/// What a token held, and whether the first key opened it.
pub(crate) struct Opened {
    pub(crate) value: SecretValue,
    pub(crate) by_first: bool,
}

impl FernetKeys {
    /// Reads a comma-separated list of keys of 32 bytes in base64, standard or URL-safe, with
    /// padding or without. `no_encryption_at_rest` is a list of none, which opens nothing.
    ///
    /// # Errors
    /// `Invalid` where one of them is no key. The error does not repeat it.
    pub fn parse(text: &SecretValue) -> Result<Self> {
        let text = text.expose_text().map(str::trim).ok_or_else(not_a_key)?;
        let mut it = Self {
            keys: Vec::new(),
            has_public_key: false,
            first_is_public: false,
        };
        if text == NO_KEY {
            return Ok(it);
        }
        // As OpenMetadata splits it: what is empty at the end is none.
        for key in text.trim_end_matches(',').split(',') {
            let key = canonical(key.trim())?;
            let is_public = key.as_str() == PUBLIC;
            it.has_public_key |= is_public;
            it.first_is_public |= is_public && it.keys.is_empty();
            it.keys.push(Fernet::new(&key).ok_or_else(not_a_key)?);
        }
        Ok(it)
    }

    /// Whether the key that OpenMetadata ships is among them: whatever it seals is as good as in
    /// clear.
    pub fn has_public_key(&self) -> bool {
        self.has_public_key
    }

    /// Whether it is the first, under which everything new is sealed.
    pub fn first_is_public(&self) -> bool {
        self.first_is_public
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// Opens what is stored, with whichever key does. A token has no age.
    ///
    /// # Errors
    /// `Invalid` where it does not begin with `fernet:`; `Corrupt` where no key opens it.
    pub fn open(&self, sealed: &str) -> Result<SecretValue> {
        let token = sealed.strip_prefix(TOKEN_PREFIX).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, OPEN, "it does not begin with `fernet:`")
        })?;
        self.open_token(token).ok_or_else(|| {
            let message = format!(
                "no key opens it, which was sealed under another key or is damaged: {}",
                self.remedy()
            );
            Error::new(ErrorKind::Corrupt, OPEN, message)
        })
    }

    /// What to do where something is sealed that no key opens.
    pub fn remedy(&self) -> &'static str {
        match (self.count(), self.has_public_key) {
            (0, _) => {
                "`fernet_key` says that nothing is sealed; give it what OpenMetadata's `fernetKey` says, or said while it \
                 sealed: where nobody ever set that, the key in the configuration that OpenMetadata ships"
            }
            (_, false) => {
                "put the missing key behind the others of `fernet_key`: an older one, or the one in the configuration \
                 that OpenMetadata ships, where it ran without one of its own; if OpenMetadata has a newer one first \
                 by now, put that first"
            }
            (_, true) => {
                "put the missing key, an older one, behind the others of `fernet_key`; if OpenMetadata has a newer one \
                 first by now, put that first"
            }
        }
    }

    /// What is told of a sealed value that no key opens.
    pub(crate) fn words_of_unopened(&self) -> String {
        let remedy = self.remedy();
        format!("no key opens it, which was sealed under another key or is damaged: {remedy}")
    }

    /// Opens a token without its prefix; `None` where no key does.
    pub(crate) fn open_token(&self, token: &str) -> Option<SecretValue> {
        self.open_and_tell(token).map(|it| it.value)
    }

    /// The same, and whether the first key did.
    pub(crate) fn open_and_tell(&self, token: &str) -> Option<Opened> {
        let mut keys = self.keys.iter().enumerate();
        keys.find_map(|(index, key)| {
            let value = key.decrypt_at_time(token, None, ANY_TIME).ok()?;
            Some(Opened {
                value: SecretValue::new(value),
                by_first: index == 0,
            })
        })
    }

    /// Seals what a token held under the first key: a token of the same time and padding. `None`
    /// where there is no key, or what it was given is no token.
    pub(crate) fn seal_again(&self, token: &str, value: &SecretValue) -> Option<String> {
        let first = self.keys.first()?;
        let head = ENGINE.decode(token.get(..12)?).ok()?;
        let seconds = u64::from_be_bytes(head.get(1..)?.try_into().ok()?);
        let padding = token.len() - token.trim_end_matches('=').len();
        let mut sealed = first.encrypt_at_time(value.expose(), seconds);
        sealed.truncate(sealed.trim_end_matches('=').len());
        sealed.extend(std::iter::repeat_n('=', padding));
        Some(sealed)
    }

    /// Seals a value under the first key. `at` is written in the token, in whole seconds.
    ///
    /// # Errors
    /// `Invalid` where it is sealed already, or lies before 1970; `Unsupported` where there is no key.
    pub fn seal(&self, value: &SecretValue, at: Timestamp) -> Result<String> {
        let failed = |kind, message: &'static str| Error::new(kind, SEAL, message);
        if value.expose().starts_with(TOKEN_PREFIX.as_bytes()) {
            return Err(failed(ErrorKind::Invalid, "it is sealed already"));
        }
        let first = self.keys.first().ok_or_else(|| {
            failed(
                ErrorKind::Unsupported,
                "the configuration has no Fernet key",
            )
        })?;
        let seconds = u64::try_from(at.as_second())
            .map_err(|_| failed(ErrorKind::Invalid, "a token's time begins with 1970"))?;
        let token = first.encrypt_at_time(value.expose(), seconds);
        Ok(format!("{TOKEN_PREFIX}{token}"))
    }
}

/// Shows how many there are and nothing else.
impl fmt::Debug for FernetKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FernetKeys")
            .field("count", &self.keys.len())
            .field("has_public_key", &self.has_public_key)
            .finish_non_exhaustive()
    }
}

const OPEN: &str = "open a Fernet token";
const SEAL: &str = "seal under a Fernet key";

fn not_a_key() -> Error {
    let message = "the Fernet key is not 32 bytes in base64, or a list of such separated by commas";
    Error::new(ErrorKind::Invalid, "read the Fernet keys", message)
}

/// A key as the URL-safe text that has one form only.
fn canonical(key: &str) -> Result<Zeroizing<String>> {
    let safe: Zeroizing<String> = Zeroizing::new(
        key.trim_end_matches('=')
            .chars()
            .map(|it| match it {
                '/' => '_',
                '+' => '-',
                _ => it,
            })
            .collect(),
    );
    let bytes = ENGINE.decode(safe.as_bytes()).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| not_a_key())?;
    let mut text = Zeroizing::new(ENGINE.encode(&*bytes));
    let length = text.trim_end_matches('=').len();
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 32 bytes of 0xfb: every character is one of those that the two alphabets write apart, or `7`.
    const STANDARD: &str = "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=";

    fn keys(text: &str) -> FernetKeys {
        FernetKeys::parse(&SecretValue::from(text.to_owned())).unwrap()
    }

    fn opened(keys: &FernetKeys, sealed: &str) -> Option<String> {
        let value = keys.open(sealed).ok()?;
        value.expose_text().map(str::to_owned)
    }

    fn sealed(keys: &FernetKeys, text: &str) -> String {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        keys.seal(&SecretValue::from(text.to_owned()), at).unwrap()
    }

    #[test]
    fn what_no_key_opens_is_told_with_what_to_do() {
        let token = sealed(&keys(STANDARD), "text");
        let other = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";
        for (text, told, untold) in [
            (NO_KEY, "nobody ever set that", "behind"),
            (
                other,
                "the one in the configuration that OpenMetadata ships",
                "nobody",
            ),
            (PUBLIC, "behind the others", "ships"),
        ] {
            let error = keys(text).open(&token).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            let message = error.to_string();
            assert!(message.contains(told), "{message}");
            assert!(!message.contains(untold), "{message}");
            let is_told_the_first = message.contains("has a newer one first by now");
            assert_eq!(is_told_the_first, text != NO_KEY, "{message}");
        }
    }

    #[test]
    fn a_key_is_the_same_however_it_is_written() {
        let token = sealed(&keys(STANDARD), "text");
        for text in [
            "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s=",
            "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s",
            " -_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s ",
            // The last character has two bits that mean nothing.
            "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_t",
        ] {
            assert_eq!(
                opened(&keys(text), &token).as_deref(),
                Some("text"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_first_key_seals_and_each_opens() {
        let both = keys(&format!("{STANDARD},{PUBLIC}"));
        let token = sealed(&both, "text");
        assert_eq!(opened(&keys(STANDARD), &token).as_deref(), Some("text"));
        assert_eq!(opened(&keys(PUBLIC), &token), None);
        let older = sealed(&keys(PUBLIC), "older");
        assert_eq!(opened(&both, &older).as_deref(), Some("older"));
        assert!(both.has_public_key() && !keys(STANDARD).has_public_key());
    }

    #[test]
    fn commas_at_the_end_of_the_list_say_nothing() {
        let token = sealed(&keys(STANDARD), "text");
        for text in [format!("{STANDARD},"), format!("{PUBLIC},{STANDARD},,\n")] {
            assert_eq!(opened(&keys(&text), &token).as_deref(), Some("text"));
        }
        assert_eq!(keys(&format!("{STANDARD},")).count(), 1);
        for text in [
            ",",
            "",
            &format!("{PUBLIC},,{STANDARD}"),
            &format!(",{STANDARD}"),
        ] {
            assert!(
                FernetKeys::parse(&SecretValue::from((*text).to_owned())).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn the_specifications_own_token_opens() {
        // From the Fernet specification: key, token and text are published there.
        let keys = keys("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=");
        let token = "fernet:gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
        assert_eq!(opened(&keys, token).as_deref(), Some("hello"));
        assert_eq!(
            opened(&keys, token.trim_end_matches('=')).as_deref(),
            Some("hello")
        );
    }

    #[test]
    fn a_token_sealed_again_is_of_the_first_key_and_of_its_own_time() {
        let older = sealed(&keys(PUBLIC), "text");
        let both = keys(&format!("{STANDARD},{PUBLIC}"));
        for token in [&older[7..], older[7..].trim_end_matches('=')] {
            let opened_by = both.open_and_tell(token).unwrap();
            assert!(!opened_by.by_first);
            let again = both.seal_again(token, &opened_by.value).unwrap();
            assert!(both.open_and_tell(&again).unwrap().by_first);
            assert_eq!((&again[..12], again.len()), (&token[..12], token.len()));
        }
        assert!(
            both.seal_again("no", &SecretValue::new(Vec::new()))
                .is_none()
        );
        assert!(keys(PUBLIC).first_is_public() && !both.first_is_public());
    }

    #[test]
    fn a_token_from_the_future_opens() {
        let keys = keys(STANDARD);
        let value = SecretValue::from("text".to_owned());
        let token = keys.seal(&value, Timestamp::MAX).unwrap();
        assert_eq!(opened(&keys, &token).as_deref(), Some("text"));
    }

    #[test]
    fn what_cannot_be_says_so_and_shows_nothing() {
        for text in ["", "short", &STANDARD[..40], ","] {
            let error = FernetKeys::parse(&SecretValue::from(text.to_owned())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text:?}");
        }
        let keys = keys(STANDARD);
        let token = sealed(&keys, "text");
        let damaged = token.replace("fernet:gAAAA", "fernet:gAAAB");
        assert_eq!(keys.open(&damaged).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(keys.open("text").unwrap_err().kind(), ErrorKind::Invalid);
        let twice = keys.seal(&SecretValue::from(token), Timestamp::UNIX_EPOCH);
        assert_eq!(twice.unwrap_err().kind(), ErrorKind::Invalid);
        let none = FernetKeys::parse(&SecretValue::from(NO_KEY.to_owned())).unwrap();
        let refused = none.seal(&SecretValue::from("x".to_owned()), Timestamp::UNIX_EPOCH);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
        let shown = format!("{keys:?}");
        assert!(!shown.contains("v7"), "{shown}");
    }
}
