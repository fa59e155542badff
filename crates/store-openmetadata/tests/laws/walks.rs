//! Migrations, ways back and edits in any order: wherever a run that is complete says that OpenMetadata is to be set to,
//! it reads there what was saved last. So it does where nothing says where OpenMetadata keeps its secrets, as before the
//! first run that is through, and where the runs do, which are refused out of their order.

use cloakroom_core::{ErrorKind, Result};
use cloakroom_store_openmetadata::{MigrationReport, Reference};
use cloakroom_testkit::MemoryBackend;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::stage::{PASSWORD, Stage, Unobserved, delete, edit_of, on_aws, on_google, put, there};
use crate::support::Bench;

const PLACES: [&str; 4] = ["db", "aws", "ssm", "google"];

const WALKS: usize = 30;

#[derive(Clone, Debug)]
enum Step {
    /// Somebody saves another value in OpenMetadata.
    Save,
    /// Somebody takes it out.
    Empty,
    /// Somebody gives the service its other name.
    Rename,
    /// From where OpenMetadata has its secrets to one of the other places.
    Migrate(usize),
    /// From any place to any other, whichever it has them in.
    Between(usize, usize),
    /// One of the runs so far.
    Reverse(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Save),
        1 => Just(Step::Empty),
        1 => Just(Step::Rename),
        4 => (0..PLACES.len()).prop_map(Step::Migrate),
        4 => any::<usize>().prop_map(Step::Reverse),
    ]
}

/// Of those that runs know the order of.
fn step_in_order() -> impl Strategy<Value = Step> {
    let place = 0..PLACES.len();
    prop_oneof![
        6 => step(),
        3 => (place.clone(), place).prop_map(|(from, to)| Step::Between(from, to)),
    ]
}

/// Walks that once ended with another value than was saved.
fn known() -> Vec<Vec<Step>> {
    let [aws, ssm, google] = [1, 2, 3];
    vec![
        // Saved where nothing had been taken, under an id that an earlier run gave, which was taken back.
        vec![
            Step::Migrate(aws),
            Step::Reverse(0),
            Step::Empty,
            Step::Migrate(ssm),
            Step::Save,
            Step::Reverse(0),
        ],
        // Empty while OpenMetadata went on, and saved where it came to.
        vec![
            Step::Migrate(google),
            Step::Migrate(ssm),
            Step::Empty,
            Step::Reverse(0),
            Step::Migrate(aws),
            Step::Save,
            Step::Reverse(1),
        ],
        // Emptied where a run had led that was gone on from, and saved under its id elsewhere.
        vec![
            Step::Migrate(ssm),
            Step::Migrate(0),
            Step::Reverse(1_986_972_468_915_571_159),
            Step::Migrate(aws),
            Step::Save,
            Step::Empty,
            Step::Migrate(ssm),
            Step::Save,
            Step::Save,
            Step::Reverse(8_215_125_555_235_983_315),
        ],
        // Emptied where a run had led, and saved elsewhere: what that run had left is no copy of it.
        vec![
            Step::Migrate(aws),
            Step::Empty,
            Step::Migrate(ssm),
            Step::Save,
            Step::Migrate(aws),
        ],
        // Saved in a manager that neither side of the run is.
        vec![
            Step::Empty,
            Step::Migrate(google),
            Step::Migrate(ssm),
            Step::Save,
            Step::Reverse(0),
        ],
        // Saved again behind two runs that passed it by with nothing in it, the first of them taken back.
        vec![
            Step::Migrate(aws),
            Step::Migrate(ssm),
            Step::Empty,
            Step::Migrate(google),
            Step::Migrate(aws),
            Step::Save,
            Step::Reverse(2),
        ],
    ]
}

/// One OpenMetadata with one field.
struct Walk<'s> {
    stage: &'s Stage,
    /// Where it has its secrets.
    home: &'static str,
    /// What the service is called.
    name: &'static str,
    /// What was saved last; `None` is nothing.
    saved: Option<String>,
    runs: Vec<(&'static str, &'static str, MigrationReport)>,
}

pub(crate) async fn what_was_saved_last_is_read_wherever_a_run_leads(bench: Bench) {
    walk_all(bench, true, step()).await;
}

pub(crate) async fn what_was_saved_last_is_read_where_runs_know_their_order(bench: Bench) {
    walk_all(bench, false, step_in_order()).await;
}

