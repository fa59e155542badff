//! Nothing that needs a person stands under a green verdict.

use cloakroom_core::store::Job;
use cloakroom_reconcile::{CleanReport, Report};
use serde_json::{Value, json};

use super::super::platforms::{CleaningStatus, PlatformStatus};
use super::super::status::ReportStatus;
use super::tests::{at, report, status};
use super::*;

const OUTCOMES: [RunOutcome; 4] = [
    RunOutcome::Done,
    RunOutcome::Partial,
    RunOutcome::Refused,
    RunOutcome::Failed,
];

fn clean_report(changes: &Value) -> CleanReport {
    let mut report = json!({
        "run": uuid::Uuid::nil(), "platform": "production", "backend": "main", "dry_run": false,
        "plan": null, "started": "2026-03-01T11:58:00Z", "finished": "2026-03-01T11:58:01Z",
        "outcome": "done", "error": null, "obstacles": [], "guards": [], "listed": 50, "secrets": {},
        "next": {"due": 0, "second_sighting": 0, "within_grace": 0, "put_off": 0, "waiting": 0},
        "deletions": {}, "resumed": 0, "rescued": 0, "endangered": 0, "lost": [], "unchecked": 0,
        "cut_short": false,
    });
    for (field, value) in changes.as_object().unwrap() {
        report[field] = value.clone();
    }
    serde_json::from_value(report).unwrap()
}

fn platform(report: Option<CleanReport>) -> PlatformStatus {
    PlatformStatus {
        platform: "production".to_owned(),
        schedule: Some("0 3 * * *".to_owned()),
        confirmed: Some(at("2026-02-01T00:00:00Z")),
        running: false,
        waiting: false,
        waits_for: None,
        overdue: false,
        runs: 1,
        last_run: Some(at("2026-03-01T11:58:00Z")),
        outcome: report.as_ref().map(|report| report.outcome),
        last_success: Some(at("2026-03-01T11:58:00Z")),
        next_run: Some(at("2026-03-02T03:00:00Z")),
        report: report.map(|report| CleaningStatus::new(report, Caller::Anybody)),
        errors: Vec::new(),
    }
}

fn with_platform(platform: PlatformStatus) -> Status {
    let mut status = status();
    status.platforms = vec![platform];
    status
}

fn severity(class: &str) -> Option<Level> {
    [Level::Warn, Level::Bad]
        .into_iter()
        .find(|level| level.class() == class)
}

/// What each card says by its colour, the verdict says at the least, and in words.
fn assert_no_card_is_worse(status: &Status, what: &str) {
    let page = Page::new(status);
    let worst = page
        .jobs
        .iter()
        .filter_map(|card| severity(card.class()))
        .max();
    if let Some(worst) = worst {
        assert!(page.level >= worst, "{what}: {}", page.verdict);
        assert!(!page.attention.is_empty(), "{what}");
        assert!(!page.verdict.contains("All is well"), "{what}");
    }
}

#[test]
fn no_card_is_worse_than_the_verdict() {
    let count = json!({
        "found": 6, "deleted": 0, "scheduled": 0, "already_gone": 0, "spared": 0, "resting": 6,
        "failed": 0,
    });
    let changes = [
        json!({}),
        json!({"deletions": {"orphaned": count}}),
        json!({"failures": [{"cause": "denied: no", "secrets": 6, "example": "one-of-them"}]}),
        json!({"taken_on": 2}),
        json!({"unchecked": 2}),
        json!({"endangered": 2}),
        json!({"lost": ["x"]}),
        json!({"cut_short": true}),
        json!({"findings": {"collision": 1}}),
    ];
    for (running, overdue) in [(false, false), (true, false), (false, true), (true, true)] {
        for outcome in OUTCOMES {
            let what = format!("{outcome:?}, running {running}, overdue {overdue}");
            for changes in &changes {
                let mut changes = changes.clone();
                changes["outcome"] = json!(outcome);
                let mut platform = platform(Some(clean_report(&changes)));
                (platform.running, platform.overdue) = (running, overdue);
                let what = format!("{what}: {changes}");
                assert_no_card_is_worse(&with_platform(platform), &what);
            }
            let mut status = status();
            let mut ended = report(Job::ExpireOrphans);
            ended.outcome = outcome;
            let job = &mut status.jobs[0];
            (job.running, job.overdue, job.outcome) = (running, overdue, Some(outcome));
            assert_no_card_is_worse(&status, &what);
            status.jobs[0].reports = vec![ReportStatus::new(ended, Caller::Anybody)];
            assert_no_card_is_worse(&status, &what);
        }
    }
}

/// A job that failed and runs again has not succeeded yet.
#[test]
fn a_job_that_runs_again_keeps_the_colour_of_its_last_run() {
    let mut status = status();
    status.jobs[0].outcome = Some(RunOutcome::Failed);
    status.jobs[0].running = true;
    status.jobs[1].running = true;
    let cards = Page::new(&status).jobs;
    let told = |card: &JobCard| (card.state, card.class());
    assert_eq!(told(&cards[0]), ("running", "bad"));
    assert_eq!(told(&cards[1]), ("running", "good"));
}

