//! A deployment in a folder of its own, and the real program on it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use cloakroom_testkit::canary::{Folder, MARKER, assert_clean};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _, SqliteConnection};

/// In every secret of every test: found anywhere it does not belong, it is a leak.
pub const CANARY: &str = MARKER;

pub const WORKSPACE: &str = "6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11";

/// Opening and writing that come back instead of waiting.
pub const O_NONBLOCK: i32 = 0o4000;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What a process that ended left.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// No value is in what a command said, unless it was told to reveal one.
    fn of(self, arguments: &[&str]) -> Self {
        let command = arguments.join(" ");
        assert_clean(&format!("stderr of {command}"), self.stderr.as_bytes());
        if !arguments.contains(&"--reveal") {
            assert_clean(&format!("stdout of {command}"), self.stdout.as_bytes());
        }
        self
    }

    /// The result, of a command that did all it was to do.
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    pub fn json(self) -> Value {
        let text = self.done();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The lines of a list.
    pub fn json_lines(self) -> Vec<Value> {
        self.done()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What a command that ended with `code` says; nothing secret in it.
    pub fn refused(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(
            !self.stderr.contains(CANARY) && !self.stdout.contains(CANARY),
            "{self:?}"
        );
        self.stderr
    }
}

/// A folder with a configuration and a database.
pub struct Deployment {
    pub folder: Folder,
    environment: Vec<(String, String)>,
}

impl Deployment {
    /// A deployment with an empty database.
    pub fn new() -> Self {
        Self::with("")
    }

    /// The same, with more in its configuration.
    pub fn with(configuration: &str) -> Self {
        let deployment = Self::without_database(configuration);
        deployment.run(&["migrate-schema"]).done();
        deployment
    }

    pub fn without_database(configuration: &str) -> Self {
        let folder = Folder::new().unwrap();
        let deployment = Self {
            folder,
            environment: Vec::new(),
        };
        deployment.configure(configuration);
        deployment.write("spec.json", SPEC);
        deployment
    }

    pub fn configure(&self, configuration: &str) {
        let text = format!("store: {{sqlite: {{path: cloakroom.db}}}}\n{configuration}\n");
        self.write("reconciler.yaml", &text);
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        if text.contains(CANARY) {
            self.folder.leave_out(&path);
        }
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The same as a file that nobody else can read or change, whatever new ones are.
    pub fn write_for_owner(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.write(name, text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The test itself puts a value into the database, in clear.
    pub fn leave_out_the_database(&self) {
        for name in ["cloakroom.db", "cloakroom.db-wal", "cloakroom.db-shm"] {
            self.folder.leave_out(&self.path(name));
        }
    }

    /// The program with nothing of the caller's environment that could change what it does.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconciler"));
        command
            .env_clear()
            .env("CLOAKROOM_CONFIG", self.path("reconciler.yaml"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        finish(self.command(arguments).spawn().unwrap()).of(arguments)
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let ended = finish(child);
        writer.join().unwrap();
        ended.of(arguments)
    }

    /// Puts a new document and gives back its id.
    pub fn put(&self, config: &str) -> String {
        let arguments = [
            "document",
            "put",
            "--spec",
            "spec.json",
            "--workspace",
            WORKSPACE,
            "--output",
            "json",
            "-",
        ];
        let done = self.run_with_input(&arguments, config).json();
        done["id"].as_str().unwrap().to_owned()
    }

    pub fn hydrated(&self, id: &str) -> Value {
        self.run(&["document", "hydrate", id, "--reveal"]).json()
    }

    /// Starts `serve` on a free port and waits until it listens.
    pub fn serve(&self, arguments: &[&str]) -> Served {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        Served::start(self.command(&all))
    }
}

/// Asks a process to end.
pub fn terminate(child: &Child) {
    signal(child, "-TERM");
}

/// Sends a signal such as `-USR1`.
pub fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// The deployment's database, beside the program.
pub async fn connection(deployment: &Deployment) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(deployment.path("cloakroom.db"))
        .connect()
        .await
        .unwrap()
}

/// Changes the deployment's database beside the program.
pub fn behind_its_back(deployment: &Deployment, statement: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut connection = connection(deployment).await;
        connection.execute(statement).await.unwrap();
    });
}

/// A process that is killed when the test fails.
pub struct Running(pub Child);

impl Running {
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for the end of a process that was asked to: its exit status.
pub fn ended(child: &mut Child) -> Option<i32> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it does not stop");
        }
        std::thread::yield_now();
    }
}

