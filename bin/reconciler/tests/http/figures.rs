//! Metrics, readiness and status of the real service.

use crate::asking::{NEVER, TOKEN, ask, job, metric, with_token};
use crate::common::{self, CANARY, Deployment, config};

pub fn one_replica_alone_tells_the_databases_figures() {
    let deployment = Deployment::with(NEVER);
    deployment.put(&config("one"));
    let (first, second) = (deployment.serve(&[]), deployment.serve(&[]));
    assert_eq!(metric(&first, "cloakroom_leader"), Some(1.0));
    assert_eq!(metric(&second, "cloakroom_leader"), Some(0.0));
    let stored = "cloakroom_secrets{backend=\"embedded\",state=\"stored\"}";
    assert_eq!(metric(&first, stored), Some(1.0));
    assert_eq!(metric(&second, stored), None);
    // What each does itself each tells.
    let runs = "cloakroom_runs_total{job_name=\"verify-blobs\",outcome=\"done\"}";
    assert_eq!(
        (metric(&first, runs), metric(&second, runs)),
        (Some(0.0), Some(0.0))
    );
    assert_eq!(first.status()["leader"], true);
    assert_eq!(second.status()["leader"], false);
    // Who ends hands over at once.
    assert_eq!(first.terminate().0, Some(0));
    let third = deployment.serve(&[]);
    assert_eq!(metric(&third, "cloakroom_leader"), Some(1.0));
    assert_eq!(metric(&third, "cloakroom_replicas"), Some(2.0));
    assert_eq!(third.terminate().0, Some(0));
    assert_eq!(second.terminate().0, Some(0));
}

pub fn requests_to_the_backend_are_counted() {
    let deployment = with_token(NEVER);
    deployment.put(&config("one"));
    let served = deployment.serve(&[]);
    let listed =
        "cloakroom_backend_requests_total{backend=\"embedded\",operation=\"list\",outcome=\"ok\"}";
    let seconds =
        "cloakroom_backend_request_duration_seconds_count{backend=\"embedded\",operation=\"list\"}";
    assert_eq!(
        (metric(&served, listed), metric(&served, seconds)),
        (Some(0.0), Some(0.0))
    );
    assert_eq!(
        ask(&served, "POST", "/jobs/verify-blobs/run", Some(TOKEN)).code,
        202
    );
    served.wait_for("the run", |status| job(status, "verify-blobs")["runs"] == 1);
    assert!(metric(&served, listed) > Some(0.0));
    assert_eq!(metric(&served, listed), metric(&served, seconds));
    for (series, wanted) in [
        (
            "cloakroom_job_interval_seconds{job_name=\"verify-blobs\"}",
            86_400.0,
        ),
        (
            "cloakroom_job_next_run_timestamp_seconds{job_name=\"verify-blobs\"}",
            1.7e9,
        ),
    ] {
        assert!(metric(&served, series) > Some(wanted), "{series}");
    }
    assert_eq!(served.terminate().0, Some(0));
}

pub fn what_is_due_is_told() {
    let deployment = Deployment::with(&format!(
        "reconcile: {{backup_horizon: 0s, windows: {{orphan_ttl: 0s, superseded_grace: 0s}}}}\n{NEVER}"
    ));
    let id = deployment.put(&config("first"));
    deployment
        .run_with_input(&["document", "put", "--id", &id, "-"], &config("second"))
        .done();
    let gone = deployment.put(&config("gone"));
    deployment.run(&["document", "remove", &gone]).done();
    let served = deployment.serve(&[]);
    let due = |reason: &str| {
        let series = format!("cloakroom_due_secrets{{backend=\"embedded\",reason=\"{reason}\"}}");
        metric(&served, &series)
    };
    assert_eq!((due("superseded"), due("orphaned")), (Some(1.0), Some(1.0)));
    assert_eq!((due("abandoned"), due("ephemeral")), (Some(0.0), Some(0.0)));
    let age = metric(
        &served,
        "cloakroom_oldest_orphan_age_seconds{backend=\"embedded\"}",
    );
    assert!(age > Some(0.0), "{age:?}");
    assert_eq!(served.terminate().0, Some(0));
}

