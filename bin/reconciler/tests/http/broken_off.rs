//! Runs that fail half-way: what they found and did is told all the same, and what others found before them.

use serde_json::{Value, json};

use crate::asking::{NEVER, TOKEN, ask, job, metric, with_token};
use crate::common::{Deployment, Served, behind_its_back, config};

fn run(served: &Served, name: &str, times: u64) -> Value {
    let asked = ask(served, "POST", &format!("/jobs/{name}/run"), Some(TOKEN));
    assert_eq!(asked.code, 202, "{asked:?}");
    served.wait_for("the run", |status| {
        let job = job(status, name);
        job["runs"] == times && job["running"] == false
    })
}

/// A run that fails has not seen that anything is well again, and may have found more.
pub fn what_was_found_stays_known() {
    let deployment = with_token(NEVER);
    deployment.put(&config("one"));
    let served = deployment.serve(&[]);
    let amiss = || {
        let of = |kind| format!("cloakroom_findings{{backend=\"embedded\",kind=\"{kind}\"}}");
        ["dangling", "clear_text"].map(|kind| metric(&served, &of(kind)))
    };
    behind_its_back(&deployment, "DELETE FROM embedded_secrets");
    assert_eq!(
        job(&run(&served, "verify-blobs", 1), "verify-blobs")["outcome"],
        "done"
    );
    assert_eq!(amiss(), [Some(1.0), Some(0.0)]);

    behind_its_back(
        &deployment,
        "UPDATE documents SET blob = json_set(blob, '$.tokens', json_array('in clear'))",
    );
    behind_its_back(&deployment, AWAY);
    let status = run(&served, "verify-blobs", 2);
    behind_its_back(&deployment, BACK);
    let told = job(&status, "verify-blobs");
    assert_eq!(told["outcome"], "failed", "{told:#}");
    assert_eq!(told["reports"][0]["findings"]["clear_text"], 1, "{told:#}");
    assert_eq!(amiss(), [Some(1.0), Some(1.0)]);
    let page = ask(&served, "GET", "/", None).body;
    assert!(page.contains("1 × clear text"), "{page}");
    assert_eq!(page.matches("verify-blobs failed").count(), 1, "{page}");

    let findings = || deployment.run(&["findings"]);
    let found = findings();
    assert_eq!(found.code, Some(3), "{found:?}");
    assert!(found.stdout.contains("dangling"), "{found:?}");
    assert!(found.stdout.contains("clear_text"), "{found:?}");
    assert!(found.stderr.contains("failed ("), "{found:?}");

    // Another process finds it in the journal, and a run that goes through everything says what is so.
    let (code, _, log) = served.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        !log.contains("Some(") && !log.contains("cause=None"),
        "{log}"
    );
    heals(&deployment);
}

const AWAY: &str = "ALTER TABLE embedded_secrets RENAME TO elsewhere";
const BACK: &str = "ALTER TABLE elsewhere RENAME TO embedded_secrets";

fn in_the_clear(id: &str) -> String {
    format!(
        "UPDATE documents SET blob = json_set(blob, '$.tokens', json_array('in clear')) \
         WHERE document_id = '{id}'"
    )
}

/// Each thing once, whichever run found it, for as long as no run has gone through everything; metrics,
/// status, page and commands tell the same.
pub fn what_a_whole_run_found_outlives_those_that_break_off() {
    let deployment = with_token(NEVER);
    let (one, other) = (
        deployment.put(&config("one")),
        deployment.put(&config("two")),
    );
    deployment.put(&config("three"));
    let served = deployment.serve(&[]);
    let change = |statement: String| behind_its_back(&deployment, statement.leak());
    change("DELETE FROM embedded_secrets".to_owned());
    change(in_the_clear(&one));
    run(&served, "verify-blobs", 1);
    // The first is put right, and another goes wrong: as many as before.
    change(format!(
        "UPDATE documents SET blob = json_remove(blob, '$.tokens') WHERE document_id = '{one}'"
    ));
    change(in_the_clear(&other));
    change(AWAY.to_owned());
    for times in 2..14 {
        let status = run(&served, "verify-blobs", times);
        assert_eq!(job(&status, "verify-blobs")["outcome"], "failed");
    }
    change(BACK.to_owned());
    each_tells_the_same(&deployment, &served);
    assert_eq!(served.terminate().0, Some(0));
    let served = deployment.serve(&[]);
    each_tells_the_same(&deployment, &served);
    assert_eq!(served.terminate().0, Some(0));

    // The newest telling first, and no place twice.
    let found = deployment.run(&["findings", "--output", "json"]).stdout;
    let places = |kind: &str| {
        let lines = found.lines();
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let of_kind = lines.filter(|line| line["kind"] == kind);
        let documents = of_kind.map(|line| line["document"].as_str().unwrap().to_owned());
        documents.collect::<Vec<_>>()
    };
    assert_eq!(places("clear_text"), [other, one], "{found}");
    assert_eq!(places("dangling").len(), 3, "{found}");

    // As an older version left it: the counts are all there is.
    change("DELETE FROM findings".to_owned());
    let found = deployment.run(&["findings"]);
    assert_eq!(found.code, Some(3), "{found:?}");
    for words in ["3 × dangling", "1 × clear_text", "not all"] {
        assert!(found.stderr.contains(words), "{words}: {found:?}");
    }
}

