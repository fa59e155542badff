//! Choices made by chance.

use cloakroom_core::Randomness;

/// Choices over a source of random bytes.
#[derive(Clone, Copy)]
pub struct Dice<'a>(&'a dyn Randomness);

impl<'a> Dice<'a> {
    /// Choices made by `randomness`.
    pub fn new(randomness: &'a dyn Randomness) -> Self {
        Self(randomness)
    }

    /// 64 random bits.
    pub fn bits(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `end`; 0 where `end` is 0.
    pub fn below(&self, end: usize) -> usize {
        let wide = u128::from(self.bits()) * end as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&self, low: i64, high: i64) -> i64 {
        if high <= low {
            return low;
        }
        let span = i128::from(high) - i128::from(low) + 1;
        let offset = (i128::from(self.bits() >> 1) * span) >> 63;
        i64::try_from(i128::from(low) + offset).unwrap_or(low)
    }

    /// True `percent` times in a hundred.
    pub fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `items`.
    pub fn pick<'t, T>(&self, items: &'t [T]) -> Option<&'t T> {
        items.get(self.below(items.len()))
    }

    /// A random (version 4) UUID.
    pub fn uuid(&self) -> uuid::Uuid {
        self.0.uuid()
    }
}
