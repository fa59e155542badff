//! The one error type: what happened, to which thing, whether a retry can help.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::ids::{BackendId, KeyId};

/// A result whose error is [`struct@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of answer an error is. Kinds come from codes, never from message text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The thing is not there; whoever was asked is sure of it.
    Missing,
    /// The credentials do not allow it, or there are none.
    Denied,
    /// Too many requests; see [`Error::retry_after`].
    Throttled,
    /// No answer, or one that says "later". Nothing is known about the thing.
    Unavailable,
    /// The name is taken by other bytes, or a precondition did not hold.
    Conflict,
    /// The name waits for its deletion and can be restored until then.
    ScheduledForDeletion,
    /// The request cannot be right, whoever is asked.
    Invalid,
    /// The value, document or name is larger than the limit.
    TooLarge,
    /// This manager cannot do that; its capabilities say so beforehand.
    Unsupported,
    /// What is stored cannot be read back: damaged, or sealed under another key.
    Corrupt,
}

impl ErrorKind {
    /// The kind as a stable lower-case word, for logs, metrics and receipts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::ScheduledForDeletion => "scheduled_for_deletion",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::Corrupt => "corrupt",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error with its kind, operation and context. `Display` is written for the person reading it
/// and never repeats the source; neither ever holds a secret value.
///
/// ```
/// use cloakroom_core::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::Missing, "get", "no such secret").with_coordinate("airbyte_x_v1");
/// assert_eq!(error.to_string(), "get airbyte_x_v1: no such secret");
/// assert!(!error.is_retryable());
/// ```
#[derive(Debug)]
pub struct Error {
    context: Box<Context>,
}

#[derive(Debug)]
struct Context {
    kind: ErrorKind,
    operation: &'static str,
    message: Cow<'static, str>,
    backend: Option<BackendId>,
    subject: Option<String>,
    retry_after: Option<Duration>,
    missing_key: Option<KeyId>,
    of_credentials: bool,
    after_refusal: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` met during `operation`. `message` says what happened and what to do.
    pub fn new(
        kind: ErrorKind,
        operation: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            context: Box::new(Context {
                kind,
                operation,
                message: message.into(),
                backend: None,
                subject: None,
                retry_after: None,
                missing_key: None,
                of_credentials: false,
                after_refusal: false,
                source: None,
            }),
        }
    }

    /// Names the backend that gave the answer.
    pub fn with_backend(mut self, backend: &BackendId) -> Self {
        self.context.backend = Some(backend.clone());
        self
    }

    /// Names the coordinate, document or pointer the error is about.
    pub fn with_coordinate(mut self, subject: impl fmt::Display) -> Self {
        self.context.subject = Some(subject.to_string());
        self
    }

    /// How long the manager asked to be left alone.
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.context.retry_after = Some(after);
        self
    }

    /// Names the key-encryption key without which it cannot be read. What is stored is whole, as far
    /// as anybody can tell, and readable again once that key is back.
    pub fn with_missing_key(mut self, key: &KeyId) -> Self {
        self.context.missing_key = Some(key.clone());
        self
    }

    /// The credentials themselves were refused, by a code that says so: no right is missing.
    pub fn with_refused_credentials(mut self) -> Self {
        self.context.of_credentials = true;
        self
    }

    /// The action that was asked for was refused; what this error says of the thing was found out by another. So it
    /// tells nothing of whether the credentials allow that action: under rights that go by what a secret bears,
    /// it is refused for every name that nothing has.
    pub fn with_refused_action(mut self) -> Self {
        self.context.after_refusal = true;
        self
    }

    /// The cause. It is reached through [`StdError::source`] and never printed by `Display`.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.context.source = Some(source.into());
        self
    }

    /// The kind of answer.
    pub fn kind(&self) -> ErrorKind {
        self.context.kind
    }

    /// What was being done.
    pub fn operation(&self) -> &'static str {
        self.context.operation
    }

    /// The message without operation, backend or coordinate.
    pub fn message(&self) -> &str {
        &self.context.message
    }

    /// The backend that gave the answer, where one was asked.
    pub fn backend(&self) -> Option<&BackendId> {
        self.context.backend.as_ref()
    }

    /// The coordinate, document or pointer the error is about.
    pub fn subject(&self) -> Option<&str> {
        self.context.subject.as_deref()
    }

    /// How long the manager asked to be left alone, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.context.retry_after
    }

    /// The key-encryption key that is not among those in force, where that is what stands in the way.
    pub fn missing_key(&self) -> Option<&KeyId> {
        self.context.missing_key.as_ref()
    }

    /// Whether it is known that the credentials themselves were refused, not what they were used for.
    pub fn is_of_credentials(&self) -> bool {
        self.context.of_credentials
    }

    /// Whether the action that was asked for was refused before another one found this out.
    pub fn is_after_refusal(&self) -> bool {
        self.context.after_refusal
    }

    /// Whether the same request can succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), ErrorKind::Throttled | ErrorKind::Unavailable)
    }

    /// Whether the answer is a sure "not there".
    pub fn is_missing(&self) -> bool {
        self.kind() == ErrorKind::Missing
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = &self.context;
        f.write_str(context.operation)?;
        if let Some(subject) = &context.subject {
            write!(f, " {subject}")?;
        }
        if let Some(backend) = &context.backend {
            write!(f, " on backend {backend}")?;
        }
        write!(f, ": {}", context.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.context
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
