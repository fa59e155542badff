//! Runs, findings, damage.

use std::time::Duration;

use cloakroom_core::ErrorKind;
use cloakroom_core::ledger::{Damage, Ledger};
use cloakroom_core::store::{
    DocumentStore, Expected, Finding, FindingKind, Job, Journal, NewRun, RunOutcome, RunRecord,
};
use serde_json::json;

use crate::support::*;

fn new_run(n: u128, dry_run: bool, plan: Option<&str>) -> NewRun {
    NewRun {
        id: run(n),
        job: Job::VerifyBlobs,
        backend: backend(),
        dry_run,
        plan: plan.map(str::to_owned),
    }
}

pub(crate) async fn runs_are_recorded(bench: Bench) {
    assert_eq!(bench.store.runs(10).await.unwrap(), []);
    for n in 1..=3 {
        bench
            .store
            .start_run(&new_run(n, n == 3, None))
            .await
            .unwrap();
        bench.clock.advance(Duration::from_millis(1));
    }
    let report = json!({"deleted": 3, "text": "a\u{0}b", "big": 1e300});
    bench
        .store
        .finish_run(run(1), RunOutcome::Partial, &report)
        .await
        .unwrap();
    bench
        .store
        .finish_run(run(3), RunOutcome::Done, &json!(null))
        .await
        .unwrap();

    let runs = bench.store.runs(2).await.unwrap();
    assert_eq!(
        runs.iter().map(|run| run.id).collect::<Vec<_>>(),
        [run(3), run(2)]
    );
    assert_eq!((runs[1].finished, runs[1].outcome), (None, None));
    let second = bench.store.run(run(2)).await.unwrap();
    assert_eq!(second.as_ref(), Some(&runs[1]));
    assert_eq!(bench.store.run(run(4)).await.unwrap(), None);
    // The third only looked and the second has not ended.
    let last = bench
        .store
        .last_finished(Job::VerifyBlobs, &backend())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((last.id, last.outcome), (run(1), Some(RunOutcome::Partial)));
    assert_eq!(last.report, report);
    assert!(
        bench
            .store
            .last_finished(Job::ExpireOrphans, &backend())
            .await
            .unwrap()
            .is_none()
    );

    // None of them did all it was to do.
    let here = backend();
    let complete = bench.store.last_complete(Job::VerifyBlobs, &here).await;
    assert!(complete.unwrap().is_none());

    let again = bench
        .store
        .finish_run(run(1), RunOutcome::Done, &report)
        .await
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let unknown = bench
        .store
        .finish_run(run(9), RunOutcome::Done, &report)
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Missing);
    let taken = bench
        .store
        .start_run(&new_run(1, false, None))
        .await
        .unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Conflict);
}

/// What went through everything is known even where it could not do all, and what was not is told apart.
pub(crate) async fn runs_that_went_through_everything(bench: Bench) {
    use RunOutcome::{Done, Failed, Partial};
    let (store, job, here) = (&bench.store, Job::VerifyBlobs, backend());
    let finish = async |n, dry_run, plan: Option<&str>, outcome, cut_short: bool| {
        store.start_run(&new_run(n, dry_run, plan)).await.unwrap();
        bench.clock.advance(Duration::from_millis(1));
        let trap = "a\u{0}b, \"cut_short\":true";
        let report = json!({"cut_short": cut_short, "plan": plan, "error": trap});
        store.finish_run(run(n), outcome, &report).await.unwrap();
    };
    assert_eq!(store.last_whole(job, &here).await.unwrap(), None);
    assert_eq!(store.first_started(job, &here).await.unwrap(), None);
    assert_eq!(store.finished(job, &here, 10).await.unwrap(), []);
    finish(1, false, None, Failed, false).await;
    assert_eq!(store.last_whole(job, &here).await.unwrap(), None);
    finish(2, false, None, Done, false).await;
    finish(3, false, None, Partial, false).await;
    finish(4, false, None, Partial, true).await;
    finish(5, false, None, Failed, false).await;
    finish(6, true, None, Done, false).await;
    finish(7, false, Some("a plan"), Done, false).await;
    store.start_run(&new_run(8, false, None)).await.unwrap();

    let whole = store.last_whole(job, &here).await.unwrap().unwrap();
    assert_eq!((whole.id, whole.outcome), (run(3), Some(Partial)));
    let complete = store.last_complete(job, &here).await.unwrap().unwrap();
    assert_eq!(complete.id, run(2));
    let first = store.first_started(job, &here).await.unwrap().unwrap();
    assert_eq!(first.id, run(1));
    let finished = store.finished(job, &here, 4).await.unwrap();
    let ids: Vec<_> = finished.iter().map(|run| run.id).collect();
    assert_eq!(ids, [run(7), run(5), run(4), run(3)]);
    let other = Job::ExpireOrphans;
    assert_eq!(store.last_whole(other, &here).await.unwrap(), None);
    assert_eq!(store.first_started(other, &here).await.unwrap(), None);
}

