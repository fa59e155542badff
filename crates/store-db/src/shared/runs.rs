//! The journal of runs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use cloakroom_core::store::{Job, NewRun, RunOutcome, RunRecord, telling_most};
use cloakroom_core::{BackendId, Error, ErrorKind, Result, RunId};
use sha2::{Digest as _, Sha256};

use super::findings::{count_kept, prune};
use super::rows::{Reader, or_unreadable, parsed};
use super::transaction::{Ending, told};
use super::{Conn, Query, Row, Store, dialect};
use crate::failure::{Failure, miscounted};

const RUN_COLUMNS: &str = "SELECT r.run_id, r.job, r.backend_id, r.dry_run, r.started_at, \
     r.finished_at, r.outcome, r.report FROM runs AS r";
/// In the text of a report that was cut short, as it is written. In a string its quotes would be escaped.
/// No function of the database's reads it: PostgreSQL's give up on a report that has a zero byte anywhere.
const CUT_SHORT: &str = "%\"cut_short\":true%";
/// Whole runs that are looked through for one whose report can be read.
const LOOKED_THROUGH: u32 = 10;
/// Findings of it are kept.
const TELLING: &str = " AND r.last_finding > 0";
/// In the order they were written in, whatever the clock said.
const NEWEST_FIRST: &str = " ORDER BY r.seq DESC, r.run_id DESC";

impl Store {
    pub(crate) async fn start_run(&self, run: &NewRun) -> Result<()> {
        in_transaction!(self, "start a run", |tx| self
            .start_within(&mut tx, run)
            .await)
    }

    async fn start_within(&self, conn: &mut Conn, run: &NewRun) -> Result<Ending<()>, Failure> {
        let now = self.moment(conn).await?;
        let met = sqlx::query(
            "INSERT INTO runs (run_id, job, backend_id, dry_run, plan_hash, started_at, report, plan, \
             seq) VALUES ($1, $2, $3, $4, $5, $6, 'null', $7, \
             (SELECT COALESCE(MAX(seq), 0) + 1 FROM runs)) ON CONFLICT DO NOTHING",
        )
        .bind(dialect::id(run.id.0))
        .bind(run.job.as_str())
        .bind(run.backend.as_str())
        .bind(run.dry_run)
        .bind(run.plan.as_deref().map(plan_hash))
        .bind(now)
        .bind(run.plan.as_deref())
        .execute(&mut *conn)
        .await?
        .rows_affected();
        match met {
            1 => {
                prune(conn, run.job, &run.backend).await?;
                Ok(Ending::Keep(()))
            }
            0 => Err(Error::new(
                ErrorKind::Conflict,
                "start a run",
                "its plan was applied before, or its id is taken",
            )
            .with_backend(&run.backend)
            .with_coordinate(run.id)
            .into()),
            met => Err(miscounted("runs", run.id, 1, met)),
        }
    }

    pub(crate) async fn finish_run(
        &self,
        run: RunId,
        outcome: RunOutcome,
        report: &serde_json::Value,
    ) -> Result<()> {
        in_transaction!(self, "finish a run", |tx| {
            self.finish_within(&mut tx, run, outcome, report).await
        })
    }

    async fn finish_within(
        &self,
        conn: &mut Conn,
        run: RunId,
        outcome: RunOutcome,
        report: &serde_json::Value,
    ) -> Result<Ending<()>, Failure> {
        let now = self.moment(conn).await?;
        let met = sqlx::query(
            "UPDATE runs SET finished_at = $1, outcome = $2, report = $3 \
             WHERE run_id = $4 AND finished_at IS NULL",
        )
        .bind(now)
        .bind(outcome.as_str())
        .bind(report.to_string())
        .bind(dialect::id(run.0))
        .execute(&mut *conn)
        .await?
        .rows_affected();
        if met == 1 {
            return Ok(Ending::Keep(()));
        }
        let known = sqlx::query("SELECT 1 FROM runs WHERE run_id = $1")
            .bind(dialect::id(run.0))
            .fetch_optional(conn)
            .await?;
        let (kind, message) = match known {
            Some(_) => (
                ErrorKind::Conflict,
                "the run in table runs has ended before",
            ),
            None => (ErrorKind::Missing, "table runs has no such run"),
        };
        Err(Error::new(kind, "finish a run", message)
            .with_coordinate(run)
            .into())
    }

    pub(crate) async fn runs(&self, limit: u32) -> Result<Vec<RunRecord>> {
        let mut query = Query::new(RUN_COLUMNS);
        query.push(NEWEST_FIRST).push(" LIMIT ");
        query.push_bind(i64::from(limit));
        self.records(query).await
    }

    pub(crate) async fn run(&self, run: RunId) -> Result<Option<RunRecord>> {
        let mut query = Query::new(RUN_COLUMNS);
        query.push(" WHERE r.run_id = ");
        query.push_bind(dialect::id(run.0));
        Ok(self.records(query).await?.into_iter().next())
    }

    pub(crate) async fn finished(
        &self,
        job: Job,
        backend: &BackendId,
        limit: u32,
    ) -> Result<Vec<RunRecord>> {
        self.newest(finished_runs(job, backend), limit).await
    }

    pub(crate) async fn first_started(
        &self,
        job: Job,
        backend: &BackendId,
    ) -> Result<Option<RunRecord>> {
        let mut query = runs_of(job, backend);
        query.push(" AND NOT r.dry_run ORDER BY r.seq, r.run_id LIMIT 1");
        Ok(self.records(query).await?.into_iter().next())
    }

