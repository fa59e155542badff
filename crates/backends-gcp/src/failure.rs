//! What Google can answer instead of what was asked for, and what of that is told outside.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use cloakroom_core::{Error, ErrorKind};

/// The answers that are told apart inside, where one kind would be too coarse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// `NOT_FOUND`, in the service's own words.
    NotFound,
    /// `ALREADY_EXISTS`.
    AlreadyExists,
    /// `FAILED_PRECONDITION`: an etag that is not the current one, or a version that is not enabled.
    Precondition,
    /// Whoever asks is not known: `UNAUTHENTICATED`, or no token was to be had.
    Unknown,
    /// Anything else, by its kind.
    Other(ErrorKind),
}

/// A failure that does not know yet during which operation it was met.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) answer: Answer,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
}

/// The service's code and words. The SDK's own error is not kept: its `Debug` prints what the
/// service sent.
#[derive(Clone, Debug)]
struct Cause(String);

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::of(Answer::Other(kind), message)
    }

    pub(crate) fn of(answer: Answer, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            answer,
            message: message.into(),
            retry_after: None,
            cause: None,
        }
    }

    pub(crate) fn missing() -> Self {
        Self::of(Answer::NotFound, "there is no such secret")
    }

    /// Whether this, said of a secret, is contradicted by what its version answers.
    pub(crate) fn beside<T>(self, version: &Result<T, Self>) -> Self {
        match version {
            _ if self.answer != Answer::NotFound => self,
            Err(theirs) if theirs.answer == Answer::NotFound => self,
            Err(theirs) if theirs.answer != Answer::Precondition => theirs.clone(),
            // Only a version that is asked for by its number shows at once what was written.
            _ => Self::new(
                ErrorKind::Unavailable,
                "its version is there, but the secret is not seen everywhere yet",
            ),
        }
    }

    /// The same about a page whose token the service no longer takes.
    pub(crate) fn into_old_page(self) -> Self {
        Self {
            answer: Answer::Other(ErrorKind::Unavailable),
            message: "the listing cannot go on from there; it has to begin anew".into(),
            ..self
        }
    }

    pub(crate) fn because(self, cause: String) -> Self {
        Self {
            cause: Some(Cause(cause)),
            ..self
        }
    }

    pub(crate) fn after(self, retry_after: Option<Duration>) -> Self {
        Self {
            retry_after,
            ..self
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self.answer {
            Answer::NotFound => ErrorKind::Missing,
            Answer::AlreadyExists => ErrorKind::Conflict,
            // Whoever knows what it means says so; else it may pass.
            Answer::Precondition => ErrorKind::Unavailable,
            Answer::Unknown => ErrorKind::Denied,
            Answer::Other(kind) => kind,
        }
    }

    /// Whether the request was surely refused, so that nothing of it was done or will be.
    pub(crate) fn is_final(&self) -> bool {
        let later = [ErrorKind::Unavailable, ErrorKind::Throttled];
        !later.map(Answer::Other).contains(&self.answer)
    }

    pub(crate) fn to_error(&self, operation: &'static str) -> Error {
        let mut error = Error::new(self.kind(), operation, self.message.clone());
        if let Some(after) = self.retry_after {
            error = error.with_retry_after(after);
        }
        if self.answer == Answer::Unknown {
            error = error.with_refused_credentials();
        }
        match &self.cause {
            Some(cause) => error.with_source(cause.clone()),
            None => error,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}
