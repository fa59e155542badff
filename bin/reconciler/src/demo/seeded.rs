//! Randomness that repeats: SplitMix64 from a seed. For made-up data only, never for keys.

use std::sync::atomic::{AtomicU64, Ordering};

use cloakroom_core::Randomness;

/// The step of SplitMix64: odd, and far from any simple fraction of the range.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The same numbers from the same seed.
#[derive(Debug)]
pub struct Seeded(AtomicU64);

impl Seeded {
    /// Numbers that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    fn next(&self) -> u64 {
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Randomness for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let ids = |seed| {
            let seeded = Seeded::new(seed);
            [seeded.uuid(), seeded.uuid(), seeded.uuid()]
        };
        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7), ids(8));
        assert_ne!(ids(7)[0], ids(7)[1]);
    }
}
