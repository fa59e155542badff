//! A clean-up that whoever bears the token asks for over HTTP: it is the one that the schedule starts.

use serde_json::{Value, json};

use crate::asking::{TOKEN, ask};
use crate::cleaning::{AGED, Stage, on_two_threads};
use crate::common::Served;
use crate::managers::Kind;
use crate::serving::serve;

/// Far away, so that only what is asked for runs.
const NEVER: &str = "0 0 29 2 *";

const ALL: &str = "/jobs/clean/run";
const ONE: &str = "/jobs/clean/production/run";

fn asked_by_hand(stage: &Stage) -> Served {
    stage.cloakroom.write("http-token", TOKEN);
    let more = [
        ("CLOAKROOM_HTTP__TOKEN_FILE", "http-token"),
        // A dry run asks both sides, on a busy machine too.
        ("CLOAKROOM_HTTP__TIMEOUT", "1m"),
    ];
    serve(stage, NEVER, &more)
}

/// What a request is told that is taken on.
fn asked(served: &Served, path: &str) -> Value {
    let answer = ask(served, "POST", path, Some(TOKEN));
    assert_eq!(answer.code, 202, "{path}: {answer:?}");
    answer.json()
}

fn runs(served: &Served, number: u64) -> Value {
    let status = served.wait_for("the run", |status| {
        let told = &status["platforms"][0];
        told["runs"] == number && told["running"] == false
    });
    status["platforms"][0].clone()
}

pub fn whoever_bears_the_token_cleans_a_platform(kind: Kind) {
    on_two_threads(async {
        let stage = Stage::new(kind).await;
        let planted = &stage.planted;
        let all = planted.names.len();
        let due = planted.superseded + planted.orphaned + planted.ahead;
        stage.json(&["report"]);
        stage.execute(AGED);
        let served = tokio::task::block_in_place(|| asked_by_hand(&stage));
        tokio::task::block_in_place(|| {
            for path in [ALL, ONE] {
                assert_eq!(ask(&served, "POST", path, None).code, 401, "{path}");
                let typo = format!("{path}?dryrun=true");
                assert_eq!(ask(&served, "POST", &typo, Some(TOKEN)).code, 400);
            }
            assert_eq!(ask(&served, "GET", ONE, Some(TOKEN)).code, 405);
            let staging = "/jobs/clean/staging/run";
            let unknown = ask(&served, "POST", staging, Some(TOKEN));
            assert_eq!(unknown.code, 404);
            assert!(
                unknown.body.contains("clean, clean/production"),
                "{unknown:?}"
            );

            for (path, job) in [(ALL, "clean"), (ONE, "clean/production")] {
                let told = asked(&served, &format!("{path}?dry_run=true"));
                assert_eq!(
                    (&told["job"], &told["running"]),
                    (&json!(job), &json!(false))
                );
                assert_eq!(told["errors"], json!([]), "{told:#}");
                let report = &told["reports"][0];
                assert_eq!(report["guards"][0]["guard"], "not-adopted", "{told:#}");
                assert_eq!(report["next"]["due"], due, "{told:#}");
            }
            assert_eq!(served.status()["platforms"][0]["runs"], 0);
            let told = asked(&served, ONE);
            assert!(
                told["message"].to_string().contains("reconciler adopt"),
                "{told}"
            );
            assert_eq!(runs(&served, 1)["report"], Value::Null);
        });
        assert_eq!(stage.there().await, all, "nothing goes unconfirmed");

        let (plan, _) = stage.json(&["adopt"]);
        let id = plan["id"].as_str().unwrap();
        stage.run(&["adopt", "--confirm", id, "--by", "ada"]).done();
        let mut number = 1;
        let first = tokio::task::block_in_place(|| {
            loop {
                let told = asked(&served, ALL);
                assert_eq!(
                    (&told["job"], &told["dry_run"]),
                    (&json!("clean"), &json!(false))
                );
                number += 1;
                let told = runs(&served, number);
                // On a busy machine a run may end in part, and the next one does the rest.
                if told["outcome"] == "done" || number > 9 {
                    return told;
                }
            }
        });
        assert_eq!(first["outcome"], "done", "{first:#}");
        assert_eq!(stage.there().await, all - usize::try_from(due).unwrap());

        // Its schedule will not come for years, and it is done again all the same.
        let again = tokio::task::block_in_place(|| {
            asked(&served, ONE);
            runs(&served, number + 1)
        });
        assert_ne!(
            again["report"]["started"], first["report"]["started"],
            "{again:#}"
        );
        assert_eq!(again["outcome"], "done", "{again:#}");
        let (code, _, log) = tokio::task::block_in_place(|| served.terminate());
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains(TOKEN));
        stage.manager.clear(planted.names.clone()).await;
        stage.database.drop().await;
    });
}
