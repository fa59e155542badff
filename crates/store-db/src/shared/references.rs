//! References as the jobs scan them.

use cloakroom_core::ledger::{Damage, RowState};
use cloakroom_core::store::{ReferenceCursor, ReferenceRow, ReferencedRow};
use cloakroom_core::{BackendId, Coordinate, Digest, DocumentId, Result, WorkspaceId};

use super::rows::{Reader, parsed, value_kind};
use super::transaction::told;
use super::{Query, Row, Store, dialect};
use crate::failure::Failure;

impl Store {
    pub(crate) async fn references(
        &self,
        backend: &BackendId,
        after: Option<&ReferenceCursor>,
        limit: u32,
    ) -> Result<Vec<ReferenceRow>> {
        let mut query = Query::new(
            "SELECT r.document_id, d.workspace_id, r.pointer, r.coordinate, s.state, s.kind, \
             s.digest, s.damage FROM secret_references AS r \
             JOIN documents AS d ON d.document_id = r.document_id \
             LEFT JOIN secrets AS s ON s.backend_id = r.backend_id AND s.coordinate = r.coordinate \
             WHERE r.backend_id = ",
        );
        query.push_bind(backend.as_str());
        if let Some(after) = after {
            query.push(" AND (r.coordinate, r.document_id, r.pointer) > (");
            query.push_bind(after.coordinate.as_str()).push(", ");
            query.push_bind(dialect::id(after.document.0)).push(", ");
            query.push_bind(after.pointer.as_str()).push(")");
        }
        query.push(" ORDER BY r.coordinate, r.document_id, r.pointer LIMIT ");
        query.push_bind(i64::from(limit));
        let references = async {
            let rows = query.build().fetch_all(&self.read).await?;
            rows.iter().map(reference).collect::<Result<_, Failure>>()
        };
        references
            .await
            .map_err(|failure| told("read references", failure))
    }

    pub(crate) async fn referrers(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        limit: u32,
    ) -> Result<Vec<(DocumentId, String)>> {
        let referrers = async {
            let rows = sqlx::query(
                "SELECT r.document_id, r.pointer FROM secret_references AS r \
                 WHERE r.backend_id = $1 AND r.coordinate = $2 \
                 ORDER BY r.document_id, r.pointer LIMIT $3",
            )
            .bind(backend.as_str())
            .bind(coordinate.as_str())
            .bind(i64::from(limit))
            .fetch_all(&self.read)
            .await?;
            let referrers = rows.iter().map(|row| {
                let reader = Reader::new("secret_references", row);
                Ok((
                    DocumentId(reader.id("document_id")?),
                    reader.get("pointer")?,
                ))
            });
            referrers.collect::<Result<_, Failure>>()
        };
        referrers
            .await
            .map_err(|failure| told("read referrers", failure))
    }
}

fn reference(row: &Row) -> Result<ReferenceRow, Failure> {
    let reader = Reader::new("secret_references", row);
    let ledger = match reader.optional_word("state", RowState::from_word)? {
        None => None,
        Some(state) => Some(ReferencedRow {
            state,
            kind: reader.word("kind", value_kind)?,
            digest: reader.word("digest", parsed::<Digest>)?,
            damage: reader.optional_word("damage", Damage::from_word)?,
        }),
    };
    Ok(ReferenceRow {
        document: DocumentId(reader.id("document_id")?),
        workspace: WorkspaceId(reader.id("workspace_id")?),
        pointer: reader.get("pointer")?,
        coordinate: reader.coordinate()?,
        ledger,
    })
}
