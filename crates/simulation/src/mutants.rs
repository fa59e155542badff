//! Deliberate bugs: each is switched on and hunted through the seeds until a law notices it.

use crate::Options;

/// Without the feature there are no bugs to switch on.
#[cfg(not(feature = "mutants"))]
pub(crate) fn hunt(_: &Options) -> bool {
    eprintln!("error: built without the feature `mutants`; run `cargo xtask simulate --mutants`");
    false
}

/// Hunts every mutant. Whether each was found.
#[cfg(feature = "mutants")]
pub(crate) fn hunt(options: &Options) -> bool {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};
    use std::time::Instant;

    use cloakroom_core::mutant::Mutant;

    // A mutant may panic, which is a way of being found.
    std::panic::set_hook(Box::new(|_| {}));
    let started = Instant::now();
    let chosen = |mutant: &Mutant| {
        let words = options.only.as_deref().unwrap_or_default();
        mutant.as_str().contains(words)
    };
    let mutants: Vec<Mutant> = Mutant::ALL.iter().copied().filter(chosen).collect();
    let next = AtomicUsize::new(0);
    let finds: Mutex<Vec<(Mutant, Option<Find>)>> = Mutex::default();
    let work = || {
        while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
            let find = hunted(*mutant, options);
            let mut finds = finds.lock().unwrap_or_else(PoisonError::into_inner);
            finds.push((*mutant, find));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.threads() {
            scope.spawn(work);
        }
    });
    let mut finds = finds.into_inner().unwrap_or_else(PoisonError::into_inner);
    finds.sort_by_key(|(mutant, _)| *mutant);
    println!("{:48} {:>6}  {:38} seed", "mutant", "seeds", "law");
    for (mutant, find) in &finds {
        match find {
            Some(find) => println!(
                "{:48} {:>6}  {:38} {}",
                mutant.as_str(),
                find.seeds,
                find.law.to_string(),
                find.seed
            ),
            None => println!("{:48} {:>6}  NOT FOUND", mutant.as_str(), options.seeds),
        }
    }
    let missed = finds.iter().filter(|(_, find)| find.is_none()).count();
    println!(
        "simulate: {} mutants in {:.0} s, {missed} not found",
        finds.len(),
        started.elapsed().as_secs_f64()
    );
    missed == 0
}

/// How a mutant was found.
#[cfg(feature = "mutants")]
struct Find {
    seed: u64,
    seeds: u64,
    law: cloakroom_simulation::Law,
}

#[cfg(feature = "mutants")]
fn hunted(mutant: cloakroom_core::mutant::Mutant, options: &Options) -> Option<Find> {
    use cloakroom_core::mutant;
    use cloakroom_simulation::{Playing, play};

    mutant::switch(Some(mutant));
    let found = (0..options.seeds).find_map(|at| {
        let seed = options.from + at;
        let violation = play(seed, &Playing::default()).violation?;
        Some(Find {
            seed,
            seeds: at + 1,
            law: violation.law,
        })
    });
    mutant::switch(None);
    found
}
