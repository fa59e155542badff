//! A few seeds of the simulation in every test run, and that one seed is one run.

use std::collections::BTreeSet;

use cloakroom_simulation::{Playing, play};

/// Seeds of everyday runs; `cargo xtask simulate` takes many more, and others.
const SEEDS: std::ops::Range<u64> = 1_000_000..1_000_200;

#[test]
fn every_law_holds() {
    for seed in SEEDS {
        let outcome = play(seed, &Playing::default());
        assert_eq!(
            outcome.violation, None,
            "cargo xtask simulate --from {seed} --seeds 1"
        );
    }
}

#[test]
fn a_seed_replays() {
    let story = Playing {
        with_story: true,
        ..Playing::default()
    };
    let mut hashes = BTreeSet::new();
    for seed in 0..10 {
        let first = play(seed, &Playing::default());
        let again = play(seed, &story);
        assert_eq!(
            (first.hash, first.steps),
            (again.hash, again.steps),
            "seed {seed}"
        );
        assert!(!again.story.is_empty());
        hashes.insert(first.hash);
    }
    assert_eq!(hashes.len(), 10, "each seed is a run of its own");
}

#[test]
fn events_can_be_left_out() {
    let whole = play(3, &Playing::default());
    let all = Playing {
        left_out: (0..whole.events).collect(),
        ..Playing::default()
    };
    let nothing = play(3, &all);
    assert_eq!(nothing.violation, None);
    assert!(nothing.steps < whole.steps);
}
