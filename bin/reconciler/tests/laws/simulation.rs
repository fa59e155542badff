//! Random operations against a model: writers that die, faults, late puts, jumps of the clock and runs
//! of the jobs in any order. At every step what is in use can be read, and at the end, after quiet time
//! and passes, the backend holds what is referenced and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom_core::store::{DocumentStore as _, Job};
use cloakroom_core::{DocumentId, ErrorKind, Randomness as _, SecretBackend as _, SecretJson};
use cloakroom_reconcile::{Guard, RunOptions};
use cloakroom_testkit::SeededRandomness;
use serde_json::{Value, json};

use crate::harness::{Fate, Kind, MASK, World, hours, workspace};

const ROUNDS: u64 = 6;
const OPERATIONS: usize = 80;

#[derive(Clone, Debug)]
enum Operation {
    Create,
    Edit,
    MaskedSave,
    Remove,
    Check,
    CutCreate(usize),
    CutEdit(usize),
    Wait(Duration),
    Run(Job),
    CutRun(Job, usize),
    LateLanding,
    Verify,
}

#[derive(Clone, Copy, Debug)]
enum Weather {
    Fair,
    Backend(f64),
    Store(usize, Fate),
}

struct Simulation {
    world: World,
    dice: SeededRandomness,
    model: BTreeMap<DocumentId, Value>,
    values: u64,
}

pub(crate) async fn everything_at_once(kind: Kind, seed: u64) {
    let rounds = std::env::var("CLOAKROOM_TEST_ROUNDS")
        .ok()
        .and_then(|it| it.parse().ok());
    for round in 0..rounds.unwrap_or(ROUNDS) {
        Box::pin(Simulation::round(kind, seed + round)).await;
    }
}

impl Simulation {
    async fn round(kind: Kind, seed: u64) {
        let mut world = World::new(kind, seed).await;
        let dice = world.random.stream("dice");
        world.settings.batch = 1 + u32::try_from(dice.below(5)).unwrap();
        world.settings.page = 1 + u32::try_from(dice.below(5)).unwrap();
        let mut simulation = Self {
            world,
            dice,
            model: BTreeMap::new(),
            values: 0,
        };
        for number in 0..OPERATIONS {
            let (operation, weather) = (simulation.operation(), simulation.weather());
            let when = format!("seed {seed}, operation {number}: {operation:?} in {weather:?}");
            simulation.change_weather(weather);
            simulation.act(&operation, &when).await;
            simulation.change_weather(Weather::Fair);
            simulation.assert_in_use(&when).await;
        }
        simulation.calm(&format!("seed {seed}, at the end")).await;
        simulation.world.close().await;
    }

    fn operation(&self) -> Operation {
        let dice = &self.dice;
        let times = usize::try_from(dice.below(40)).unwrap();
        let job = *dice.choose(&Job::ALL).unwrap();
        match dice.below(24) {
            0..4 => Operation::Create,
            4..7 => Operation::Edit,
            7..10 => Operation::MaskedSave,
            10..12 => Operation::Remove,
            12 => Operation::Check,
            13 => Operation::CutCreate(times),
            14 | 15 => Operation::CutEdit(times),
            16..19 => Operation::Wait(Duration::from_mins(1 << dice.below(12))),
            19..21 => Operation::Run(job),
            21 => Operation::CutRun(job, times * 3),
            22 => Operation::LateLanding,
            _ => Operation::Verify,
        }
    }

    fn weather(&self) -> Weather {
        let kinds = [
            ErrorKind::Unavailable,
            ErrorKind::Throttled,
            ErrorKind::Denied,
        ];
        let kind = *self.dice.choose(&kinds).unwrap();
        match self.dice.below(6) {
            0 => Weather::Backend(0.1 + self.dice.fraction() / 2.0),
            1 => {
                let number = usize::try_from(self.dice.below(12)).unwrap();
                let fate = if self.dice.happens(0.5) {
                    Fate::Before(kind)
                } else {
                    Fate::After(kind)
                };
                Weather::Store(number, fate)
            }
            _ => Weather::Fair,
        }
    }

    fn change_weather(&self, weather: Weather) {
        self.world.backend.faults.clear();
        self.world.store.faults.clear();
        match weather {
            Weather::Fair => {}
            Weather::Store(number, fate) => self.world.store.faults.at(number, fate),
            Weather::Backend(share) => {
                let dice = self.dice.stream(&self.values.to_string());
                self.world.backend.faults.set(move |_| {
                    if !dice.happens(share) {
                        return Fate::Pass;
                    }
                    match dice.below(5) {
                        0 => Fate::Before(ErrorKind::Unavailable),
                        1 => Fate::After(ErrorKind::Unavailable),
                        2 => Fate::Before(ErrorKind::Throttled),
                        3 => Fate::After(ErrorKind::Throttled),
                        _ => Fate::Before(ErrorKind::Denied),
                    }
                });
            }
        }
    }

    fn value(&mut self) -> String {
        self.values += 1;
        format!("value-{}", self.values)
    }

    fn config(&mut self) -> Value {
        let mut config = json!({"host": self.value()});
        for field in ["a", "b", "c"] {
            if self.dice.happens(0.7) {
                config[field] = self.value().into();
            }
        }
        let tokens = (0..self.dice.below(4))
            .map(|_| self.value())
            .collect::<Vec<_>>();
        config["t"] = tokens.into();
        config
    }

    /// Another configuration for a document: some values stay, some change, some go.
    fn edited(&mut self, before: &Value) -> Value {
        let fresh = self.config();
        let mut edited = before.clone();
        for field in ["a", "b", "c", "t", "host"] {
            if self.dice.happens(0.5) {
                match fresh.get(field) {
                    Some(value) => edited[field] = value.clone(),
                    None => {
                        edited.as_object_mut().unwrap().shift_remove(field);
                    }
                }
            }
        }
        if let Some(tokens) = edited["t"].as_array_mut()
            && self.dice.happens(0.5)
        {
            tokens.reverse();
        }
        edited
    }

