//! The service: what it answers, and how it stops.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use common::{
    CANARY, Deployment, O_NONBLOCK, PATIENCE, Served, behind_its_back, config, config_of_many,
    ended, finish, get, other_end, signal,
};
use serde_json::{Value, json};

/// Every job far away, so that only what a test asks for runs.
const NEVER: &str = "0 0 29 2 *";

#[test]
fn it_tells_metrics_health_and_status() {
    let deployment = Deployment::new();
    deployment.put(&config("one"));
    let served = deployment.serve(&[]);
    assert_eq!(served.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(served.get("/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(served.get("/nothing").0, 404);
    let (code, metrics) = served.get("/metrics");
    assert_eq!(code, 200);
    for line in [
        "cloakroom_runs_total{job_name=\"expire-orphans\",outcome=\"failed\"} 0",
        "cloakroom_secrets{backend=\"embedded\",state=\"stored\"} 1",
        "cloakroom_guard_trips_total{backend=\"embedded\",guard=\"zero-references\"} 0",
    ] {
        assert!(
            metrics.lines().any(|other| other == line),
            "{line} is not in\n{metrics}"
        );
    }
    let status = served.status();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["secrets"]["embedded"]["stored"], 1);
    let jobs = status["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 3);
    assert!(
        jobs.iter().all(|job| job["next_run"].is_string()),
        "{status:#}"
    );
    let (code, _, log) = served.terminate();
    assert_eq!(code, Some(0), "{log}");
}

/// `serve 2>&1 | head`, or a terminal that was closed.
#[test]
fn it_stops_also_when_nobody_reads_the_log() {
    let deployment = Deployment::new();
    let mut child = deployment
        .command(&["serve", "--listen", "127.0.0.1:0"])
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("http.address")));
    drop(log);
    signal(&child, "-TERM");
    assert_eq!(ended(&mut child), Some(0));
}

#[test]
fn a_log_that_cannot_be_written_stops_no_work() {
    let deployment = Deployment::new();
    deployment.put(&config("one"));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = deployment.command(&["run", "all", "--log-level", "debug"]);
    command.stderr(full);
    let ended = finish(command.spawn().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// A pipe with no room left that nobody reads: a collector of logs that hangs, a terminal after Ctrl-S.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, pipe) = std::io::pipe().unwrap();
    // A handle of its own: it must not wait, and the program's must.
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let mut filling = File::options()
        .write(true)
        .custom_flags(O_NONBLOCK)
        .open(path)
        .unwrap();
    while filling.write(&[b'x'; 4096]).is_ok() {}
    (reader, pipe.into())
}

#[test]
fn it_serves_and_stops_while_nobody_reads_its_log() {
    let deployment = Deployment::new();
    let (_unread, full) = full_pipe();
    let (mut child, _) = serving_unread(&deployment, "debug", full);
    let began = Instant::now();
    signal(&child, "-TERM");
    assert_eq!(ended(&mut child), Some(0));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// By one who can still ask, since nobody reads it in the log.
#[test]
fn lines_of_the_log_that_nobody_read_are_counted() {
    const DROPPED: &str = "\ncloakroom_log_lines_dropped_total ";
    let deployment = Deployment::new();
    let (_unread, full) = full_pipe();
    let (mut child, address) = serving_unread(&deployment, "trace", full);
    let deadline = Instant::now() + PATIENCE;
    loop {
        get(address, "/status");
        let metrics = get(address, "/metrics").1;
        let (_, dropped) = metrics.split_once(DROPPED).unwrap();
        if !dropped.starts_with("0\n") {
            break;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("nothing is dropped");
        }
    }
    signal(&child, "-TERM");
    assert_eq!(ended(&mut child), Some(0));
}

/// A `serve` that answers, with such a log that goes nowhere.
fn serving_unread(deployment: &Deployment, level: &str, full: Stdio) -> (Child, SocketAddr) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let listen = address.to_string();
    let line = ["serve", "--listen", &listen, "--log-level", level];
    let mut child = deployment.command(&line).stderr(full).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !deployment
        .run(&["health", "--listen", &listen])
        .stdout
        .contains("ok")
    {
        assert_eq!(child.try_wait().unwrap(), None, "it ended");
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it does not serve");
        }
    }
    (child, address)
}

#[test]
fn a_run_ends_while_nobody_reads_its_log() {
    let deployment = Deployment::new();
    deployment.put(&config("one"));
    let (_unread, full) = full_pipe();
    let mut command = deployment.command(&["run", "all", "--log-level", "debug"]);
    let mut child = command.stderr(full).spawn().unwrap();
    assert_eq!(ended(&mut child), Some(0));
}

/// A container whose log hangs starts again, and a script goes on.
#[test]
fn what_fails_ends_while_nobody_reads_why() {
    let deployment = Deployment::without_database("store: {postgres: {url: {env: NOWHERE}}}");
    let (_unread, full) = full_pipe();
    let mut failing = deployment.command(&["serve"]);
    let mut failing = failing.stderr(full).spawn().unwrap();
    let (_unread, full) = full_pipe();
    let mut misused = deployment.command(&["serve", "--nonsense"]);
    let mut misused = misused.stderr(full).spawn().unwrap();
    assert_eq!(ended(&mut failing), Some(1));
    assert_eq!(ended(&mut misused), Some(2));
}

#[test]
fn a_demo_stops_while_nobody_reads_what_it_says() {
    let deployment = Deployment::without_database("");
    let folder = deployment.path("demo");
    let (_unread, full) = full_pipe();
    let mut command = deployment.command(&["demo", "--once", "--folder"]);
    let mut child = command.arg(&folder).stderr(full).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !folder.join("cloakroom.db").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended");
        assert!(Instant::now() < deadline, "it makes nothing");
        std::thread::yield_now();
    }
    signal(&child, "-TERM");
    assert_eq!(ended(&mut child), Some(5));
}

