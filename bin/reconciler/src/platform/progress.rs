//! How far a pass over a platform has come: a bar on a terminal, nothing otherwise.

use std::time::Duration;

use cloakroom_reconcile::PlatformPhase;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Console;

/// Shows what a pass is busy with, on standard error; gone when dropped.
pub struct PlatformProgress {
    bar: Option<ProgressBar>,
}

impl PlatformProgress {
    /// A bar where a person sees standard error; silence otherwise.
    pub fn new(console: &Console) -> Self {
        let bar = console.stderr_is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar }
    }

    /// Shows how many there are so far.
    pub fn show(&self, phase: PlatformPhase, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(phase.as_str());
            bar.set_position(done);
        }
    }
}

impl Drop for PlatformProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
