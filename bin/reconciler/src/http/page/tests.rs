//! What the page says, and that it says it safely.

use std::collections::BTreeMap;

use cloakroom_core::RunId;
use cloakroom_core::store::Job;
use cloakroom_reconcile::{Guard, GuardTrip, Report};
use serde_json::json;

use super::super::status::ReportStatus;
use super::*;

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn job(job: Job) -> JobStatus {
    JobStatus {
        job,
        schedule: Some("*/15 * * * *".to_owned()),
        enabled: true,
        running: false,
        waiting: false,
        waits_for: None,
        overdue: false,
        runs: 1,
        last_run: Some(at("2026-03-01T11:58:00Z")),
        outcome: Some(RunOutcome::Done),
        last_success: Some(at("2026-03-01T11:58:00Z")),
        next_run: Some(at("2026-03-01T12:15:00Z")),
        findings: BTreeMap::new(),
        reports: Vec::new(),
        errors: Vec::new(),
    }
}

pub(super) fn status() -> Status {
    Status {
        version: "1.2.3",
        deployment: "<b>mine & yours</b>".to_owned(),
        started: at("2026-02-27T12:00:00Z"),
        now: at("2026-03-01T12:00:00Z"),
        stopping: false,
        leader: true,
        jobs: Job::ALL.map(job).to_vec(),
        platforms: Vec::new(),
        secrets: BTreeMap::from([(
            "main".parse().unwrap(),
            BTreeMap::from([("stored", 7), ("quarantined", 0)]),
        )]),
        backends: BTreeMap::from([("main".parse().unwrap(), backend())]),
        quarantined: 0,
        held: 0,
        open_moves: OpenMoveStatus::default(),
        doubt: None,
        unconfigured: BTreeMap::new(),
    }
}

fn backend() -> BackendStatus {
    BackendStatus {
        due: BTreeMap::from([("orphaned", 3), ("superseded", 1)]),
        unused: BTreeMap::from([("orphaned", 5), ("superseded", 1)]),
        oldest_orphan_seconds: 3 * 86_400,
        estimated_monthly_cost_dollars: BTreeMap::from([("orphaned", 2.0), ("superseded", 0.4)]),
        ..BackendStatus::default()
    }
}

pub(super) fn report(job: Job) -> Report {
    serde_json::from_value(json!({
        "run": RunId(uuid::Uuid::nil()), "job": job, "backend": "main", "dry_run": false,
        "started": "2026-03-01T11:58:00Z", "finished": "2026-03-01T11:58:01Z", "outcome": "done",
        "deletions": {}, "failed": 0, "quarantined": 0, "rescued": 0, "findings": {},
        "examples": [], "checked": {"references": 3, "values": 0, "documents": 2, "listed": 5},
        "guards": [], "cut_short": false, "error": null,
    }))
    .unwrap()
}

