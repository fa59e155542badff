//! How far a run has come: a bar on a terminal, nothing otherwise, so that a log stays a log.

use std::sync::Mutex;
use std::time::Duration;

use cloakroom_core::BackendId;
use cloakroom_core::store::Job;
use cloakroom_reconcile::{Observer, Phase};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Console;
use crate::standard_error;

/// How often a spinner turns though nothing has happened.
const TURN: Duration = Duration::from_millis(120);

/// A bar over so many steps, of one line that looks like the template, where a person sees standard error.
/// However little the terminal takes, who moves the bar never waits for it.
pub(crate) fn bar(console: &Console, steps: u64, template: &str) -> Option<ProgressBar> {
    made(console, Some(steps), template)
}

/// The same, where nobody knows how many steps there will be; `{spinner}` in its template turns by itself.
pub(crate) fn spinner(console: &Console, template: &str) -> Option<ProgressBar> {
    let spinner = made(console, None, template)?;
    spinner.enable_steady_tick(TURN);
    Some(spinner)
}

fn made(console: &Console, steps: Option<u64>, template: &str) -> Option<ProgressBar> {
    if !console.stderr_is_terminal() {
        return None;
    }
    let bar = ProgressBar::with_draw_target(steps, standard_error::bars());
    look_like(&bar, template);
    Some(bar)
}

/// Lets a bar look like another template.
pub(crate) fn look_like(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

/// Shows what a run is busy with, on standard error.
pub struct Progress {
    bar: Option<ProgressBar>,
    shown: Mutex<Option<(Job, BackendId, Phase)>>,
}

impl Progress {
    /// A bar where a person sees standard error; silence otherwise.
    pub fn new(console: &Console) -> Self {
        Self {
            bar: spinner(console, "{spinner} {msg}: {human_pos} ({elapsed})"),
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