/// Whatever holds it up, and though what it says arrives nowhere.
#[test]
fn a_second_signal_ends_it_at_once() {
    let deployment = Deployment::with("http: {token_file: token}");
    let (_unread, full) = full_pipe();
    let (mut child, _held) = held_up_by_its_token(&deployment, full);
    // Two of one kind may come as one.
    signal(&child, "-TERM");
    signal(&child, "-INT");
    assert_eq!(ended(&mut child), Some(130));
}

#[test]
fn what_does_not_stop_in_time_is_ended() {
    let deployment = Deployment::with("http: {token_file: token}\nshutdown: {deadline: 1s}");
    let (mut child, _held) = held_up_by_its_token(&deployment, Stdio::piped());
    signal(&child, "-TERM");
    assert_eq!(ended(&mut child), Some(6));
    let told = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    assert!(told.contains("did not stop within 1s"), "{told}");
}

/// A manager that takes every request and answers none, with one that it was asked.
type Silent = (TcpListener, TcpStream);

/// A `serve` with a run that waits for a silent manager for longer than any test lasts.
fn waiting_for_a_silent_manager(more: &str) -> (Silent, Deployment, Served) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let deployment = Deployment::with(&format!(
        "default_backend: silent\nbackends: {{talks: {{type: embedded}}, silent: {{type: vault, \
         address: 'http://{address}', timeout: 10m, auth: {{token: {{file: token}}}}}}}}\n\
         reconcile: {{request: {{deadline: 10m}}, claim_deadline: 40m, lease: 1h}}\njobs: {{jitter: 0s, \
         expire-orphans: {{cron: '{NEVER}'}}, delete-superseded: {{cron: '{NEVER}'}}, \
         verify-blobs: {{cron: '{NEVER}'}}}}\n{more}"
    ));
    deployment.write("token", CANARY);
    let served = deployment.serve(&[]);
    signal(&served.child, "-USR1");
    silent.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let unanswered = loop {
        if let Ok((stream, _)) = silent.accept() {
            break stream;
        }
        assert!(Instant::now() < deadline, "nobody asks the manager");
        std::thread::yield_now();
    };
    ((silent, unanswered), deployment, served)
}

