//! The chain of receipts.

use cloakroom_core::ledger::{DeletionOutcome, Settlement};
use cloakroom_core::platform::{BroughtBack, SecretName};
use cloakroom_core::store::{Receipt, ReceiptPage, Restored, words};
use cloakroom_core::{BackendId, Coordinate, Error, ErrorKind, Result, RunId, Timestamp};

use super::locks::execute_exactly;
use super::rows::Reader;
use super::transaction::told;
use super::{CHUNK, Conn, Query, Row, Store, dialect};
use crate::audit::{AuditPage, Audited};
use crate::failure::{Failure, printable};

/// All of a receipt, to be followed by a condition.
const COLUMNS: &str = "SELECT seq, run_id, backend_id, coordinate, reason, evidence, outcome, \
     detail, plan, at, previous_hash, hash FROM receipts";

/// What a receipt is to say.
pub(super) struct Entry<'a> {
    pub(super) name: SecretName,
    pub(super) reason: &'static str,
    pub(super) evidence: &'a str,
    pub(super) outcome: &'static str,
    pub(super) detail: Option<String>,
}

/// What an undo brought back.
impl<'a> From<&'a Restored> for Entry<'a> {
    fn from(restored: &'a Restored) -> Self {
        Self::of_undone((&restored.coordinate).into(), &restored.evidence)
    }
}

impl<'a> From<&'a BroughtBack> for Entry<'a> {
    fn from(restored: &'a BroughtBack) -> Self {
        Self::of_undone(restored.name.clone(), &restored.evidence)
    }
}

impl<'a> Entry<'a> {
    fn of_undone(name: SecretName, evidence: &'a str) -> Self {
        Self {
            name,
            reason: words::UNDONE,
            evidence,
            outcome: words::RESTORED,
            detail: None,
        }
    }
}

impl<'a> From<&'a Settlement> for Entry<'a> {
    fn from(settlement: &'a Settlement) -> Self {
        Self {
            name: (&settlement.coordinate).into(),
            reason: settlement.reason.as_str(),
            evidence: &settlement.evidence,
            outcome: settlement.outcome.as_str(),
            detail: detail_of(&settlement.outcome),
        }
    }
}

