//! Scanning 10,000 connectors with 40,000 secrets, beside `COPY` of the same columns to nowhere, in
//! turns on the same server. Prints one line of JSON for each figure.
//!
//! With a number in `CLOAKROOM_BENCH_JOBS` there are so many jobs besides, each with an attempt, as years of
//! syncs leave them: a kilobyte and a half of catalog and of a failure's stack each.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "nothing is measured without it, and its output is its purpose"
)]

use std::time::{Duration, Instant};

use async_trait::async_trait;
use cloakroom_core::platform::{Defect, Mention, Owner, PlatformSource as _, ScanSink};
use cloakroom_core::{Result, SecretValue};
use cloakroom_store_airbyte::{AirbyteSource, Options};
use cloakroom_testkit::airbyte::Deployment;
use futures_util::TryStreamExt as _;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

const URL: &str = "CLOAKROOM_TEST_POSTGRES_URL";
const CONNECTORS: &str = "CLOAKROOM_BENCH_CONNECTORS";
const JOBS: &str = "CLOAKROOM_BENCH_JOBS";
const DATABASE: &str = "airbyte_bench_scan";
/// Jobs that are written in one statement.
const CHUNK: u32 = 50_000;
/// Turns of which the middle one counts.
const TURNS: usize = 7;

/// The columns that the scan reads, as a script would find them.
const COLUMNS: &str = "SELECT format('COPY %I.%I (%s) TO STDOUT', table_schema, table_name, \
     string_agg(quote_ident(column_name), ', ')) FROM information_schema.columns \
     WHERE table_schema = 'public' AND data_type IN ('text', 'character varying', 'json', 'jsonb') \
     GROUP BY table_schema, table_name";

fn main() {
    let Ok(server) = std::env::var(URL) else {
        println!("skipped: {URL} is not set");
        return;
    };
    let number = |variable| std::env::var(variable).ok()?.parse().ok();
    let connectors = number(CONNECTORS).unwrap_or(10_000);
    let jobs = number(JOBS).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure(&server, connectors, jobs));
}

async fn measure(server: &str, connectors: u32, jobs: u32) {
    let mut admin = PgConnection::connect(server).await.unwrap();
    let again = [
        format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"),
        format!("CREATE DATABASE {DATABASE}"),
    ];
    for statement in again.clone() {
        admin.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    let (address, _) = server.split_once('?').unwrap_or((server, ""));
    let url = format!("{}/{DATABASE}", address.rsplit_once('/').unwrap().0);
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for statement in Deployment::new(connectors, 1).statements() {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    history(&mut connection, jobs).await;
    let source = AirbyteSource::new(Options::new(SecretValue::from(url))).unwrap();
    let copies: Vec<String> = sqlx::query_scalar(COLUMNS)
        .fetch_all(&mut connection)
        .await
        .unwrap();

    let (mut scans, mut peers, mut again_asked) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..TURNS {
        let started = Instant::now();
        copy_to_nowhere(&mut connection, &copies).await;
        peers.push(started.elapsed());
        let started = Instant::now();
        let report = source.scan(&mut Nowhere::default()).await.unwrap();
        scans.push(started.elapsed());
        assert!(report.is_complete());
        bytes = report.bytes;
        let names: Vec<String> = Deployment::new(connectors, 1)
            .secrets()
            .take(200)
            .map(|it| it.coordinate.to_string())
            .collect();
        let started = Instant::now();
        source.still_mentioned(&names).await.unwrap();
        again_asked.push(started.elapsed());
    }
    let scan = middle(&mut scans);
    let copy = middle(&mut peers);
    let asked = middle(&mut again_asked);
    let rate = bytes as f64 / 1e6 / scan.as_secs_f64();
    tell(
        "scan",
        scan.as_secs_f64(),
        "seconds",
        Some(format!("{rate:.0} MB/s")),
    );
    tell(
        "copy of the same columns to nowhere",
        copy.as_secs_f64(),
        "seconds",
        None,
    );
    tell(
        "asking for 200 names again",
        asked.as_secs_f64(),
        "seconds",
        None,
    );
    let ratio = scan.as_secs_f64() / copy.as_secs_f64();
    tell("scan beside copy", ratio, "ratio", None);
    connection.close().await.unwrap();
    let [gone, _] = again;
    admin.execute(AssertSqlSafe(gone)).await.unwrap();
}

/// Jobs and their attempts, no two of them alike.
async fn history(connection: &mut PgConnection, jobs: u32) {
    if jobs == 0 {
        return;
    }
    let attempts = "CREATE TABLE attempts (id bigint PRIMARY KEY, job_id bigint, attempt_number integer, \
                    output jsonb, failure_summary jsonb, status varchar(64))";
    connection.execute(attempts).await.unwrap();
    for first in (0..jobs).step_by(CHUNK as usize) {
        let last = (first + CHUNK).min(jobs);
        let statements = [
            format!(
                "INSERT INTO jobs (id, config_type, scope, status, config) \
                 SELECT n, 'sync', gen_random_uuid(), 'succeeded', jsonb_build_object('configType', 'sync', \
                 'sync', jsonb_build_object('workspaceId', gen_random_uuid(), \
                 'sourceDockerImage', 'airbyte/source-postgres:3.6.' || n % 40, \
                 'configuredAirbyteCatalog', (SELECT jsonb_agg(jsonb_build_object('syncMode', 'incremental', \
                 'cursorField', jsonb_build_array('updated_at'), 'stream', jsonb_build_object('name', \
                 md5(n || '-' || s), 'jsonSchema', jsonb_build_object('type', 'object', 'properties', \
                 jsonb_build_object('id', jsonb_build_object('type', 'integer'), md5(s || '+' || n), \
                 jsonb_build_object('type', 'string')))))) FROM generate_series(1, 5) s))) \
                 FROM generate_series({first} + 1, {last}) n"
            ),
            format!(
                "INSERT INTO attempts SELECT n, n, 0, jsonb_build_object('sync', \
                 jsonb_build_object('standardSyncSummary', jsonb_build_object('bytesSynced', n::bigint * 7919, \
                 'recordsSynced', n, 'status', 'failed'))), jsonb_build_object('failures', \
                 jsonb_build_array(jsonb_build_object('failureType', 'system_error', 'timestamp', n, \
                 'externalMessage', 'Something went wrong within the \"source\" connector ' || md5(n::text), \
                 'stacktrace', (SELECT string_agg('at io.airbyte.workers.' || md5(n || ':' || s) || \
                 '.run(Worker.java:' || s || ')', E'\\n\\t') FROM generate_series(1, 16) s)))), 'failed' \
                 FROM generate_series({first} + 1, {last}) n"
            ),
        ];
        for statement in statements {
            connection.execute(AssertSqlSafe(statement)).await.unwrap();
        }
    }
    connection.execute("VACUUM ANALYZE").await.unwrap();
}

async fn copy_to_nowhere(connection: &mut PgConnection, copies: &[String]) {
    for copy in copies {
        let mut rows = connection.copy_out_raw(copy).await.unwrap();
        while rows.try_next().await.unwrap().is_some() {}
    }
}

fn middle(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn tell(figure: &str, value: f64, unit: &str, throughput: Option<String>) {
    let mut line = json!({"figure": figure, "value": value, "unit": unit});
    if let Some(throughput) = throughput {
        line["throughput"] = json!(throughput);
    }
    println!("{line}");
}

/// Counts, so that nothing is optimised away.
#[derive(Default)]
struct Nowhere {
    mentions: usize,
}

#[async_trait]
impl ScanSink for Nowhere {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        Ok(())
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        self.mentions += mentions.len();
        Ok(())
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}
