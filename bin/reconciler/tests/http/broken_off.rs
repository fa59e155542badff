//! Runs that fail half-way: what they found and did is told all the same.

use serde_json::Value;

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
    let (away, back) = (
        "ALTER TABLE embedded_secrets RENAME TO elsewhere",
        "ALTER TABLE elsewhere RENAME TO embedded_secrets",
    );
    behind_its_back(&deployment, away);
    let status = run(&served, "verify-blobs", 2);
    behind_its_back(&deployment, back);
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
