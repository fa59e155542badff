//! Where progress bars are drawn: on the last line of the terminal, by the thread that writes there, so
//! that a terminal that takes nothing holds up no work and no line of the log is torn.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use console::{Term, is_dumb, truncate_str};
use indicatif::{ProgressDrawTarget, TermLike};

/// As often as indicatif draws on its own.
const A_SECOND: u8 = 20;

/// For one bar of one line at a time; nothing is drawn on a terminal that can erase nothing.
pub(crate) fn target() -> ProgressDrawTarget {
    if is_dumb() {
        return ProgressDrawTarget::hidden();
    }
    let line = LastLine {
        terminal: Term::stderr(),
        bar: Mutex::default(),
    };
    ProgressDrawTarget::term_like_with_hz(Box::new(line), A_SECOND)
}

/// Collects a bar and hands it over whole. What erases the one before is for the writer to say: it alone
/// knows what stands there.
#[derive(Debug)]
struct LastLine {
    terminal: Term,
    bar: Mutex<String>,
}

impl LastLine {
    fn bar(&self) -> MutexGuard<'_, String> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TermLike for LastLine {
    fn width(&self) -> u16 {
        self.terminal.size().1
    }

    fn height(&self) -> u16 {
        self.terminal.size().0
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.bar().push_str(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let bar = std::mem::take(&mut *self.bar());
        // In two lines it could not be erased as one.
        let bar = truncate_str(bar.trim_end(), self.width().into(), "");
        if bar.is_empty() {
            super::erase();
        } else {
            super::draw(&bar);
        }
        Ok(())
    }
}
