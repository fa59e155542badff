//! How far the sample deployment has come: a bar on a terminal, a line a stretch otherwise,
//! nothing where the output is for a machine.

use std::sync::Mutex;

use indicatif::ProgressBar;

use super::scenario::Watcher;
use crate::output::Console;
use crate::progress;

/// Shows progress on standard error.
pub(super) struct Making<'a> {
    console: &'a Console,
    bar: Option<ProgressBar>,
    shown: Mutex<&'static str>,
}

impl<'a> Making<'a> {
    /// Progress over `steps` steps.
    pub(super) fn new(console: &'a Console, steps: u64) -> Self {
        let bar = if console.is_json() {
            None
        } else {
            let template = "{wide_bar} {percent:>3} %  {msg} ({elapsed})";
            progress::bar(console, steps, template)
        };
        Self {
            console,
            bar,
            shown: Mutex::new(""),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watcher for Making<'_> {
    fn stepped(&self, what: &'static str, steps: u64) {
        let Ok(mut shown) = self.shown.lock() else {
            return;
        };
        let changed = *shown != what;
        *shown = what;
        match &self.bar {
            Some(bar) => {
                bar.inc(steps);
                if changed {
                    bar.set_message(what);
                }
            }
            None if changed && !self.console.is_json() => {
                self.console.note(format_args!("{what} ..."));
            }
            None => {}
        }
    }
}
