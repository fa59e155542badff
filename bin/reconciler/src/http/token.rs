//! Who asks: anybody, or the bearer of the operator's token.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloakroom_core::SecretValue;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::configuration::{SecretReference, without_line_end};

/// Somebody who guesses fills no log.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// No token is longer.
const MOST_BYTES: u64 = 64 * 1024;

/// A file on a disk that does not answer lets nobody pass, and holds up nothing else.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// So many read at once; a disk that does not answer holds no more threads than these.
const READERS: usize = 4;

/// Where the token is; with none nobody bears it.
#[derive(Clone, Debug)]
pub struct Token {
    file: Option<PathBuf>,
    readers: Arc<Semaphore>,
    refusals: Arc<Mutex<Refusals>>,
}

impl Default for Token {
    fn default() -> Self {
        Self {
            file: None,
            readers: Arc::new(Semaphore::new(READERS)),
            refusals: Arc::default(),
        }
    }
}

/// When a token is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Before anything else, where whoever waits for a pipe keeps nobody waiting.
    Start,
    /// For a request.
    Request,
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
        if let Some(file) = file {
            read(file, Moment::Start).context("http.token_file")?;
        }
        Ok(Self {
            file: file.map(Path::to_owned),
            ..Self::default()
        })
    }

    /// How many requests were refused.
    pub(super) fn refused(&self) -> u64 {
        self.refusals().total
    }

    /// Who asks with these headers.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        let looked = self.look(headers).await;
        looked.inspect_err(|_| self.count_refusal())
    }

    async fn look(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        match (shown.next(), shown.next()) {
            (None, _) => Ok(Caller::Anybody),
            (Some(shown), None) if self.is(shown).await => Ok(Caller::Operator),
            _ => Err(Refused),
        }
    }

    /// Lets only the bearer of the token pass.
    pub(super) async fn demand(&self, headers: &HeaderMap) -> Result<(), Refused> {
        match self.caller(headers).await? {
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

    async fn is(&self, shown: &HeaderValue) -> bool {
        let (Some(shown), Some(file)) = (bearer(shown), self.file.clone()) else {
            return false;
        };
        match self.read(file).await {
            // Secrets are compared in constant time.
            Ok(token) => token == shown,
            Err(error) => {
                tracing::warn!(error = %format_args!("{error:#}"), "nobody can bear the token");
                false
            }
        }
    }

    /// Reads it as it is now, where a disk that does not answer holds up no other request.
    async fn read(&self, file: PathBuf) -> anyhow::Result<SecretValue> {
        let readers = self.readers.clone();
        let read = async {
            let turn = readers.acquire_owned().await?;
            let read = tokio::task::spawn_blocking(move || {
                let token = read(&file, Moment::Request);
                drop(turn);
                token
            });
            read.await?
        };
        let read = tokio::time::timeout(READ_WITHIN, read).await;
        read.context("the file of http.token_file could not be read in time")?
    }
}

fn read(path: &Path, moment: Moment) -> anyhow::Result<SecretValue> {
    let shown = SecretReference::File(path.to_owned());
    let unread = || format!("read the secret in {shown}");
    if !path.metadata().with_context(unread)?.is_file() {
        ensure!(
            moment == Moment::Start,
            "{shown} is no regular file: to read it may take for ever"
        );
        tracing::warn!("{shown} is no regular file: nobody will be let in by what it holds");
    }
    let file = File::open(path).with_context(unread)?;
    // Of the open file, so that these are the permissions of what is read.
    check_mode(&shown, &file.metadata().with_context(unread)?, moment)?;
    let mut bytes = Zeroizing::new(Vec::new());
    let bounded = file.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    let length = bounded.with_context(unread)?;
    ensure!(
        u64::try_from(length)? <= MOST_BYTES,
        "{shown} is larger than 64 KiB; it may hold one line, the token"
    );
    let text = without_line_end(&bytes);
    ensure!(!text.is_empty(), "{shown} is empty");
    ensure!(
        !text.starts_with("\u{feff}".as_bytes()),
        "{shown} begins with a byte order mark; save it as plain text"
    );
    ensure!(
        !text.iter().any(u8::is_ascii_control),
        "{shown} holds more than one line, or is no text; it may hold one line, the token"
    );
    Ok(SecretValue::new(text.to_vec()))
}

/// Whoever can write the file makes a token of their own. Who can read it can start jobs: that is said
/// once, as groups are made for it.
#[cfg(unix)]
fn check_mode(shown: &SecretReference, metadata: &Metadata, moment: Moment) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    ensure!(
        mode & 0o022 == 0,
        "{shown} has mode {mode:03o}, so others could put a token of their own there: chmod 600"
    );
    if mode & 0o004 != 0 && moment == Moment::Start {
        tracing::warn!("{shown} has mode {mode:03o}: everybody on this machine can read the token");
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &SecretReference, _: &Metadata, _: Moment) -> anyhow::Result<()> {
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

    async fn asks(token: &Token, shown: &[&str]) -> Option<Caller> {
        let mut headers = HeaderMap::new();
        for shown in shown {
            headers.append(header::AUTHORIZATION, shown.parse().unwrap());
        }
        token.caller(&headers).await.ok()
    }

    #[tokio::test]
    async fn only_the_very_token_makes_an_operator() {
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
            assert_eq!(
                asks(&token, &[shown]).await,
                Some(Caller::Operator),
                "{shown}"
            );
        }
        assert_eq!(asks(&token, &[]).await, Some(Caller::Anybody));
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
            assert_eq!(asks(&token, &[shown]).await, None, "{shown}");
        }
        let twice = ["Bearer swordfish-42", "Bearer swordfish-42"];
        assert_eq!(asks(&token, &twice).await, None);

        // A new token counts at once; a file that is gone or empty lets nobody pass.
        std::fs::write(&file, "another").unwrap();
        assert_eq!(asks(&token, &["Bearer swordfish-42"]).await, None);
        assert_eq!(
            asks(&token, &["Bearer another"]).await,
            Some(Caller::Operator)
        );
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(asks(&token, &["Bearer "]).await, None);
        assert!(Token::open(Some(&file)).is_err());
        std::fs::remove_file(&file).unwrap();
        assert_eq!(asks(&token, &["Bearer another"]).await, None);
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

    /// At each request: what others may write, what never ends and what is too large lets nobody pass,
    /// and holds up nobody.
    #[tokio::test]
    async fn what_the_file_became_is_judged_at_each_request() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let fresh = || {
            let _ = std::fs::remove_file(&file);
            std::fs::write(&file, "swordfish-42\n").unwrap();
            set_mode(&file, 0o600);
        };
        fresh();
        let token = Token::open(Some(&file)).unwrap();
        let passes = async || asks(&token, &["Bearer swordfish-42"]).await.is_some();
        assert!(passes().await);
        set_mode(&file, 0o622);
        assert!(!passes().await, "others can write it");
        fresh();
        assert!(passes().await);
        std::fs::remove_file(&file).unwrap();
        let made = std::process::Command::new("mkfifo")
            .args(["-m", "600"])
            .arg(&file)
            .status();
        assert!(made.unwrap().success());
        assert!(!passes().await, "nobody writes into the pipe");
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        assert!(!passes().await, "it has no end");
        fresh();
        assert!(passes().await);
        let long = "x".repeat(64 * 1024 + 1);
        std::fs::write(&file, &long).unwrap();
        let error = format!("{:#}", Token::open(Some(&file)).unwrap_err());
        assert!(
            error.contains("larger than 64 KiB") && !error.contains("xxx"),
            "{error}"
        );
        assert_eq!(asks(&token, &[&format!("Bearer {long}")]).await, None);
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
            assert_eq!(asks(&token, &["Bearer x"]).await, None);
        }
        assert!(token.demand(&HeaderMap::new()).await.is_err());
        assert_eq!(asks(&token, &[]).await, Some(Caller::Anybody));
        assert_eq!((token.refused(), told(&token)), (6, 1));
        tokio::time::advance(TOLD_EVERY).await;
        assert_eq!(asks(&token, &["Bearer x"]).await, None);
        assert_eq!((token.clone().refused(), told(&token)), (7, 7));
    }

    #[tokio::test]
    async fn without_a_file_nobody_is() {
        let none = Token::open(None).unwrap();
        assert_eq!(asks(&none, &["Bearer "]).await, None);
        assert_eq!(asks(&none, &["Bearer x"]).await, None);
        assert_eq!(asks(&none, &[]).await, Some(Caller::Anybody));
    }
}
