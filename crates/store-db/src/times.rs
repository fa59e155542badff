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

/// The moment `wait` after `now`, at most the last one a timestamp can name.
pub(crate) fn after(now: i64, wait: Duration) -> i64 {
    now.saturating_add(length(wait))
        .min(Timestamp::MAX.as_millisecond())
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
    fn waits_round_up_and_saturate() {
        assert_eq!(after(5, Duration::from_micros(1)), 6);
        assert_eq!(before(5, Duration::from_millis(2)), 3);
        assert_eq!(after(5, Duration::MAX), Timestamp::MAX.as_millisecond());
        assert_eq!(before(-5, Duration::MAX), i64::MIN);
    }
}