async fn walk_all(bench: Bench, in_any_order: bool, step: impl Strategy<Value = Step>) {
    bench.with_a_table().await;
    let mut runner = TestRunner::deterministic();
    let steps = prop::collection::vec(step, 4..12);
    let random = (0..WALKS).map(|_| steps.new_tree(&mut runner).unwrap().current());
    for steps in known().into_iter().chain(random) {
        bench.sql("DELETE FROM dbservice_entity").await;
        let mut stage = Stage::on(&bench);
        if in_any_order {
            stage = stage.in_any_order();
        }
        stage.ssm_is_another();
        stage.with_password(1, "one", "first").await;
        let mut walk = Walk {
            stage: &stage,
            home: "db",
            name: "one",
            saved: Some("first".to_owned()),
            runs: Vec::new(),
        };
        for (number, step) in steps.iter().enumerate() {
            walk.take(number, step).await;
            let read = walk.read().await;
            assert_eq!(
                read, walk.saved,
                "at {} behind step {number} of {steps:?}",
                walk.home
            );
        }
    }
}

/// What a run did that was not refused for its order.
fn unless_refused(done: Result<MigrationReport>) -> Option<MigrationReport> {
    match done {
        Err(error) if error.kind() == ErrorKind::Conflict => None,
        done => Some(done.unwrap()),
    }
}

impl Walk<'_> {
    async fn take(&mut self, number: usize, step: &Step) {
        match step {
            Step::Save => self.save(Some(format!("saved {number}"))).await,
            Step::Empty => self.save(None).await,
            Step::Rename => {
                self.name = if self.name == "one" { "two" } else { "one" };
                self.save(self.saved.clone()).await;
            }
            Step::Migrate(place) => self.migrate(self.home, PLACES[*place]).await,
            Step::Between(from, to) => self.migrate(PLACES[*from], PLACES[*to]).await,
            Step::Reverse(index) if !self.runs.is_empty() => {
                let (from, to, run) = &self.runs[index % self.runs.len()];
                let (migration, from) = (self.stage.migration(from, to), *from);
                let back = migration.reverse(run.id.unwrap(), false, &Unobserved);
                if let Some(mut back) = unless_refused(back.await) {
                    let looked = migration.look_beside(&mut back, false, &Unobserved);
                    looked.await.unwrap();
                    self.follow(from, &back);
                }
            }
            Step::Reverse(_) => {}
        }
    }

    async fn migrate(&mut self, from: &'static str, to: &'static str) {
        if from == to {
            return;
        }
        let done = self.stage.try_to_copy(from, to, &Unobserved).await;
        if let Some(done) = unless_refused(done) {
            self.follow(to, &done);
            self.runs.push((from, to, done));
        }
    }

    /// An operator sets OpenMetadata to where a run leads once nothing is left to be done.
    fn follow(&mut self, place: &'static str, report: &MigrationReport) {
        if report.is_complete() {
            self.home = place;
        }
    }

    /// As OpenMetadata saves a field.
    async fn save(&mut self, value: Option<String>) {
        let row = match (&value, self.manager()) {
            (None, _) => "null".to_owned(),
            (Some(value), None) => value.clone(),
            (Some(value), Some((manager, name))) => {
                if there(manager, &name).await.is_some() {
                    delete(manager, &name).await;
                }
                put(manager, &name, value).await;
                Reference::to(name).to_string()
            }
        };
        self.stage.bench.sql(&edit_of(1, self.name, &row)).await;
        self.saved = value;
    }

    /// As OpenMetadata reads it.
    async fn read(&self) -> Option<String> {
        let text = self
            .stage
            .field(1, PASSWORD)
            .await
            .filter(|it| it != "null")?;
        let (Some(reference), Some((manager, _))) = (Reference::read(&text), self.manager()) else {
            return Some(text);
        };
        there(manager, reference.id()).await
    }

    /// The manager that has its secrets, and the field's id there.
    fn manager(&self) -> Option<(&MemoryBackend, String)> {
        match self.home {
            "aws" => Some((&self.stage.aws, on_aws(self.name))),
            "ssm" => Some((&self.stage.ssm, on_aws(self.name))),
            "google" => Some((&self.stage.google, on_google(self.name))),
            _ => None,
        }
    }
}