/// Whether the run gives up or the process is ended: one status says that it was not done in time.
#[test]
fn a_run_that_waits_for_its_manager_past_the_deadline_is_told_as_not_stopped_in_time() {
    let (_silent, _deployment, served) = waiting_for_a_silent_manager("shutdown: {deadline: 1s}");
    let (code, _, log) = served.terminate();
    assert_eq!(code, Some(6), "{log}");
    assert!(log.contains("did not finish within 1s"), "{log}");
}

#[test]
fn a_silent_manager_keeps_no_other_backend_waiting() {
    let (_silent, _deployment, served) = waiting_for_a_silent_manager("");
    served.wait_for("a run that ended beside one that waits", |status| {
        let jobs = status["jobs"].as_array().unwrap();
        let at_work = jobs.iter().filter(|job| job["running"] == json!(true));
        let mut reports = at_work.flat_map(|job| job["reports"].as_array().unwrap());
        reports.any(|report| report["backend"] == "talks")
    });
}

/// Meant for a program that reads its files anew; a service manager that starts it again on failure would
/// leave it off.
#[test]
fn a_hangup_leaves_a_service_at_work() {
    let deployment = Deployment::new();
    let served = deployment.serve(&[]);
    for _ in 0..3 {
        signal(&served.child, "-HUP");
    }
    signal(&served.child, "-USR1");
    served.wait_for("a run of each job", |status| {
        let jobs = status["jobs"].as_array().unwrap();
        jobs.iter().all(|job| job["runs"].as_u64() > Some(0))
    });
    assert_eq!(served.status()["stopping"], false);
    let (code, _, log) = served.terminate();
    assert_eq!(code, Some(0), "{log}");
    let told = log.lines().find(|line| line.contains("SIGHUP"));
    assert!(
        told.is_some_and(|line| line.contains("nothing is reloaded")),
        "{log}"
    );
}

