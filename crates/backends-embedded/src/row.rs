//! A secret as the table holds it, whichever database that is in.

use std::fmt::Write as _;
use std::time::Duration;

use cloakroom_core::{
    Coordinate, Description, Mark, Precondition, SecretState, StoreId, Timestamp,
};

use crate::envelope::{SealedValue, WrappedKey};
use crate::failure::Failure;

/// What is in the table under a name, or why that cannot be read: one damaged row holds up no other.
pub(crate) type Found<T> = (Coordinate, Result<T, Failure>);

/// A row to be written.
pub(crate) struct NewRow<'a> {
    pub(crate) mark: &'a Mark,
    pub(crate) sealed: SealedValue,
    pub(crate) expiry: Option<Duration>,
}

/// A row without its value.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) mark: Mark,
    pub(crate) state: StateToken,
    pub(crate) created: Timestamp,
    pub(crate) changed: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    /// Whether `expires` has passed.
    pub(crate) expired: bool,
    /// The end of its recovery window; `None` for one that is not deleted.
    pub(crate) purge: Option<Timestamp>,
}

/// A row with its sealed value.
pub(crate) struct FullRow {
    pub(crate) row: Row,
    pub(crate) sealed: SealedValue,
}

/// A row whose data key is to be wrapped anew.
pub(crate) struct KeyRow {
    pub(crate) coordinate: Coordinate,
    pub(crate) wrapped: WrappedKey,
}

/// One state of one life of a name.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StateToken {
    pub(crate) nonce: Vec<u8>,
    pub(crate) revision: i64,
}

/// Which secret a deletion is for.
pub(crate) enum Which<'a> {
    /// These, whatever state they are in.
    Any(&'a [Coordinate]),
    /// This one, in this state only.
    Only(&'a Coordinate, &'a StateToken),
}

impl Which<'_> {
    /// Whether a statement about these comes again often enough to stay prepared; batches vary in
    /// length.
    pub(crate) fn is_for_one(&self) -> bool {
        match self {
            Self::Any(coordinates) => coordinates.len() == 1,
            Self::Only(..) => true,
        }
    }
}

impl Row {
    pub(crate) fn belongs_to(&self, store: StoreId) -> bool {
        self.mark.store == store
    }

    /// What has expired waits as well, without an end.
    pub(crate) fn secret_state(&self) -> SecretState {
        if self.purge.is_none() && !self.expired {
            return SecretState::Enabled;
        }
        SecretState::ScheduledForDeletion { due: self.purge }
    }

    pub(crate) fn into_description(self) -> Description {
        Description {
            coordinate: self.mark.coordinate.clone(),
            state: self.secret_state(),
            native_expiry: self.expires,
            created: Some(self.created),
            changed: Some(self.changed),
            accessed: None,
            precondition: Some(self.state.to_precondition()),
            mark: Some(self.mark),
        }
    }
}

impl StateToken {
    fn to_precondition(&self) -> Precondition {
        let mut text = String::new();
        for byte in &self.nonce {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        let _ = write!(text, ".{}", self.revision);
        Precondition(text.into())
    }

    /// What a precondition of ours says; `None` for one that we never gave out.
    pub(crate) fn of(precondition: &Precondition) -> Option<Self> {
        let (nonce, revision) = precondition.0.split_once('.')?;
        if !nonce.is_ascii() || nonce.len() % 2 != 0 {
            return None;
        }
        let byte = |at: usize| u8::from_str_radix(&nonce[at..at + 2], 16).ok();
        let nonce: Option<Vec<u8>> = (0..nonce.len()).step_by(2).map(byte).collect();
        Some(Self {
            nonce: nonce?,
            revision: revision.parse().ok()?,
        })
    }
}

/// Milliseconds in a duration, rounded up so that nothing is due too early.
pub(crate) fn millis(duration: Duration) -> i64 {
    // A thousand years: whatever the clock says, the moment can still be told.
    const LONGEST: i64 = 1_000 * 366 * 24 * 60 * 60 * 1_000;
    i64::try_from(duration.as_nanos().div_ceil(1_000_000))
        .unwrap_or(LONGEST)
        .min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precondition_reads_back() {
        let token = StateToken {
            nonce: vec![0, 1, 254, 255],
            revision: 7,
        };
        let precondition = token.to_precondition();
        assert_eq!(&*precondition.0, "0001feff.7");
        assert!(StateToken::of(&precondition) == Some(token));
        for strange in ["", ".", "0.1", "zz.1", "00", "00.", "00.x", "ää.1"] {
            assert!(
                StateToken::of(&Precondition(strange.into())).is_none(),
                "{strange}"
            );
        }
    }

    #[test]
    fn milliseconds_round_up_and_saturate() {
        assert_eq!(millis(Duration::from_micros(1)), 1);
        assert_eq!(millis(Duration::from_secs(2)), 2000);
        let now = Timestamp::constant(1_893_499_200, 0).as_millisecond();
        assert!(Timestamp::from_millisecond(now + millis(Duration::MAX)).is_ok());
    }
}
