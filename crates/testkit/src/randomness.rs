//! Random numbers that a seed replays.

use std::sync::{Arc, Mutex, PoisonError};

use cloakroom_core::Randomness;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Random numbers that follow from a seed. Clones draw from the same sequence.
///
/// What draws concurrently gets its own named stream, or the order of the draws would decide.
///
/// ```
/// use cloakroom_core::Randomness;
/// use cloakroom_testkit::SeededRandomness;
///
/// let random = SeededRandomness::new(7);
/// let ids = random.stream("ids");
/// let first = ids.uuid();
/// assert_eq!(SeededRandomness::new(7).stream("ids").uuid(), first);
/// assert_ne!(random.stream("faults").uuid(), first);
/// ```
#[derive(Clone, Debug)]
pub struct SeededRandomness {
    seed: u64,
    sequence: Arc<Mutex<ChaCha8Rng>>,
}

impl SeededRandomness {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            sequence: Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))),
        }
    }

    /// What it was made of, for a failing test's message.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A sequence of its own that follows from the seed and `name`, whatever was drawn so far.
    pub fn stream(&self, name: &str) -> Self {
        Self::new(mix(self.seed, name))
    }

    /// A number in `0..bound`, or 0 where `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        // Bounds in tests are far below 2^64, so the bias of a remainder cannot be seen.
        u64::from_le_bytes(bytes)
            .checked_rem(bound)
            .unwrap_or_default()
    }

    /// Whether something of probability `share` (0.0 to 1.0) happens now.
    pub fn happens(&self, share: f64) -> bool {
        self.fraction() < share
    }

    /// One of `items`, or `None` where there are none.
    pub fn choose<'a, T>(&self, items: &'a [T]) -> Option<&'a T> {
        let index = self.below(items.len() as u64);
        usize::try_from(index)
            .ok()
            .and_then(|index| items.get(index))
    }
}

impl Randomness for SeededRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        self.sequence
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(bytes);
    }
}

/// FNV-1a over the name, begun at the seed: the standard library's hashes may change between
/// releases, and a seed in a bug report must replay for ever.
fn mix(seed: u64, name: &str) -> u64 {
    let begin = seed ^ 0xcbf2_9ce4_8422_2325;
    name.bytes().fold(begin, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays() {
        let draw = |seed| {
            let random = SeededRandomness::new(seed);
            (
                random.uuid(),
                random.below(1000),
                random.fraction().to_bits(),
            )
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_stream_does_not_depend_on_what_was_drawn() {
        let random = SeededRandomness::new(3);
        let before = random.stream("a").uuid();
        random.uuid();
        assert_eq!(random.stream("a").uuid(), before);
        assert_ne!(random.stream("b").uuid(), before);
    }

    #[test]
    fn bounds_hold() {
        let random = SeededRandomness::new(4);
        assert!((0..1000).all(|_| random.below(7) < 7));
        assert_eq!(random.below(0), 0);
        assert_eq!(random.choose::<u8>(&[]), None);
        assert!(random.choose(&[1, 2, 3]).is_some());
    }
}
