//! Who asks: anybody, or the bearer of the operator's token.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloakroom_core::SecretValue;

use crate::configuration::SecretReference;

/// Where the token is; with none nobody bears it.
#[derive(Clone, Debug, Default)]
pub struct Token {
    file: Option<PathBuf>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Somebody who shows no token.
    Anybody,
    /// The bearer of the token.
    Operator,
}

/// A token was shown that is not the one, or none where one is needed.
pub(super) struct Refused;

impl Token {
    /// A token in this file, which can be read and is not empty.
    pub fn open(file: Option<&Path>) -> anyhow::Result<Self> {
        let token = Self {
            file: file.map(Path::to_owned),
        };
        if token.file.is_some() {
            token.read().context("http.token_file")?;
        }
        Ok(token)
    }

    /// Who asks with these headers.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        match (shown.next(), shown.next()) {
            (None, _) => Ok(Caller::Anybody),
            (Some(shown), None) if self.is(shown) => Ok(Caller::Operator),
            _ => Err(Refused),
        }
    }

    /// Lets only the bearer of the token pass.
    pub(super) fn demand(&self, headers: &HeaderMap) -> Result<(), Refused> {
        match self.caller(headers)? {
            Caller::Operator => Ok(()),
            Caller::Anybody => Err(Refused),
        }
    }

    fn is(&self, shown: &HeaderValue) -> bool {
        let Some(shown) = bearer(shown) else {
            return false;
        };
        if self.file.is_none() {
            return false;
        }
        match self.read() {
            // Secrets are compared in constant time.
            Ok(token) => token == shown,
            Err(error) => {
                tracing::warn!(error = %format_args!("{error:#}"), "nobody can bear the token");
                false
            }
        }
    }

    fn read(&self) -> anyhow::Result<SecretValue> {
        let file = self.file.clone().context("no file holds a token")?;
        let shown = file.display().to_string();
        let token = SecretReference::File(file).read()?;
        ensure!(!token.is_empty(), "{shown} is empty");
        Ok(token)
    }
}

/// What follows `Bearer`, whose case does not matter.
fn bearer(shown: &HeaderValue) -> Option<SecretValue> {
    let (scheme, token) = shown.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| SecretValue::new(token.trim_ascii().to_vec()))
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this needs `Authorization: Bearer TOKEN`, with the token in the file that \
             http.token_file names\n",
        )
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        (StatusCode::UNAUTHORIZED, challenge, self.to_string()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(token: &Token, shown: &[&str]) -> Option<Caller> {
        let mut headers = HeaderMap::new();
        for shown in shown {
            headers.append(header::AUTHORIZATION, shown.parse().unwrap());
        }
        token.caller(&headers).ok()
    }

    #[test]
    fn only_the_very_token_makes_an_operator() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "swordfish-42\n").unwrap();
        let token = Token::open(Some(&file)).unwrap();
        for shown in [
            "Bearer swordfish-42",
            "bearer swordfish-42",
            "Bearer  swordfish-42 ",
        ] {
            assert_eq!(asks(&token, &[shown]), Some(Caller::Operator), "{shown}");
        }
        assert_eq!(asks(&token, &[]), Some(Caller::Anybody));
        for shown in [
            "",
            "Bearer",
            "Bearer ",
            "swordfish-42",
            "Basic swordfish-42",
            "Bearer swordfish-4",
            "Bearer swordfish-422",
            "Bearer Swordfish-42",
            "Bearer swordfish-42,",
        ] {
            assert_eq!(asks(&token, &[shown]), None, "{shown}");
        }
        let twice = ["Bearer swordfish-42", "Bearer swordfish-42"];
        assert_eq!(asks(&token, &twice), None);

        // A new token counts at once; a file that is gone or empty lets nobody pass.
        std::fs::write(&file, "another").unwrap();
        assert_eq!(asks(&token, &["Bearer swordfish-42"]), None);
        assert_eq!(asks(&token, &["Bearer another"]), Some(Caller::Operator));
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(asks(&token, &["Bearer "]), None);
        assert!(Token::open(Some(&file)).is_err());
        std::fs::remove_file(&file).unwrap();
        assert_eq!(asks(&token, &["Bearer another"]), None);
        let error = format!("{:#}", Token::open(Some(&file)).unwrap_err());
        assert!(error.starts_with("http.token_file: "), "{error}");
    }

    #[test]
    fn without_a_file_nobody_is() {
        let none = Token::open(None).unwrap();
        assert_eq!(asks(&none, &["Bearer "]), None);
        assert_eq!(asks(&none, &["Bearer x"]), None);
        assert_eq!(asks(&none, &[]), Some(Caller::Anybody));
    }
}