    fn some_document(&self) -> Option<DocumentId> {
        let ids: Vec<DocumentId> = self.model.keys().copied().collect();
        self.dice.choose(&ids).copied()
    }

    async fn act(&mut self, operation: &Operation, when: &str) {
        match operation {
            Operation::Create => self.create(usize::MAX, when).await,
            Operation::CutCreate(times) => self.create(*times, when).await,
            Operation::Edit => self.edit(false, usize::MAX, when).await,
            Operation::MaskedSave => self.edit(true, usize::MAX, when).await,
            Operation::CutEdit(times) => self.edit(false, *times, when).await,
            Operation::Remove => self.remove().await,
            Operation::Check => self.check().await,
            Operation::Wait(time) => self.world.clock.advance(*time),
            Operation::Run(job) => drop(self.world.try_run(*job).await),
            Operation::CutRun(job, times) => {
                drop(self.world.cut(self.world.try_run(*job), *times).await);
            }
            Operation::LateLanding => self.land(when).await,
            Operation::Verify => {
                let options = RunOptions {
                    read_values: true,
                    ..RunOptions::default()
                };
                if let Ok(report) = self.world.run_with(Job::VerifyBlobs, &options).await {
                    assert!(!report.has_findings(), "{when}: {report:#?}");
                }
            }
        }
    }

    async fn create(&mut self, times: usize, when: &str) {
        let config = self.config();
        let workspace = workspace(1 + u128::from(self.dice.below(2)));
        let outcome = self
            .world
            .cut(self.world.create_in(workspace, config.clone()), times)
            .await;
        self.change_weather(Weather::Fair);
        if let Some(Ok(done)) = &outcome {
            assert_eq!(self.world.hydrated(done.id).await, config, "{when}");
        }
        // A writer that was or whose answer was lost, may have written it all the same.
        for summary in self
            .world
            .db
            .list_documents(None, None, 10_000)
            .await
            .unwrap()
        {
            if !self.model.contains_key(&summary.id) {
                assert_eq!(self.world.hydrated(summary.id).await, config, "{when}");
                self.model.insert(summary.id, config.clone());
            }
        }
    }

    async fn edit(&mut self, masked: bool, times: usize, when: &str) {
        let Some(id) = self.some_document() else {
            return;
        };
        let before = self.model[&id].clone();
        let after = self.edited(&before);
        let mut config = after.clone();
        for field in ["a", "b", "c"] {
            if masked && config.get(field).is_some() && config.get(field) == before.get(field) {
                config[field] = MASK.into();
            }
        }
        let outcome = self
            .world
            .cut(self.world.try_update(id, config), times)
            .await;
        self.change_weather(Weather::Fair);
        let hydrated = self.world.hydrated(id).await;
        match outcome {
            Some(Ok(_)) => assert_eq!(hydrated, after, "{when}"),
            _ => assert!(
                hydrated == before || hydrated == after,
                "{when}: {hydrated}"
            ),
        }
        self.model.insert(id, hydrated);
    }

    async fn remove(&mut self) {
        let Some(id) = self.some_document() else {
            return;
        };
        drop(self.world.documents.remove(id, None).await);
        self.change_weather(Weather::Fair);
        if self.world.db.document(id).await.unwrap().is_none() {
            self.model.remove(&id);
        }
    }

    async fn check(&mut self) {
        let config = self.config();
        let spec = crate::harness::spec();
        let put = self
            .world
            .documents
            .put_ephemeral(&spec, SecretJson::new(config.clone()))
            .await;
        self.change_weather(Weather::Fair);
        if let Ok(done) = put {
            let hydrated = self
                .world
                .documents
                .hydrate_ephemeral(done.blob)
                .await
                .unwrap();
            assert_eq!(*hydrated.expose(), config);
        }
    }

    /// A put that was lost on its way arrives after all.
    async fn land(&mut self, when: &str) {
        self.change_weather(Weather::Fair);
        let lost = self.world.backend.lost_puts();
        let Some(request) = self.dice.choose(&lost) else {
            return;
        };
        if let Err(error) = self.world.embedded.put(request).await {
            assert_eq!(
                error.kind(),
                ErrorKind::ScheduledForDeletion,
                "{when}: {error}"
            );
        }
    }

    async fn assert_in_use(&self, when: &str) {
        self.world.assert_nothing_in_use_is_gone(when).await;
        for (id, config) in &self.model {
            assert_eq!(
                self.world.hydrated(*id).await,
                *config,
                "{when}: document {id}"
            );
        }
    }

    /// Quiet time and passes: what failed is tried again, what was parked is released.
    async fn calm(&mut self, when: &str) {
        let overrides = [Guard::ZeroReferences, Guard::Share].into();
        let options = RunOptions {
            overrides,
            ..RunOptions::default()
        };
        for _ in 0..4 {
            self.world.clock.advance(hours(30));
            for job in Job::ALL {
                let report = self.world.run_with(job, &options).await.unwrap();
                assert!(!report.has_findings(), "{when}: {report:#?}");
            }
        }
        self.assert_in_use(when).await;
        self.world.assert_nothing_unused(when).await;
        self.world.db.verify_receipts().await.unwrap();
        let read = RunOptions {
            read_values: true,
            ..RunOptions::default()
        };
        let report = self.world.run_with(Job::VerifyBlobs, &read).await.unwrap();
        assert!(!report.has_findings(), "{when}: {report:#?}");
    }
}
