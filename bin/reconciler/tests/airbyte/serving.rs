//! `serve` cleans a platform on its schedule, once somebody has confirmed a plan, and two replicas clean
//! it once.

use serde_json::{Value, json};

use crate::cleaning::{AGED, Stage, on_two_threads};
use crate::common::{PATIENCE, Served};
use crate::managers::Kind;

const JOB: &str = "job_name=\"clean/production\"";

const EVERY_THREE_SECONDS: &str = "*/3 * * * * *";

/// A replica that cleans on this schedule, whatever the share; `more` is in its environment too.
pub fn serve(stage: &Stage, schedule: &str, more: &[(&str, &str)]) -> Served {
    let mut serve = stage
        .cloakroom
        .command(&["serve", "--listen", "127.0.0.1:0"]);
    serve
        .env("CLOAKROOM_JOBS__JITTER", "0s")
        .env("CLOAKROOM_RECONCILE__GUARDS__LARGEST_SHARE", "1.0")
        .env("CLOAKROOM_PLATFORMS__PRODUCTION__SCHEDULE", schedule)
        .envs(more.iter().copied());
    Served::start(serve)
}

/// The sum of every line of the metrics that begins with `name` and has all of `labels`.
fn counted(served: &Served, name: &str, labels: &[&str]) -> u64 {
    let (_, text) = served.get("/metrics");
    let lines = text.lines().filter(|line| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    });
    let number = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    lines.map(number).sum()
}

fn platform(status: &Value) -> &Value {
    &status["platforms"][0]
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

pub fn what_is_confirmed_is_cleaned_once_by_two_replicas(kind: Kind) {
    on_two_threads(async {
        let stage = Stage::new(kind).await;
        let planted = &stage.planted;
        let all = planted.names.len();
        let leaked = planted.superseded + planted.orphaned;
        let due = leaked + planted.ahead;
        stage.json(&["report"]);
        stage.execute(AGED);
        let replica = || serve(&stage, EVERY_THREE_SECONDS, &[]);
        let replicas = tokio::task::block_in_place(|| [replica(), replica()]);
        tokio::task::block_in_place(|| {
            for replica in &replicas {
                wait("nobody has confirmed a plan", || {
                    counted(replica, "cloakroom_runs_total", &[JOB, "refused"]) > 0
                });
                let status = replica.status();
                assert_eq!(platform(&status)["confirmed"], Value::Null, "{status:#}");
                assert_eq!(platform(&status)["report"], Value::Null, "{status:#}");
                let page = replica.get("/").1;
                assert!(page.contains("nobody has confirmed a plan"), "{page}");
            }
        });
        assert_eq!(stage.there().await, all, "nothing goes unconfirmed");

        let (plan, code) = stage.json(&["adopt"]);
        assert_eq!(
            (code, &plan["header"]["next"]["due"]),
            (Some(0), &json!(due))
        );
        let id = plan["id"].as_str().unwrap();
        stage.run(&["adopt", "--confirm", id, "--by", "ada"]).done();
        tokio::task::block_in_place(|| {
            for replica in &replicas {
                // On a busy machine a run may end in part, and the next one does the rest.
                let status = replica.wait_for("a clean-up that did it all", |status| {
                    let told = platform(status);
                    told["last_success"].is_string() && told["outcome"] == "done"
                });
                let told = platform(&status);
                assert_eq!(told["overdue"], false, "{status:#}");
                for hidden in ["run", "plan", "lost"] {
                    assert_eq!(told["report"][hidden], Value::Null, "{told:#}");
                }
                assert_eq!(replica.get("/readyz").0, 200);
                assert!(replica.get("/").1.contains("clean/production"));
            }
        });
        let left = all - usize::try_from(due).unwrap();
        assert_eq!(stage.there().await, left);
        let deleted = |outcome: &str| -> u64 {
            let name = "cloakroom_platform_deletions_total";
            let labels = [format!("outcome=\"{outcome}\"")];
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            replicas.iter().map(|it| counted(it, name, &labels)).sum()
        };
        tokio::task::block_in_place(|| {
            wait("each deletion is counted, once", || {
                deleted("scheduled") + deleted("deleted") >= due
            });
            assert_eq!(
                (deleted("scheduled"), deleted("deleted")),
                (leaked, planted.ahead)
            );
            let leader = || {
                let leads = |it: &&Served| it.get("/metrics").1.contains("\ncloakroom_leader 1");
                replicas.iter().find(leads)
            };
            wait("one replica tells the figures", || {
                leader().is_some_and(|leader| {
                    let name = "cloakroom_platform_secrets";
                    counted(leader, name, &["standing=\"in_use\""]) == planted.in_use
                        && counted(leader, "cloakroom_platform_findings", &["\"dangling\""])
                            == planted.dangling
                })
            });
        });
        let receipts = stage.run(&["audit", "export"]).json_lines();
        let gone = |it: &&Value| it["outcome"] == "scheduled" || it["outcome"] == "deleted";
        let gone = receipts.iter().filter(gone).count();
        assert_eq!(gone as u64, due, "no secret was deleted twice");
        for replica in replicas {
            let (code, _, log) = tokio::task::block_in_place(|| replica.terminate());
            assert_eq!(code, Some(0), "{log}");
        }
        stage.manager.clear(planted.names.clone()).await;
        stage.database.drop().await;
    });
}