/// Who has no Prometheus reads the same as JSON and on the page.
pub fn the_status_tells_what_metrics_tell() {
    let deployment = Deployment::with(&format!(
        "default_backend: embedded\n\
         backends: {{embedded: {{type: embedded}}, \
         vault: {{type: vault, address: 'http://127.0.0.1:9', auth: {{token: {{env: NONE}}}}, \
         dollars_per_secret_month: 0.5}}}}\n\
         reconcile: {{backup_horizon: 0s, windows: {{orphan_ttl: 0s}}}}\n{NEVER}"
    ));
    let gone = deployment.put(&config("gone"));
    deployment.run(&["document", "remove", &gone]).done();
    let served = deployment.serve(&[]);
    let status = served.status();
    for id in ["embedded", "vault"] {
        let told = &status["backends"][id];
        for (series, figure) in [
            ("cloakroom_due_secrets{REASON}", &told["due"]["orphaned"]),
            (
                "cloakroom_estimated_monthly_cost_dollars{REASON}",
                &told["estimated_monthly_cost_dollars"]["orphaned"],
            ),
            ("cloakroom_backend_drain_seconds{}", &told["drain_seconds"]),
            (
                "cloakroom_backend_budget_requests_per_second{DELETE}",
                &told["budget"]["delete"]["requests_per_second"],
            ),
            (
                "cloakroom_backend_budget_exhausted_total{DELETE}",
                &told["budget"]["delete"]["exhausted"],
            ),
        ] {
            let series = series
                .replace(
                    "{REASON}",
                    &format!("{{backend=\"{id}\",reason=\"orphaned\"}}"),
                )
                .replace(
                    "{DELETE}",
                    &format!("{{backend=\"{id}\",operation=\"delete\"}}"),
                )
                .replace("{}", &format!("{{backend=\"{id}\"}}"));
            assert_eq!(
                metric(&served, &series),
                figure.as_f64(),
                "{series}: {told:#}"
            );
        }
    }
    let told = &status["backends"]["embedded"];
    assert_eq!(told["due"]["orphaned"], 1, "{told:#}");
    assert_eq!(told["unused"]["orphaned"], 1, "{told:#}");
    assert!(told["oldest_orphan_seconds"].is_u64(), "{told:#}");
    let page = ask(&served, "GET", "/", None);
    for line in ["<dt>due now</dt><dd>1</dd>", "<dt>of no use</dt><dd>1</dd>"] {
        assert!(page.body.contains(line), "{line}: {}", page.body);
    }
    assert_eq!(served.terminate().0, Some(0));
}

pub fn only_the_bearer_reads_ids() {
    let deployment = with_token(NEVER);
    deployment.put(&config("one"));
    let served = deployment.serve(&[]);
    ask(&served, "POST", "/jobs/verify-blobs/run", Some(TOKEN));
    served.wait_for("the run", |status| job(status, "verify-blobs")["runs"] == 1);
    let anybody = ask(&served, "GET", "/status", None);
    assert_eq!(anybody.code, 200);
    let told = &job(&anybody.json(), "verify-blobs")["reports"][0].clone();
    assert_eq!(told["checked"]["references"], 1, "{told:#}");
    for id in ["run", "examples", "plan"] {
        assert!(told[id].is_null(), "{told:#}");
    }
    let operator = ask(&served, "GET", "/status", Some(TOKEN)).json();
    let run = &job(&operator, "verify-blobs")["reports"][0]["run"];
    let run = run.as_str().unwrap();
    let page = ask(&served, "GET", "/", None);
    assert!(!anybody.body.contains(run) && !page.body.contains(run));
    assert_eq!(ask(&served, "GET", "/status", Some("wrong")).code, 401);
    for answer in [&anybody, &page] {
        assert!(!answer.body.contains(CANARY) && !answer.body.contains(common::WORKSPACE));
    }
    assert_eq!(served.terminate().0, Some(0));
}

