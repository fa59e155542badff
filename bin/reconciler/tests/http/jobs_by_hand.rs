//! Jobs started over HTTP and by a signal.

use cloakroom_core::store::Job;

use crate::asking::{NEVER, TOKEN, ask, job, metric, with_token};
use crate::common::{Deployment, behind_its_back, config, signal};

pub fn nobody_starts_a_job_without_a_token() {
    let deployment = Deployment::with(NEVER);
    let served = deployment.serve(&[]);
    for token in [None, Some(""), Some("x"), Some(TOKEN)] {
        for path in [
            "/jobs/expire-orphans/run",
            "/jobs/expire-orphans/run?dry_run=true",
            "/jobs/no/run",
            "/jobs/%ff/run",
            "/jobs/clean/%ff/run",
        ] {
            let answer = ask(&served, "POST", path, token);
            assert_eq!(answer.code, 401, "{answer:?}");
            assert!(answer.has_header("www-authenticate: Bearer"), "{answer:?}");
        }
    }
    assert_eq!(job(&served.status(), "expire-orphans")["runs"], 0);
    assert_eq!(
        metric(&served, "cloakroom_http_unauthorized_total"),
        Some(20.0)
    );
    let (code, _, log) = served.terminate();
    assert_eq!(code, Some(0));
    // Whoever guesses fills no log.
    let told = log.matches("without the right token").count();
    assert!((1..20).contains(&told), "{log}");
    assert!(!log.contains(TOKEN), "{log}");
}

pub fn only_the_bearer_starts_a_job() {
    let deployment = with_token(NEVER);
    let served = deployment.serve(&[]);
    let run = "/jobs/expire-orphans/run";
    assert_eq!(ask(&served, "POST", run, None).code, 401);
    assert_eq!(ask(&served, "POST", run, Some("swordfish")).code, 401);
    assert_eq!(ask(&served, "GET", run, Some(TOKEN)).code, 405);
    let unknown = ask(&served, "POST", "/jobs/expire/run", Some(TOKEN));
    assert_eq!(unknown.code, 404);
    for name in Job::ALL {
        assert!(unknown.body.contains(name.as_str()), "{unknown:?}");
    }
    let unreadable = ask(&served, "POST", "/jobs/%ff/run", Some(TOKEN));
    assert_eq!(unreadable.code, 404, "{unreadable:?}");
    // Without a platform there is nothing of that kind.
    for clean in ["/jobs/clean/run", "/jobs/clean/production/run"] {
        assert_eq!(ask(&served, "POST", clean, None).code, 401);
        let none = ask(&served, "POST", clean, Some(TOKEN));
        assert_eq!(none.code, 404, "{none:?}");
        assert!(!none.body.contains("clean"), "{none:?}");
    }
    // A question with a typo must not become a run.
    for question in [
        "?dryrun=true",
        "?dry_run=yes",
        "?dry_run",
        "?dry_run=true&x=1",
    ] {
        let answer = ask(&served, "POST", &format!("{run}{question}"), Some(TOKEN));
        assert_eq!(answer.code, 400, "{question}: {answer:?}");
    }
    assert_eq!(job(&served.status(), "expire-orphans")["runs"], 0);

    let answer = ask(&served, "POST", run, Some(TOKEN));
    assert_eq!(answer.code, 202, "{answer:?}");
    let told = answer.json();
    assert_eq!(
        (&told["job"], &told["dry_run"]),
        (&"expire-orphans".into(), &false.into())
    );
    let status = served.wait_for("the run", |status| {
        job(status, "expire-orphans")["runs"] == 1
    });
    assert_eq!(job(&status, "expire-orphans")["outcome"], "done");
    assert_eq!(job(&status, "verify-blobs")["runs"], 0);

    // A new token counts without a restart, and the old one no longer.
    deployment.write("token", "another");
    assert_eq!(ask(&served, "POST", run, Some(TOKEN)).code, 401);
    assert_eq!(ask(&served, "POST", run, Some("another")).code, 202);
    let (code, _, log) = served.terminate();
    assert_eq!(code, Some(0));
    assert!(!log.contains(TOKEN) && !log.contains("another"), "{log}");
}

pub fn a_dry_run_tells_and_changes_nothing() {
    let deployment = with_token(&format!(
        "reconcile: {{backup_horizon: 0s, windows: {{orphan_ttl: 0s}}}}\n{NEVER}"
    ));
    deployment.put(&config("kept"));
    let gone = deployment.put(&config("gone"));
    deployment.run(&["document", "remove", &gone]).done();
    let served = deployment.serve(&[]);
    for _ in 0..2 {
        let path = "/jobs/expire-orphans/run?dry_run=true";
        let answer = ask(&served, "POST", path, Some(TOKEN));
        assert_eq!(answer.code, 202, "{answer:?}");
        let told = answer.json();
        assert_eq!(
            (&told["dry_run"], &told["running"]),
            (&true.into(), &false.into())
        );
        assert_eq!(
            told["reports"][0]["deletions"]["orphaned"]["found"], 1,
            "{told:#}"
        );
        assert_eq!(told["errors"].as_array().unwrap().len(), 0);
    }
    let status = served.status();
    assert_eq!(status["secrets"]["embedded"]["stored"], 2);
    assert_eq!(job(&status, "expire-orphans")["runs"], 0);
    assert_eq!(served.terminate().0, Some(0));
}

