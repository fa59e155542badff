//! Whether a manager's own expiry takes a platform's secret away.

use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::platform::NamedSecret;
use cloakroom_core::{SecretBackend, Timestamp};

/// Whether what carries an expiry goes when that passes. So it does where our settings give nothing one: the platform
/// may have.
pub(super) fn takes_away(backend: &dyn SecretBackend) -> bool {
    backend.capabilities().native_expiry != NativeExpiry::Advises
}

/// When a secret goes unless its expiry is taken off; `None` where it carries none, or one that is a note only.
pub(super) fn takes_away_at(backend: &dyn SecretBackend, found: &NamedSecret) -> Option<Timestamp> {
    found.native_expiry.filter(|_| takes_away(backend))
}
