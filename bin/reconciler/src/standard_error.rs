//! Standard error, written by a thread of its own: whoever reads it may stop reading, and nobody who
//! works waits for that. Lines of the log are dropped where too much waits, and counted. What is said
//! to a person waits for its turn, as long as anything is read and the process was not asked to stop.
//! A progress bar stands below all that, and of those that nobody read the newest alone is drawn.

mod bars;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use bars::target as bars;

/// Bytes that wait before lines of the log are dropped.
const MOST_WAITING: usize = 4 * 1024 * 1024;

/// How long a line may take to be written before nobody waits for it any longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long anybody waits, whatever is read, once the process was asked to stop.
const HASTE: Duration = Duration::from_secs(1);

/// To the beginning of the line that the bar stands on, and nothing left of it.
const ERASE: &[u8] = b"\r\x1b[2K";

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

/// Lets this stand on the terminal's last line in place of what stands there, once the terminal takes it
/// and unless another has come by then. Nobody waits for that.
fn draw(bar: &str) {
    if let Some(writer) = writer() {
        writer.draw(bar);
    }
}

/// Lets no bar stand any more, and waits until that is so, as `say` waits.
fn erase() {
    if let Some(writer) = writer() {
        writer.erase();
    }
}

/// Lines of the log that this process dropped.
pub(crate) fn dropped() -> u64 {
    WRITER
        .get()
        .copied()
        .flatten()
        .map_or(0, |writer| writer.waiting().dropped)
}

/// Waits until all is written and no bar stands, as long as anything is written. For whoever ends the process.
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
    /// Since when the next line, or a bar, waits to be written.
    since: Option<Instant>,
    /// Since when the process is to stop.
    in_haste: Option<Instant>,
    /// The bar that is to stand below the lines; empty for none.
    wanted: String,
    /// The one that stands there, or is on its way.
    drawn: String,
}

/// What is written at once.
struct Turn {
    bytes: Vec<u8>,
    is_line: bool,
    /// Whether a bar stands there then.
    leaves_bar: bool,
}

impl Waiting {
    fn take(&mut self, line: &[u8]) -> u64 {
        self.since.get_or_insert_with(Instant::now);
        self.bytes += line.len();
        self.lines.push_back(line.to_vec());
        self.taken += 1;
        self.taken
    }

    /// What comes next: lines first, so that a bar stands below them.
    fn next(&mut self) -> Option<Turn> {
        let line = self.lines.pop_front();
        let is_line = line.is_some();
        if !is_line && self.wanted == self.drawn {
            return None;
        }
        self.since.get_or_insert_with(Instant::now);
        let mut bytes = Vec::new();
        if !self.drawn.is_empty() {
            bytes.extend(ERASE);
        }
        let leaves_bar = !is_line && !self.wanted.is_empty();
        if let Some(line) = line {
            self.bytes -= line.len();
            bytes.extend(line);
        } else if leaves_bar {
            self.drawn.clone_from(&self.wanted);
            bytes.extend(self.drawn.as_bytes());
        }
        Some(Turn {
            bytes,
            is_line,
            leaves_bar,
        })
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

    fn draw(&self, bar: &str) {
        bar.clone_into(&mut self.waiting().wanted);
        self.changed.notify_all();
    }

    fn erase(&self) {
        let mut waiting = self.waiting();
        waiting.wanted.clear();
        self.changed.notify_all();
        self.wait(waiting, |waiting| waiting.drawn.is_empty());
    }

    fn flush(&self) {
        let mut waiting = self.waiting();
        waiting.wanted.clear();
        self.changed.notify_all();
        self.wait(waiting, |waiting| {
            waiting.written == waiting.taken && waiting.drawn.is_empty()
        });
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
            let turn = self.next();
            // What cannot be written is lost, and no reason to stop.
            let _ = out.write_all(&turn.bytes);
            // Before the line counts as written: whoever waits for the last one waits for this too.
            let lost = self.waiting().untold();
            if let Some(lost) = lost {
                tracing::warn!(
                    log.lines_dropped = lost,
                    "lines of this log were dropped: standard error was not read"
                );
            }
            self.wrote(&turn);
        }
    }

    fn next(&self) -> Turn {
        let mut waiting = self.waiting();
        loop {
            if let Some(turn) = waiting.next() {
                return turn;
            }
            let woken = self.changed.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wrote(&self, turn: &Turn) {
        let mut waiting = self.waiting();
        waiting.written += u64::from(turn.is_line);
        if !turn.leaves_bar {
            waiting.drawn.clear();
        }
        waiting.since = (!waiting.lines.is_empty()).then(Instant::now);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