/// Where to write what a process reads from this named pipe, once it has opened it.
pub fn other_end(pipe: &Path, child: &mut Child) -> File {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Refused for as long as nobody reads.
        let opened = File::options()
            .write(true)
            .custom_flags(O_NONBLOCK)
            .open(pipe);
        if let Ok(writer) = opened {
            return writer;
        }
        assert_eq!(child.try_wait().unwrap(), None, "it ended");
        assert!(Instant::now() < deadline, "it does not read the pipe");
        std::thread::yield_now();
    }
}

/// Waits for the end of a process.
pub fn finish(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Body and status of a request.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_clean(path, answer.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

/// A `serve` that listens. Killed when dropped.
pub struct Served {
    pub child: Child,
    pub address: SocketAddr,
    log: std::thread::JoinHandle<String>,
}

impl Served {
    pub fn start(mut command: Command) -> Self {
        Self::listening(command.spawn().unwrap())
    }

    /// Waits until a `serve` that was started listens.
    pub fn listening(mut child: Child) -> Self {
        let stderr = child.stderr.take().unwrap();
        let (found, address) = std::sync::mpsc::channel();
        let log = std::thread::spawn(move || follow(stderr, &found));
        let Ok(address) = address.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("it does not listen: {}", log.join().unwrap());
        };
        Self {
            child,
            address,
            log,
        }
    }

    /// Body and status of a request.
    pub fn get(&self, path: &str) -> (u16, String) {
        get(self.address, path)
    }

    pub fn status(&self) -> Value {
        let (code, body) = self.get("/status");
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Asks again and again until `holds`.
    pub fn wait_for(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what}: {status:#}");
            std::thread::yield_now();
        }
    }

    /// Waits for an end that nobody asked for: exit status and log.
    pub fn ended_by_itself(mut self) -> (Option<i32>, String) {
        let log = std::mem::replace(&mut self.log, std::thread::spawn(String::new));
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || ended.send(log.join().unwrap()));
        let log = end.recv_timeout(PATIENCE).expect("it goes on");
        assert_clean("the log", log.as_bytes());
        (self.child.wait().unwrap().code(), log)
    }

    /// Sends SIGTERM and waits for the end: exit status, time it took, and the log.
    pub fn terminate(mut self) -> (Option<i32>, Duration, String) {
        let began = Instant::now();
        terminate(&self.child);
        let code = ended(&mut self.child);
        let took = began.elapsed();
        let log = std::mem::replace(&mut self.log, std::thread::spawn(String::new));
        let log = log.join().unwrap();
        assert_clean("the log", log.as_bytes());
        (code, took, log)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(stderr: ChildStderr, found: &std::sync::mpsc::Sender<SocketAddr>) -> String {
    let mut log = String::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let address = serde_json::from_str::<Value>(&line)
            .ok()
            .and_then(|line| line["http.address"].as_str()?.parse().ok());
        if let Some(address) = address {
            let _ = found.send(address);
        }
        log.push_str(&line);
        log.push('\n');
    }
    log
}

/// Lets a command run as a user whom file permissions bind; the superuser is not.
pub fn without_privileges(command: &mut Command, folder: &Path) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if root {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(65534).gid(65534);
    }
}

pub const SPEC: &str = r#"{
    "type": "object",
    "properties": {
        "host": {"type": "string"},
        "password": {"type": "string", "airbyte_secret": true},
        "tokens": {"type": "array", "items": {"type": "string", "airbyte_secret": true}}
    }
}"#;

/// A configuration with one secret.
pub fn config(secret: &str) -> String {
    serde_json::json!({"host": "db.example.com", "password": format!("{CANARY}-{secret}")})
        .to_string()
}

/// A configuration with `count` secrets.
pub fn config_of_many(count: usize) -> String {
    let tokens: Vec<String> = (0..count)
        .map(|at| format!("{CANARY}-token-{at:05}"))
        .collect();
    serde_json::json!({"host": "db.example.com", "tokens": tokens}).to_string()
}
