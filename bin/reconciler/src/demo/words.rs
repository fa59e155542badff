//! What reasons mean, for a person who sees them for the first time.

use cloakroom_core::ledger::Reason;

pub(super) use crate::output::count;

/// Why secrets of this reason go.
pub(super) fn of_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Abandoned => "its writer died halfway",
        Reason::Ephemeral => "its check or discover is long over",
        Reason::Orphaned => "its document or field was removed",
        Reason::Superseded => "a newer version took its place",
        Reason::Resurfaced => "it landed after it was given up",
    }
}
