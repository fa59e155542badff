//! What verify-blobs found, kept for the last ten runs of a job and backend, and until another whole run has
//! ended for what the last whole one and those since found.

use std::collections::BTreeMap;

use cloakroom_core::store::{Finding, FindingKind, Job};
use cloakroom_core::{BackendId, Coordinate, DocumentId, Error, ErrorKind, Result, RunId};

use super::locks::execute_exactly;
use super::rows::{Reader, or_unreadable};
use super::runs::unsettled;
use super::transaction::{Ending, told};
use super::{CHUNK, Conn, Query, Row, Store, dialect};
use crate::failure::{Failure, printable};

const KEPT_RUNS: i64 = 10;

impl Store {
    pub(crate) async fn record_findings(&self, run: RunId, findings: &[Finding]) -> Result<()> {
        in_transaction!(self, "record findings", |tx| {
            record_within(&mut tx, run, findings).await
        })
    }

    pub(crate) async fn findings(
        &self,
        run: RunId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Finding>> {
        let findings = async {
            let rows = sqlx::query(
                "SELECT f.run_id, f.kind, f.document_id, f.pointer, f.coordinate, f.detail \
                 FROM findings AS f WHERE f.run_id = $1 AND f.seq > $2 ORDER BY f.seq LIMIT $3",
            )
            .bind(dialect::id(run.0))
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(&self.read)
            .await?;
            rows.iter().map(finding).collect::<Result<_, Failure>>()
        };
        findings
            .await
            .map_err(|failure| told("read findings", failure))
    }
}

/// How many findings of a run are kept, by those kinds that can be read.
pub(super) async fn count_kept(
    conn: &mut Conn,
    run: RunId,
) -> Result<BTreeMap<FindingKind, u64>, Failure> {
    let asked =
        "SELECT f.kind, COUNT(*) AS count FROM findings AS f WHERE f.run_id = $1 GROUP BY f.kind";
    let rows = sqlx::query(asked)
        .bind(dialect::id(run.0))
        .fetch_all(conn)
        .await?;
    let mut kept = BTreeMap::new();
    for row in &rows {
        let reader = Reader::new("findings", row);
        if let Ok(kind) = or_unreadable(reader.word("kind", FindingKind::from_word))? {
            kept.insert(kind, reader.count("count")?);
        }
    }
    Ok(kept)
}

fn finding(row: &Row) -> Result<Finding, Failure> {
    let reader = Reader::new("findings", row);
    Ok(Finding {
        kind: reader.word("kind", FindingKind::from_word)?,
        document: reader.optional_id("document_id")?.map(DocumentId),
        pointer: reader.get("pointer")?,
        coordinate: reader
            .optional_word("coordinate", |text| Coordinate::from_stored(text).ok())?,
        detail: reader.get("detail")?,
    })
}

async fn record_within(
    conn: &mut Conn,
    run: RunId,
    findings: &[Finding],
) -> Result<Ending<()>, Failure> {
    let mut query = Query::new("SELECT run_id, job, backend_id, last_finding FROM runs");
    query
        .push(" WHERE run_id = ")
        .push_bind(dialect::id(run.0))
        .push(dialect::FOR_UPDATE);
    let row = query
        .build()
        .fetch_optional(&mut *conn)
        .await?
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Missing,
                "record findings",
                "table runs has no such run",
            )
            .with_coordinate(run)
        })?;
    let reader = Reader::new("runs", &row);
    let job = reader.word("job", Job::from_word)?;
    let backend = reader.backend()?;
    let mut last: i64 = reader.get("last_finding")?;

    for chunk in findings.chunks(CHUNK) {
        let mut query = Query::new(
            "INSERT INTO findings (run_id, seq, kind, document_id, pointer, coordinate, detail) ",
        );
        query.push_values(chunk, |mut row, finding| {
            last += 1;
            row.push_bind(dialect::id(run.0))
                .push_bind(last)
                .push_bind(finding.kind.as_str())
                .push_bind(finding.document.map(|id| dialect::id(id.0)))
                .push_bind(finding.pointer.as_deref().map(printable))
                .push_bind(finding.coordinate.as_ref().map(Coordinate::as_str))
                .push_bind(printable(&finding.detail));
        });
        execute_exactly(conn, query, "findings", run, chunk.len()).await?;
    }
    let mut query = Query::new("UPDATE runs SET last_finding = ");
    query
        .push_bind(last)
        .push(" WHERE run_id = ")
        .push_bind(dialect::id(run.0));
    execute_exactly(conn, query, "runs", run, 1).await?;
    prune(conn, job, &backend).await?;
    Ok(Ending::Keep(()))
}

/// Forgets the findings of runs before the last ten of a job and backend, unless they are not settled.
pub(super) async fn prune(conn: &mut Conn, job: Job, backend: &BackendId) -> Result<(), Failure> {
    let old = before_the_last_ten(conn, job, backend).await?;
    if old.is_empty() {
        return Ok(());
    }
    let kept = unsettled(conn, job, backend).await?;
    for run in old.into_iter().filter(|run| !kept.contains(run)) {
        sqlx::query("DELETE FROM findings WHERE run_id = $1")
            .bind(dialect::id(run.0))
            .execute(&mut *conn)
            .await?;
        let mut query = Query::new("UPDATE runs SET last_finding = 0 WHERE run_id = ");
        query.push_bind(dialect::id(run.0));
        execute_exactly(conn, query, "runs", run, 1).await?;
    }
    Ok(())
}

async fn before_the_last_ten(
    conn: &mut Conn,
    job: Job,
    backend: &BackendId,
) -> Result<Vec<RunId>, Failure> {
    let rows = sqlx::query(
        "SELECT run_id FROM runs WHERE job = $1 AND backend_id = $2 AND last_finding > 0 \
         AND (seq, run_id) < (SELECT newest.seq, newest.run_id FROM runs AS newest \
         WHERE newest.job = $1 AND newest.backend_id = $2 \
         ORDER BY newest.seq DESC, newest.run_id DESC LIMIT 1 OFFSET $3) \
         ORDER BY seq, run_id",
    )
    .bind(job.as_str())
    .bind(backend.as_str())
    .bind(KEPT_RUNS - 1)
    .fetch_all(conn)
    .await?;
    let ids = rows.iter();
    ids.map(|row| Ok(RunId(Reader::new("runs", row).id("run_id")?)))
        .collect()
}