#[test]
fn a_calm_page_says_so_and_escapes() {
    let text = Page::new(&status()).render().unwrap();
    for words in [
        "All is well.",
        "expire-orphans",
        "2 min ago",
        "in 15 min",
        "up for 2 days",
        "2026-03-01 12:00:00 UTC",
        "http-equiv=\"refresh\" content=\"5\"",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(
        !text.contains("<b>") && text.contains("mine &#38; yours"),
        "{text}"
    );
    assert!(
        !text.contains("<script") && !text.contains("style="),
        "{text}"
    );
}

/// Green is for what was looked at.
#[test]
fn nothing_is_well_before_every_job_got_through_once() {
    let mut status = status();
    status.jobs[0].last_success = None;
    let page = Page::new(&status);
    assert_eq!((page.level, page.sign), (Level::Unknown, "?"));
    assert!(page.verdict.contains("verify-blobs"), "{}", page.verdict);
    status.quarantined = 1;
    assert_eq!(Page::new(&status).level, Level::Warn);
}

/// Nobody waits for a job that is switched off; which ones are is said.
#[test]
fn a_job_that_is_switched_off_is_not_awaited() {
    let mut status = status();
    status.jobs[0].last_success = None;
    status.jobs[0].enabled = false;
    let page = Page::new(&status);
    assert_eq!(page.level, Level::Good);
    assert_eq!(page.verdict, "All is well. Switched off: verify-blobs.");
    // Where none is scheduled, what is known is what somebody ran.
    for job in &mut status.jobs {
        job.enabled = false;
    }
    let page = Page::new(&status);
    assert_eq!(page.level, Level::Unknown);
    assert!(page.verdict.contains("verify-blobs"), "{}", page.verdict);
    status.jobs[0].last_success = Some(at("2026-03-01T11:58:00Z"));
    assert_eq!(
        Page::new(&status).verdict,
        "All is well. No job is scheduled."
    );
}

#[test]
fn what_a_job_waits_for_is_told() {
    let mut status = status();
    status.jobs[0].waiting = true;
    status.jobs[0].waits_for = Some("another run is at this backend (main)".to_owned());
    let text = Page::new(&status).render().unwrap();
    assert!(
        text.contains("it waits: another run is at this backend (main)"),
        "{text}"
    );
}

#[test]
fn what_could_not_be_restored_is_the_worst_there_is() {
    let mut status = status();
    let mut cut = report(Job::VerifyBlobs);
    cut.outcome = RunOutcome::Partial;
    cut.cut_short = true;
    status.jobs[0].reports = vec![ReportStatus::Whole(Box::new(cut.clone()))];
    assert_eq!(Page::new(&status).level, Level::Warn);
    cut.unrestored = 2;
    status.jobs[0].reports = vec![ReportStatus::Whole(Box::new(cut))];
    let page = Page::new(&status);
    assert_eq!(page.level, Level::Bad);
    let first = &page.attention[0].text;
    assert!(
        first.contains("2 secrets in use") && first.contains("main"),
        "{first}"
    );
}

#[test]
fn what_could_not_be_purged_is_told_with_its_reason() {
    let mut status = status();
    let mut kept = report(Job::ExpireOrphans);
    kept.unpurged = 2;
    kept.unpurged_because = Some("the server tells no time".to_owned());
    status.jobs[0].reports = vec![ReportStatus::Whole(Box::new(kept))];
    let page = Page::new(&status);
    assert_eq!(page.level, Level::Warn);
    let told = &page.attention[0].text;
    let words = ["2 secrets on main", "the server tells no time"];
    assert!(words.iter().all(|it| told.contains(it)), "{told}");
}

#[test]
fn the_worst_comes_first() {
    let mut status = status();
    status.quarantined = 2;
    status.jobs[0].overdue = true;
    let mut found = report(Job::VerifyBlobs);
    found.findings = BTreeMap::from([(FindingKind::Dangling, 3), (FindingKind::Disabled, 1)]);
    found.guards = vec![GuardTrip {
        guard: Guard::Share,
        saw: "30 of 40 <would> go".to_owned(),
        overridden: false,
    }];
    status.jobs[0].reports = vec![ReportStatus::Whole(Box::new(found))];
    let page = Page::new(&status);
    assert_eq!(page.level, Level::Bad);
    assert_eq!(page.verdict, "5 things need attention.");
    assert!(
        page.attention
            .is_sorted_by_key(|item| std::cmp::Reverse(item.level))
    );
    let text = page.render().unwrap();
    for words in [
        "3 × dangling on main",
        "1 × disabled on main",
        "2 deletions are parked",
        "30 of 40 &#60;would&#62; go",
        "is overdue",
        "checked 3 references in 2 documents",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

/// The labels of a backend's card, and the figures beside them.
#[test]
fn what_waits_to_be_deleted_is_told_with_its_cost() {
    let lines = |backend: &BackendStatus| {
        let lines = backlog(backend).into_iter();
        lines
            .map(|(label, figure)| format!("{label}: {figure}"))
            .collect::<Vec<_>>()
    };
    let told = [
        "due now: 4",
        "of no use: 6",
        "oldest orphan: 3 days",
        "cost a month: $2.40",
        "deletions a second: no limit",
    ];
    assert_eq!(lines(&backend()), told);
    let nothing = lines(&BackendStatus::default());
    assert_eq!(nothing[2..4], ["oldest orphan: –", "cost a month: $0.00"]);
    let text = Page::new(&status()).render().unwrap();
    assert!(
        text.contains("<dt>cost a month</dt><dd>$2.40</dd>"),
        "{text}"
    );
}

#[test]
fn secrets_that_no_job_looks_at_are_told() {
    let mut status = status();
    status.unconfigured = BTreeMap::from([("old".parse().unwrap(), 3)]);
    let page = Page::new(&status);
    assert_eq!(page.verdict, "One thing needs attention.");
    let text = page.render().unwrap();
    assert!(text.contains("3 secrets may still be in old"), "{text}");
}

#[test]
fn moves_that_may_have_been_forgotten_are_told() {
    let mut status = status();
    status.open_moves = OpenMoveStatus {
        documents: 1,
        platforms: 0,
        since: Some(at("2026-02-28T12:00:00Z")),
    };
    assert_eq!(Page::new(&status).verdict, "All is well.");
    status.open_moves.since = Some(at("2026-02-27T11:00:00Z"));
    let page = Page::new(&status);
    assert_eq!(page.verdict, "One thing needs attention.");
    let text = page.render().unwrap();
    assert!(text.contains("1 move is neither finished"), "{text}");
    assert!(text.contains("began 2 days ago"), "{text}");
}

#[test]
fn times_are_spoken_shortly() {
    for (seconds, words) in [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "119 min"),
        (7_200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 days"),
    ] {
        assert_eq!(spoken(Duration::from_secs(seconds)), words);
    }
}
