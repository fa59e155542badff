//! What is told on standard error holds nobody up, and nothing of it is lost where somebody reads.

use std::io::PipeReader;
use std::io::{BufRead as _, Read as _};

use super::*;

/// A writer into a pipe that nobody reads yet.
fn unread() -> (&'static Writer, PipeReader) {
    let (reader, mut pipe) = io::pipe().unwrap();
    let writer: &'static Writer = Box::leak(Box::default());
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

/// A slow reader is no reason to lose anything: as long as it reads, the end waits.
#[test]
fn in_haste_all_is_written_to_whoever_reads() {
    let (writer, mut reader) = unread();
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
