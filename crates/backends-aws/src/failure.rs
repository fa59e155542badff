//! What AWS can answer instead of what was asked for, and what of that is told outside.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use cloakroom_core::{BackendId, Coordinate, Error, ErrorKind, Redirect};

/// A failure that does not know yet during which operation it was met. One of these can become the
/// error of every answer of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Box<Content>);

#[derive(Clone, Debug)]
struct Content {
    kind: ErrorKind,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
    /// Where it has still to be said who answered so.
    redirect: Option<Redirect>,
    /// Whether another action found this out after the one asked for was refused.
    after_refusal: bool,
}

/// What is kept of an answer. The SDK's own error is not, since it holds the whole response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cause {
    /// AWS's code, such as `AccessDeniedException`.
    pub(crate) code: Option<String>,
    /// The status of the response.
    pub(crate) status: Option<u16>,
    /// What AWS's support asks for.
    pub(crate) request: Option<String>,
    /// Its own words, where they cannot hold a value.
    pub(crate) words: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Content {
            kind,
            message: message.into(),
            retry_after: None,
            cause: None,
            redirect: None,
            after_refusal: false,
        }))
    }

    /// Reads a code of AWS's, and the status where there is no code that is known. Nothing but a
    /// code says that a secret is missing.
    pub(crate) fn of(cause: Cause, retry_after: Option<Duration>) -> Self {
        let code = cause.code.as_deref().unwrap_or_default();
        let (kind, message) =
            of_code(code).unwrap_or_else(|| of_status(cause.status.unwrap_or_default()));
        Self(Box::new(Content {
            kind,
            message: message.into(),
            retry_after,
            cause: Some(cause),
            redirect: None,
            after_refusal: false,
        }))
    }

    pub(crate) fn of_redirect(redirect: Redirect) -> Self {
        let mut failure = Self::new(ErrorKind::Unavailable, redirect.told_by("AWS"));
        failure.0.redirect = Some(redirect);
        failure
    }

    /// The same of who is known to have been asked, unless that was said before.
    pub(crate) fn answered_by(mut self, asked: &str) -> Self {
        if let Some(redirect) = self.0.redirect.take() {
            self.0.message = redirect.told_by(asked).into();
        }
        self
    }

    /// The same, found out in another way after this refusal, whose words stay.
    pub(crate) fn after(mut self, refusal: Self) -> Self {
        self.0.cause = refusal.0.cause;
        self.0.after_refusal = true;
        self
    }

    pub(crate) fn missing() -> Self {
        Self::new(ErrorKind::Missing, MISSING)
    }

    /// Of a name that AWS neither answered for nor called missing.
    pub(crate) fn left_out() -> Self {
        Self::new(ErrorKind::Unavailable, "AWS left it out of its answer")
    }

    pub(crate) fn waiting() -> Self {
        Self::new(
            ErrorKind::ScheduledForDeletion,
            "it waits for its deletion; restore it, or wait until its window is over",
        )
    }

    pub(crate) fn because(mut self, cause: Cause) -> Self {
        self.0.cause = Some(cause);
        self
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.kind() == ErrorKind::Missing
    }

    /// Whether AWS answered with this code.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code() == Some(code)
    }

    /// Whether the credentials were known and an action was refused. Under a policy that goes by tags that
    /// is also the answer to a name that nothing has: what is not there bears no tag.
    pub(crate) fn is_of_action(&self) -> bool {
        self.kind() == ErrorKind::Denied
            && self.code().and_then(of_code) == Some((ErrorKind::Denied, DENIED))
    }

    /// Whether the credentials themselves were refused, not something that they are for.
    pub(crate) fn is_of_credentials(&self) -> bool {
        self.code().and_then(of_code) == Some((ErrorKind::Denied, LOGIN))
    }

    /// Whether a refusal leaves open what was refused.
    pub(crate) fn may_be_of_credentials(&self) -> bool {
        self.kind() == ErrorKind::Denied && self.code().and_then(of_code).is_none()
    }

    fn code(&self) -> Option<&str> {
        self.0.cause.as_ref()?.code.as_deref()
    }

    pub(crate) fn to_error(
        &self,
        operation: &'static str,
        backend: &BackendId,
        coordinate: Option<&Coordinate>,
    ) -> Error {
        let told = &*self.0;
        let mut error =
            Error::new(told.kind, operation, told.message.clone()).with_backend(backend);
        if let Some(coordinate) = coordinate {
            error = error.with_coordinate(coordinate);
        }
        if let Some(after) = told.retry_after {
            error = error.with_retry_after(after);
        }
        if self.is_of_credentials() {
            error = error.with_refused_credentials();
        }
        if told.after_refusal {
            error = error.with_refused_action();
        }
        match &told.cause {
            Some(cause) => error.with_source(cause.clone()),
            None => error,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AWS answered")?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(status) = self.status {
            write!(f, " (HTTP {status})")?;
        }
        if let Some(words) = &self.words {
            write!(f, ": {words}")?;
        }
        if let Some(request) = &self.request {
            write!(f, " [request {request}]")?;
        }
        Ok(())
    }
}

impl std::error::Error for Cause {}

