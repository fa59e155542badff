//! What an operation costs: the requests of one call, counted at the proxy and held against what the
//! backend's suite declares.

use super::hold::{self, Findings};
use super::{FaultSubject, Operation};
use crate::conformance::verdict::{Broken, ensure_eq};

/// The requests of one call of each operation that a manager has, where nothing goes wrong and whoever
/// logs in has done so.
pub type Requests = &'static [(Operation, usize)];

/// Counts one operation's.
pub(super) async fn hold(
    subject: &dyn FaultSubject,
    operation: Operation,
) -> Result<Findings, Broken> {
    let counted = hold::count(subject, operation).await?;
    ensure_eq(
        &Some(counted),
        &declared(subject.requests(), operation),
        "the requests of one call",
    )?;
    Ok(Findings {
        requests: Some(counted),
        ..Findings::default()
    })
}

pub(super) fn declared(requests: Requests, operation: Operation) -> Option<usize> {
    let mut found = requests.iter().filter(|(it, _)| *it == operation);
    found.next().map(|(_, count)| *count)
}
