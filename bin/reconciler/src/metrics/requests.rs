//! Requests to the secrets managers, and the budget they keep to.

use std::time::Duration;

use cloakroom_core::budget::RequestClass;
use cloakroom_core::{BackendId, ErrorKind};
use metrics::{counter, gauge, histogram};

use super::Metrics;
use super::names::{
    BUDGET, BUDGET_EXHAUSTED, BUDGET_SENT, BUDGET_WAIT, PUBLISHED, REQUEST_DURATION, REQUESTS,
    THROTTLES,
};

/// What is asked of a secrets manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Store a value.
    Put,
    /// Read a value.
    Get,
    /// Describe a secret.
    Describe,
    /// A page of the listing.
    List,
    /// Delete a secret.
    Delete,
    /// Bring one back.
    Restore,
    /// Take an expiry off.
    LiftExpiry,
}

impl Request {
    /// Everything that is asked.
    pub const ALL: [Self; 7] = [
        Self::Put,
        Self::Get,
        Self::Describe,
        Self::List,
        Self::Delete,
        Self::Restore,
        Self::LiftExpiry,
    ];

    /// The operation as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Describe => "describe",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::LiftExpiry => "lift_expiry",
        }
    }
}

/// Where the budget of one class stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetFigures {
    /// Which class.
    pub class: RequestClass,
    /// Requests a second that are presently allowed; `None` without limit.
    pub allowance: Option<f64>,
    /// Requests a second that the manager publishes.
    pub published: Option<f64>,
    /// Requests that were counted against it.
    pub sent: u64,
    /// All that requests have waited.
    pub waited: Duration,
    /// Requests whose turn did not come in time.
    pub exhausted: u64,
}

const OK: &str = "ok";

const KINDS: [ErrorKind; 10] = [
    ErrorKind::Missing,
    ErrorKind::Denied,
    ErrorKind::Throttled,
    ErrorKind::Unavailable,
    ErrorKind::Conflict,
    ErrorKind::ScheduledForDeletion,
    ErrorKind::Invalid,
    ErrorKind::TooLarge,
    ErrorKind::Unsupported,
    ErrorKind::Corrupt,
];

impl Metrics {
    /// Counts a call, or its batches one by one, each with the kind of error it met.
    pub fn record_requests(
        &self,
        backend: &BackendId,
        request: Request,
        outcomes: impl Iterator<Item = Option<ErrorKind>>,
        took: Duration,
    ) {
        let operation = request.as_str();
        self.own.record(|| {
            for outcome in outcomes {
                let word = outcome.map_or(OK, ErrorKind::as_str);
                counter!(REQUESTS, "backend" => backend.to_string(), "operation" => operation, "outcome" => word)
                    .increment(1);
                if outcome == Some(ErrorKind::Throttled) {
                    counter!(THROTTLES, "backend" => backend.to_string(), "operation" => operation)
                        .increment(1);
                }
            }
            histogram!(REQUEST_DURATION, "backend" => backend.to_string(), "operation" => operation)
                .record(took.as_secs_f64());
        });
    }

    /// Says where the budget of a class of requests stands. What has no limit and never had one is
    /// left out.
    pub fn set_budget(&self, backend: &BackendId, figures: &BudgetFigures) {
        let labels = [
            ("backend", backend.to_string()),
            ("operation", figures.class.as_str().to_owned()),
        ];
        self.own.record(|| {
            if let Some(published) = figures.published {
                gauge!(PUBLISHED, &labels).set(published);
            }
            if let Some(allowance) = figures.allowance {
                gauge!(BUDGET, &labels).set(allowance);
            }
            counter!(BUDGET_SENT, &labels).absolute(figures.sent);
            counter!(BUDGET_WAIT, &labels).absolute(figures.waited.as_secs());
            counter!(BUDGET_EXHAUSTED, &labels).absolute(figures.exhausted);
        });
    }
}

pub(super) fn register(backend: &BackendId) {
    let backend = backend.to_string();
    for request in Request::ALL {
        let operation = request.as_str();
        let labels = [
            ("backend", backend.clone()),
            ("operation", operation.to_owned()),
        ];
        counter!(THROTTLES, &labels).increment(0);
        let _ = histogram!(REQUEST_DURATION, &labels);
        for outcome in KINDS.map(ErrorKind::as_str).into_iter().chain([OK]) {
            counter!(REQUESTS, "backend" => backend.clone(), "operation" => operation, "outcome" => outcome)
                .increment(0);
        }
    }
    for class in RequestClass::ALL {
        let labels = [
            ("backend", backend.clone()),
            ("operation", class.as_str().to_owned()),
        ];
        counter!(BUDGET_SENT, &labels).increment(0);
        counter!(BUDGET_WAIT, &labels).increment(0);
        counter!(BUDGET_EXHAUSTED, &labels).increment(0);
    }
}
