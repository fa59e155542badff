//! Runs that clean a platform.

use cloakroom_core::platform::{PlatformRun, PlatformTarget};
use cloakroom_core::store::RunOutcome;
use cloakroom_core::{Result, RunId};

use super::locks::execute_exactly;
use super::rows::Reader;
use super::transaction::{Ending, told};
use super::{Conn, Query, Row, Store, dialect};
use crate::failure::Failure;

const TABLE: &str = "platform_runs";

const COLUMNS: &str = "SELECT run_id, platform, backend_id, plan, started_at, finished_at, outcome, report \
                       FROM platform_runs WHERE ";

impl Store {
    pub(crate) async fn start_removals(
        &self,
        run: RunId,
        target: &PlatformTarget,
        plan: &str,
    ) -> Result<()> {
        in_transaction!(self, "start a run", |tx| {
            let now = self.moment(&mut tx).await?;
            start_within(&mut tx, run, target, plan, now)
                .await
                .map(Ending::Keep)
        })
    }

    pub(crate) async fn finish_removals(
        &self,
        run: RunId,
        outcome: RunOutcome,
        report: &serde_json::Value,
    ) -> Result<()> {
        in_transaction!(self, "finish a run", |tx| {
            let now = self.moment(&mut tx).await?;
            finish_within(&mut tx, run, outcome, report, now)
                .await
                .map(Ending::Keep)
        })
    }

    pub(crate) async fn removal_run(&self, run: RunId) -> Result<Option<PlatformRun>> {
        let mut query = Query::new(COLUMNS);
        query.push("run_id = ").push_bind(dialect::id(run.0));
        self.one_removal_run(query).await
    }

    pub(crate) async fn last_removal_run(
        &self,
        platform: &str,
        outcome: Option<RunOutcome>,
    ) -> Result<Option<PlatformRun>> {
        let mut query = Query::new(COLUMNS);
        query
            .push("finished_at IS NOT NULL AND platform = ")
            .push_bind(platform);
        if let Some(outcome) = outcome {
            query.push(" AND outcome = ").push_bind(outcome.as_str());
        }
        query.push(" ORDER BY seq DESC, run_id DESC LIMIT 1");
        self.one_removal_run(query).await
    }

    async fn one_removal_run(&self, mut query: Query) -> Result<Option<PlatformRun>> {
        let known = async {
            let row = query.build().fetch_optional(&self.read).await?;
            row.as_ref().map(read).transpose()
        };
        known.await.map_err(|failure| told("read a run", failure))
    }
}

async fn start_within(
    conn: &mut Conn,
    run: RunId,
    target: &PlatformTarget,
    plan: &str,
    now: i64,
) -> Result<(), Failure> {
    let mut query = Query::new(
        "INSERT INTO platform_runs (run_id, platform, backend_id, plan, started_at, report, seq) ",
    );
    query.push_values([run], |mut row, run| {
        row.push_bind(dialect::id(run.0))
            .push_bind(target.platform.as_str())
            .push_bind(target.backend.as_str())
            .push_bind(plan)
            .push_bind(now)
            .push_bind("null")
            .push("(SELECT COALESCE(MAX(seq), 0) + 1 FROM platform_runs WHERE platform = ")
            .push_bind_unseparated(target.platform.as_str())
            .push_unseparated(")");
    });
    execute_exactly(conn, query, TABLE, run, 1).await
}

async fn finish_within(
    conn: &mut Conn,
    run: RunId,
    outcome: RunOutcome,
    report: &serde_json::Value,
    now: i64,
) -> Result<(), Failure> {
    let mut query = Query::new("UPDATE platform_runs SET finished_at = ");
    query
        .push_bind(now)
        .push(", outcome = ")
        .push_bind(outcome.as_str())
        .push(", report = ")
        .push_bind(report.to_string())
        .push(" WHERE finished_at IS NULL AND run_id = ")
        .push_bind(dialect::id(run.0));
    execute_exactly(conn, query, TABLE, run, 1).await
}

fn read(row: &Row) -> Result<PlatformRun, Failure> {
    let reader = Reader::new(TABLE, row);
    Ok(PlatformRun {
        id: RunId(reader.id("run_id")?),
        platform: reader.get("platform")?,
        backend: reader.backend()?,
        plan: reader.get("plan")?,
        started: reader.time("started_at")?,
        finished: reader.optional_time("finished_at")?,
        outcome: reader.optional_word("outcome", RunOutcome::from_word)?,
        report: reader.word("report", |text| serde_json::from_str(text).ok())?,
    })
}