    pub(crate) async fn last_complete(
        &self,
        job: Job,
        backend: &BackendId,
    ) -> Result<Option<RunRecord>> {
        let mut query = finished_runs(job, backend);
        query.push(" AND r.outcome = 'done' AND r.plan_hash IS NULL");
        Ok(self.newest(query, 1).await?.into_iter().next())
    }

    pub(crate) async fn last_whole(
        &self,
        job: Job,
        backend: &BackendId,
    ) -> Result<Option<RunRecord>> {
        let whole = self
            .newest(whole_runs(job, backend), LOOKED_THROUGH)
            .await?;
        Ok(whole.into_iter().find(|run| run.unreadable().is_none()))
    }

    pub(crate) async fn broken_off(
        &self,
        job: Job,
        backend: &BackendId,
        whole: Option<&RunRecord>,
        limit: u32,
    ) -> Result<Vec<RunRecord>> {
        let since = || broken_off_since(job, backend, whole);
        let mut runs = self.newest(since(), limit).await?;
        let mut telling = since();
        telling.push(TELLING).push(NEWEST_FIRST);
        let mut before = self.records(telling).await?;
        before.retain(|run| runs.iter().all(|latest| latest.id != run.id));
        runs.append(&mut before);
        Ok(runs)
    }

    async fn newest(&self, mut query: Query, limit: u32) -> Result<Vec<RunRecord>> {
        query.push(NEWEST_FIRST).push(" LIMIT ");
        query.push_bind(i64::from(limit));
        self.records(query).await
    }

    async fn records(&self, query: Query) -> Result<Vec<RunRecord>> {
        let records = async {
            let mut conn = self.read.acquire().await?;
            read_records(&mut conn, query).await
        };
        records.await.map_err(|failure| told("read runs", failure))
    }
}

/// The runs whose findings are not settled: the last whole one, and those that broke off since and found
/// the most of some kind.
pub(super) async fn unsettled(
    conn: &mut Conn,
    job: Job,
    backend: &BackendId,
) -> Result<BTreeSet<RunId>, Failure> {
    let mut query = whole_runs(job, backend);
    query.push(NEWEST_FIRST).push(" LIMIT ");
    query.push_bind(i64::from(LOOKED_THROUGH));
    let whole = read_records(conn, query).await?;
    let whole = whole.into_iter().find(|run| run.unreadable().is_none());
    let mut query = broken_off_since(job, backend, whole.as_ref());
    query.push(TELLING).push(NEWEST_FIRST);
    let since = read_records(conn, query).await?;
    let mut unsettled = telling_most(&since);
    let unreadable = since.iter().filter(|run| run.unreadable().is_some());
    unsettled.extend(unreadable.map(|run| run.id));
    unsettled.extend(whole.map(|run| run.id));
    Ok(unsettled)
}

fn runs_of(job: Job, backend: &BackendId) -> Query {
    let mut query = Query::new(RUN_COLUMNS);
    query.push(" WHERE r.job = ").push_bind(job.as_str());
    query
        .push(" AND r.backend_id = ")
        .push_bind(backend.as_str());
    query
}

fn finished_runs(job: Job, backend: &BackendId) -> Query {
    let mut query = runs_of(job, backend);
    query.push(" AND NOT r.dry_run AND r.finished_at IS NOT NULL");
    query
}

fn whole_runs(job: Job, backend: &BackendId) -> Query {
    let mut query = finished_runs(job, backend);
    query
        .push(" AND r.outcome <> 'failed' AND r.plan_hash IS NULL AND r.report NOT LIKE ")
        .push_bind(CUT_SHORT);
    query
}

/// What has ended since the last whole run has broken off, but for executions of plans.
fn broken_off_since(job: Job, backend: &BackendId, whole: Option<&RunRecord>) -> Query {
    let mut query = finished_runs(job, backend);
    query.push(" AND r.plan_hash IS NULL");
    if let Some(whole) = whole {
        query
            .push(" AND (r.seq, r.run_id) > (SELECT seq, run_id FROM runs WHERE run_id = ")
            .push_bind(dialect::id(whole.id.0))
            .push(")");
    }
    query
}

async fn read_records(conn: &mut Conn, mut query: Query) -> Result<Vec<RunRecord>, Failure> {
    let rows = query.build().fetch_all(&mut *conn).await?;
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        records.push(record(conn, row).await?);
    }
    Ok(records)
}

async fn record(conn: &mut Conn, row: &Row) -> Result<RunRecord, Failure> {
    let reader = Reader::new("runs", row);
    let id = RunId(reader.id("run_id")?);
    Ok(RunRecord {
        id,
        job: reader.word("job", Job::from_word)?,
        backend: reader.backend()?,
        dry_run: reader.get("dry_run")?,
        started: reader.time("started_at")?,
        finished: reader.optional_time("finished_at")?,
        outcome: reader.optional_word("outcome", RunOutcome::from_word)?,
        report: match or_unreadable(reader.word("report", parsed))? {
            Ok(report) => report,
            // When and how it ended and what it found is known all the same, and it hides no other run.
            Err(error) => {
                RunRecord::unreadable_report(&error.to_string(), &count_kept(conn, id).await?)
            }
        },
    })
}

fn plan_hash(plan: &str) -> String {
    Sha256::digest(plan.as_bytes())
        .iter()
        .fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
