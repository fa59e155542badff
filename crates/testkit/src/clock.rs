//! A clock that moves only when a test moves it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloakroom_core::Clock;
use jiff::Timestamp;

/// A clock that stands still until it is set or advanced. Clones show the same time.
///
/// ```
/// use std::time::Duration;
/// use cloakroom_core::{Clock, Timestamp};
/// use cloakroom_testkit::ManualClock;
///
/// let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
/// let shown = clock.clone();
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(shown.now().as_second(), 90);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Moves it forward; it stops at the last moment a timestamp can name.
    pub fn advance(&self, by: Duration) {
        let mut now = self.hands();
        *now = now.checked_add(by).unwrap_or(Timestamp::MAX);
    }

    /// Sets it, backwards too: real clocks are set back sometimes.
    pub fn set(&self, to: Timestamp) {
        *self.hands() = to;
    }

    fn hands(&self) -> MutexGuard<'_, Timestamp> {
        // A timestamp is never half written, so a test that panicked left a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    /// Noon on 1 January 2030 UTC: no test can mistake it for the wall clock.
    fn default() -> Self {
        Self::new(Timestamp::constant(1_893_499_200, 0))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.hands()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_moves_only_when_moved() {
        let clock = ManualClock::default();
        let before = clock.now();
        assert_eq!(before.to_string(), "2030-01-01T12:00:00Z");
        clock.advance(Duration::from_millis(1));
        assert_eq!(clock.now().as_millisecond(), before.as_millisecond() + 1);
        clock.set(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
