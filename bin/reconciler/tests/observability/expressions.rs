//! Every expression of every panel and rule, put to Prometheus while the program is at work.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::common::{PATIENCE, Served};
use crate::prometheus::Prometheus;
use crate::series::PLATFORM;
use crate::{boards, rules};

/// Expressions that find nothing in a small healthy deployment, by place, each with its reason.
const SILENT: &str = include_str!("silent.yaml");

/// What is asked, and where it stands.
struct Asked {
    place: String,
    expression: String,
}

pub(crate) fn each_finds_something(prometheus: &Prometheus) {
    let folder = tempfile::tempdir().unwrap();
    let served = demo(&folder.path().join("demo"));
    prometheus.reload();
    let target = prometheus.scrape(served.address);
    // Rates take two samples and recording rules another look; the jobs run each second.
    let instance = format!("instance=\"{}\"", target.instance);
    prometheus.wait_for(&format!(
        "count_over_time(cloakroom_build_info{{{instance}}}[5m]) >= 4"
    ));
    prometheus.wait_for(&format!("cloakroom_leader{{{instance}}} == 1"));
    prometheus.wait_for(&format!(
        "count(sum by (job_name) (increase(cloakroom_runs_total{{{instance}}}[1m])) > 0) == 3"
    ));

    let silent: BTreeMap<String, String> = serde_yaml_ng::from_str(SILENT).unwrap();
    let asked = asked();
    let places: BTreeSet<&String> = asked.iter().map(|it| &it.place).collect();
    for place in silent.keys() {
        assert!(
            places.contains(place),
            "silent.yaml names {place:?}, which there is not"
        );
    }
    let mut wrong = String::new();
    let deadline = Instant::now() + PATIENCE;
    for Asked { place, expression } in &asked {
        let found = loop {
            let found = prometheus.query(expression);
            let empty = found.as_ref().is_ok_and(Vec::is_empty);
            if !empty || silent.contains_key(place) || Instant::now() > deadline {
                break found;
            }
            std::thread::yield_now();
        };
        match found {
            Err(error) => writeln!(wrong, "{place}: {expression}: {error}").unwrap(),
            Ok(series) if series.is_empty() && !silent.contains_key(place) => {
                writeln!(wrong, "{place}: {expression}: finds nothing").unwrap();
            }
            Ok(_) => {}
        }
    }
    for rule in prometheus.rules() {
        if rule["health"] != "ok" {
            writeln!(wrong, "{}: {}", rule["name"], rule["lastError"]).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}\n{}", served.get("/metrics").1);
    drop(target);
    let (code, _, log) = served.terminate();
    assert_eq!(code, Some(0), "{log}");
}

/// Every panel's expression with its variables filled in, what every rule records, what every alert
/// looks at, and the alert itself, made to tell either way: it finds something only when there is
/// something amiss.
fn asked() -> Vec<Asked> {
    let mut asked = Vec::new();
    for board in boards::all() {
        for question in board.questions() {
            asked.push(Asked {
                place: question.place,
                expression: boards::filled_in(&question.expression),
            });
        }
    }
    for rule in rules::all() {
        match rule.alert {
            None => asked.push(Asked {
                place: "recording rules".to_owned(),
                expression: rule.expression,
            }),
            Some(alert) => {
                asked.push(Asked {
                    place: format!("{alert}, whole"),
                    expression: told_either_way(&rule.expression),
                });
                asked.extend(
                    selectors(&rule.expression)
                        .into_iter()
                        .map(|expression| Asked {
                            place: alert.clone(),
                            expression,
                        }),
                );
            }
        }
    }
    assert!(asked.len() > 60, "{}", asked.len());
    asked
}

/// The series that an expression begins with.
fn selectors(expression: &str) -> Vec<String> {
    let selector =
        fancy_regex::Regex::new(r"\b(?:up|[a-z_]*:?cloakroom_[a-z0-9_:]+)(?![\w:])(?:\{[^}]*\})?")
            .unwrap();
    let found: Vec<String> = selector
        .find_iter(expression)
        .map(|found| found.unwrap().as_str().to_owned())
        .collect();
    assert!(!found.is_empty(), "{expression}");
    found
}

/// The expression whose comparisons tell 0 or 1 in place of leaving a series out: both sides still have to
/// find something, under the same labels.
fn told_either_way(expression: &str) -> String {
    let comparison = fancy_regex::Regex::new(r"(?<=\s)(?:==|!=|>=|<=|>|<)(?=\s)").unwrap();
    let told = comparison.replace_all(expression, "$0 bool");
    assert_ne!(told, expression, "an alert compares something");
    told.into_owned()
}

/// A sample deployment, served with every job each second.
fn demo(folder: &std::path::Path) -> Served {
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconciler"));
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    let made = program()
        .args([
            "demo",
            "--once",
            "--documents",
            "60",
            "--output",
            "json",
            "--folder",
        ])
        .arg(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let config = folder.join("cloakroom.yaml");
    let written = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{written}\n{PLATFORM}")).unwrap();
    let mut serve = program();
    serve
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(&config)
        .env("CLOAKROOM_JOBS__JITTER", "0s");
    for job in ["EXPIRE_ORPHANS", "DELETE_SUPERSEDED", "VERIFY_BLOBS"] {
        serve.env(format!("CLOAKROOM_JOBS__{job}__CRON"), "* * * * * *");
    }
    let served = Served::start(serve);
    let all_ran = |status: &Value| {
        let jobs = status["jobs"].as_array().unwrap();
        jobs.iter().all(|job| job["runs"].as_u64() > Some(0))
    };
    served.wait_for("a run of each job", all_ran);
    served
}