/// With how many, and why: what failed just now, and what rests because it failed before.
#[test]
fn what_a_clean_up_could_not_delete_is_told_with_its_cause() {
    for (failed, resting) in [(6, 0), (0, 6)] {
        let report = clean_report(&json!({
            "outcome": "partial",
            "deletions": {"orphaned": {
                "found": 6, "deleted": 0, "scheduled": 0, "already_gone": 0, "spared": 0,
                "resting": resting, "failed": failed,
            }},
            "failures": [
                {"cause": "denied: no right to delete", "secrets": 5, "example": "one-of-them"},
                {"cause": "unavailable: away", "secrets": 1, "example": "another"},
            ],
        }));
        let page = Page::new(&with_platform(platform(Some(report))));
        assert_eq!(page.level, Level::Warn);
        let told: Vec<&str> = page.attention.iter().map(|it| it.text.as_str()).collect();
        for words in [
            "5 secrets of production",
            "denied: no right to delete",
            "unavailable: away",
        ] {
            assert!(
                told.iter().any(|it| it.contains(words)),
                "{words}: {told:?}"
            );
        }
        assert_eq!(told.len(), 2, "each is told once: {told:?}");
    }
}

/// Green is for what was looked at: a clean-up that is to come and never has been is awaited.
#[test]
fn a_platform_that_was_never_cleaned_is_awaited() {
    let mut never = platform(None);
    (never.last_run, never.last_success, never.outcome) = (None, None, None);
    let page = Page::new(&with_platform(never.clone()));
    assert_eq!((page.level, page.sign), (Level::Unknown, "?"));
    assert!(
        page.verdict.contains("clean/production"),
        "{}",
        page.verdict
    );
    // Nobody waits for one that no schedule starts.
    never.schedule = None;
    assert_eq!(Page::new(&with_platform(never)).level, Level::Good);
}

#[test]
fn deletions_that_failed_before_are_told() {
    let mut status = status();
    let mut waits = serde_json::to_value(report(Job::DeleteSuperseded)).unwrap();
    waits["failed_before"] = json!(3);
    waits["waiting"] = json!(4);
    waits["outcome"] = json!("partial");
    let waits: Report = serde_json::from_value(waits).unwrap();
    status.jobs[2].outcome = Some(RunOutcome::Partial);
    status.jobs[2].reports = vec![ReportStatus::new(waits, Caller::Anybody)];
    let page = Page::new(&status);
    assert_eq!(page.level, Level::Warn);
    let told = &page.attention[0].text;
    assert!(
        told.contains("3 deletions") && told.contains("main"),
        "{told}"
    );
}

/// Each of the jobs that delete has seen them; they are told once, as the newest has it.
#[test]
fn secrets_of_another_store_of_this_name_are_told() {
    let seen = |job, at_second: u32, namesakes| {
        let mut report = report(job);
        report.finished = at(&format!("2026-03-01T11:58:{at_second:02}Z"));
        report.namesakes = namesakes;
        vec![ReportStatus::new(report, Caller::Anybody)]
    };
    let told = |orphans, superseded| {
        let mut status = status();
        for (job, namesakes, second) in [
            (Job::ExpireOrphans, orphans, 2),
            (Job::DeleteSuperseded, superseded, 3),
            // It does not look for any.
            (Job::VerifyBlobs, 0, 4),
        ] {
            let told = status.jobs.iter_mut().find(|it| it.job == job).unwrap();
            told.reports = seen(job, second, namesakes);
        }
        let page = Page::new(&status);
        let texts: Vec<String> = page.attention.into_iter().map(|it| it.text).collect();
        (page.level, texts)
    };
    let (level, texts) = told(7, 3);
    assert_eq!((level, texts.len()), (Level::Warn, 1), "{texts:?}");
    assert!(
        texts[0].contains("3 secrets bear on main the mark of another store"),
        "{texts:?}"
    );
    assert!(texts[0].contains("main"), "{texts:?}");
    assert_eq!(told(7, 0).0, Level::Good, "they are gone by now");
}

/// The leaks of a platform are on its own card; the manager it is in has no figure that is not about it.
#[test]
fn what_a_platform_leaks_is_told_with_its_cost() {
    let leaks = clean_report(&json!({
        "secrets": {
            "in_use": {"enabled": 3, "disabled": 0, "waiting": 0},
            "orphaned": {"enabled": 4, "disabled": 0, "waiting": 0},
            "superseded": {"enabled": 2, "disabled": 0, "waiting": 0},
        },
        "cost": {"per_secret": 0.4, "now": 3.6, "leaked": 2.4},
    }));
    let mut status = with_platform(platform(Some(leaks)));
    let text = Page::new(&status).render().unwrap();
    assert!(text.contains("6 secrets, $2.40 a month"), "{text}");
    let id: BackendId = "main".parse().unwrap();
    status.secrets = BTreeMap::from([(id.clone(), BTreeMap::from([("stored", 0)]))]);
    status.backends = BTreeMap::from([(id, BackendStatus::default())]);
    let text = Page::new(&status).render().unwrap();
    assert!(
        !text.contains("$0.00") && !text.contains("of no use"),
        "{text}"
    );
}

#[test]
fn what_is_at_a_backend_and_what_a_job_is_behind_is_told() {
    let mut status = status();
    status.jobs[0].running = true;
    status.jobs[1].waiting = true;
    let cards = Page::new(&status).jobs;
    let ahead = status.jobs[0].job.as_str();
    assert_eq!(cards[1].next_run, format!("once {ahead} has ended"));
}
