//! Laws of the driver: one job at a time, and none that was asked for is left out.

use std::collections::BTreeSet;

use cloakroom_core::store::Job;

use super::{Law, Laws, Verdict, broken};

/// Where a driver stands, by what it was asked and what it began.
#[derive(Default)]
pub(super) struct Driven {
    asked: BTreeSet<Job>,
    running: Option<Job>,
}

impl Laws {
    pub(super) fn activated(&mut self, task: usize, job: Job) {
        self.driven.entry(task).or_default().asked.insert(job);
    }

    pub(super) fn job_began(&mut self, task: usize, job: Job) -> Verdict {
        let driven = self.driven.entry(task).or_default();
        driven.asked.remove(&job);
        match driven.running.replace(job) {
            None => Ok(()),
            Some(other) => broken(Law::Alone, format!("{job} began while {other} ran")),
        }
    }

    pub(super) fn job_ended(&mut self, task: usize) {
        self.driven.entry(task).or_default().running = None;
    }

    /// One that was cut never comes here.
    pub(super) fn driver_ended(&mut self, task: usize) -> Verdict {
        let driven = self.driven.remove(&task).unwrap_or_default();
        match driven.asked.first() {
            None => Ok(()),
            Some(job) => broken(
                Law::Activations,
                format!("a driver ended that had been asked for {job} and never ran it"),
            ),
        }
    }
}
