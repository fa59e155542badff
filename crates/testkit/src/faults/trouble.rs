//! The kinds of trouble a request can meet, and what each is to the caller.

use std::time::Duration;

use cloakroom_core::ErrorKind;

use super::FaultSubject;
use crate::proxy::{Answer, Fault};

/// The retry-after that is told: longer than any deadline, so that no test waits for it.
pub const RETRY_AFTER: Duration = Duration::from_hours(1);

/// Longer than any backend waits.
const FOR_EVER: Duration = Duration::from_hours(24);

/// How a manager refuses; its codes and bodies are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The credentials do not allow it (HTTP 403).
    Denied,
    /// Too many requests (HTTP 429), with a retry-after where one is told.
    Throttled {
        /// The time to be told.
        retry_after: Option<Duration>,
    },
    /// It failed inside (HTTP 500).
    Failed,
    /// It is not there just now (HTTP 503).
    Unavailable,
    /// The token of the page asked for is too old (HTTP 410 or 400).
    PageExpired,
}

impl Refusal {
    /// The refusal as its status code and an empty JSON object.
    pub fn plain(self) -> Answer {
        let status = match self {
            Self::Denied => 403,
            Self::Throttled { .. } => 429,
            Self::Failed => 500,
            Self::Unavailable => 503,
            Self::PageExpired => 410,
        };
        let answer = Answer::json(status, "{}");
        match self.retry_after() {
            Some(after) => answer.with_retry_after(after),
            None => answer,
        }
    }

    /// The time to be told, where one is.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } => retry_after,
            _ => None,
        }
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The answer comes after the backend's timeout.
    Delay,
    /// Nobody takes the connection.
    Refuse,
    /// The connection is reset in the middle of the answer.
    Reset,
    /// The connection ends in the middle of the answer.
    Truncate,
    /// The server acted and its answer is lost.
    LostAnswer,
    /// HTTP 403, in the manager's shape.
    Denied,
    /// HTTP 429 without Retry-After, in the manager's shape.
    Throttled,
    /// HTTP 429 with Retry-After, in the manager's shape.
    ThrottledFor,
    /// HTTP 500, in the manager's shape.
    Failed,
    /// HTTP 503, in the manager's shape.
    Unavailable,
    /// HTTP 200 with a web page: something between answers in the manager's stead.
    StrangePage,
    /// HTTP 301, 302, 303, 307 or 308 to where the same request would succeed.
    Redirect,
    /// The token of the next page has expired, in the manager's shape.
    ExpiredPage,
}

impl Trouble {
    /// Every trouble, in the order of the table.
    pub const ALL: [Self; 13] = [
        Self::Delay,
        Self::Refuse,
        Self::Reset,
        Self::Truncate,
        Self::LostAnswer,
        Self::Denied,
        Self::Throttled,
        Self::ThrottledFor,
        Self::Failed,
        Self::Unavailable,
        Self::StrangePage,
        Self::Redirect,
        Self::ExpiredPage,
    ];

    /// A stable lower-case word, part of trials' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Refuse => "refuse",
            Self::Reset => "reset",
            Self::Truncate => "truncate",
            Self::LostAnswer => "lost_answer",
            Self::Denied => "403",
            Self::Throttled => "429",
            Self::ThrottledFor => "429_retry_after",
            Self::Failed => "500",
            Self::Unavailable => "503",
            Self::StrangePage => "200_of_another",
            Self::Redirect => "redirect",
            Self::ExpiredPage => "expired_page",
        }
    }

    /// The same for the reader of the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Delay => "answer delayed past the timeout",
            Self::Refuse => "connection refused",
            Self::Reset => "reset in the middle of the answer",
            Self::Truncate => "answer cut short",
            Self::LostAnswer => "answer lost after the server acted",
            Self::Denied => "403",
            Self::Throttled => "429",
            Self::ThrottledFor => "429 with Retry-After",
            Self::Failed => "500",
            Self::Unavailable => "503",
            Self::StrangePage => "200 with another server's page",
            Self::Redirect => "redirect (301, 302, 303, 307, 308)",
            Self::ExpiredPage => "page token expired midway",
        }
    }

    /// The kinds of error it may be to the caller.
    pub(super) fn kinds(self) -> &'static [ErrorKind] {
        match self {
            Self::Denied => &[ErrorKind::Denied],
            Self::Throttled | Self::ThrottledFor => &[ErrorKind::Throttled],
            // An old page too: the caller did nothing wrong, and the listing begins anew.
            _ => &[ErrorKind::Unavailable],
        }
    }

    /// The retry-after the caller must be told.
    pub(super) fn retry_after(self) -> Option<Duration> {
        (self == Self::ThrottledFor).then_some(RETRY_AFTER)
    }

    /// Whether the server may have acted on the request.
    pub(super) fn acts(self) -> bool {
        matches!(
            self,
            Self::Delay | Self::Reset | Self::Truncate | Self::LostAnswer
        )
    }

    /// Whether a policy tries again within its deadline.
    pub(super) fn is_retried(self) -> bool {
        !matches!(self, Self::Denied | Self::ThrottledFor | Self::ExpiredPage)
    }

    /// What the proxy does to one request.
    pub(super) fn fault(self, subject: &dyn FaultSubject) -> Fault {
        let refusal = match self {
            Self::Delay => return Fault::Delay(FOR_EVER),
            Self::Refuse => return Fault::Refuse,
            Self::Reset => return Fault::Reset,
            Self::Truncate => return Fault::Truncate,
            Self::LostAnswer => return Fault::LoseAnswer,
            Self::StrangePage => return Fault::Answer(strange_page()),
            Self::Redirect => return Fault::Redirect,
            Self::Denied => Refusal::Denied,
            Self::Throttled => Refusal::Throttled { retry_after: None },
            Self::ThrottledFor => Refusal::Throttled {
                retry_after: Some(RETRY_AFTER),
            },
            Self::Failed => Refusal::Failed,
            Self::Unavailable => Refusal::Unavailable,
            Self::ExpiredPage => Refusal::PageExpired,
        };
        Fault::Answer(subject.answer(refusal))
    }
}

/// What a captive portal, a login page or a proxy's notice is to a client.
fn strange_page() -> Answer {
    let page = "<!doctype html><html><body>Please log in.</body></html>";
    Answer {
        status: 200,
        headers: vec![(
            "content-type".to_owned(),
            "text/html; charset=utf-8".to_owned(),
        )],
        body: page.to_owned(),
    }
}
