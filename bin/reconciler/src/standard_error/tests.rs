//! What is told on standard error holds nobody up, and nothing of it is lost where somebody reads.

use std::io::PipeReader;
use std::io::{BufRead as _, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A writer into a pipe that nobody reads yet.
fn unread() -> (&'static Writer, PipeReader) {
    into_a_pipe(Writer::default())
}

fn into_a_pipe(writer: Writer) -> (&'static Writer, PipeReader) {
    let (reader, mut pipe) = io::pipe().unwrap();
    let writer: &'static Writer = Box::leak(Box::new(writer));
    std::thread::spawn(move || writer.write_to(&mut pipe));
    (writer, reader)
}

fn line(number: usize) -> Vec<u8> {
    format!("{number:0>99}\n").into_bytes()
}

/// More lines than pipe and queue hold together.
const TOO_MANY: usize = MOST_WAITING / 50;

/// Whoever logs never waits; what was taken comes whole and in order, and every line that is missing is
/// counted.
#[test]
fn nobody_waits_for_a_reader_and_what_is_dropped_is_counted() {
    let (writer, mut reader) = unread();
    for number in 0..TOO_MANY {
        writer.log(&line(number));
    }
    let taken = {
        let waiting = writer.waiting();
        assert!(waiting.bytes <= MOST_WAITING);
        assert_eq!(waiting.taken + waiting.dropped, TOO_MANY as u64);
        assert!(waiting.dropped > 0);
        usize::try_from(waiting.taken).unwrap()
    };
    let mut read = vec![0; taken * 100];
    reader.read_exact(&mut read).unwrap();
    for (number, got) in read.chunks(100).enumerate() {
        assert_eq!(got, line(number));
    }
}

/// What the subscriber of a test writes to.
struct To(&'static Writer);

impl Write for To {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.log(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// In the log's own form, to the reader that came back.
#[test]
fn the_log_tells_how_many_of_its_lines_were_dropped() {
    let (reader, mut pipe) = io::pipe().unwrap();
    let writer: &'static Writer = Box::leak(Box::default());
    let log = tracing_subscriber::fmt().json().flatten_event(true);
    let log = log.with_writer(move || To(writer)).finish();
    // While there is one alone, a thread of another test that has none decides whether the line is wanted.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    std::thread::spawn(move || {
        tracing::subscriber::with_default(log, || -> () { writer.write_to(&mut pipe) });
    });
    for number in 0..TOO_MANY {
        writer.log(&line(number));
    }
    let dropped = writer.waiting().dropped;
    let told = io::BufReader::new(reader)
        .lines()
        .map(Result::unwrap)
        .find(|line| line.starts_with('{'));
    let told: serde_json::Value = serde_json::from_str(&told.unwrap()).unwrap();
    assert_eq!(told["log.lines_dropped"], dropped, "{told}");
}

/// Told once, when there is room for it again.
#[test]
fn what_was_dropped_is_told_once_there_is_room() {
    let mut waiting = Waiting {
        dropped: 3,
        bytes: MOST_WAITING,
        ..Waiting::default()
    };
    assert_eq!(waiting.untold(), None);
    waiting.bytes = 0;
    assert_eq!(waiting.untold(), Some(3));
    assert_eq!(waiting.untold(), None);
    waiting.dropped += 1;
    assert_eq!(waiting.untold(), Some(1));
}

#[test]
fn what_is_said_is_written_behind_the_log_when_it_returns() {
    let (writer, mut reader) = unread();
    writer.log(b"first\n");
    writer.say(b"second\n");
    let mut read = [0; 13];
    reader.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"first\nsecond\n");
    assert_eq!(writer.waiting().written, 2);
    writer.flush();
}

/// Asked to stop, nobody waits any longer, neither who waits already nor who comes later.
#[test]
fn in_haste_nobody_waits_for_a_reader_that_reads_nothing() {
    let (writer, reader) = unread();
    for number in 0..TOO_MANY {
        writer.log(&line(number));
    }
    let speaker = std::thread::spawn(move || writer.say(b"a word\n"));
    writer.hurry();
    speaker.join().unwrap();
    writer.say(b"another\n");
    writer.flush();
    let waiting = writer.waiting();
    assert!(waiting.written < waiting.taken);
    drop((waiting, reader));
}

/// A command that fails ends also where nobody reads why. Whoever reads after all finds it there.
#[test]
fn what_is_said_waits_no_longer_than_patience_for_a_reader_that_reads_nothing() {
    let (writer, mut reader) = into_a_pipe(Writer {
        patience: Duration::from_millis(1),
        ..Writer::default()
    });
    for number in 0..5_000 {
        writer.log(&line(number));
    }
    writer.say(b"why\n");
    writer.flush();
    {
        let waiting = writer.waiting();
        assert!(waiting.written < waiting.taken);
    }
    let mut read = vec![0; 500_004];
    reader.read_exact(&mut read).unwrap();
    assert!(read.ends_with(b"why\n"));
}

/// A reader that reads, and gets more to read for all that it read, never comes to an end.
#[test]
fn in_haste_the_wait_ends_also_while_a_slow_reader_reads() {
    let (writer, mut reader) = into_a_pipe(Writer {
        patience: Duration::from_mins(10),
        haste: Duration::from_millis(20),
        ..Writer::default()
    });
    for number in 0..5_000 {
        writer.log(&line(number));
    }
    let ended = Arc::new(AtomicBool::new(false));
    let reading = std::thread::spawn({
        let ended = Arc::clone(&ended);
        move || {
            while !ended.load(Ordering::Relaxed) {
                reader.read_exact(&mut [0; 100]).unwrap();
                writer.log(&line(0));
            }
            reader
        }
    });
    let speaker = std::thread::spawn(move || {
        writer.say(b"");
        writer.flush();
    });
    writer.hurry();
    speaker.join().unwrap();
    writer.flush();
    {
        let waiting = writer.waiting();
        assert!(waiting.written < waiting.taken);
    }
    ended.store(true, Ordering::Relaxed);
    reading.join().unwrap();
}

/// Whoever reads fast enough gets all of it.
#[test]
fn in_haste_all_is_written_to_whoever_reads() {
    let (writer, mut reader) = into_a_pipe(Writer {
        haste: Duration::from_mins(10),
        ..Writer::default()
    });
    writer.hurry();
    for number in 0..5_000 {
        writer.log(&line(number));
    }
    let read = std::thread::spawn(move || {
        let mut read = vec![0; 500_000];
        reader.read_exact(&mut read).map(|()| read)
    });
    writer.flush();
    assert_eq!(writer.waiting().written, 5_000);
    assert_eq!(read.join().unwrap().unwrap().len(), 500_000);
}

/// What stands in each row in the end.
fn rows(written: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(written).unwrap();
    let erase = std::str::from_utf8(ERASE).unwrap();
    text.split('\n')
        .map(|row| row.rsplit(erase).next().unwrap())
        .collect()
}

/// All that was written, once this line is at its end.
fn up_to(last: &str, reader: &mut PipeReader) -> Vec<u8> {
    let mut written = Vec::new();
    while !written.ends_with(last.as_bytes()) {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        written.extend(byte);
    }
    written
}

/// However they come, and whichever bars are drawn: lines stand whole, in order, and no bar among them.
#[test]
fn a_bar_tears_no_line_and_is_gone_when_it_is_erased() {
    let (writer, mut reader) = unread();
    let mut expected = Vec::new();
    for number in 0..200 {
        writer.draw(&format!("bar {number}"));
        if number % 3 == 0 {
            writer.log(format!("logged {number}\n").as_bytes());
            expected.push(format!("logged {number}"));
        }
        if number % 5 == 0 {
            writer.say(format!("said {number}\n").as_bytes());
            expected.push(format!("said {number}"));
        }
        if number % 7 == 0 {
            writer.erase();
            assert!(writer.waiting().drawn.is_empty());
        }
    }
    writer.flush();
    writer.log(b"the end");
    expected.push("the end".to_owned());
    let written = up_to("the end", &mut reader);
    assert_eq!(rows(&written), expected);
}

/// A drawn bar comes back below the line that took its place.
#[test]
fn a_bar_comes_back_below_a_line() {
    let (writer, mut reader) = unread();
    writer.draw("bar");
    up_to("bar", &mut reader);
    writer.log(b"a line\n");
    let written = up_to("bar", &mut reader);
    assert_eq!(written, [ERASE, b"a line\nbar"].concat());
}

/// Nobody waits, nothing piles up, and of bars that came meanwhile the newest alone is drawn.
#[test]
fn of_bars_that_nobody_read_the_newest_is_drawn() {
    let (writer, mut reader) = unread();
    // More than the pipe holds, and before any bar.
    let line = vec![b'x'; 1 << 20];
    writer.log(&line);
    for number in 0..10_000 {
        writer.draw(&format!("bar {number}"));
    }
    let mut read = vec![0; line.len()];
    reader.read_exact(&mut read).unwrap();
    assert_eq!(up_to("9999", &mut reader), b"bar 9999");
}

#[test]
fn a_bar_that_cannot_be_erased_holds_nobody_up_for_long() {
    let (writer, _reader) = into_a_pipe(Writer {
        patience: Duration::from_millis(1),
        ..Writer::default()
    });
    let wide = "x".repeat(1 << 20);
    writer.draw(&wide);
    while writer.waiting().drawn.is_empty() {
        std::thread::yield_now();
    }
    writer.erase();
    writer.flush();
    assert!(!writer.waiting().drawn.is_empty());
}
