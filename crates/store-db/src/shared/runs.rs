//! The journal of runs.

use std::fmt::Write as _;

use cloakroom_core::store::{Job, NewRun, RunOutcome, RunRecord};
use cloakroom_core::{BackendId, Error, ErrorKind, Result, RunId};
use sha2::{Digest as _, Sha256};

use super::findings::prune;
use super::rows::Reader;
use super::transaction::{Ending, told};
use super::{Conn, Query, Row, Store, dialect};
use crate::failure::{Failure, miscounted};

const RUN_COLUMNS: &str = "SELECT r.run_id, r.job, r.backend_id, r.dry_run, r.started_at, \
     r.finished_at, r.outcome, r.report FROM runs AS r";
/// In the text of a report that was cut short, as it is written. In a string its quotes would be escaped.
/// No function of the database's reads it: PostgreSQL's give up on a report that has a zero byte anywhere.
const CUT_SHORT: &str = "%\"cut_short\":true%";
const NEWEST_FIRST: &str = " ORDER BY r.started_at DESC, r.run_id DESC LIMIT ";

impl Store {
    pub(crate) async fn start_run(&self, run: &NewRun) -> Result<()> {
        in_transaction!(self, "start a run", |tx| self
            .start_within(&mut tx, run)
            .await)
    }

    async fn start_within(&self, conn: &mut Conn, run: &NewRun) -> Result<Ending<()>, Failure> {
        let now = self.moment(conn).await?;
        let met = sqlx::query(
            "INSERT INTO runs (run_id, job, backend_id, dry_run, plan_hash, started_at, report, plan) \
             VALUES ($1, $2, $3, $4, $5, $6, 'null', $7) ON CONFLICT DO NOTHING",
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
        query.push(NEWEST_FIRST).push_bind(i64::from(limit));
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
        let mut query = finished_runs(job, backend);
        query.push(NEWEST_FIRST).push_bind(i64::from(limit));
        self.records(query).await
    }

    pub(crate) async fn first_finished(
        &self,
        job: Job,
        backend: &BackendId,
    ) -> Result<Option<RunRecord>> {
        let mut query = finished_runs(job, backend);
        query.push(" ORDER BY r.started_at, r.run_id LIMIT 1");
        Ok(self.records(query).await?.into_iter().next())
    }

    pub(crate) async fn last_complete(
        &self,
        job: Job,
        backend: &BackendId,
    ) -> Result<Option<RunRecord>> {
        let mut query = finished_runs(job, backend);
        query.push(" AND r.outcome = 'done' AND r.plan_hash IS NULL");
        self.newest(query).await
    }

    pub(crate) async fn last_whole(
        &self,
        job: Job,
        backend: &BackendId,
    ) -> Result<Option<RunRecord>> {
        let mut query = finished_runs(job, backend);
        query
            .push(" AND r.outcome <> 'failed' AND r.plan_hash IS NULL AND r.report NOT LIKE ")
            .push_bind(CUT_SHORT);
        self.newest(query).await
    }

    async fn newest(&self, mut query: Query) -> Result<Option<RunRecord>> {
        query.push(NEWEST_FIRST).push_bind(1_i64);
        Ok(self.records(query).await?.into_iter().next())
    }

    async fn records(&self, mut query: Query) -> Result<Vec<RunRecord>> {
        let records = async {
            let rows = query.build().fetch_all(&self.read).await?;
            rows.iter().map(record).collect::<Result<_, Failure>>()
        };
        records.await.map_err(|failure| told("read runs", failure))
    }
}

fn finished_runs(job: Job, backend: &BackendId) -> Query {
    let mut query = Query::new(RUN_COLUMNS);
    query
        .push(" WHERE NOT r.dry_run AND r.finished_at IS NOT NULL AND r.job = ")
        .push_bind(job.as_str())
        .push(" AND r.backend_id = ")
        .push_bind(backend.as_str());
    query
}

fn record(row: &Row) -> Result<RunRecord, Failure> {
    let reader = Reader::new("runs", row);
    Ok(RunRecord {
        id: RunId(reader.id("run_id")?),
        job: reader.word("job", Job::from_word)?,
        backend: reader.backend()?,
        dry_run: reader.get("dry_run")?,
        started: reader.time("started_at")?,
        finished: reader.optional_time("finished_at")?,
        outcome: reader.optional_word("outcome", RunOutcome::from_word)?,
        report: reader.word("report", |text| serde_json::from_str(text).ok())?,
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