/// Nothing of a short command's log is lost, and what it says stands behind what it logged before.
#[test]
fn the_log_of_a_short_command_is_whole() {
    let deployment = Deployment::new();
    let ended = deployment.run(&["document", "get", "nothing", "--log-level", "trace"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let missing = "11111111-2222-4333-8444-555555555555";
    let told = deployment
        .run(&["document", "get", missing, "--log-level", "trace"])
        .refused(1);
    let lines: Vec<&str> = told.lines().collect();
    let error = lines.iter().position(|line| line.starts_with("error: "));
    let error = error.unwrap_or_else(|| panic!("{told}"));
    assert!(error > 0, "it logged nothing before: {told}");
    let log = lines.iter().filter(|line| line.starts_with('{'));
    for line in log {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

/// A small image has nothing else to ask with.
#[test]
fn the_program_asks_a_running_one_how_it_is() {
    let deployment = Deployment::new();
    let served = deployment.serve(&[]);
    let address = served.address.to_string();
    let health = |more: &[&str]| {
        let mut line = vec!["health", "--listen", &address];
        line.extend(more);
        deployment.run(&line)
    };
    assert_eq!(health(&[]).done(), "ok\n");
    assert_eq!(health(&["--ready"]).done(), "ready\n");
    assert_eq!(health(&["--output", "json"]).json()["answer"], "ok");

    behind_its_back(&deployment, "ALTER TABLE runs RENAME TO elsewhere");
    let refused = health(&["--ready"]).refused(1);
    assert!(refused.contains("answers: the store"), "{refused}");
    assert_eq!(health(&[]).done(), "ok\n", "it is alive all the same");
    assert_eq!(served.terminate().0, Some(0));
    let nobody = health(&[]).refused(1);
    assert!(nobody.contains(&address), "{nobody}");
}

/// The database is gone and its key file is not. The empty one in its place says so wherever it is asked,
/// and goes to work: keys may be given to a first start.
#[test]
fn a_database_that_may_have_been_lost_says_so() {
    let deployment = Deployment::new();
    deployment.put(&config("one"));
    let keys = File::options()
        .write(true)
        .open(deployment.path("cloakroom.key"))
        .unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(400_000);
    keys.set_modified(long_ago).unwrap();
    let doubt = || {
        let status = deployment.run(&["status", "--output", "json"]).json();
        status["doubt"].as_str().map(str::to_owned)
    };
    assert_eq!(doubt(), None, "something is in it");
    for name in ["cloakroom.db", "cloakroom.db-wal", "cloakroom.db-shm"] {
        let _ = std::fs::remove_file(deployment.path(name));
    }
    let served = deployment.serve(&[]);
    let (code, ready) = served.get("/readyz");
    assert_eq!(code, 200, "{ready}");
    assert!(
        ready.starts_with("ready, but: this database is empty"),
        "{ready}"
    );
    let told = served.status()["doubt"].as_str().unwrap().to_owned();
    assert!(ready.contains(&told), "{told}");
    let (code, _, log) = served.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("was lost or is elsewhere"), "{log}");
    assert_eq!(doubt(), Some(told.clone()));
    let table = deployment.run(&["status"]);
    assert!(table.stderr.contains(&told), "{table:?}");
    for asked in [&["run", "all"][..], &["findings"]] {
        let ended = deployment.run(asked);
        assert!(ended.stderr.contains(&told), "{ended:?}");
    }
    deployment.put(&config("two"));
    assert_eq!(doubt(), None);
    let served = deployment.serve(&[]);
    assert_eq!(served.get("/readyz"), (200, "ready\n".to_owned()));
    served.terminate();
}

#[test]
fn it_migrates_by_itself_unless_told_not_to() {
    let deployment = Deployment::without_database("");
    let refused = deployment
        .run(&["serve", "--listen", "127.0.0.1:0", "--no-migrate"])
        .refused(1);
    assert!(refused.contains("migrate-schema"), "{refused}");
    let (code, _, log) = deployment.serve(&[]).terminate();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn schedules_run_the_jobs_and_the_metrics_count_them() {
    let deployment = Deployment::with("jobs: {jitter: 0s, expire-orphans: {cron: '* * * * * *'}}");
    let served = deployment.serve(&[]);
    let status = served.wait_for("a run", |status| {
        job(status, "expire-orphans")["runs"].as_u64() > Some(0)
    });
    assert_eq!(job(&status, "expire-orphans")["outcome"], "done");
    let (_, metrics) = served.get("/metrics");
    assert!(
        !metrics.contains("cloakroom_runs_total{job_name=\"expire-orphans\",outcome=\"done\"} 0"),
        "{metrics}"
    );
    assert!(
        metrics.contains("cloakroom_run_duration_seconds_bucket{job_name=\"expire-orphans\""),
        "{metrics}"
    );
    assert_eq!(served.terminate().0, Some(0));
}

#[test]
fn after_sigterm_the_running_item_finishes_and_nothing_is_lost() {
    let settings = |cron: &str| {
        format!(
            "reconcile:\n  backup_horizon: 0s\n  batch: 1\n  windows: {{orphan_ttl: 0s}}\n  guards: {{largest_share: 1.0}}\n\
             jobs:\n  jitter: 0s\n  expire-orphans: {{cron: '{cron}'}}\n  verify-blobs: {{enabled: false}}\n  delete-superseded: {{enabled: false}}\n"
        )
    };
    let deployment = Deployment::with(&settings(NEVER));
    let kept = deployment.put(&config("kept"));
    let gone = deployment.put(&config_of_many(1500));
    deployment.run(&["document", "remove", &gone]).done();

    deployment.configure(&settings("* * * * * *"));
    let served = deployment.serve(&[]);
    served.wait_for("deletions under way", |status| {
        let deleted = status["secrets"]["embedded"]["deleted"]
            .as_u64()
            .unwrap_or_default();
        job(status, "expire-orphans")["running"] == json!(true) && deleted > 0
    });
    let (code, took, log) = served.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(took < Duration::from_secs(20), "{took:?}: {log}");

    let status = deployment.run(&["status", "--output", "json"]).json();
    let run = &status["runs"][0];
    assert_eq!(
        run["outcome"], "partial",
        "the run was told to stop: {run:#}"
    );
    let secrets = &status["backends"][0]["secrets"];
    let left = secrets["stored"].as_u64().unwrap();
    assert!(left > 1, "it went on to the end: {secrets}");
    assert_eq!(
        secrets["deleting"].as_u64().unwrap_or_default(),
        0,
        "no item was left half done: {secrets}"
    );

    // What was left is taken up again, and what is in use was never touched.
    deployment.configure(&settings(NEVER).replace("batch: 1", "batch: 200"));
    deployment.run(&["run", "expire-orphans"]).done();
    let status = deployment.run(&["status", "--output", "json"]).json();
    assert_eq!(status["backends"][0]["secrets"]["stored"], 1);
    assert_eq!(
        deployment.hydrated(&kept)["password"],
        format!("{CANARY}-kept")
    );
}

/// A `serve` that listens for signals and goes no further than to read its token: the handle ends that.
fn held_up_by_its_token(deployment: &Deployment, stderr: Stdio) -> (Child, File) {
    let token = deployment.path("token");
    let mut make = Command::new("mkfifo");
    make.args(["-m", "600"]).arg(&token);
    assert!(make.status().unwrap().success());
    let mut command = deployment.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut child = command.stderr(stderr).spawn().unwrap();
    let writer = other_end(&token, &mut child);
    (child, writer)
}

/// What it is asked for before it can do anything it does afterwards.
#[test]
fn a_signal_that_comes_while_it_starts_is_kept() {
    let deployment = Deployment::with(&format!(
        "http: {{token_file: token}}\njobs: {{jitter: 0s, expire-orphans: {{cron: '{NEVER}'}}, \
         delete-superseded: {{cron: '{NEVER}'}}, verify-blobs: {{cron: '{NEVER}'}}}}"
    ));
    let (child, mut writer) = held_up_by_its_token(&deployment, Stdio::piped());
    signal(&child, "-USR1");
    writer.write_all(b"swordfish-42\n").unwrap();
    drop(writer);
    let served = Served::listening(child);
    served.wait_for("a run of each job", |status| {
        let jobs = status["jobs"].as_array().unwrap();
        jobs.iter().all(|job| job["runs"] == 1)
    });
    assert_eq!(served.terminate().0, Some(0));
}

#[test]
fn a_client_that_never_ends_its_request_is_not_waited_for() {
    use std::io::{Read, Write};
    let deployment = Deployment::with("http: {timeout: 500ms}");
    let served = deployment.serve(&[]);
    let mut slow = TcpStream::connect(served.address).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost:").unwrap();
    // Nobody needs its place, and it is given up all the same.
    assert_eq!(slow.read(&mut [0]).unwrap(), 0);
    assert_eq!(served.get("/healthz").0, 200);
    assert_eq!(served.terminate().0, Some(0));
}

#[test]
fn no_secret_is_ever_in_an_output_a_log_or_a_metric() {
    let mut deployment = Deployment::with(
        "reconcile: {backup_horizon: 0s, windows: {orphan_ttl: 0s, superseded_grace: 0s}}\njobs: {jitter: 0s, expire-orphans: {cron: '* * * * * *'}}",
    );
    deployment.set("CLOAKROOM_LOG_LEVEL", "trace");
    let mut said = Vec::new();
    let file = deployment.write("config.json", &config("one"));
    let workspace = ["--spec", "spec.json", "--workspace", common::WORKSPACE];
    let put = deployment.run(
        &[
            &["document", "put", file.as_str(), "--output", "json"][..],
            &workspace,
        ]
        .concat(),
    );
    let id = serde_json::from_str::<Value>(&put.stdout).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    said.push(put);
    said.push(deployment.run_with_input(&["document", "put", "--id", &id, "-"], &config("two")));
    said.push(deployment.run_with_input(
        &["ephemeral", "put", "--spec", "spec.json", "-"],
        &config("three"),
    ));
    for arguments in [
        &["document", "get", &id][..],
        &["document", "get", &id, "--stored"],
        &["document", "list"],
        &["secret", "list"],
        &["plan", "delete-superseded"],
        &["run", "all", "--read-values"],
        &["run", "all", "--output", "json"],
        &["status"],
        &["findings"],
        &["key", "list"],
        &["key", "rotate"],
        &["config", "print"],
    ] {
        said.push(deployment.run(arguments));
    }
    // The values themselves go to standard output, and only there.
    let hydrated = deployment.run(&["document", "hydrate", &id, "--reveal"]);
    assert!(hydrated.stdout.contains(CANARY) && !hydrated.stderr.contains(CANARY));
    assert!(!hydrated.stderr.is_empty(), "the log is on");
    for ended in said {
        assert!(
            !ended.stdout.contains(CANARY) && !ended.stderr.contains(CANARY),
            "{ended:?}"
        );
    }
    let served = Served::start(deployment.command(&["serve", "--listen", "127.0.0.1:0"]));
    served.wait_for("a run", |status| {
        job(status, "expire-orphans")["runs"].as_u64() > Some(0)
    });
    let told = ["/metrics", "/status", "/"].map(|path| served.get(path).1);
    let (code, _, log) = served.terminate();
    assert_eq!(code, Some(0));
    assert!(!told.iter().chain([&log]).any(|text| text.contains(CANARY)));
    assert!(
        !told[0].contains(&id) && !told[0].contains("airbyte_"),
        "no id is a label"
    );
}

fn job<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|job| job["job"] == name)
        .unwrap()
}

/// No job looks at a backend that is not there, so everybody who is asked has to tell of it.
#[test]
fn a_backend_that_left_the_configuration_is_told_everywhere() {
    let deployment = Deployment::with("backends: {old: {type: embedded}}");
    let id = deployment.put(&config("one"));
    deployment.configure("backends: {new: {type: embedded}}");
    let status = deployment.run(&["status", "--output", "json"]).json();
    let told: Vec<_> = status["backends"].as_array().unwrap().iter().collect();
    assert_eq!(told[0]["configured"], true);
    assert_eq!(
        (
            &told[1]["id"],
            &told[1]["configured"],
            &told[1]["secrets"]["stored"]
        ),
        (&"old".into(), &false.into(), &1.into())
    );
    let ended = deployment.run(&["status"]);
    assert!(ended.stdout.contains("not configured"), "{ended:?}");
    let told = deployment.run(&["run", "expire-orphans"]).refused(5);
    assert!(
        told.contains("1 secret is in backend old, which is not configured"),
        "{told}"
    );
    let ended = deployment.run(&["run", "expire-orphans", "--output", "json"]);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(told["unconfigured"], serde_json::json!({"old": 1}));
    // Whoever asks for one backend has asked for no other.
    let one = ["run", "expire-orphans", "--backend", "new"];
    deployment.run(&one).done();
    let served = deployment.serve(&[]);
    let (_, metrics) = served.get("/metrics");
    for line in [
        "cloakroom_unconfigured_secrets{backend=\"old\"} 1",
        "cloakroom_secrets{backend=\"old\",state=\"stored\"} 1",
    ] {
        assert!(
            metrics.lines().any(|other| other == line),
            "{line} is not in\n{metrics}"
        );
    }
    assert_eq!(served.terminate().0, Some(0));

    // Nothing is amiss any more once nothing is left there.
    deployment
        .configure("backends: {old: {type: embedded}}\nreconcile: {windows: {orphan_ttl: 0s}}");
    deployment.run(&["document", "remove", &id]).done();
    let last = ["run", "expire-orphans", "--override", "zero-references"];
    deployment.run(&last).done();
    deployment.configure("backends: {new: {type: embedded}}");
    deployment.run(&["run", "expire-orphans"]).done();
}
