//! The chain of receipts.

use cloakroom_core::ledger::{DeletionOutcome, Settlement};
use cloakroom_core::{BackendId, Error, ErrorKind, Result, RunId, Timestamp};

use super::locks::execute_exactly;
use super::rows::Reader;
use super::transaction::told;
use super::{CHUNK, Conn, Query, Row, Store, dialect};
use crate::failure::{Failure, printable};
use crate::receipt::{Receipt, ReceiptPage};

/// Adds a receipt for each settlement behind the end of the chain, which stays locked until the
/// transaction ends.
pub(super) async fn append(
    conn: &mut Conn,
    run: RunId,
    backend: &BackendId,
    settlements: &[Settlement],
    now: i64,
) -> Result<(), Failure> {
    let at = Timestamp::from_millisecond(now).map_err(|source| {
        Error::new(
            ErrorKind::Corrupt,
            "write receipts",
            "the store's clock names no moment",
        )
        .with_source(source)
    })?;
    let mut query = Query::new("SELECT seq, hash FROM receipt_head WHERE single = 1");
    query.push(dialect::FOR_UPDATE);
    let (mut seq, mut hash): (i64, String) = query.build_query_as().fetch_one(&mut *conn).await?;

    let mut receipts = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        seq += 1;
        let mut receipt = Receipt {
            seq,
            run,
            backend: backend.clone(),
            coordinate: settlement.coordinate.clone(),
            reason: settlement.reason.as_str().to_owned(),
            evidence: printable(&settlement.evidence),
            outcome: settlement.outcome.as_str().to_owned(),
            detail: detail(&settlement.outcome),
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

fn detail(outcome: &DeletionOutcome) -> Option<String> {
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
         detail, at, previous_hash, hash) ",
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
            .push_bind(at)
            .push_bind(receipt.previous_hash.as_str())
            .push_bind(receipt.hash.as_str());
    });
    execute_exactly(conn, query, "receipts", "new receipts", receipts.len()).await
}

impl Store {
    pub(crate) async fn receipts(&self, after: i64, limit: u32) -> Result<ReceiptPage> {
        let page = async {
            let mut tx = self.begin_read().await?;
            let (length, head) =
                sqlx::query_as("SELECT seq, hash FROM receipt_head WHERE single = 1")
                    .fetch_one(&mut *tx)
                    .await?;
            let rows = sqlx::query(
                "SELECT seq, run_id, backend_id, coordinate, reason, evidence, outcome, detail, \
                 at, previous_hash, hash FROM receipts WHERE seq > $1 ORDER BY seq LIMIT $2",
            )
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&mut *tx)
            .await?;
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
}

fn receipt(row: &Row) -> Result<Receipt, Failure> {
    let reader = Reader::new("receipts", row);
    Ok(Receipt {
        seq: reader.get("seq")?,
        run: RunId(reader.id("run_id")?),
        backend: reader.backend()?,
        coordinate: reader.coordinate()?,
        reason: reader.get("reason")?,
        evidence: reader.get("evidence")?,
        outcome: reader.get("outcome")?,
        detail: reader.get("detail")?,
        at: reader.time("at")?,
        previous_hash: reader.get("previous_hash")?,
        hash: reader.get("hash")?,
    })
}
