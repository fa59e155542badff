//! Migrations, ways back and edits in any order: wherever a run that is complete says that OpenMetadata is to be set to,
//! it reads there what was saved last.

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
    /// From where OpenMetadata has its secrets to one of the other places.
    Migrate(usize),
    /// One of the runs so far.
    Reverse(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Save),
        1 => Just(Step::Empty),
        4 => (0..PLACES.len()).prop_map(Step::Migrate),
        4 => any::<usize>().prop_map(Step::Reverse),
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
        // Saved in a manager that neither side of the run is.
        vec![
            Step::Empty,
            Step::Migrate(google),
            Step::Migrate(ssm),
            Step::Save,
            Step::Reverse(0),
        ],
    ]
}

/// One OpenMetadata with one field.
struct Walk<'s> {
    stage: &'s Stage,
    /// Where it has its secrets.
    home: &'static str,
    /// What was saved last; `None` is nothing.
    saved: Option<String>,
    runs: Vec<(&'static str, &'static str, MigrationReport)>,
}

pub(crate) async fn what_was_saved_last_is_read_wherever_a_run_leads(bench: Bench) {
    bench.with_a_table().await;
    let mut runner = TestRunner::deterministic();
    let steps = prop::collection::vec(step(), 4..12);
    let random = (0..WALKS).map(|_| steps.new_tree(&mut runner).unwrap().current());
    for steps in known().into_iter().chain(random) {
        bench.sql("DELETE FROM dbservice_entity").await;
        let mut stage = Stage::on(&bench);
        stage.ssm_is_another();
        stage.with_password(1, "one", "first").await;
        let mut walk = Walk {
            stage: &stage,
            home: "db",
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

impl Walk<'_> {
    async fn take(&mut self, number: usize, step: &Step) {
        match step {
            Step::Save => self.save(Some(format!("saved {number}"))).await,
            Step::Empty => self.save(None).await,
            Step::Migrate(place) => {
                let (from, to) = (self.home, PLACES[*place]);
                if from != to {
                    let done = self.stage.copy(from, to).await;
                    self.follow(to, &done);
                    self.runs.push((from, to, done));
                }
            }
            Step::Reverse(index) if !self.runs.is_empty() => {
                let (from, to, run) = &self.runs[index % self.runs.len()];
                let migration = self.stage.migration(from, to);
                let back = migration.reverse(run.id.unwrap(), false, &Unobserved);
                let mut back = back.await.unwrap();
                let looked = migration.look_beside(&mut back, &Unobserved).await;
                looked.unwrap();
                let from = *from;
                self.follow(from, &back);
            }
            Step::Reverse(_) => {}
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
        self.stage.bench.sql(&edit_of(1, "one", &row)).await;
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
            "aws" => Some((&self.stage.aws, on_aws("one"))),
            "ssm" => Some((&self.stage.ssm, on_aws("one"))),
            "google" => Some((&self.stage.google, on_google("one"))),
            _ => None,
        }
    }
}
