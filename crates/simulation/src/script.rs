//! What befalls a world, drawn before it begins, so that an event can be left out without moving the
//! others.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom_core::Randomness as _;
use cloakroom_core::store::Job;
use cloakroom_testkit::SeededRandomness;

use crate::setting::Setting;
use crate::stage::Weather;

/// Somebody begins something, or something befalls everybody.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Create {
        workspace: u128,
    },
    Edit {
        masked: bool,
        checked: bool,
    },
    Remove {
        checked: bool,
    },
    Check,
    Read,
    Run {
        job: Job,
        overrides: bool,
    },
    RunAll,
    /// A process that runs jobs when it is asked to, for a while.
    Serve,
    /// The same of another deployment, or of a copy of this one, on the same managers.
    Beside(Deed),
    /// The database is copied, and whoever is given the copy works with it.
    Copy,
    PlanAndApply(Job),
    /// A plan is made while the store's clock runs ahead, and applied when it is right again.
    PlanAhead(Duration),
    ReleaseQuarantine,
    /// An operator says that this database goes on.
    AdoptEpochs,
    /// An operator takes secrets into the ledger that it lost.
    Sweep,
    /// An operator takes a run back.
    Undo,
    /// One that is at work is dropped where it stands.
    Cut,
    /// One that is at work stands still.
    Freeze,
    /// All that stand still go on.
    Thaw,
    /// Time passes and every process with it.
    Pass(Duration),
    /// Time passes while every process stands still.
    Sleep(Duration),
    Weather(Weather),
    /// The store's clock runs this far ahead.
    ClockAhead(Duration),
    /// Somebody makes a backup of the database.
    Snapshot,
    /// The database is as it was at one of the backups inside the horizon.
    Restore,
    /// Somebody takes every document away, past the store.
    Empty,
    /// An operator lets go of what no document refers to any more since then.
    LetGo,
    /// A person schedules the deletion of something in use.
    Accident,
    /// Somebody else's secret takes the name that would be next.
    Stranger,
    /// A person locks a secret in the manager: it cannot be deleted from then on.
    Lock,
    /// Documents are moved from one manager to the other.
    Move,
    /// Every job runs under a configuration that gives two managers each other's names.
    Mistype {
        /// Whether its operator says that it is right, and passes what guards can be passed.
        sure: bool,
    },
}

/// What another deployment does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    Create,
    Edit,
    Remove,
    RunAll,
    Sweep,
    /// An operator says of a copy that it is the database that goes on.
    Adopt,
}

impl Deed {
    const ALL: [Self; 7] = [
        Self::Create,
        Self::Create,
        Self::Edit,
        Self::Remove,
        Self::RunAll,
        Self::Sweep,
        Self::Adopt,
    ];
}

/// An event, and how many turns are taken before it.
#[derive(Clone, Debug)]
pub(crate) struct Scheduled {
    pub(crate) event: Event,
    pub(crate) turns: u64,
}

/// Which events are left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mask {
    pub(crate) left_out: BTreeSet<usize>,
}

/// The whole script of a seed.
pub(crate) fn script(random: &SeededRandomness, setting: &Setting) -> Vec<Scheduled> {
    let dice = random.stream("script");
    let first = Scheduled {
        event: Event::Create { workspace: 1 },
        turns: 0,
    };
    let rest = (1..setting.events).map(|_| {
        let turns = match dice.below(4) {
            0 => 0,
            1 => dice.below(8),
            2 => dice.below(60),
            _ => 400,
        };
        Scheduled {
            event: event(&dice, setting),
            turns,
        }
    });
    std::iter::once(first).chain(rest).collect()
}

fn event(dice: &SeededRandomness, setting: &Setting) -> Event {
    let trouble = setting.trouble;
    let job = *dice.choose(&Job::ALL).unwrap_or(&Job::ExpireOrphans);
    let time = |least: u64, steps: u64| Duration::from_secs(least << dice.below(steps));
    loop {
        return match dice.below(108) {
            0..12 => Event::Create {
                workspace: 1 + u128::from(dice.below(2)),
            },
            12..28 => Event::Edit {
                masked: dice.happens(0.4),
                checked: dice.happens(0.6),
            },
            28..34 => Event::Remove {
                checked: dice.happens(0.3),
            },
            34..38 => Event::Check,
            38..42 => Event::Read,
            42..54 => Event::Run {
                job,
                overrides: dice.happens(0.3),
            },
            54..60 => Event::RunAll,
            // Three hours or five: longer than a writer's rows last.
            60..65 if trouble.clock && dice.happens(0.5) => Event::PlanAhead(time(9_600, 2)),
            60..65 => Event::PlanAndApply(job),
            65 => Event::ReleaseQuarantine,
            66..69 => Event::Undo,
            69..73 => Event::Cut,
            73..75 => Event::Freeze,
            75..77 => Event::Thaw,
            // A second to nine hours; three minutes to four days.
            77..80 => Event::Pass(time(1, 16)),
            80..86 => Event::Sleep(time(180, 12)),
            86..92 if trouble.faults => Event::Weather(weather(dice)),
            // Ten minutes to five hours.
            92 | 93 if trouble.clock => Event::ClockAhead(match dice.below(2) {
                0 => Duration::ZERO,
                _ => time(600, 6),
            }),
            94..97 if trouble.copies => Event::Copy,
            94..98 if trouble.locks => Event::Lock,
            94 | 95 if trouble.emptied => Event::Empty,
            96 if trouble.emptied => Event::LetGo,
            94..96 if trouble.moves => Event::Move,
            96 | 97 if trouble.moves => Event::Mistype {
                sure: dice.happens(0.5),
            },
            94 if trouble.restores => Event::Snapshot,
            95 if trouble.restores => Event::Restore,
            96 if trouble.restores => match dice.below(3) {
                0 => Event::AdoptEpochs,
                1 => Event::Sweep,
                _ => Event::Snapshot,
            },
            97 if trouble.accidents => Event::Accident,
            98 | 99 if trouble.strangers => Event::Stranger,
            100 | 101 => Event::Serve,
            102..108 if trouble.neighbour || trouble.copies => {
                Event::Beside(*dice.choose(&Deed::ALL).unwrap_or(&Deed::RunAll))
            }
            _ => continue,
        };
    }
}

fn weather(dice: &SeededRandomness) -> Weather {
    let share = || match dice.below(3) {
        0 => 0.0,
        _ => dice.fraction() * 0.15,
    };
    match dice.below(5) {
        0 => Weather::default(),
        _ => Weather {
            request_lost: share(),
            response_lost: share(),
            throttled: share(),
            denied: share(),
            slow: share(),
            late: share() / 2.0,
            store_lost: share() / 4.0,
        },
    }
}
