//! On a terminal: one that takes nothing holds up no work, and what stands there stands whole.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use common::{Deployment, ended};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{FlowArg, tcflow};

/// What begins a line anew.
const ERASED: &str = "\r\x1b[2K";

const COLUMNS: u16 = 80;

/// A terminal, from both sides.
struct Terminal {
    person: File,
    program: OwnedFd,
}

impl Terminal {
    fn new() -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let both = openpty(&size, None).unwrap();
        Self {
            person: both.master.into(),
            program: both.slave,
        }
    }

    /// As Ctrl-S does: from now on it takes nothing.
    fn held(self) -> Self {
        tcflow(&self.program, FlowArg::TCOOFF).unwrap();
        self
    }

    /// Starts a program that a person at this terminal sees the errors of.
    fn start(&self, command: &mut Command) -> Child {
        let program = self.program.try_clone().unwrap();
        command
            .env("TERM", "xterm")
            .stderr(Stdio::from(program))
            .spawn()
            .unwrap()
    }

    /// All that a program shows that ends by itself.
    fn shown(mut self, mut command: Command) -> String {
        let mut child = self.start(&mut command);
        // As long as anybody else could write there is no end.
        drop((command, self.program));
        let reading = std::thread::spawn(move || {
            let mut shown = Vec::new();
            let end = self.person.read_to_end(&mut shown).unwrap_err();
            assert_eq!(end.raw_os_error(), Some(nix::libc::EIO), "{end}");
            String::from_utf8(shown).unwrap()
        });
        assert_eq!(ended(&mut child), Some(0));
        reading.join().unwrap()
    }
}

/// A demo with its result in a file.
fn demo(deployment: &Deployment, more: &[&str]) -> Command {
    let mut command = deployment.command(&["demo", "--once", "--documents", "40"]);
    let result = File::create(deployment.path("result")).unwrap();
    command.args(["--folder", "demo"]).args(more).stdout(result);
    command
}

/// What a person reads in the end: of each line what came after it was last erased.
fn rows(shown: &str) -> impl Iterator<Item = &str> {
    let rows = shown.split("\r\n");
    rows.map(|row| row.rsplit(ERASED).next().unwrap_or_default())
}

fn has_bar(row: &str) -> bool {
    row.contains(['█', '░']) || row.contains(" on embedded, ")
}

/// Its bars cannot be drawn; its jobs are done, and it says what came of them.
#[test]
fn a_terminal_that_takes_nothing_holds_up_no_work() {
    let deployment = Deployment::without_database("");
    let terminal = Terminal::new().held();
    let mut child = terminal.start(&mut demo(&deployment, &[]));
    assert_eq!(ended(&mut child), Some(0));
    let result = std::fs::read_to_string(deployment.path("result")).unwrap();
    for job in ["verify-blobs", "expire-orphans", "delete-superseded"] {
        assert!(result.contains(job), "{job}: {result}");
    }
}

/// Whatever is logged meanwhile, and it leaves nothing behind.
#[test]
fn a_bar_stands_on_a_line_of_its_own() {
    let deployment = Deployment::without_database("");
    let logging = demo(&deployment, &["--log-level", "debug"]);
    let shown = Terminal::new().shown(logging);
    assert!(has_bar(&shown), "{shown}");
    let rows: Vec<&str> = rows(&shown).collect();
    let logged = |row: &&&str| row.contains("DEBUG");
    assert!(rows.iter().filter(logged).count() > 10, "{shown}");
    let torn: Vec<&&str> = rows.iter().filter(|row| has_bar(row)).collect();
    assert_eq!(torn, Vec::<&&str>::new());
    assert_eq!(rows.last(), Some(&""));
}