const MISSING: &str = "there is no such secret";
const DENIED: &str = "the credentials do not allow it; see the policies in deploy/policies: aws for what Cloakroom \
                      stores itself, airbyte and openmetadata for a platform's secrets";
const LOGIN: &str = "the credentials were refused: wrong, expired, or the clock is off";
const THROTTLED: &str = "more requests than the account's quota allows";
const INVALID: &str = "AWS calls the request invalid";

/// Codes of both services, of STS, and of every service in common.
fn of_code(code: &str) -> Option<(ErrorKind, &'static str)> {
    use ErrorKind::{Conflict, Denied, Invalid, Missing, Throttled, Unavailable};
    Some(match code {
        "ResourceNotFoundException" | "ParameterNotFound" | "InvalidResourceId" => {
            (Missing, MISSING)
        }
        "ResourceExistsException" | "ParameterAlreadyExists" => (Conflict, "the name is taken"),
        "AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "OptInRequired" => {
            (Denied, DENIED)
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidIdentityToken"
        | "IDPRejectedClaim"
        | "RequestExpired"
        | "RequestTimeTooSkewed" => (Denied, LOGIN),
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "TooManyUpdates"
        | "SlowDown" => (Throttled, THROTTLED),
        "LimitExceededException" | "ParameterLimitExceeded" => (
            Unavailable,
            "the account has as many as its quota allows; delete some or have it raised",
        ),
        "EncryptionFailure" | "DecryptionFailure" | "InvalidKeyId" => (
            Unavailable,
            "KMS did not do its part: look whether the key exists, is enabled and may be used",
        ),
        // Where a state explains it, the caller has asked for that state already.
        "InvalidRequestException" => (
            Unavailable,
            "AWS refuses it in the secret's present state and does not say which that is",
        ),
        "InvalidNextTokenException" | "InvalidNextToken" => (
            Unavailable,
            "the listing cannot go on from there; it has to begin anew",
        ),
        "InvalidParameterException"
        | "ValidationException"
        | "ValidationError"
        | "SerializationException"
        | "MalformedPolicyDocumentException"
        | "HierarchyLevelLimitExceededException"
        | "InvalidPolicyAttributeException"
        | "InvalidPolicyTypeException"
        | "IncompatiblePolicyException"
        | "ParameterPatternMismatchException"
        | "UnsupportedParameterType"
        | "InvalidFilterKey"
        | "InvalidFilterOption"
        | "InvalidFilterValue" => (Invalid, INVALID),
        _ => return None,
    })
}

fn of_status(status: u16) -> (ErrorKind, &'static str) {
    use ErrorKind::{Denied, Throttled, TooLarge, Unavailable};
    match status {
        401 | 403 => (Denied, "the request was refused"),
        413 => (TooLarge, "the request is larger than AWS takes"),
        429 => (Throttled, THROTTLED),
        _ => (Unavailable, "AWS could not answer just now"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: Option<&str>, status: u16) -> Failure {
        let cause = Cause {
            code: code.map(str::to_owned),
            status: Some(status),
            ..Cause::default()
        };
        Failure::of(cause, None)
    }

    #[test]
    fn nothing_but_a_code_says_missing() {
        assert_eq!(of(None, 404).kind(), ErrorKind::Unavailable);
        assert_eq!(
            of(Some("UnknownException"), 404).kind(),
            ErrorKind::Unavailable
        );
        assert_eq!(
            of(Some("ResourceNotFoundException"), 400).kind(),
            ErrorKind::Missing
        );
    }

    #[test]
    fn a_status_counts_where_no_code_does() {
        for (status, kind) in [
            (401, ErrorKind::Denied),
            (403, ErrorKind::Denied),
            (413, ErrorKind::TooLarge),
            (429, ErrorKind::Throttled),
            (500, ErrorKind::Unavailable),
            (503, ErrorKind::Unavailable),
        ] {
            assert_eq!(of(None, status).kind(), kind, "{status}");
        }
        assert_eq!(
            of(Some("ThrottlingException"), 400).kind(),
            ErrorKind::Throttled
        );
    }

    #[test]
    fn refused_credentials_are_told_from_a_right_that_is_missing() {
        let told = |code, status| {
            let failure = of(code, status);
            let error = failure.to_error("get", &"main".parse().unwrap(), None);
            (error.kind(), error.is_of_credentials())
        };
        for code in ["ExpiredTokenException", "UnrecognizedClientException"] {
            assert_eq!(told(Some(code), 400), (ErrorKind::Denied, true), "{code}");
        }
        let right = told(Some("AccessDeniedException"), 400);
        assert_eq!(right, (ErrorKind::Denied, false));
        // Without a code nobody knows.
        assert_eq!(told(None, 403), (ErrorKind::Denied, false));
    }

    #[test]
    fn a_login_is_repeated_only_where_it_can_help() {
        assert!(of(Some("ExpiredTokenException"), 400).is_of_credentials());
        assert!(!of(Some("AccessDeniedException"), 400).is_of_credentials());
        assert!(!of(None, 403).is_of_credentials() && of(None, 403).may_be_of_credentials());
        assert!(!of(Some("ThrottlingException"), 400).is_of_credentials());
    }
}
