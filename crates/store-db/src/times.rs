//! Times as the database holds them: milliseconds since 1970.

use std::time::Duration;

use cloakroom_core::{Error, ErrorKind, Result, Timestamp};

/// The milliseconds of a moment; what is finer is cut off.
pub(crate) fn millis(moment: Timestamp) -> i64 {
    moment.as_millisecond()
}

/// The moment of so many milliseconds by the store's clock; `Corrupt` where it is none.
pub(crate) fn moment(millis: i64, operation: &'static str) -> Result<Timestamp> {
    Timestamp::from_millisecond(millis).map_err(|source| {
        let message = "the store's clock is not at a moment that can be named";
        Error::new(ErrorKind::Corrupt, operation, message).with_source(source)
    })
}

/// The last moment that is written down, which is one that can be read back. Beyond are the milliseconds of
/// the last second that a timestamp can name: none of them can be made a timestamp again.
pub(crate) const LATEST: i64 = 253_402_207_200_000;

/// The moment `wait` after `now`, at most the latest.
pub(crate) fn after(now: i64, wait: Duration) -> i64 {
    now.saturating_add(length(wait)).min(LATEST)
}

/// A moment as it was written down. What an older program put beyond the latest is that.
pub(crate) fn written(millis: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis.min(LATEST)).ok()
}

/// The moment `wait` before `now`: what happened then or earlier is at least that old.
pub(crate) fn before(now: i64, wait: Duration) -> i64 {
    now.saturating_sub(length(wait))
}

/// The milliseconds of a wait.
pub(crate) fn length(wait: Duration) -> i64 {
    // Rounded up, so that nothing is due a part of a millisecond early.
    i64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_written_down_can_be_read_back() {
        let latest = Timestamp::from_millisecond(LATEST).unwrap();
        assert_eq!(latest.as_millisecond(), LATEST);
        assert!(Timestamp::from_millisecond(LATEST + 1).is_err());
        let beyond = Timestamp::MAX.as_millisecond();
        assert_eq!(written(beyond), Some(latest));
        assert_eq!(written(i64::MAX), Some(latest));
        assert_eq!(written(after(5, Duration::MAX)), Some(latest));
        assert_eq!(written(i64::MIN), None);
    }

    #[test]
    fn waits_round_up_and_saturate() {
        assert_eq!(after(5, Duration::from_micros(1)), 6);
        assert_eq!(before(5, Duration::from_millis(2)), 3);
        assert_eq!(after(5, Duration::MAX), LATEST);
        assert_eq!(after(i64::MAX, Duration::ZERO), LATEST);
        assert_eq!(before(-5, Duration::MAX), i64::MIN);
    }
}
