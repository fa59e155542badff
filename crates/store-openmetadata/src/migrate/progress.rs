//! How far a run has come.

use super::MigrationObserver;

/// How many of a run's rows, or fields, were seen to.
pub(super) struct Progress {
    done: u64,
    of: u64,
}

impl Progress {
    pub(super) fn new(observer: &dyn MigrationObserver, of: u64) -> Self {
        observer.progressed(0, of);
        Self { done: 0, of }
    }

    pub(super) fn one_more(&mut self, observer: &dyn MigrationObserver) {
        self.come_to(self.done + 1, observer);
    }

    /// Past what is told of a table as a whole, as rows that could not be read.
    pub(super) fn come_to(&mut self, done: u64, observer: &dyn MigrationObserver) {
        if done > self.done {
            self.done = done;
            self.of = self.of.max(done);
            observer.progressed(self.done, self.of);
        }
    }
}
