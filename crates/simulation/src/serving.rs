//! A process that runs jobs by the real driver: asked for before they run, while they run and again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::ledger::Ledger as _;
use cloakroom_core::store::Job;
use cloakroom_core::{Result, Timestamp};
use cloakroom_reconcile::{Activator, Driver, JobRunner, Report};
use tokio_util::sync::CancellationToken;

use crate::actors::Actor;
use crate::happening::Happening;

/// How often whoever asks looks whether all was done.
const LOOKS: Duration = Duration::from_mins(1);

impl Actor {
    /// Serves until everything it was asked for is done.
    pub(crate) async fn serve(self) {
        let stop = CancellationToken::new();
        let jitter = Duration::from_secs(self.dice.below(3) * 20);
        let random = Arc::new(self.dice.stream("driver"));
        let asking = Self {
            world: self.world.clone(),
            dice: self.dice.stream("asking"),
        };
        let runner = Arc::new(Runner(self));
        let (activator, work) = Driver::prepare(runner, random, jitter, stop.clone());
        let asked = async {
            asking.ask(&activator).await;
            stop.cancel();
        };
        futures_util::future::join(work, asked).await;
        let task = asking.world.stage.current();
        asking.world.stage.happened(Happening::DriverEnded { task });
    }

    async fn ask(&self, activator: &Activator) {
        for _ in 0..=self.dice.below(5) {
            let job = *self.dice.choose(&Job::ALL).unwrap_or(&Job::ExpireOrphans);
            let task = self.world.stage.current();
            self.world
                .stage
                .happened(Happening::Activated { task, job });
            activator.activate(job);
            if self.dice.happens(0.3) {
                tokio::time::sleep(Duration::from_secs(1 << self.dice.below(12))).await;
            } else {
                for _ in 0..self.dice.below(40) {
                    self.world.stage.gate("waits").await;
                }
            }
        }
        let busy = || activator.states().iter().any(|it| it.running || it.waiting);
        while busy() {
            tokio::time::sleep(LOOKS).await;
        }
    }
}

/// Runs jobs as one process does, and tells when each begins and ends.
struct Runner(Actor);

#[async_trait]
impl JobRunner for Runner {
    async fn now(&self) -> Result<Timestamp> {
        self.0.world.store.now().await
    }

    async fn run_job(&self, job: Job) -> Vec<Result<Report>> {
        let stage = &self.0.world.stage;
        let task = stage.current();
        stage.happened(Happening::JobBegan { task, job });
        let mut outcomes = Vec::new();
        for backend in self.0.backends() {
            outcomes.push(self.0.run_on(job, &backend, &[]).await);
        }
        stage.happened(Happening::JobEnded { task });
        outcomes
    }
}
