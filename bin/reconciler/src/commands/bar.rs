//! A bar on a terminal for work that counts what it has done, and the wish to stop.

use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;

use crate::output::Console;
use crate::{progress, signals};

/// Shows how far the work has come; nothing where standard error is no terminal.
pub(super) struct Bar {
    bar: Option<ProgressBar>,
    stop: CancellationToken,
}

impl Bar {
    /// A bar with what it counts, and times, behind its numbers; a signal asks the work to stop.
    pub(super) fn new(console: &Console, words: &str) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        signals::cancel_on_signal(stop.clone())?;
        let bar = progress::bar(console, 0, &template(words));
        Ok(Self { bar, stop })
    }

    /// From now on it counts something else, from nothing on.
    pub(super) fn begin_anew(&self, words: &str) {
        if let Some(bar) = &self.bar {
            progress::look_like(bar, &template(words));
            bar.set_length(0);
            bar.reset();
        }
    }

    pub(super) fn show(&self, done: u64, of: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(of.max(done));
            bar.set_position(done);
        }
    }

    pub(super) fn told_to_stop(&self) -> bool {
        self.stop.is_cancelled()
    }
}

fn template(words: &str) -> String {
    format!("{{bar:30}} {{human_pos}} of {{human_len}} {words}")
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
