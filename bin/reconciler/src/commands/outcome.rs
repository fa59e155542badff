//! What runs found, did and left, printed; and the exit status it calls for.

use std::collections::BTreeMap;

use cloakroom_core::store::Job;
use cloakroom_core::{BackendId, ErrorKind};
use cloakroom_reconcile::Report;
use serde::Serialize;

use crate::exit::Exit;
use crate::output::{Console, count};
use crate::tables;
use crate::unconfigured::Unconfigured;

/// Runs as they are printed.
#[derive(Default)]
pub(super) struct Runs {
    reports: Vec<Report>,
    errors: Vec<Failure>,
    /// Secrets of backends that no run can look at, since they are not configured.
    unconfigured: BTreeMap<BackendId, u64>,
}

/// A run that could not be carried out.
#[derive(Serialize)]
struct Failure {
    job: Job,
    backend: BackendId,
    kind: ErrorKind,
    error: String,
}

impl Runs {
    /// Takes a run's outcome in; an error is told at once, with its causes.
    pub(super) fn take(
        &mut self,
        job: Job,
        backend: &BackendId,
        outcome: cloakroom_core::Result<Report>,
        console: &Console,
    ) {
        match outcome {
            Ok(report) => self.reports.push(report),
            Err(error) => {
                self.errors.push(Failure {
                    job,
                    backend: backend.clone(),
                    kind: error.kind(),
                    error: error.to_string(),
                });
                console.error(&anyhow::Error::new(error).context(format!("{job} on {backend}")));
            }
        }
    }

    /// Takes in what no run looks at; it is told at once, with what to do.
    pub(super) fn leave(&mut self, unconfigured: &[Unconfigured], console: &Console) {
        for left in unconfigured.iter().filter(|left| left.live() > 0) {
            self.unconfigured.insert(left.backend.clone(), left.live());
            console.error(&anyhow::anyhow!(
                "{} in backend {}, which is not configured: neither verified nor cleared; configure \
                 it again",
                count(left.live(), "secret is", "secrets are"),
                left.backend
            ));
        }
    }

    /// Prints what there is and says how to exit.
    pub(super) fn print(self, console: &Console) -> anyhow::Result<Exit> {
        if console.is_json() {
            console.json(&serde_json::json!({
                "reports": self.reports,
                "errors": self.errors,
                "unconfigured": self.unconfigured,
            }))?;
        } else if !self.reports.is_empty() {
            console.list(&tables::reports(&self.reports))?;
            for remark in self.reports.iter().flat_map(tables::remarks) {
                console.line(remark)?;
            }
        }
        let failed = if self.errors.is_empty() {
            Exit::Done
        } else {
            Exit::Failed
        };
        let left = if self.unconfigured.is_empty() {
            Exit::Done
        } else {
            Exit::Partial
        };
        Ok(self
            .reports
            .iter()
            .map(Exit::of_report)
            .fold(failed.and(left), Exit::and))
    }
}
