//! A clean-up that is killed: the next one on the same machine follows at once and leaves alone what may
//! be on its way still, and everybody else is told who is at the platform.

use std::process::Command;

use cloakroom_testkit::proxy::{Fault, Gate, Rule};

use crate::cleaning::{AGED, Stage, on_two_threads};
use crate::common::{CANARY, Ended, Running, finish};
use crate::managers::Kind;

const CLEAN: [&str; 6] = [
    "clean",
    "production",
    "--override",
    "share",
    "--output",
    "json",
];

/// Far fewer than what is due.
const BATCH: u8 = 5;

/// As if what the killed run had taken on had rested for long enough.
const RESTED: &str = "UPDATE platform_removals SET until_at = 0 WHERE state = 'deleting'";

/// A command with a folder for temporary files of its own.
fn command(stage: &Stage, arguments: &[&str]) -> Command {
    let notes = stage.cloakroom.path("notes");
    std::fs::create_dir_all(&notes).unwrap();
    let mut command = stage.cloakroom.command(arguments);
    command
        .env("TMPDIR", notes)
        .env("CLOAKROOM_RECONCILE__BATCH", BATCH.to_string());
    command
}

fn here(stage: &Stage, arguments: &[&str]) -> Ended {
    let mut command = command(stage, arguments);
    let ended = tokio::task::block_in_place(|| finish(command.spawn().unwrap()));
    assert!(!ended.stdout.contains(CANARY) && !ended.stderr.contains(CANARY));
    ended
}

/// A command that waits at its first requests of this name to the manager, which sees them late, or never.
async fn stuck(stage: &Stage, arguments: &[&str], operation: &'static str) -> (Running, Gate) {
    let gate = Gate::default();
    let rule = Rule::new(Fault::Hold(gate.clone())).first(BATCH.into());
    stage.proxy.add(rule.matching(move |seen| {
        let asked = seen.aws_operation();
        asked.is_some_and(|it| it.ends_with(operation))
    }));
    let running = Running(command(stage, arguments).spawn().unwrap());
    gate.reached().await;
    (running, gate)
}

fn refused(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
}

pub fn who_was_killed_is_followed_at_once(kind: Kind) {
    on_two_threads(async {
        let stage = Stage::new(kind).await;
        let planted = &stage.planted;
        let all = planted.names.len();
        let due = planted.superseded + planted.orphaned + planted.ahead;

        // What only reads is followed by anybody.
        let (mut report, gate) = stuck(&stage, &["report"], ".ListSecrets").await;
        let process = format!("process {} of this machine", report.0.id());
        refused(
            &here(&stage, &["adopt"]),
            &[&process, "`report`", "still runs"],
        );
        report.kill();
        gate.open();
        let plan = here(&stage, &["adopt", "--output", "json"]).json();
        let left = std::fs::read_dir(stage.cloakroom.path("notes")).unwrap();
        assert_eq!(left.count(), 0, "it asked for nothing that could come late");
        stage.execute(AGED);
        let id = plan["id"].as_str().unwrap();
        stage.run(&["adopt", "--confirm", id, "--by", "ada"]).done();

        let (mut first, gate) = stuck(&stage, &CLEAN, ".DeleteSecret").await;
        let process = format!("process {} of this machine", first.0.id());
        for arguments in [&CLEAN[..], &["clean", "--dry-run"], &["report"], &["adopt"]] {
            refused(
                &here(&stage, arguments),
                &[&process, "since 2", "`clean`", "still runs"],
            );
        }
        first.kill();
        for arguments in [&["clean", "--dry-run"][..], &["report"], &["adopt"]] {
            refused(
                &here(&stage, arguments),
                &[&process, "died", "is free from 2"],
            );
        }
        // Where nothing proves the death, the right has to lapse: another machine, or another container.
        let elsewhere = stage.run(&CLEAN);
        refused(&elsewhere, &["from another machine", "is free from 2"]);
        let run = elsewhere.stderr.split_once("run ").unwrap().1;
        let run = run.split(' ').next().unwrap();
        let undone = here(&stage, &["undo", run]);
        refused(&undone, &[&process, "died", "is free from 2"]);

        let followed = here(&stage, &CLEAN);
        assert_eq!(followed.code, Some(5), "something rests: {followed:?}");
        assert!(
            followed.stderr.contains("died at this a moment ago"),
            "{followed:?}"
        );
        let rested = sum(&followed, "resting");
        let on_its_way = u64::from(BATCH);
        assert_eq!(rested, on_its_way, "what the first had asked for");
        assert_eq!(sum(&followed, "found"), due, "{followed:?}");
        assert_eq!(gone(&followed), due - rested);
        let told: serde_json::Value = serde_json::from_str(&followed.stdout).unwrap();
        assert_eq!(told["taken_on"], rested, "{told:#}");
        assert!(told["taken_on_until"].is_string(), "{told:#}");
        let report = here(&stage, &["report"]);
        assert_eq!(report.code, Some(3), "its right is free again: {report:?}");

        gate.open();
        stage.proxy.settled().await;
        stage.execute(RESTED);
        let last = here(&stage, &CLEAN);
        assert_eq!(last.code, Some(0), "{last:?}");
        let late: serde_json::Value = serde_json::from_str(&last.stdout).unwrap();
        let resumed = late["resumed"].as_u64().unwrap();
        assert_eq!(resumed + gone(&last), rested, "{last:?}");
        let kept = all - usize::try_from(due).unwrap();
        assert_eq!(stage.there().await, kept);
        let receipts = stage.run(&["audit", "export"]).json_lines();
        assert_eq!(receipts.len() as u64, due, "each went once");
        stage.manager.clear(planted.names.clone()).await;
        stage.database.drop().await;
    });
}

fn sum(ended: &Ended, count: &str) -> u64 {
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let standings = report["deletions"].as_object().unwrap();
    let counts = standings.values().map(|it| it[count].as_u64().unwrap());
    counts.sum()
}

fn gone(ended: &Ended) -> u64 {
    sum(ended, "scheduled") + sum(ended, "deleted")
}
