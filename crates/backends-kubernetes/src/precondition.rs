//! The state of one Secret, as a deletion's precondition.

use cloakroom_core::{ErrorKind, Precondition};

use crate::failure::Failure;

/// A Secret in one state: the uid tells one life of a name from the next, the resource version one
/// change from the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

impl State {
    pub(crate) fn to_precondition(&self) -> Precondition {
        Precondition(format!("{}/{}", self.uid, self.resource_version).into())
    }

    pub(crate) fn from_precondition(precondition: &Precondition) -> Result<Self, Failure> {
        let parts = precondition.0.split_once('/');
        let Some((uid, version)) =
            parts.filter(|(uid, version)| !uid.is_empty() && !version.is_empty())
        else {
            return Err(Failure::new(
                ErrorKind::Invalid,
                "the precondition is not one of this backend's",
            ));
        };
        Ok(Self {
            uid: uid.to_owned(),
            resource_version: version.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_as_it_was_written() {
        let state = State {
            uid: "7f1c".to_owned(),
            resource_version: "42".to_owned(),
        };
        let read = State::from_precondition(&state.to_precondition()).unwrap();
        assert_eq!(read, state);
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for text in ["", "/", "a/", "/1"] {
            let answer = State::from_precondition(&Precondition(text.into()));
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
