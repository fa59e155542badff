//! What the API server can answer instead of a Secret, and what of that is told outside.

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
    /// The API server did not accept them.
    of_credentials: bool,
}

/// What is kept of a cause. The SDK's errors are not: some print what a credential plugin wrote, and
/// a status message may quote the request.
#[derive(Clone, Debug)]
struct Cause(String);

/// The verb of a request, as roles spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Get,
    List,
    Delete,
}

/// A refusal: the HTTP status and what is machine-readable of the `Status` behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) code: u16,
    /// Kubernetes' own code; empty where the answer is not the API server's.
    pub(crate) reason: String,
    /// The resource the refusal is about, such as `secrets` or `namespaces`.
    pub(crate) about: String,
    /// The codes of its causes.
    pub(crate) causes: Vec<String>,
    /// How long the server asked to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// Where a listing can go on although its snapshot has expired.
    pub(crate) goes_on: Option<String>,
}

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

    /// `cause` must not be able to hold a value or a credential.
    pub(crate) fn because(self, cause: impl Into<String>) -> Self {
        Self {
            cause: Some(Cause(cause.into())),
            ..self
        }
    }

    #[cfg(test)]
    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.kind == ErrorKind::Missing
    }

    pub(crate) fn is_corrupt(&self) -> bool {
        self.kind == ErrorKind::Corrupt
    }

    /// Names the Secret it is about, where nothing else will.
    pub(crate) fn about(self, name: &str) -> Self {
        let message = format!("Secret {name}: {}", self.message).into();
        Self { message, ..self }
    }

    pub(crate) fn into_error(self, operation: &'static str) -> Error {
        let mut error = Error::new(self.kind, operation, self.message);
        if let Some(after) = self.retry_after {
            error = error.with_retry_after(after);
        }
        if self.of_credentials {
            error = error.with_refused_credentials();
        }
        match self.cause {
            Some(cause) => error.with_source(cause),
            None => error,
        }
    }
}

/// An error of another part of Cloakroom (a mark, a credential), whose words are its own.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = Self::new(error.kind(), error.message().to_owned());
        match std::error::Error::source(&error) {
            Some(cause) => failure.because(cause.to_string()),
            None => failure,
        }
    }
}

impl Refusal {
    /// Whether Kubernetes itself gave this reason.
    pub(crate) fn is(&self, reason: &str) -> bool {
        self.reason == reason
    }

    fn has_cause(&self, cause: &str) -> bool {
        self.causes.iter().any(|it| it == cause)
    }

    /// The failure this is for a request of `verb` on Secrets of `namespace`.
    pub(crate) fn into_failure(self, verb: Verb, namespace: &str) -> Failure {
        let (kind, message) = self.read(verb, namespace);
        let mut words = format!("HTTP status {}", self.code);
        if !self.reason.is_empty() {
            words = format!("{words}, reason {}", self.reason);
        }
        Failure {
            kind,
            message,
            retry_after: self.retry_after,
            cause: Some(Cause(words)),
            of_credentials: self.code == 401,
        }
    }

    fn read(&self, verb: Verb, namespace: &str) -> (ErrorKind, Cow<'static, str>) {
        use ErrorKind::{Conflict, Denied, Invalid, Missing, Throttled, TooLarge, Unavailable};
        match self.code {
            401 => (
                Denied,
                "the API server does not accept the credentials".into(),
            ),
            403 if self.has_cause("NamespaceTerminating") => (
                Unavailable,
                format!("namespace {namespace} is being deleted").into(),
            ),
            403 => (
                Denied,
                format!(
                    "the credentials may not {verb} secrets in namespace {namespace}; a role must \
                     grant it, and no quota or admission policy forbid it"
                )
                .into(),
            ),
            404 if self.is("NotFound") && self.about == "secrets" => {
                (Missing, "there is no such secret".into())
            }
            404 if self.is("NotFound") && self.about == "namespaces" => (
                Invalid,
                format!("there is no namespace {namespace}; create it first").into(),
            ),
            404 => (
                Unavailable,
                "what answered is not the API server of a cluster; check the address".into(),
            ),
            409 if verb == Verb::Delete => (Conflict, "it has changed since".into()),
            409 => (Unavailable, "another write was in the way".into()),
            410 => (
                Unavailable,
                "the listing's snapshot has expired; begin it anew".into(),
            ),
            413 => (
                TooLarge,
                "the API server does not take so much at once".into(),
            ),
            422 if self.has_cause("FieldValueTooLong") => (
                TooLarge,
                "the secret is larger than Kubernetes takes".into(),
            ),
            429 => (
                Throttled,
                "the API server takes no more requests now".into(),
            ),
            400 | 405 | 406 | 415 | 422 if !self.reason.is_empty() => (
                Invalid,
                "the API server refused the request as invalid".into(),
            ),
            _ => (Unavailable, "the API server cannot do it now".into()),
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::Delete => "delete",
        })
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

