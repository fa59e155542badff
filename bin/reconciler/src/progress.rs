//! How far a run has come: a bar on a terminal, nothing otherwise, so that a log stays a log.

use std::sync::Mutex;
use std::time::Duration;

use cloakroom_core::BackendId;
use cloakroom_core::store::Job;
use cloakroom_reconcile::{Observer, Phase};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Console;

/// Shows what a run is busy with, on standard error.
pub struct Progress {
    bar: Option<ProgressBar>,
    shown: Mutex<Option<(Job, BackendId, Phase)>>,
}

impl Progress {
    /// A bar where a person sees standard error; silence otherwise.
    pub fn new(console: &Console) -> Self {
        let bar = console.stderr_is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {msg}: {human_pos} ({elapsed})")
            {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            bar,
            shown: Mutex::new(None),
        }
    }
}

impl Observer for Progress {
    fn progressed(&self, job: Job, backend: &BackendId, phase: Phase, done: u64) {
        let Some(bar) = &self.bar else { return };
        let now = (job, backend.clone(), phase);
        if let Ok(mut shown) = self.shown.lock()
            && shown.as_ref() != Some(&now)
        {
            bar.set_message(format!("{job} on {backend}, {}", phase.as_str()));
            *shown = Some(now);
        }
        bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
