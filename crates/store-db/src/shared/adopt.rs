//! Rows for secrets of ours that the ledger had lost, with a receipt for each.

use cloakroom_core::store::{Adoption, words};
use cloakroom_core::{BackendId, Result, RunId, ValueKind};

use super::elsewhere::{Named, known_elsewhere_within};
use super::receipts::{Entry, append};
use super::transaction::Ending;
use super::{Conn, Store, dialect};
use crate::failure::Failure;

impl Store {
    pub(crate) async fn adopt(
        &self,
        run: RunId,
        backend: &BackendId,
        adoptions: &[Adoption],
    ) -> Result<Vec<bool>> {
        if adoptions.is_empty() {
            return Ok(Vec::new());
        }
        in_transaction!(self, "adopt secrets", |tx| {
            self.adopt_within(&mut tx, run, backend, adoptions)
                .await
                .map(Ending::Keep)
        })
    }

    async fn adopt_within(
        &self,
        conn: &mut Conn,
        run: RunId,
        backend: &BackendId,
        adoptions: &[Adoption],
    ) -> Result<Vec<bool>, Failure> {
        let now = self.lasting_moment(conn).await?;
        let named: Vec<Named<'_>> = adoptions.iter().map(Named::from).collect();
        let elsewhere = known_elsewhere_within(conn, backend, &named).await?;
        let mut written = Vec::with_capacity(adoptions.len());
        for (adoption, elsewhere) in adoptions.iter().zip(elsewhere) {
            written.push(elsewhere.is_none() && insert(conn, backend, adoption, now).await?);
        }
        let entries: Vec<Entry<'_>> = adoptions
            .iter()
            .zip(&written)
            .filter(|(_, written)| **written)
            .map(|(adoption, _)| Entry {
                name: (&adoption.coordinate).into(),
                reason: words::UNKNOWN_MARKED,
                evidence: &adoption.evidence,
                outcome: words::ADOPTED,
                detail: None,
            })
            .collect();
        append(conn, run, backend, &entries, now).await?;
        Ok(written)
    }
}

/// How a value was written in its document no mark says; it matters only where a document refers to
/// it, and none does. A row of that name for another intent gives way once nobody is at it, neither its
/// writer, a document nor a deletion: what it was written for is not there, and the number stays taken.
/// Where a document once referred to it, another value is none of another intent: somebody repaired it.
async fn insert(
    conn: &mut Conn,
    backend: &BackendId,
    adoption: &Adoption,
    now: i64,
) -> Result<bool, Failure> {
    let coordinate = &adoption.coordinate;
    let met = sqlx::query(
        "INSERT INTO secrets (backend_id, coordinate, base, version, owner, kind, state, digest, \
         once_referenced, created_at, unreferenced_since, intent) \
         VALUES ($1, $2, $3, $4, $5, $6, 'stored', $7, TRUE, $8, $8, $9) \
         ON CONFLICT (backend_id, coordinate) DO UPDATE SET kind = excluded.kind, state = 'stored', \
         digest = excluded.digest, intent = excluded.intent, once_referenced = TRUE, created_at = excluded.created_at, \
         expires_at = NULL, \
         unreferenced_since = excluded.unreferenced_since, superseded = FALSE, attempts = 0, \
         next_attempt_at = NULL, claimed_by = NULL, last_error = NULL, damage = NULL, deleted_at = NULL, \
         quarantined_at = NULL \
         WHERE ((secrets.digest <> excluded.digest AND NOT secrets.once_referenced) \
         OR (excluded.intent IS NOT NULL AND secrets.intent IS DISTINCT FROM excluded.intent)) \
         AND NOT EXISTS (SELECT 1 FROM secret_references AS r \
         WHERE r.backend_id = secrets.backend_id AND r.coordinate = secrets.coordinate) \
         AND (secrets.state IN ('deleted', 'quarantined') \
         OR (secrets.state = 'deleting' AND COALESCE(secrets.next_attempt_at, 0) <= excluded.created_at) \
         OR (secrets.state = 'intended' AND secrets.expires_at <= excluded.created_at) \
         OR (secrets.state = 'stored' AND secrets.unreferenced_since IS NOT NULL) \
         OR (secrets.state = 'held' AND secrets.unreferenced_since <= excluded.created_at))",
    )
    .bind(backend.as_str())
    .bind(coordinate.as_str())
    .bind(coordinate.base())
    .bind(coordinate.version().get())
    .bind(adoption.workspace().map(|id| dialect::id(id.0)))
    .bind(ValueKind::Text.as_str())
    .bind(adoption.digest.to_string())
    .bind(now)
    .bind(adoption.intent.map(|id| dialect::id(id.0)))
    .execute(conn)
    .await?
    .rows_affected();
    Ok(met == 1)
}
