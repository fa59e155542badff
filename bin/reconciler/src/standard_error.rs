//! Standard error, written by a thread of its own: whoever reads it may stop reading, and nobody who
//! works waits for that. Lines of the log are dropped where too much waits, and counted. What is said
//! to a person waits for its turn, as long as anything is read and the process was not asked to stop.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that wait before lines of the log are dropped.
const MOST_WAITING: usize = 4 * 1024 * 1024;

/// How long a line may take to be written before nobody waits for it any longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long anybody waits, whatever is read, once the process was asked to stop.
const HASTE: Duration = Duration::from_secs(1);

/// Takes a line of the log, or drops it where too much waits.
pub(crate) fn log(line: &[u8]) {
    match writer() {
        Some(writer) => writer.log(line),
        None => directly(line),
    }
}

/// Writes a line for a person, behind all that was logged before. Where nobody reads it stays to be written.
pub(crate) fn say(line: &str) {
    let line = format!("{line}\n");
    match writer() {
        Some(writer) => writer.say(line.as_bytes()),
        None => directly(line.as_bytes()),
    }
}

/// Waits until all is written, as long as anything is written. For whoever ends the process.
pub fn flush() {
    if let Some(Some(writer)) = WRITER.get() {
        writer.flush();
    }
}

/// Says that the process was asked to stop: from now on nobody waits long for a reader, however it reads.
pub(crate) fn hurry() {
    if let Some(writer) = writer() {
        writer.hurry();
    }
}

/// Where the subscriber of the log writes its lines, each as one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        log(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static WRITER: OnceLock<Option<&'static Writer>> = OnceLock::new();

/// The one writer of the process; `None` where the system gives it no thread.
fn writer() -> Option<&'static Writer> {
    *WRITER.get_or_init(|| {
        let writer: &'static Writer = Box::leak(Box::default());
        let thread = std::thread::Builder::new().name("standard error".to_owned());
        let started = thread.spawn(move || {
            writer.write_to(&mut io::stderr());
        });
        started.is_ok().then_some(writer)
    })
}

fn directly(line: &[u8]) {
    // Nothing is left to be done where even standard error is gone.
    let _ = io::stderr().write_all(line);
}

#[derive(Debug)]
struct Writer {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    patience: Duration,
    haste: Duration,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            patience: PATIENCE,
            haste: HASTE,
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines that were ever taken.
    taken: u64,
    /// Those of them that were written, or could not be.
    written: u64,
    /// Lines of the log that were not taken.
    dropped: u64,
    /// As many of those were told of.
    told: u64,
    /// Since when the next line waits to be written.
    since: Option<Instant>,
    /// Since when the process is to stop.
    in_haste: Option<Instant>,
}

impl Waiting {
    fn take(&mut self, line: &[u8]) -> u64 {
        self.since.get_or_insert_with(Instant::now);
        self.bytes += line.len();
        self.lines.push_back(line.to_vec());
        self.taken += 1;
        self.taken
    }

    /// How many were dropped that nobody was told of, once there is room for telling it.
    fn untold(&mut self) -> Option<u64> {
        let lost = self.dropped - self.told;
        if lost == 0 || self.bytes > MOST_WAITING / 2 {
            return None;
        }
        self.told = self.dropped;
        Some(lost)
    }
}

impl Writer {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes + line.len() > MOST_WAITING {
            waiting.dropped += 1;
            return;
        }
        waiting.take(line);
        self.changed.notify_all();
    }

    fn say(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        let mine = waiting.take(line);
        self.changed.notify_all();
        self.wait(waiting, |waiting| waiting.written >= mine);
    }

    fn flush(&self) {
        self.wait(self.waiting(), |waiting| waiting.written == waiting.taken);
    }

    fn hurry(&self) {
        self.waiting().in_haste.get_or_insert_with(Instant::now);
        self.changed.notify_all();
    }

    /// Waits until it `is_done`, or until one line has taken longer than there is patience; in haste no longer
    /// than that in all.
    fn wait(&self, mut waiting: MutexGuard<'_, Waiting>, is_done: impl Fn(&Waiting) -> bool) {
        let began = Instant::now();
        while !is_done(&waiting) {
            let left = self.left(&waiting, began);
            if left.is_zero() {
                return;
            }
            let woken = self.changed.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How long whoever waits since it `began` still does.
    fn left(&self, waiting: &Waiting, began: Instant) -> Duration {
        let standstill = waiting.since.unwrap_or(began).elapsed();
        match waiting.in_haste {
            None => self.patience.saturating_sub(standstill),
            Some(haste) => {
                let waited = began.max(haste).elapsed();
                self.haste.saturating_sub(standstill.max(waited))
            }
        }
    }

    fn write_to(&self, out: &mut impl Write) -> ! {
        loop {
            let line = self.next();
            // A line that cannot be written is lost, and no reason to stop.
            let _ = out.write_all(&line);
            // Before the line counts as written: whoever waits for the last one waits for this too.
            let lost = self.waiting().untold();
            if let Some(lost) = lost {
                tracing::warn!(
                    log.lines_dropped = lost,
                    "lines of this log were dropped: standard error was not read"
                );
            }
            self.wrote();
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut waiting = self.waiting();
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.bytes -= line.len();
                return line;
            }
            let woken = self.changed.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wrote(&self) {
        let mut waiting = self.waiting();
        waiting.written += 1;
        waiting.since = (!waiting.lines.is_empty()).then(Instant::now);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