/// Three dangle; of clear text there is one at the least.
fn each_tells_the_same(deployment: &Deployment, served: &Served) {
    let known = json!({"clear_text": 1, "dangling": 3});
    for (kind, number) in [("dangling", 3.0), ("clear_text", 1.0), ("altered", 0.0)] {
        let series = format!("cloakroom_findings{{backend=\"embedded\",kind=\"{kind}\"}}");
        assert_eq!(metric(served, &series), Some(number), "{kind}");
    }
    let status = served.status();
    let told = job(&status, "verify-blobs");
    assert_eq!(told["findings"]["embedded"], known, "{told:#}");
    let page = ask(served, "GET", "/", None).body;
    for words in ["3 × dangling on embedded", "1 × clear text on embedded"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let status = deployment.run(&["status", "--output", "json"]).json();
    assert_eq!(status["findings"]["embedded"], known, "{status:#}");
    let shown = deployment.run(&["status"]).done();
    assert!(
        shown.contains("AMISS") && shown.contains("clear_text"),
        "{shown}"
    );
    let found = deployment.run(&["findings"]);
    assert_eq!(found.code, Some(3), "{found:?}");
    assert!(found.stderr.contains("may have been repaired"), "{found:?}");
}

/// A report that does not parse says nothing is well: what its run found is kept apart from it.
pub fn what_a_damaged_report_told_of_stays_known() {
    let deployment = with_token(NEVER);
    let document = deployment.put(&config("one"));
    let verify = || deployment.run(&["run", "verify-blobs"]);
    verify().done();
    behind_its_back(&deployment, "DELETE FROM embedded_secrets");
    assert_eq!(verify().code, Some(3));
    let found = || deployment.run(&["findings"]);
    let before = found();
    behind_its_back(
        &deployment,
        "UPDATE runs SET report = '{' WHERE report LIKE '%\"dangling\":1%'",
    );
    let served = deployment.serve(&[]);
    let amiss = ["dangling", "clear_text"].map(|kind| {
        let series = format!("cloakroom_findings{{backend=\"embedded\",kind=\"{kind}\"}}");
        metric(&served, &series)
    });
    assert_eq!(amiss, [Some(1.0), Some(0.0)]);
    let status = served.status();
    let told = job(&status, "verify-blobs");
    let known = json!({"dangling": 1});
    assert_eq!(told["findings"]["embedded"], known, "{told:#}");
    assert_eq!(served.terminate().0, Some(0));
    let status = deployment.run(&["status", "--output", "json"]).json();
    assert_eq!(status["findings"]["embedded"], known, "{status:#}");
    assert_eq!(status["runs"][0]["state"], "unreadable", "{status:#}");
    let after = found();
    assert_eq!((after.code, after.stdout), (Some(3), before.stdout));

    // A run that can be read says what is so.
    deployment.run(&["document", "remove", &document]).done();
    verify().done();
    assert_eq!(found().code, Some(0));
}

/// A run of another process that came later and did not fail is the news.
pub fn a_later_run_of_another_process_is_the_news() {
    let deployment = with_token(NEVER);
    deployment.put(&config("one"));
    let served = deployment.serve(&[]);
    let elsewhere = || assert_eq!(deployment.run(&["run", "verify-blobs"]).code, Some(0));
    let tells = |times: u64, outcome: &str| {
        let status = served.status();
        let told = job(&status, "verify-blobs");
        assert_eq!(
            (&told["runs"], &told["outcome"]),
            (&json!(times), &json!(outcome)),
            "{told:#}"
        );
        assert_eq!(
            told["errors"].as_array().unwrap().is_empty(),
            outcome == "done",
            "{told:#}"
        );
        let page = ask(&served, "GET", "/", None).body;
        assert_eq!(
            page.contains("verify-blobs failed"),
            outcome == "failed",
            "{page}"
        );
    };
    // One that could not begin and is in no journal, and one that is.
    let broken = [
        (
            "CREATE TRIGGER no_lease BEFORE INSERT ON leases WHEN NEW.name LIKE 'reconcile/%' \
             BEGIN SELECT RAISE(ABORT, 'no lease'); END",
            "DROP TRIGGER no_lease",
        ),
        (AWAY, BACK),
    ];
    for (times, (breaks, mends)) in (1..).zip(broken) {
        behind_its_back(&deployment, breaks);
        run(&served, "verify-blobs", times);
        behind_its_back(&deployment, mends);
        tells(times, "failed");
        elsewhere();
        tells(times, "done");
    }
    assert_eq!(served.terminate().0, Some(0));
}

fn heals(deployment: &Deployment) {
    behind_its_back(
        deployment,
        "UPDATE documents SET blob = json_remove(blob, '$.tokens')",
    );
    let served = deployment.serve(&[]);
    let in_clear = "cloakroom_findings{backend=\"embedded\",kind=\"clear_text\"}";
    assert_eq!(metric(&served, in_clear), Some(1.0));
    run(&served, "verify-blobs", 1);
    assert_eq!(metric(&served, in_clear), Some(0.0));
    assert_eq!(served.terminate().0, Some(0));
    let found = deployment.run(&["findings"]);
    assert_eq!(found.code, Some(3), "{found:?}");
    assert!(!found.stderr.contains("failed ("), "{found:?}");
}

/// The database takes two batches and no third one.
pub fn what_was_deleted_is_counted() {
    let deployment = with_token(&format!(
        "reconcile: {{batch: 1, backup_horizon: 0s, windows: {{orphan_ttl: 0s}}}}\n{NEVER}"
    ));
    for gone in ["one", "two", "three"] {
        let gone = deployment.put(&config(gone));
        deployment.run(&["document", "remove", &gone]).done();
    }
    deployment.put(&config("kept"));
    behind_its_back(
        &deployment,
        "CREATE TRIGGER no_third BEFORE UPDATE ON secrets WHEN NEW.state = 'deleted' \
         AND (SELECT count(*) FROM secrets WHERE state = 'deleted') >= 2 \
         BEGIN SELECT RAISE(ABORT, 'no third'); END",
    );
    let served = deployment.serve(&[]);
    let status = run(&served, "expire-orphans", 1);
    let told = job(&status, "expire-orphans");
    assert_eq!(told["outcome"], "failed", "{told:#}");
    let gone = &told["reports"][0]["deletions"]["orphaned"];
    let gone = gone["deleted"].as_u64().unwrap() + gone["scheduled"].as_u64().unwrap();
    assert_eq!(gone, 2, "{told:#}");
    let counted = |outcome| {
        let labels = format!("backend=\"embedded\",reason=\"orphaned\",outcome=\"{outcome}\"");
        metric(&served, &format!("cloakroom_deletions_total{{{labels}}}"))
    };
    let gone: Option<f64> = ["deleted", "scheduled"].into_iter().map(counted).sum();
    assert_eq!(gone, Some(2.0));
    let failed = "cloakroom_runs_total{job_name=\"expire-orphans\",outcome=\"failed\"}";
    assert_eq!(metric(&served, failed), Some(1.0));
    let busy = "cloakroom_job_busy_seconds{job_name=\"expire-orphans\"}";
    assert_eq!(metric(&served, busy), Some(0.0));
    let page = ask(&served, "GET", "/", None).body;
    let did = ["deleted 2", "handed 2 to deletion"];
    assert!(did.iter().any(|did| page.contains(did)), "{page}");
    assert_eq!(served.terminate().0, Some(0));
}
