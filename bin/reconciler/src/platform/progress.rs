//! How far a pass over a platform has come: a bar on a terminal, nothing otherwise.

use cloakroom_reconcile::PlatformPhase;
use indicatif::ProgressBar;

use crate::output::Console;
use crate::progress;

/// Shows what a pass is busy with, on standard error; gone when dropped.
pub struct PlatformProgress {
    bar: Option<ProgressBar>,
}

impl PlatformProgress {
    /// A bar where a person sees standard error; silence otherwise.
    pub fn new(console: &Console) -> Self {
        Self {
            bar: progress::spinner(console, "{spinner} {human_pos} {msg}"),
        }
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