/// A report that does not parse tells itself in the place of its run. It hides no other run, what it found is counted
/// from what is kept of it, and nothing is forgotten because of it.
pub(crate) async fn an_unreadable_report_holds_up_no_other(bench: Bench) {
    let (store, here, job) = (&bench.store, backend(), Job::VerifyBlobs);
    let report = json!({"findings": {"dangling": 1}, "cut_short": false});
    let dangling = Finding {
        kind: FindingKind::Dangling,
        document: None,
        pointer: None,
        coordinate: Some(base(1)),
        detail: "gone".to_owned(),
    };
    let done = async |n| {
        store.start_run(&new_run(n, false, None)).await.unwrap();
        store
            .record_findings(run(n), std::slice::from_ref(&dangling))
            .await
            .unwrap();
        store
            .finish_run(run(n), RunOutcome::Done, &report)
            .await
            .unwrap();
    };
    for n in 1..=3 {
        done(n).await;
    }
    let damage = |n| {
        format!(
            "UPDATE runs SET report = '{{canary' WHERE run_id = '{}'",
            run(n)
        )
    };
    for n in [2, 3] {
        bench.raw(damage(n)).await.unwrap();
    }
    let runs = store.runs(10).await.unwrap();
    assert_eq!(
        runs.iter().map(|it| it.id).collect::<Vec<_>>(),
        [run(3), run(2), run(1)]
    );
    for (record, told) in runs.iter().zip([true, true, false]) {
        assert_eq!(record.unreadable().is_some(), told);
        for word in ["report", "runs", "backup", &record.id.to_string()] {
            assert!(
                !told || record.unreadable().unwrap().contains(word),
                "{record:?}"
            );
        }
        assert!(!format!("{record:?}").contains("canary"));
    }
    // When it ended is known, and what it found.
    let last = store.last_finished(job, &here).await.unwrap().unwrap();
    assert_eq!(last.id, run(3));
    let found = |it: &RunRecord| FindingKind::ALL.map(|kind| it.found(kind));
    for record in [&last, &runs[1]] {
        assert_eq!(found(record), found(&runs[2]));
    }
    let whole = store.last_whole(job, &here).await.unwrap();
    assert_eq!(whole.as_ref().map(|it| it.id), Some(run(1)));
    let since = store
        .broken_off(job, &here, whole.as_ref(), 10)
        .await
        .unwrap();
    assert_eq!(
        since.iter().map(|it| it.id).collect::<Vec<_>>(),
        [run(3), run(2)]
    );
    // Ten runs later that broke off.
    for n in 10..20 {
        store.start_run(&new_run(n, false, None)).await.unwrap();
        store
            .finish_run(run(n), RunOutcome::Failed, &json!({}))
            .await
            .unwrap();
    }
    for n in 1..=3 {
        assert_eq!(store.findings(run(n), 0, 10).await.unwrap().len(), 1, "{n}");
    }
    for n in 20..35 {
        done(n).await;
    }
    assert_eq!(store.findings(run(2), 0, 10).await.unwrap(), []);
}