    fn refusal(code: u16, reason: &str, about: &str) -> Refusal {
        Refusal {
            code,
            reason: reason.to_owned(),
            about: about.to_owned(),
            ..Refusal::default()
        }
    }

    #[test]
    fn kinds_come_from_codes() {
        use ErrorKind::*;
        for (code, reason, about, verb, kind) in [
            (401, "Unauthorized", "", Verb::Get, Denied),
            (401, "", "", Verb::Get, Denied),
            (403, "Forbidden", "secrets", Verb::List, Denied),
            (403, "", "", Verb::Get, Denied),
            (404, "NotFound", "secrets", Verb::Get, Missing),
            (404, "NotFound", "secrets", Verb::Delete, Missing),
            (404, "NotFound", "namespaces", Verb::Create, Invalid),
            (409, "Conflict", "secrets", Verb::Delete, Conflict),
            (409, "Conflict", "resourcequotas", Verb::Create, Unavailable),
            (410, "Expired", "", Verb::List, Unavailable),
            (413, "RequestEntityTooLarge", "", Verb::Create, TooLarge),
            (422, "Invalid", "Secret", Verb::Create, Invalid),
            (429, "TooManyRequests", "", Verb::Get, Throttled),
            (429, "", "", Verb::Get, Throttled),
            (500, "InternalError", "", Verb::Get, Unavailable),
            (500, "ServerTimeout", "", Verb::Get, Unavailable),
            (502, "", "", Verb::Get, Unavailable),
            (503, "ServiceUnavailable", "", Verb::Get, Unavailable),
            (504, "Timeout", "", Verb::Get, Unavailable),
            (302, "", "", Verb::Get, Unavailable),
        ] {
            let failure = refusal(code, reason, about).into_failure(verb, "airbyte");
            assert_eq!(failure.kind(), kind, "{code} {reason} {about} {verb}");
        }
    }

    #[test]
    fn a_404_of_anybody_else_is_not_missing() {
        for (reason, about) in [
            ("", ""),
            ("", "secrets"),
            ("NotFound", ""),
            ("Gone", "secrets"),
        ] {
            let failure = refusal(404, reason, about).into_failure(Verb::Get, "airbyte");
            assert_eq!(failure.kind(), ErrorKind::Unavailable, "{reason} {about}");
        }
    }

    #[test]
    fn causes_decide_where_a_code_covers_several() {
        for (code, cause, kind) in [
            (403, "NamespaceTerminating", ErrorKind::Unavailable),
            (422, "FieldValueTooLong", ErrorKind::TooLarge),
            (422, "FieldValueInvalid", ErrorKind::Invalid),
        ] {
            let mut refusal = refusal(code, "Whatever", "secrets");
            refusal.causes = vec![cause.to_owned()];
            let failure = refusal.into_failure(Verb::Create, "airbyte");
            assert_eq!(failure.kind(), kind, "{code} {cause}");
        }
    }

    #[test]
    fn a_refusal_says_when_to_come_back_and_why() {
        let refusal = Refusal {
            retry_after: Some(Duration::from_secs(7)),
            ..refusal(429, "TooManyRequests", "")
        };
        let error = refusal.into_failure(Verb::Get, "airbyte").into_error("get");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "HTTP status 429, reason TooManyRequests");
    }
}