/// Adds a receipt for each entry behind the end of the chain, which stays locked until the
/// transaction ends.
pub(super) async fn append(
    conn: &mut Conn,
    run: RunId,
    backend: &BackendId,
    entries: &[Entry<'_>],
    now: i64,
) -> Result<(), Failure> {
    if entries.is_empty() {
        return Ok(());
    }
    let at = Timestamp::from_millisecond(now).map_err(|source| {
        Error::new(
            ErrorKind::Corrupt,
            "write receipts",
            "the store's clock names no moment",
        )
        .with_source(source)
    })?;
    let plan = plan_of(conn, run).await?;
    let mut query = Query::new("SELECT seq, hash FROM receipt_head WHERE single = 1");
    query.push(dialect::FOR_UPDATE);
    let (mut seq, mut hash): (i64, String) = query.build_query_as().fetch_one(&mut *conn).await?;

    let mut receipts = Vec::with_capacity(entries.len());
    for entry in entries {
        seq += 1;
        let mut receipt = Receipt {
            seq,
            run,
            backend: backend.clone(),
            coordinate: entry.name.clone(),
            reason: entry.reason.to_owned(),
            evidence: printable(entry.evidence),
            outcome: entry.outcome.to_owned(),
            detail: entry.detail.clone(),
            plan: plan.clone(),
            at,
            previous_hash: hash.clone(),
            hash: String::new(),
        };
        receipt.hash = receipt.expected_hash();
        hash.clone_from(&receipt.hash);
        receipts.push(receipt);
    }
    for chunk in receipts.chunks(CHUNK) {
        insert(conn, chunk, now).await?;
    }
    let mut query = Query::new("UPDATE receipt_head SET seq = ");
    query
        .push_bind(seq)
        .push(", hash = ")
        .push_bind(hash)
        .push(" WHERE single = 1");
    execute_exactly(conn, query, "receipt_head", "single=1", 1).await
}

/// The plan that a run applies. What is no run applies none.
pub(super) async fn plan_of(conn: &mut Conn, run: RunId) -> Result<Option<String>, Failure> {
    let mut query = Query::new("SELECT plan FROM runs WHERE run_id = ");
    query.push_bind(dialect::id(run.0));
    query.push(" UNION ALL SELECT plan FROM platform_runs WHERE run_id = ");
    query.push_bind(dialect::id(run.0));
    let plan: Option<(Option<String>,)> = query.build_query_as().fetch_optional(conn).await?;
    Ok(plan.and_then(|(plan,)| plan))
}

/// What the outcome has to say besides its word.
pub(super) fn detail_of(outcome: &DeletionOutcome) -> Option<String> {
    match outcome {
        DeletionOutcome::Deleted
        | DeletionOutcome::AlreadyGone
        | DeletionOutcome::Scheduled { due: None } => None,
        DeletionOutcome::Scheduled { due: Some(due) } => Some(format!("due {due}")),
        DeletionOutcome::Failed { kind, message, .. } => {
            Some(printable(&format!("{kind}: {message}")))
        }
    }
}

async fn insert(conn: &mut Conn, receipts: &[Receipt], at: i64) -> Result<(), Failure> {
    let mut query = Query::new(
        "INSERT INTO receipts (seq, run_id, backend_id, coordinate, reason, evidence, outcome, \
         detail, plan, at, previous_hash, hash) ",
    );
    query.push_values(receipts, |mut row, receipt| {
        row.push_bind(receipt.seq)
            .push_bind(dialect::id(receipt.run.0))
            .push_bind(receipt.backend.as_str())
            .push_bind(receipt.coordinate.as_str())
            .push_bind(receipt.reason.as_str())
            .push_bind(receipt.evidence.as_str())
            .push_bind(receipt.outcome.as_str())
            .push_bind(receipt.detail.as_deref())
            .push_bind(receipt.plan.as_deref())
            .push_bind(at)
            .push_bind(receipt.previous_hash.as_str())
            .push_bind(receipt.hash.as_str());
    });
    execute_exactly(conn, query, "receipts", "new receipts", receipts.len()).await
}

impl Store {
    /// As [`Store::receipts`], but what is damaged is told in its place instead of hiding the rest.
    pub(crate) async fn audit_page(&self, after: i64, limit: u32) -> Result<AuditPage> {
        let page = async {
            let mut tx = self.begin_read().await?;
            let end = sqlx::query_as("SELECT seq, hash FROM receipt_head WHERE single = 1")
                .fetch_optional(&mut *tx)
                .await;
            let end = match end {
                // A head that does not read is as good as none.
                Err(sqlx::Error::ColumnDecode { .. }) => None,
                read => read?,
            };
            let rows = behind(after, limit).build().fetch_all(&mut *tx).await?;
            tx.commit().await?;
            let receipts = rows.iter().map(audited).collect::<Result<_, Failure>>()?;
            Ok(AuditPage { receipts, end })
        };
        page.await.map_err(|failure| told("read receipts", failure))
    }

    /// When the run wrote its latest receipt.
    pub(crate) async fn latest_receipt_of(&self, run: RunId) -> Result<Option<Timestamp>> {
        const OPERATION: &str = "read the latest receipt of a run";
        let latest = async {
            let mut query = Query::new("SELECT max(at) FROM receipts WHERE run_id = ");
            query.push_bind(dialect::id(run.0));
            let (latest,): (Option<i64>,) = query.build_query_as().fetch_one(&self.read).await?;
            Ok(latest)
        };
        let latest = latest.await.map_err(|failure| told(OPERATION, failure))?;
        let latest = latest.map(Timestamp::from_millisecond).transpose();
        latest.map_err(|_| {
            let message = "receipts.at names no moment; `reconciler audit verify` tells where";
            Error::new(ErrorKind::Corrupt, OPERATION, message)
        })
    }

    pub(crate) async fn claimed_by(
        &self,
        run: RunId,
        after: Option<&Coordinate>,
        limit: u32,
    ) -> Result<Vec<(BackendId, Coordinate)>> {
        let claimed = async {
            let mut query = claimed_query(run, after, limit);
            let rows = query.build().fetch_all(&self.read).await?;
            let keys = rows.iter().filter_map(|row| {
                let reader = Reader::new("secrets", row);
                // What cannot be read no run deletes.
                Some((reader.backend().ok()?, reader.coordinate().ok()?))
            });
            Ok(keys.collect())
        };
        claimed
            .await
            .map_err(|failure: Failure| told("read the claims of a run", failure))
    }

    pub(crate) async fn receipts(&self, after: i64, limit: u32) -> Result<ReceiptPage> {
        let page = async {
            let mut tx = self.begin_read().await?;
            let (length, head) =
                sqlx::query_as("SELECT seq, hash FROM receipt_head WHERE single = 1")
                    .fetch_one(&mut *tx)
                    .await?;
            let rows = behind(after, limit).build().fetch_all(&mut *tx).await?;
            tx.commit().await?;
            let receipts = rows.iter().map(receipt).collect::<Result<_, Failure>>()?;
            Ok(ReceiptPage {
                receipts,
                length,
                head,
            })
        };
        page.await.map_err(|failure| told("read receipts", failure))
    }

    pub(crate) async fn receipts_of(
        &self,
        run: RunId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Receipt>> {
        let receipts = async {
            let mut query = Query::new(COLUMNS);
            query
                .push(" WHERE run_id = ")
                .push_bind(dialect::id(run.0))
                .push(" AND seq > ")
                .push_bind(after);
            query
                .push(" ORDER BY seq LIMIT ")
                .push_bind(i64::from(limit));
            let rows = query.build().fetch_all(&self.read).await?;
            rows.iter().map(receipt).collect::<Result<_, Failure>>()
        };
        receipts
            .await
            .map_err(|failure| told("read receipts", failure))
    }
}

/// What a run claimed and wrote no end of.
pub(crate) fn claimed_query(run: RunId, after: Option<&Coordinate>, limit: u32) -> Query {
    let mut query =
        Query::new("SELECT s.backend_id, s.coordinate FROM secrets AS s WHERE s.claimed_by = ");
    query
        .push_bind(run.to_string())
        .push(" AND s.coordinate > ");
    query.push_bind(after.map_or_else(String::new, Coordinate::to_string));
    query.push(" ORDER BY s.coordinate LIMIT ");
    query.push_bind(i64::from(limit));
    query
}

/// Receipts behind a place in the chain.
fn behind(after: i64, limit: u32) -> Query {
    let mut query = Query::new(COLUMNS);
    query.push(" WHERE seq > ").push_bind(after);
    query
        .push(" ORDER BY seq LIMIT ")
        .push_bind(i64::from(limit));
    query
}

/// A receipt, or what is wrong with its row. Only a row without a number is no place in the chain.
fn audited(row: &Row) -> Result<Audited, Failure> {
    match receipt(row) {
        Err(Failure::Told(error)) => Ok(Audited::Damaged {
            seq: Reader::new("receipts", row).get("seq")?,
            error,
        }),
        read => read.map(|receipt| Audited::Whole(Box::new(receipt))),
    }
}

fn receipt(row: &Row) -> Result<Receipt, Failure> {
    let reader = Reader::new("receipts", row);
    Ok(Receipt {
        seq: reader.get("seq")?,
        run: RunId(reader.id("run_id")?),
        backend: reader.backend()?,
        coordinate: reader.secret_name()?,
        reason: reader.get("reason")?,
        evidence: reader.get("evidence")?,
        outcome: reader.get("outcome")?,
        detail: reader.get("detail")?,
        plan: reader.get("plan")?,
        at: reader.time("at")?,
        previous_hash: reader.get("previous_hash")?,
        hash: reader.get("hash")?,
    })
}
