//! A whole Airbyte read once by the real program, beside the script that an operator would write for
//! the same question, on the same servers: requests, time, peak memory, and what the script gets wrong.
//!
//! Prints one line of JSON a figure. `cargo xtask bench --airbyte` starts the servers, names them and
//! says how many connectors there are (`CLOAKROOM_BENCH_CONNECTORS`).
#![allow(clippy::unwrap_used, reason = "nothing is measured without it")]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "it uses a part of what the tests have"
)]
#![expect(clippy::print_stdout, reason = "its figures go to standard output")]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/airbyte/database.rs"]
mod database;
#[path = "../../tests/airbyte/managers.rs"]
mod managers;
#[path = "../../tests/airbyte/pass.rs"]
mod pass;
mod script;

use std::time::Instant;

use serde_json::json;

use managers::Kind;
use pass::Stage;
use script::Script;

fn main() {
    // `cargo test --benches` only wants to see that it builds and starts.
    if std::env::args().any(|it| it == "--test") {
        return;
    }
    for variable in [database::URL].into_iter().chain(Kind::Aws.variables()) {
        if std::env::var_os(variable).is_none() {
            println!("skipped: {variable} is not set");
            return;
        }
    }
    let connectors = std::env::var("CLOAKROOM_BENCH_CONNECTORS")
        .ok()
        .and_then(|it| it.parse().ok())
        .unwrap_or(10_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure(connectors));
}

async fn measure(connectors: u32) {
    let begun = Instant::now();
    let stage = Stage::new(connectors).await;
    println!("filled in {:.0} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let passed = stage.pass();
    let report_seconds = begun.elapsed().as_secs_f64();
    let listed = &passed.report["listed"];
    println!("{connectors} connectors, {listed} secrets in the manager");
    tell("report: time", report_seconds, "seconds");
    tell("report: requests", passed.requests as f64, "count");
    let beside_pages = passed.requests as f64 / passed.pages as f64;
    tell(
        "report: requests beside pages of the listing",
        beside_pages,
        "ratio",
    );
    tell("report: peak memory", passed.peak_bytes as f64, "bytes");

    let before = stage.proxy.count();
    let begun = Instant::now();
    let script = Script::run(&stage).await;
    let script_seconds = begun.elapsed().as_secs_f64();
    let requests = stage.proxy.count() - before;
    tell("script: time", script_seconds, "seconds");
    tell("script: requests", requests as f64, "count");
    tell("script: queries", script.queries as f64, "count");
    tell(
        "script: secrets in use that it calls unused",
        script.wrongly_unused as f64,
        "count",
    );
    tell(
        "script: one query that would find them",
        script.thorough_query.as_secs_f64(),
        "seconds",
    );
    tell(
        "time of the script beside the report's",
        script_seconds / report_seconds,
        "ratio",
    );
    // The manager's secrets go with the server.
    stage.database.drop().await;
}

fn tell(figure: &str, value: f64, unit: &str) {
    println!(
        "{}",
        json!({"figure": figure, "value": value, "unit": unit})
    );
}