pub(crate) async fn a_plan_is_applied_once(bench: Bench) {
    let plan = "p".repeat(100_000);
    bench
        .store
        .start_run(&new_run(1, true, Some(&plan)))
        .await
        .unwrap();
    bench
        .store
        .start_run(&new_run(2, false, Some(&plan)))
        .await
        .unwrap();
    let error = bench
        .store
        .start_run(&new_run(3, false, Some(&plan)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    bench
        .store
        .start_run(&new_run(4, false, Some("other")))
        .await
        .unwrap();
    bench
        .store
        .start_run(&new_run(5, false, None))
        .await
        .unwrap();
    assert_eq!(bench.store.runs(10).await.unwrap().len(), 4);
}

fn finding(detail: &str) -> Finding {
    Finding {
        kind: FindingKind::Dangling,
        document: Some(document(1)),
        pointer: Some("/a".into()),
        coordinate: Some(base(1)),
        detail: detail.into(),
    }
}

pub(crate) async fn findings_are_paged(bench: Bench) {
    bench
        .store
        .start_run(&new_run(1, false, None))
        .await
        .unwrap();
    let all: Vec<Finding> = FindingKind::ALL
        .into_iter()
        .map(|kind| Finding {
            kind,
            document: None,
            pointer: None,
            coordinate: None,
            detail: "x".into(),
        })
        .chain([finding("y")])
        .collect();
    bench
        .store
        .record_findings(run(1), &all[..5])
        .await
        .unwrap();
    bench.store.record_findings(run(1), &[]).await.unwrap();
    bench
        .store
        .record_findings(run(1), &all[5..])
        .await
        .unwrap();
    let mut seen = Vec::new();
    loop {
        let page = bench
            .store
            .findings(run(1), seen.len() as u64, 4)
            .await
            .unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, all);
    assert_eq!(bench.store.findings(run(1), u64::MAX, 4).await.unwrap(), []);
    let unknown = bench.store.record_findings(run(9), &all).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Missing);
}

pub(crate) async fn findings_of_ten_runs_stay(bench: Bench) {
    for n in 1..=12 {
        bench
            .store
            .start_run(&new_run(n, false, None))
            .await
            .unwrap();
        bench
            .store
            .record_findings(run(n), &[finding("x")])
            .await
            .unwrap();
        bench.clock.advance(Duration::from_millis(1));
    }
    let mut other = new_run(100, false, None);
    other.backend = "other".parse().unwrap();
    bench.store.start_run(&other).await.unwrap();
    for n in 1..=12 {
        let kept = bench.store.findings(run(n), 0, 10).await.unwrap().len();
        assert_eq!(kept, usize::from(n > 2), "run {n}");
    }
    // What is added to an old run does not stay either.
    bench
        .store
        .record_findings(run(1), &[finding("late")])
        .await
        .unwrap();
    assert_eq!(bench.store.findings(run(1), 0, 10).await.unwrap(), []);
}

/// A finding of this kind at a place of its own.
fn of_kind(kind: FindingKind, place: &str) -> Finding {
    Finding {
        kind,
        pointer: Some(place.into()),
        ..finding("x")
    }
}

struct Ended<'a> {
    n: u128,
    plan: Option<&'a str>,
    outcome: RunOutcome,
    cut_short: bool,
    findings: Vec<Finding>,
}

impl Ended<'_> {
    fn new(n: u128, outcome: RunOutcome, findings: Vec<Finding>) -> Self {
        Self {
            n,
            plan: None,
            outcome,
            cut_short: false,
            findings,
        }
    }

    /// As a run does it: begins, tells what it finds, and ends.
    async fn tell(&self, bench: &Bench) {
        let store = &bench.store;
        let begun = new_run(self.n, false, self.plan);
        store.start_run(&begun).await.unwrap();
        store
            .record_findings(run(self.n), &self.findings)
            .await
            .unwrap();
        let mut counts = serde_json::Map::new();
        for finding in &self.findings {
            let count = counts.entry(finding.kind.as_str()).or_insert(json!(0));
            *count = json!(count.as_u64().unwrap() + 1);
        }
        let report = json!({"cut_short": self.cut_short, "findings": counts});
        bench.clock.advance(Duration::from_millis(1));
        let ended = store.finish_run(run(self.n), self.outcome, &report);
        ended.await.unwrap();
    }
}

