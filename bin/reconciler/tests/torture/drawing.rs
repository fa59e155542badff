//! Random durations.

use std::time::Duration;

use cloakroom_core::Randomness as _;
use cloakroom_testkit::SeededRandomness;

/// A duration between two bounds, in milliseconds.
pub(crate) fn between(random: &SeededRandomness, shortest: u64, longest: u64) -> Duration {
    Duration::from_millis(shortest + random.below(longest - shortest + 1))
}

/// A duration below `longest`.
pub(crate) fn below(random: &SeededRandomness, longest: Duration) -> Duration {
    longest.mul_f64(random.fraction())
}
