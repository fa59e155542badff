//! A clock that is set by hand, so that the sample deployment can look back on days.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cloakroom_core::{Clock, Timestamp};

/// Shows what it was last set to.
#[derive(Debug)]
pub(crate) struct DemoClock(AtomicI64);

impl DemoClock {
    /// A clock that shows `at`.
    pub(crate) fn new(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.as_millisecond()))
    }

    /// Sets it.
    pub(crate) fn set(&self, at: Timestamp) {
        self.0.store(at.as_millisecond(), Ordering::SeqCst);
    }

    /// Sets it forward.
    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for DemoClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