/// Whatever number of runs breaks off, or of plans is carried out: what the last whole run found is told
/// until another has ended, and so is whoever found the most of some kind since.
pub(crate) async fn what_is_not_settled_stays(bench: Bench) {
    use FindingKind::{ClearText, Dangling};
    use RunOutcome::{Done, Failed, Partial, Refused};
    let (store, job, here) = (&bench.store, Job::VerifyBlobs, backend());
    let kept = async |n| store.findings(run(n), 0, 10).await.unwrap().len();
    let found = vec![of_kind(Dangling, "/a"), of_kind(Dangling, "/b")];
    Ended::new(1, Done, found.clone()).tell(&bench).await;
    let refused = Ended::new(2, Refused, found[..1].to_vec());
    refused.tell(&bench).await;
    Ended::new(3, Failed, vec![of_kind(ClearText, "/c")])
        .tell(&bench)
        .await;
    Ended::new(
        4,
        Failed,
        vec![of_kind(ClearText, "/d"), of_kind(ClearText, "/e")],
    )
    .tell(&bench)
    .await;
    for n in 5..40 {
        let plan = format!("plan {n}");
        let outcome = if n % 2 == 0 { Failed } else { Partial };
        Ended {
            plan: (n % 3 == 0).then_some(plan.as_str()),
            cut_short: true,
            ..Ended::new(n, outcome, vec![of_kind(ClearText, "/c")])
        }
        .tell(&bench)
        .await;
    }
    let whole = store.last_whole(job, &here).await.unwrap().unwrap();
    assert_eq!((whole.id, whole.found(Dangling)), (run(2), 1));
    assert_eq!(kept(2).await, 1);
    let told = store.broken_off(job, &here, Some(&whole), 2).await.unwrap();
    let ids: Vec<_> = told.iter().map(|run| run.id).collect();
    let among_ten = [38, 37, 35, 34, 32, 31].map(run);
    assert_eq!(ids, [&among_ten[..], &[run(4)]].concat());
    assert_eq!(told.last().unwrap().found(ClearText), 2);
    assert_eq!((kept(1).await, kept(3).await, kept(4).await), (0, 0, 2));
    // Runs that tell nothing are among the latest and nowhere else.
    for n in 40..60 {
        Ended::new(n, Failed, Vec::new()).tell(&bench).await;
    }
    let told = store.broken_off(job, &here, Some(&whole), 3).await;
    let told = told.unwrap();
    let ids: Vec<_> = told.iter().map(|run| run.id).collect();
    assert_eq!(ids, [run(59), run(58), run(57), run(4)]);
    assert_eq!(kept(2).await, 1);

    // A whole run settles all of it.
    Ended::new(60, Done, Vec::new()).tell(&bench).await;
    let whole = store.last_whole(job, &here).await.unwrap();
    let since = store.broken_off(job, &here, whole.as_ref(), 3).await;
    assert_eq!(since.unwrap(), []);
    Ended::new(61, Failed, Vec::new()).tell(&bench).await;
    assert_eq!((kept(2).await, kept(4).await), (0, 0));
    let other = Job::ExpireOrphans;
    let since = store.broken_off(other, &here, None, 3).await;
    assert_eq!(since.unwrap(), []);
}

/// One whose process died is the first all the same; one that only looked is not.
pub(crate) async fn the_first_run_need_not_have_ended(bench: Bench) {
    let (store, job, here) = (&bench.store, Job::VerifyBlobs, backend());
    store.start_run(&new_run(1, true, None)).await.unwrap();
    assert_eq!(store.first_started(job, &here).await.unwrap(), None);
    bench.clock.advance(Duration::from_millis(1));
    store.start_run(&new_run(2, false, None)).await.unwrap();
    bench.clock.advance(Duration::from_millis(1));
    Ended::new(3, RunOutcome::Done, Vec::new())
        .tell(&bench)
        .await;
    let first = store.first_started(job, &here).await.unwrap().unwrap();
    assert_eq!((first.id, first.finished), (run(2), None));
}

pub(crate) async fn damage_is_remembered(bench: Bench) {
    let written = bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    let store = &bench.store;
    let is_now = async |damage: Option<Damage>| {
        assert_eq!(bench.row(&written[0]).await.damage, damage);
        let stored = store.document(document(1)).await.unwrap().unwrap();
        assert_eq!(stored.references[0].damaged, damage.is_some());
    };
    let (missing, different) = (Damage::Missing, Damage::Different);
    let here = backend();
    for before in [None, Some(missing), Some(different)] {
        for damage in [missing, different] {
            for known in [missing, different] {
                for found in before.into_iter().chain([damage]) {
                    store.set_damage(&here, &written[0], found).await.unwrap();
                }
                // Whoever says so, by whatever was read before.
                let noted = damage.beside(before);
                is_now(Some(noted)).await;
                store
                    .report_damage(&here, &written[0], missing)
                    .await
                    .unwrap();
                is_now(Some(noted)).await;
                // Only what is known to be over is taken back.
                store
                    .forget_damage(&here, &written[0], known)
                    .await
                    .unwrap();
                is_now(Some(noted).filter(|it| *it != known)).await;
                store
                    .forget_damage(&here, &written[0], noted)
                    .await
                    .unwrap();
                is_now(None).await;
                store
                    .forget_damage(&here, &written[0], known)
                    .await
                    .unwrap();
                is_now(None).await;
            }
        }
    }
    let noted = store.set_damage(&here, &base(9), missing).await;
    let forgotten = store.forget_damage(&here, &base(9), missing).await;
    for error in [noted.unwrap_err(), forgotten.unwrap_err()] {
        assert_eq!(
            (error.kind(), error.subject()),
            (ErrorKind::Missing, Some(base(9).as_str()))
        );
    }
}