pub fn a_schema_that_changed_is_not_ready() {
    let deployment = Deployment::with(NEVER);
    let served = deployment.serve(&[]);
    assert_eq!(ask(&served, "GET", "/readyz", None).code, 200);
    let newer = "INSERT INTO _sqlx_migrations \
                     (version, description, success, checksum, execution_time) \
                     VALUES (9999, 'of a newer program', TRUE, x'00', 0)";
    common::behind_its_back(&deployment, newer);
    let answer = ask(&served, "GET", "/readyz", None);
    assert_eq!(
        (answer.code, answer.body.as_str()),
        (503, "the store: invalid\n")
    );
    assert_eq!(ask(&served, "GET", "/healthz", None).code, 200);
    assert_eq!(served.terminate().0, Some(0));
}

/// A script that reads the status reads why there is none.
pub fn a_status_that_cannot_be_told_is_json() {
    let deployment = Deployment::with(NEVER);
    let served = deployment.serve(&[]);
    let away = "ALTER TABLE runs RENAME TO elsewhere";
    common::behind_its_back(&deployment, away);
    let answer = ask(&served, "GET", "/status", None);
    assert_eq!(answer.code, 503, "{answer:?}");
    let told = answer.json();
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    assert!(told["error"]["kind"].is_string(), "{told:#}");
    assert_eq!(ask(&served, "GET", "/", None).code, 503);
    assert_eq!(served.terminate().0, Some(0));
}

/// Whoever has the file open could go on reading it.
pub fn a_file_that_is_gone_is_told_wherever_somebody_asks() {
    let deployment = Deployment::with(NEVER);
    let served = deployment.serve(&[]);
    let (file, elsewhere) = (
        deployment.path("cloakroom.db"),
        deployment.path("elsewhere.db"),
    );
    for (from, to, code) in [(&file, &elsewhere, 503), (&elsewhere, &file, 200)] {
        std::fs::rename(from, to).unwrap();
        for place in ["/readyz", "/status", "/"] {
            let answer = ask(&served, "GET", place, None);
            assert_eq!(answer.code, code, "{place}: {answer:?}");
        }
    }
    assert_eq!(served.terminate().0, Some(0));
}

/// In an empty database in the place of one that was lost, nothing else tells of what that one wrote.
pub fn secrets_of_another_store_of_this_name_are_told() {
    let deployment = Deployment::with(NEVER);
    let series = "cloakroom_namesake_secrets{backend=\"embedded\"}";
    let served = deployment.serve(&[]);
    assert_eq!(metric(&served, series), Some(0.0));
    assert_eq!(served.terminate().0, Some(0));
    assert_eq!(deployment.run(&["run", "all"]).code, Some(0));
    let seen = "UPDATE runs SET report = replace(report, '\"namesakes\":0', '\"namesakes\":3') \
                WHERE job <> 'verify-blobs'";
    common::behind_its_back(&deployment, seen);
    let served = deployment.serve(&[]);
    assert_eq!(metric(&served, series), Some(3.0));
    let page = ask(&served, "GET", "/", None).body;
    let words = "3 secrets bear on embedded the mark of another store";
    assert!(
        page.contains(words) && !page.contains("All is well"),
        "{page}"
    );
    assert_eq!(served.terminate().0, Some(0));
}

/// The machine's clock was a month ahead while they ran, and is right again.
pub fn a_success_from_the_future_is_unknown() {
    let deployment = Deployment::with(NEVER);
    deployment.put(&config("one"));
    assert_eq!(deployment.run(&["run", "all"]).code, Some(0));
    let month = "UPDATE runs SET started_at = started_at + 2592000000, \
                 finished_at = finished_at + 2592000000 WHERE job <> 'expire-orphans'";
    common::behind_its_back(&deployment, month);
    let served = deployment.serve(&[]);
    let status = served.status();
    let now: jiff::Timestamp = status["now"].as_str().unwrap().parse().unwrap();
    for (name, known) in [("expire-orphans", true), ("verify-blobs", false)] {
        assert_eq!(job(&status, name)["last_success"].is_string(), known);
        let told = |series: &str| {
            let series = format!("cloakroom_job_{series}_timestamp_seconds{{job_name=\"{name}\"}}");
            metric(&served, &series).unwrap()
        };
        assert_eq!(told("last_success") > 0.0, known, "{name}");
        let awaited = told("awaited_since");
        assert!(awaited > 0.0 && awaited <= now.as_second() as f64, "{name}");
    }
    assert_eq!(served.terminate().0, Some(0));
}
