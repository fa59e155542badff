//! What a seed's world is like: the managers, the settings of writers and jobs, and what may befall.

use std::time::Duration;

use cloakroom_core::capabilities::{ListOrder, NativeExpiry, Recovery};
use cloakroom_core::ledger::Windows;
use cloakroom_core::{Capabilities, RetryPolicy};
use cloakroom_documents::Settings as DocumentSettings;
use cloakroom_reconcile::Settings as JobSettings;
use cloakroom_testkit::{MemoryBackend, SeededRandomness};

/// What may befall in this seed beside the everyday.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trouble {
    /// Requests and answers get lost.
    pub(crate) faults: bool,
    /// The database is restored from an earlier snapshot.
    pub(crate) restores: bool,
    /// The store's clock runs ahead and is set right.
    pub(crate) clock: bool,
    /// A person deletes what is in use, recoverably.
    pub(crate) accidents: bool,
    /// Somebody else's secrets bear names of ours.
    pub(crate) strangers: bool,
    /// Another deployment works on the same managers.
    pub(crate) neighbour: bool,
    /// A copy of the database is made, and works on the same managers beside its original.
    pub(crate) copies: bool,
    /// The documents are taken away behind the store's back, and brought back in the end.
    pub(crate) emptied: bool,
    /// Secrets are locked in the manager, so that they cannot be deleted.
    pub(crate) locks: bool,
    /// Documents are moved from one manager to the other, and somebody confuses the two's names.
    pub(crate) moves: bool,
}

/// One manager.
#[derive(Clone)]
pub(crate) struct ManagerSetting {
    pub(crate) capabilities: Capabilities,
    pub(crate) page: usize,
    /// Whether it keeps what was deleted until a run purges it.
    pub(crate) keeps: bool,
}

/// One seed's world.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) trouble: Trouble,
    pub(crate) managers: Vec<ManagerSetting>,
    pub(crate) documents: DocumentSettings,
    pub(crate) jobs: JobSettings,
    /// How many events there are.
    pub(crate) events: u64,
    /// How likely a task loiters at an await point.
    pub(crate) loiters: f64,
}

impl Setting {
    pub(crate) fn of(random: &SeededRandomness) -> Self {
        let dice = random.stream("setting");
        let trouble = Trouble {
            faults: dice.happens(0.75),
            restores: dice.happens(0.3),
            clock: dice.happens(0.25),
            accidents: dice.happens(0.2),
            strangers: dice.happens(0.25),
            neighbour: dice.happens(0.25),
            copies: false,
            emptied: false,
            locks: false,
            moves: false,
        };
        // What else befalls would hide whose doing it was.
        let copies = random.stream("copies").happens(0.15);
        let trouble = if copies {
            Trouble {
                faults: trouble.faults,
                copies,
                ..Trouble::default()
            }
        } else if !trouble.restores && random.stream("locks").happens(0.15) {
            Trouble {
                faults: trouble.faults,
                neighbour: trouble.neighbour,
                locks: true,
                ..Trouble::default()
            }
        } else if !trouble.restores && random.stream("emptied").happens(0.15) {
            Trouble {
                faults: trouble.faults,
                emptied: true,
                ..Trouble::default()
            }
        } else if !trouble.restores && random.stream("moves").happens(0.15) {
            Trouble {
                faults: trouble.faults,
                moves: true,
                ..Trouble::default()
            }
        } else {
            trouble
        };
        let managers = 1 + u8::from(dice.happens(0.3) || trouble.moves);
        let policy = RetryPolicy {
            retries: [0, 2, 4][below(&dice, 3)],
            ..RetryPolicy::default()
        };
        let few = |most: u64| u32::try_from(1 + dice.below(most)).unwrap_or(1);
        Self {
            trouble,
            managers: (0..managers).map(|_| manager(&dice)).collect(),
            documents: DocumentSettings {
                put: policy,
                puts_in_flight: 1 + below(&dice, 4),
                ..DocumentSettings::default()
            },
            jobs: JobSettings {
                windows: Windows {
                    keep_superseded: u32::from(dice.happens(0.2)),
                    ..Windows::default()
                },
                batch: few(6),
                page: few(6),
                request: policy,
                share_from: [3, 20][below(&dice, 2)],
                attempts: [1, 2, 5][below(&dice, 3)].try_into().unwrap_or(1),
                // One shorter than a claim lets two runs come upon the same row.
                lease: [Duration::from_secs(30), Duration::from_mins(3)][below(&dice, 2)],
                ..JobSettings::default()
            },
            events: 20 + dice.below(40),
            loiters: [0.0001, 0.01, 0.04][below(&dice, 3)],
        }
    }
}

fn below(dice: &SeededRandomness, bound: u64) -> usize {
    usize::try_from(dice.below(bound)).unwrap_or_default()
}

fn manager(dice: &SeededRandomness) -> ManagerSetting {
    let recovery = |days: u64| Recovery {
        shortest: Duration::from_hours(1),
        longest: Duration::from_hours(24 * days),
    };
    let recovery = [Some(recovery(30)), Some(recovery(2)), None][below(dice, 3)];
    let batch = [1, 3, 20][below(dice, 3)];
    let any = MemoryBackend::CAPABILITIES;
    ManagerSetting {
        capabilities: Capabilities {
            put_batch: batch,
            get_batch: batch,
            describe_batch: batch,
            delete_batch: batch,
            recovery,
            native_expiry: if dice.happens(0.7) {
                NativeExpiry::Deletes
            } else {
                NativeExpiry::Absent
            },
            listing_lag: Duration::from_secs([0, 0, 60][below(dice, 3)]),
            list_order: if dice.happens(0.6) {
                ListOrder::Coordinate
            } else {
                ListOrder::Unspecified
            },
            delete_precondition: dice.happens(0.5),
            ..any
        },
        page: 1 + below(dice, 8),
        keeps: dice.stream("keeps").happens(0.4),
    }
}
