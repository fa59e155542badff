//! What the server can answer instead of a secret, and what of that is told outside.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use cloakroom_core::{Error, ErrorKind};

/// A failure that does not know yet during which operation it was met.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: ErrorKind,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
    of_credentials: bool,
}

/// The innermost words of a broken connection. Nothing of a server's body is ever kept.
#[derive(Clone, Debug)]
struct Cause(String);

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            cause: None,
            of_credentials: false,
        }
    }

    pub(crate) fn because(self, cause: &dyn fmt::Display) -> Self {
        Self {
            cause: Some(Cause(cause.to_string())),
            ..self
        }
    }

    /// Token or login were refused, not a right of theirs.
    pub(crate) fn of_credentials(self) -> Self {
        Self {
            of_credentials: true,
            ..self
        }
    }

    /// An answer that says no, by its status alone.
    pub(crate) fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        let (kind, message) = meaning(status);
        Self {
            retry_after,
            ..Self::new(kind, format!("{message} (HTTP {status})"))
        }
    }

    /// An answer of 200 whose body is not what the documentation says.
    pub(crate) fn not_understood() -> Self {
        Self::new(
            ErrorKind::Unavailable,
            "the answer could not be understood; is it a Vault or OpenBao that answers?",
        )
    }

    #[cfg(test)]
    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same request can succeed later without anybody changing anything.
    pub(crate) fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Throttled | ErrorKind::Unavailable)
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

/// What a status means for every request alike. A secret's own 404 never comes here.
fn meaning(status: u16) -> (ErrorKind, &'static str) {
    use ErrorKind::{Denied, Invalid, Throttled, TooLarge, Unavailable};
    match status {
        401 | 403 => (
            Denied,
            "the token is not valid, or its policies do not allow this",
        ),
        404 => (
            Unavailable,
            "the answer did not come from the KV engine; check address, namespace and mount",
        ),
        408 | 425 => (Unavailable, "the server did not take the request in time"),
        472 | 473 => (Unavailable, "this node is a standby that takes no requests"),
        412 => (Unavailable, "this standby has not caught up yet"),
        413 => (TooLarge, "the server takes no request as large as this"),
        429 => (Throttled, "a rate limit quota was used up"),
        503 => (Unavailable, "the server is sealed, or down for maintenance"),
        400..=499 => (Invalid, "the server refused the request"),
        _ => (Unavailable, "the server cannot do it now"),
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_from_the_status() {
        for (status, kind) in [
            (301, ErrorKind::Unavailable),
            (400, ErrorKind::Invalid),
            (403, ErrorKind::Denied),
            (404, ErrorKind::Unavailable),
            (405, ErrorKind::Invalid),
            (412, ErrorKind::Unavailable),
            (413, ErrorKind::TooLarge),
            (429, ErrorKind::Throttled),
            (473, ErrorKind::Unavailable),
            (500, ErrorKind::Unavailable),
            (502, ErrorKind::Unavailable),
            (503, ErrorKind::Unavailable),
        ] {
            assert_eq!(Failure::of_status(status, None).kind(), kind, "{status}");
        }
        let after = Some(Duration::from_secs(7));
        let error = Failure::of_status(429, after).to_error("get");
        assert_eq!(error.retry_after(), after);
    }
}
