//! What the vault can answer instead of a secret, told apart by status and codes.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use cloakroom_core::{Error, ErrorKind};

/// A failure that does not know yet during which operation it was met.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) reason: Reason,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
    /// Entra ID refused the login, or the vault the token.
    of_credentials: bool,
}

/// What the vault's own code says beyond the kind, where it changes what is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The secret is there and switched off.
    Disabled,
    /// The name waits for its deletion.
    Recoverable,
    /// A deletion, purge or recovery is under way.
    InTransition,
    /// Nothing in particular.
    Other,
}

/// Status and codes of an answer. Its text is not kept, since nobody promises what it holds.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `error.code` of the body.
    pub(crate) code: String,
    /// `error.innererror.code` of the body.
    pub(crate) inner: String,
    /// The action that a refusal names, such as
    /// `Microsoft.KeyVault/vaults/secrets/getSecret/action`.
    pub(crate) action: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    /// Whether Entra ID gave it instead of the vault.
    pub(crate) login: bool,
}

/// What is kept of an answer or of a broken connection.
#[derive(Clone, Debug)]
struct Cause(String);

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            reason: Reason::Other,
            message: message.into(),
            retry_after: None,
            cause: None,
            of_credentials: false,
        }
    }

    pub(crate) fn because(self, words: impl Into<String>) -> Self {
        Self {
            cause: Some(Cause(words.into())),
            ..self
        }
    }

    /// The same about a page that the vault no longer goes on to: only the link is another than on
    /// the first page.
    pub(crate) fn into_old_page(self) -> Self {
        if self.kind != ErrorKind::Invalid {
            return self;
        }
        Self {
            kind: ErrorKind::Unavailable,
            message: "the listing cannot go on from there; it has to begin anew".into(),
            ..self
        }
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.kind == ErrorKind::Missing
    }

    pub(crate) fn to_error(&self, operation: &'static str) -> Error {
        let mut error = Error::new(self.kind, operation, self.message.clone());
        if let Some(after) = self.retry_after {
            error = error.with_retry_after(after);
        }
        if self.of_credentials {
            error = error.with_refused_credentials();
        }
        match &self.cause {
            Some(cause) => error.with_source(cause.clone()),
            None => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            retry_after: error.retry_after(),
            ..Self::new(error.kind(), error.message().to_owned())
        }
    }
}

impl From<Answer> for Failure {
    fn from(answer: Answer) -> Self {
        let (kind, reason, message) = if answer.login {
            of_login(answer.status)
        } else {
            of_vault(&answer)
        };
        let message = match &answer.action {
            Some(action) => format!("{message}; missing: {action}").into(),
            None => Cow::Borrowed(message),
        };
        Self {
            kind,
            reason,
            message,
            retry_after: answer.retry_after,
            cause: Some(Cause(answer.to_string())),
            of_credentials: kind == ErrorKind::Denied && (answer.login || answer.status == 401),
        }
    }
}

/// What Entra ID (or a machine's metadata service) says to a login.
fn of_login(status: u16) -> (ErrorKind, Reason, &'static str) {
    let (kind, message) = match status {
        408 | 404 | 410 => (ErrorKind::Unavailable, "the login service is not ready"),
        429 => (ErrorKind::Throttled, "too many logins"),
        400..=499 => (
            ErrorKind::Denied,
            "the login was refused: check tenant, client and credential",
        ),
        _ => (ErrorKind::Unavailable, "the login service does not answer"),
    };
    (kind, Reason::Other, message)
}

/// What the vault says.
fn of_vault(answer: &Answer) -> (ErrorKind, Reason, &'static str) {
    use ErrorKind::{
        Conflict, Denied, Invalid, Missing, ScheduledForDeletion, Throttled, TooLarge, Unavailable,
    };
    let plain = |kind, message| (kind, Reason::Other, message);
    match (answer.status, answer.code.as_str(), answer.inner.as_str()) {
        (401, ..) => plain(Denied, "the vault does not take the token"),
        (403, _, "SecretDisabled") => (Denied, Reason::Disabled, "the secret is switched off"),
        (403, _, "SecretExpired" | "SecretNotYetValid") => plain(
            Denied,
            "the vault gives the secret out only between its dates",
        ),
        (403, _, "ForbiddenByFirewall" | "ForbiddenByConnection") => {
            plain(Denied, "the vault's network rules keep this address out")
        }
        (403, ..) => plain(Denied, "the vault refuses that to this identity"),
        (404, "SecretNotFound", _) => plain(Missing, "there is no such secret"),
        // Something between here and the vault, or no vault: nothing is known about the secret.
        (404, ..) => plain(Unavailable, "no vault answers under this address"),
        (409, _, "ObjectIsDeletedButRecoverable") => (
            ScheduledForDeletion,
            Reason::Recoverable,
            "the name waits for its deletion; restore it or delete it for good",
        ),
        (409, _, "ObjectIsBeingDeleted" | "ObjectIsBeingRecovered" | "ObjectIsBeingPurged") => (
            Unavailable,
            Reason::InTransition,
            "the vault is still deleting or restoring the secret",
        ),
        (409, ..) => plain(Conflict, "something else has been done to the secret"),
        (413, ..) => plain(TooLarge, "the value is larger than the vault takes"),
        (429, ..) => plain(Throttled, "too many requests to this vault"),
        (400 | 405 | 415, ..) => plain(Invalid, "the vault does not take such a request"),
        _ => plain(Unavailable, "the vault cannot do it now"),
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = if self.login { "Entra ID" } else { "Key Vault" };
        write!(f, "{from} answered {}", self.status)?;
        for code in [&self.code, &self.inner] {
            if !code.is_empty() {
                write!(f, " {code}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}
