//! The operations that trouble meets.

use cloakroom_core::Capabilities;
use cloakroom_core::capabilities::NativeExpiry;

/// One operation of a backend's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A put on a free name.
    Put,
    /// The same put again, as after a lost answer.
    PutAgain,
    /// Reading one value.
    Get,
    /// Reading a batch larger than the manager's own, with one missing.
    GetMany,
    /// Describing one secret.
    Describe,
    /// The whole listing.
    List,
    /// Deleting for good.
    Delete,
    /// Deleting so that it can be restored.
    DeleteRecoverable,
    /// Restoring what waits for its deletion.
    Restore,
    /// Taking the manager's own expiry off.
    LiftExpiry,
}

impl Operation {
    /// Every operation, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::Put,
        Self::PutAgain,
        Self::Get,
        Self::GetMany,
        Self::Describe,
        Self::List,
        Self::Delete,
        Self::DeleteRecoverable,
        Self::Restore,
        Self::LiftExpiry,
    ];

    /// A stable lower-case word, part of trials' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::PutAgain => "put_again",
            Self::Get => "get",
            Self::GetMany => "get_many",
            Self::Describe => "describe",
            Self::List => "list",
            Self::Delete => "delete",
            Self::DeleteRecoverable => "delete_recoverable",
            Self::Restore => "restore",
            Self::LiftExpiry => "lift_expiry",
        }
    }

    /// The same for the reader of a table.
    pub(super) fn title(self) -> String {
        self.name().replace('_', " ")
    }

    /// Why a manager does not have it; `None` where it does.
    pub(super) fn excluded(self, capabilities: &Capabilities) -> Option<&'static str> {
        match self {
            Self::DeleteRecoverable | Self::Restore if capabilities.recovery.is_none() => {
                Some("the manager has no recovery")
            }
            Self::Delete if !capabilities.final_deletion => {
                Some("the manager deletes nothing for good at once")
            }
            Self::LiftExpiry if capabilities.native_expiry == NativeExpiry::Absent => {
                Some("the manager has no expiry")
            }
            _ => None,
        }
    }

    /// Whether it leaves the manager as it was.
    pub(super) fn only_reads(self) -> bool {
        matches!(
            self,
            Self::PutAgain | Self::Get | Self::GetMany | Self::Describe | Self::List
        )
    }
}
