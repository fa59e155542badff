//! Who asks: anybody, or the bearer of the operator's token.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloakroom_core::SecretValue;
use tokio::time::Instant;

use crate::configuration::SecretReference;

/// Somebody who guesses fills no log.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// Where the token is; with none nobody bears it.
#[derive(Clone, Debug, Default)]
pub struct Token {
    file: Option<PathBuf>,
    refusals: Arc<Mutex<Refusals>>,
}

/// Who did not get in.
#[derive(Debug, Default)]
struct Refusals {
    total: u64,
    /// Not told yet.
    untold: u64,
    told: Option<Instant>,
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
    /// A token in this file, which can be read, is one line, and can be changed by its owner alone.
    pub fn open(file: Option<&Path>) -> anyhow::Result<Self> {
        let token = Self {
            file: file.map(Path::to_owned),
            refusals: Arc::default(),
        };
        if let Some(file) = file {
            check_mode(file).context("http.token_file")?;
            token.read().context("http.token_file")?;
        }
        Ok(token)
    }

    /// How many requests were refused.
    pub(super) fn refused(&self) -> u64 {
        self.refusals().total
    }

    /// Who asks with these headers.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        self.look(headers).inspect_err(|_| self.count_refusal())
    }

    fn look(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
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
            Caller::Anybody => {
                self.count_refusal();
                Err(Refused)
            }
        }
    }

    fn count_refusal(&self) {
        let now = Instant::now();
        let mut refusals = self.refusals();
        refusals.total += 1;
        refusals.untold += 1;
        if refusals.told.is_none_or(|told| now - told >= TOLD_EVERY) {
            let requests = std::mem::take(&mut refusals.untold);
            refusals.told = Some(now);
            tracing::warn!(
                http.refused = requests,
                "requests without the right token were refused"
            );
        }
    }

    fn refusals(&self) -> std::sync::MutexGuard<'_, Refusals> {
        // Numbers; a panic elsewhere leaves them valid.
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
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
        let text = token.expose();
        ensure!(
            !text.starts_with("\u{feff}".as_bytes()),
            "{shown} begins with a byte order mark; save it as plain text"
        );
        ensure!(
            !text.iter().any(u8::is_ascii_control),
            "{shown} holds more than one line, or is no text; it may hold one line, the token"
        );
        Ok(token)
    }
}

/// Whoever can write the file makes a token of their own. Who can read it can start jobs: that is said,
/// as groups are made for it.
#[cfg(unix)]
fn check_mode(file: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = file.metadata() else {
        // Reading it says why.
        return Ok(());
    };
    let mode = metadata.permissions().mode() & 0o777;
    let shown = file.display();
    ensure!(
        mode & 0o022 == 0,
        "{shown} has mode {mode:03o}, so others could put a token of their own there: chmod 600 {shown}"
    );
    if mode & 0o004 != 0 {
        tracing::warn!("{shown} has mode {mode:03o}: everybody on this machine can read the token");
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path) -> anyhow::Result<()> {
    Ok(())
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
        set_mode(&file, 0o600);
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
    fn a_file_that_holds_no_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for (text, why) in [
            (&b"swordfish-42\nswordfish-43\n"[..], "one line"),
            (b"swordfish-42\n\n", "one line"),
            (b"swordfish-42\r\r\n", "one line"),
            (b"\xef\xbb\xbfswordfish-42\n", "byte order mark"),
            (b"\n", "is empty"),
        ] {
            std::fs::write(&file, text).unwrap();
            set_mode(&file, 0o600);
            let error = format!("{:#}", Token::open(Some(&file)).unwrap_err());
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("swordfish"), "{error}");
        }
        std::fs::write(&file, "swordfish-42\r\n").unwrap();
        for (mode, open) in [
            (0o600, true),
            (0o440, true),
            (0o644, true),
            (0o666, false),
            (0o620, false),
            (0o602, false),
        ] {
            set_mode(&file, mode);
            let opened = Token::open(Some(&file));
            assert_eq!(opened.is_ok(), open, "{mode:o}: {opened:?}");
        }
    }

    fn set_mode(file: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_is_counted_and_seldom_told() {
        let token = Token::open(None).unwrap();
        let told = |token: &Token| {
            let refusals = token.refusals();
            refusals.total - refusals.untold
        };
        assert_eq!((token.refused(), told(&token)), (0, 0));
        for _ in 0..5 {
            assert_eq!(asks(&token, &["Bearer x"]), None);
        }
        assert!(token.demand(&HeaderMap::new()).is_err());
        assert_eq!(asks(&token, &[]), Some(Caller::Anybody));
        assert_eq!((token.refused(), told(&token)), (6, 1));
        tokio::time::advance(TOLD_EVERY).await;
        assert_eq!(asks(&token, &["Bearer x"]), None);
        assert_eq!((token.clone().refused(), told(&token)), (7, 7));
    }

    #[test]
    fn without_a_file_nobody_is() {
        let none = Token::open(None).unwrap();
        assert_eq!(asks(&none, &["Bearer "]), None);
        assert_eq!(asks(&none, &["Bearer x"]), None);
        assert_eq!(asks(&none, &[]), Some(Caller::Anybody));
    }
}
