//! What can go wrong with one request.

use std::time::Duration;

use super::gate::Gate;

/// What the proxy does to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server acts at once; its answer is held back for this long.
    Delay(Duration),
    /// The request waits at the gate before the server sees it.
    Hold(Gate),
    /// The connection is reset before the server sees the request.
    Refuse,
    /// The server acts; after half of its answer's body, or before an answer without one, the
    /// connection is reset.
    Reset,
    /// The server acts; after half of its answer's body, or before an answer without one, the
    /// connection is closed in order.
    Truncate,
    /// The server acts; its answer is read and dropped, and the connection is closed in order.
    LoseAnswer,
    /// The server does not see the request; this is the answer.
    Answer(Answer),
    /// The server does not see the request; the answer sends it to another address of the proxy, from where the
    /// server would be reached: whoever follows it succeeds, and [`Proxy::followed`](super::Proxy::followed)
    /// counts that. The statuses take turns, and what of the address nobody may tell bears the mark of
    /// [`canary`](crate::canary).
    Redirect,
}

impl Fault {
    /// The fault as a stable lower-case word; an answer is its status code.
    pub fn name(&self) -> String {
        match self {
            Self::Delay(_) => "delay".to_owned(),
            Self::Hold(_) => "hold".to_owned(),
            Self::Refuse => "refuse".to_owned(),
            Self::Reset => "reset".to_owned(),
            Self::Truncate => "truncate".to_owned(),
            Self::LoseAnswer => "lost_answer".to_owned(),
            Self::Answer(answer) => answer.status.to_string(),
            Self::Redirect => "redirect".to_owned(),
        }
    }
}

/// An answer in a manager's stead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// Headers beside the length.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: String,
}

impl Answer {
    /// An answer with a JSON body.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        }
    }

    /// With one header more.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With a Retry-After header in whole seconds.
    pub fn with_retry_after(self, after: Duration) -> Self {
        self.with_header("retry-after", after.as_secs().to_string())
    }
}

/// Which faults happen how often, as shares of the requests: 0.0 never, 1.0 always. A share that
/// no longer fits into the whole is cut.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates(pub Vec<(f64, Fault)>);

impl Rates {
    /// Each of the faults at the same share.
    pub fn each(share: f64, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self(faults.into_iter().map(|fault| (share, fault)).collect())
    }

    /// The fault at a place between 0.0 and 1.0.
    pub(super) fn pick(&self, at: f64) -> Option<Fault> {
        let mut reached = 0.0;
        let hit = self.0.iter().find(|(share, _)| {
            reached += share;
            at < reached
        });
        hit.map(|(_, fault)| fault.clone())
    }
}