pub fn a_signal_asks_for_every_job() {
    let deployment = Deployment::with(NEVER);
    let served = deployment.serve(&[]);
    signal(&served.child, "-USR1");
    served.wait_for("a run of each job", |status| {
        Job::ALL
            .iter()
            .all(|name| job(status, name.as_str())["runs"] == 1)
    });
    assert_eq!(served.terminate().0, Some(0));
}

const TAKEN: &str = "INSERT INTO leases (name, holder, token, acquired_at, expires_at) \
    VALUES ('reconcile/embedded', 'somebody', 7, 0, 9000000000000000)";

/// Whose run it is that a backend is busy with, and since when.
pub fn a_backend_tells_which_job_is_at_it() {
    const RUN: &str = "INSERT INTO runs (run_id, job, backend_id, dry_run, report, started_at) \
        VALUES ('6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11', 'verify-blobs', 'embedded', FALSE, '{}', \
        1700000000000)";
    const LEASE: &str = "INSERT INTO leases (name, holder, token, acquired_at, expires_at) VALUES \
        ('reconcile/embedded', '6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11', 7, 0, 9000000000000000)";
    // However many began since.
    const BEGUN_SINCE: &str = "INSERT INTO runs (run_id, job, backend_id, dry_run, report, started_at) \
        WITH RECURSIVE n(n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 300) \
        SELECT '7a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7' || n, 'expire-orphans', 'other', TRUE, '{}', \
        1700000000000 + n FROM n";
    let deployment = Deployment::with(NEVER);
    let served = deployment.serve(&[]);
    let busy = || served.status()["backends"]["embedded"]["busy"].clone();
    assert!(busy().is_null(), "{}", busy());
    behind_its_back(&deployment, RUN);
    behind_its_back(&deployment, LEASE);
    behind_its_back(&deployment, BEGUN_SINCE);
    let told = busy();
    assert_eq!(told["job"], "verify-blobs", "{told:#}");
    assert_eq!(told["since"], "2023-11-14T22:13:20Z", "{told:#}");
    let page = ask(&served, "GET", "/", None).body;
    assert!(
        page.contains("<dt>busy with</dt><dd>verify-blobs for "),
        "{page}"
    );
    assert_eq!(served.terminate().0, Some(0));
}

/// Another run's lease makes no run of this one, on the status, the page and in the metrics; it begins
/// once that has ended, and was asked for all the while.
pub fn a_run_that_another_one_keeps_from_beginning_is_told_as_none() {
    let deployment = with_token(NEVER);
    let served = deployment.serve(&[]);
    behind_its_back(&deployment, TAKEN);
    let run = || ask(&served, "POST", "/jobs/expire-orphans/run", Some(TOKEN));
    assert_eq!(run().code, 202);
    let status = served.wait_for("what it waits for", |status| {
        job(status, "expire-orphans")["waits_for"].is_string()
    });
    let told = job(&status, "expire-orphans");
    let text = told["waits_for"].as_str().unwrap();
    assert!(
        text.starts_with("another run is at this backend (embedded) since 2"),
        "{text}"
    );
    assert_eq!(
        (&told["waiting"], &told["runs"]),
        (&true.into(), &0.into()),
        "{told:#}"
    );
    for nothing in ["last_run", "outcome", "last_success"] {
        assert!(told[nothing].is_null(), "{told:#}");
    }
    let page = ask(&served, "GET", "/", None).body;
    assert!(
        page.contains("it waits: another run is at this backend"),
        "{page}"
    );
    let runs = "cloakroom_job_runs_total{job_name=\"expire-orphans\",outcome=\"done\"}";
    assert!(metric(&served, runs).unwrap_or_default() < 1.0);

    behind_its_back(&deployment, "DELETE FROM leases");
    assert_eq!(run().code, 202);
    let status = served.wait_for("the run", |status| {
        job(status, "expire-orphans")["runs"] == 1
    });
    let told = job(&status, "expire-orphans");
    assert!(told["waits_for"].is_null(), "{told:#}");
    assert_eq!(
        (&told["waiting"], &told["outcome"]),
        (&false.into(), &"done".into())
    );
    assert_eq!(served.terminate().0, Some(0));
}
