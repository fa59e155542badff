//! Seeds on every core; the first that fails is shrunk and told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cloakroom_simulation::{Outcome, Playing, Violation, play, shrink};

use crate::Options;

/// Lines at the end of a story that are printed.
const LAST_LINES: usize = 60;

/// Runs the seeds. Whether every law held in all of them.
pub(crate) fn run(options: &Options) -> bool {
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let (done, turns) = (AtomicU64::new(0), AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    let failed: Mutex<BTreeMap<u64, Outcome>> = Mutex::default();
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= options.seeds {
                return;
            }
            let outcome = play(options.from + at, &playing(options));
            turns.fetch_add(outcome.steps, Ordering::Relaxed);
            done.fetch_add(1, Ordering::Relaxed);
            if outcome.violation.is_some() {
                stop.store(!options.keep_going, Ordering::Relaxed);
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.insert(outcome.seed, outcome);
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.threads()).map(|_| scope.spawn(work)).collect();
        let mut told = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
            if told.elapsed() >= Duration::from_secs(10) {
                told = Instant::now();
                println!(
                    "{} of {} seeds",
                    done.load(Ordering::Relaxed),
                    options.seeds
                );
            }
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (done, turns) = (done.into_inner(), turns.into_inner());
    let seconds = started.elapsed().as_secs_f64();
    for (outcome, violation) in failed
        .values()
        .filter_map(|it| Some((it, it.violation.as_ref()?)))
    {
        println!(
            "seed {} broke \"{}\": {}",
            outcome.seed,
            violation.law,
            shortened(&violation.saw)
        );
    }
    // The lowest, so that the report does not depend on which thread was faster.
    if let Some((_, lowest)) = failed.first_key_value()
        && let Some(violation) = &lowest.violation
    {
        report(lowest, violation, options);
    }
    let result = match failed.len() {
        0 => "every law held".to_owned(),
        some => format!("{some} failed"),
    };
    println!(
        "simulate: {done} seeds from {}, {turns} turns in {seconds:.0} s: {result}",
        options.from
    );
    failed.is_empty()
}

/// Tells what happened in the first seed. Whether every law held.
pub(crate) fn tell(options: &Options) -> bool {
    let playing = Playing {
        with_story: true,
        ..playing(options)
    };
    let outcome = play(options.from, &playing);
    for line in &outcome.story {
        println!("{}", shortened(line));
    }
    println!(
        "seed {}: {} turns, hash {:016x}",
        outcome.seed, outcome.steps, outcome.hash
    );
    match outcome.violation {
        Some(violation) => {
            println!("broken: {}: {}", violation.law, violation.saw);
            false
        }
        None => true,
    }
}

fn playing(options: &Options) -> Playing {
    Playing {
        with_story: false,
        left_out: options.without.iter().copied().collect::<BTreeSet<_>>(),
    }
}

fn report(outcome: &Outcome, violation: &Violation, options: &Options) {
    let seed = outcome.seed;
    if !options.without.is_empty() {
        return;
    }
    println!("shrinking it");
    let (left_out, _) = shrink(outcome, violation.law);
    let playing = Playing {
        with_story: true,
        left_out: left_out.clone(),
    };
    let shrunk = play(seed, &playing);
    let numbers: Vec<String> = left_out.iter().map(ToString::to_string).collect();
    println!(
        "{} of its {} events do it:",
        outcome.events - left_out.len(),
        outcome.events
    );
    let behind = shrunk.story.len().saturating_sub(LAST_LINES);
    for line in &shrunk.story[behind..] {
        println!(
            "  {}",
            shortened(line).chars().take(240).collect::<String>()
        );
    }
    if let Some(violation) = &shrunk.violation {
        println!("broken: {}: {}", violation.law, violation.saw);
    }
    println!("again:       cargo xtask simulate --from {seed} --seeds 1");
    println!("the whole:   cargo xtask simulate --from {seed} --story");
    println!(
        "the shrunk:  cargo xtask simulate --from {seed} --story --without {}",
        numbers.join(",")
    );
}

/// A line with coordinates that fit into it: of ids only the beginning.
fn shortened(line: &str) -> String {
    let mut short = String::with_capacity(line.len());
    let mut left = line;
    while let Some((before, id)) = next_id(left) {
        short.push_str(before);
        short.push_str(&id[..6]);
        left = &left[before.len() + id.len()..];
    }
    short.push_str(left);
    let short = short.replace("airbyte_workspace_444400_secret_", "");
    short.replace("airbyte_workspace_000000_secret_", "ephemeral-")
}

/// What is before the next UUID, and the UUID.
fn next_id(text: &str) -> Option<(&str, &str)> {
    const LENGTH: usize = 36;
    let is_id = |at: &usize| {
        let id = text.get(*at..*at + LENGTH);
        id.is_some_and(|id| {
            let dashes = id.bytes().enumerate().filter(|(_, byte)| *byte == b'-');
            dashes.map(|(at, _)| at).eq([8, 13, 18, 23])
                && id
                    .bytes()
                    .all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        })
    };
    let at = (0..text.len().saturating_sub(LENGTH - 1)).find(is_id)?;
    Some((&text[..at], &text[at..at + LENGTH]))
}
