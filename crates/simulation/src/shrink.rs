//! Leaves out of a failing seed whatever is not needed for it to fail.

use std::collections::BTreeSet;

use crate::laws::Law;
use crate::run::{Outcome, Playing, play};

/// Runs at most.
const MOST_RUNS: u32 = 400;

/// The same seed with as many events left out as could be, still breaking the same law.
pub fn shrink(failed: &Outcome, law: Law) -> (BTreeSet<usize>, Outcome) {
    let mut left_out = BTreeSet::new();
    let mut shortest = failed.clone();
    let mut runs = 0;
    let mut size = failed.events.div_ceil(2);
    while size > 0 {
        let mut from = 0;
        while from < failed.events && runs < MOST_RUNS {
            let mut more = left_out.clone();
            more.extend(from..(from + size).min(failed.events));
            if more != left_out {
                runs += 1;
                let playing = Playing {
                    with_story: false,
                    left_out: more.clone(),
                };
                let outcome = play(failed.seed, &playing);
                if outcome.violation.as_ref().is_some_and(|it| it.law == law) {
                    left_out = more;
                    shortest = outcome;
                }
            }
            from += size;
        }
        size /= 2;
    }
    (left_out, shortest)
}
