//! Reading documents and specs.

use cloakroom_core::config::Held;
use cloakroom_core::ledger::{Damage, RowState};
use cloakroom_core::store::{DocumentSummary, SpecId, StoredDocument};
use cloakroom_core::{Digest, DocumentId, Error, ErrorKind, Result, Revision, WorkspaceId};

use super::rows::{Reader, parsed, value_kind};
use super::transaction::told;
use super::{Conn, Query, Row, Store, dialect};
use crate::failure::Failure;

impl Store {
    pub(crate) async fn document(&self, id: DocumentId) -> Result<Option<StoredDocument>> {
        let document = async {
            let mut tx = self.begin_read().await?;
            let document = document_within(&mut tx, id).await?;
            tx.commit().await?;
            Ok(document)
        };
        document
            .await
            .map_err(|failure| told("read a document", failure))
    }

    pub(crate) async fn spec(&self, id: &SpecId) -> Result<String> {
        const OPERATION: &str = "read a spec";
        let body = sqlx::query_scalar("SELECT body FROM specs WHERE spec_id = $1")
            .bind(&id.0)
            .fetch_optional(&self.read)
            .await
            .map_err(|error| told(OPERATION, error.into()))?;
        body.ok_or_else(|| {
            Error::new(ErrorKind::Missing, OPERATION, "there is no such spec")
                .with_coordinate(&id.0)
        })
    }

    pub(crate) async fn list_documents(
        &self,
        workspace: Option<WorkspaceId>,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentSummary>> {
        let mut query = Query::new(
            "SELECT d.document_id, d.workspace_id, d.revision, d.updated_at, \
             (SELECT COUNT(*) FROM secret_references AS r WHERE r.document_id = d.document_id) \
             AS secrets FROM documents AS d WHERE TRUE",
        );
        if let Some(workspace) = workspace {
            query
                .push(" AND d.workspace_id = ")
                .push_bind(dialect::id(workspace.0));
        }
        if let Some(after) = after {
            query
                .push(" AND d.document_id > ")
                .push_bind(dialect::id(after.0));
        }
        query
            .push(" ORDER BY d.document_id LIMIT ")
            .push_bind(i64::from(limit));
        let summaries = async {
            let rows = query.build().fetch_all(&self.read).await?;
            rows.iter().map(summary).collect::<Result<_, Failure>>()
        };
        summaries
            .await
            .map_err(|failure| told("list documents", failure))
    }
}

fn summary(row: &Row) -> Result<DocumentSummary, Failure> {
    let reader = Reader::new("documents", row);
    Ok(DocumentSummary {
        id: DocumentId(reader.id("document_id")?),
        workspace: WorkspaceId(reader.id("workspace_id")?),
        revision: Revision(reader.get("revision")?),
        updated: reader.time("updated_at")?,
        secrets: reader.count("secrets")?,
    })
}

async fn document_within(
    conn: &mut Conn,
    id: DocumentId,
) -> Result<Option<StoredDocument>, Failure> {
    let row = sqlx::query(
        "SELECT d.document_id, d.workspace_id, d.revision, d.spec_id, d.blob FROM documents AS d \
         WHERE d.document_id = $1",
    )
    .bind(dialect::id(id.0))
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let reader = Reader::new("documents", &row);
    Ok(Some(StoredDocument {
        id: DocumentId(reader.id("document_id")?),
        workspace: WorkspaceId(reader.id("workspace_id")?),
        revision: Revision(reader.get("revision")?),
        spec: SpecId(reader.get("spec_id")?),
        blob: reader.get("blob")?,
        references: held_by(conn, id).await?,
    }))
}

async fn held_by(conn: &mut Conn, id: DocumentId) -> Result<Vec<Held>, Failure> {
    let rows = sqlx::query(
        "SELECT r.document_id, r.pointer, r.backend_id, r.coordinate, r.array_digest, s.kind, \
         s.digest, s.damage, s.state FROM secret_references AS r \
         JOIN secrets AS s ON s.backend_id = r.backend_id AND s.coordinate = r.coordinate \
         WHERE r.document_id = $1 ORDER BY r.pointer",
    )
    .bind(dialect::id(id.0))
    .fetch_all(conn)
    .await?;
    let held = rows.iter().map(|row| {
        let reader = Reader::new("secret_references", row);
        let ledger = Reader::new("secrets", row);
        // No commit keeps what is not stored: its documents came from a backup without the ledger.
        let is_stored = ledger.word("state", RowState::from_word)? == RowState::Stored;
        let damage = ledger.optional_word("damage", Damage::from_word)?;
        Ok(Held {
            pointer: reader.get("pointer")?,
            backend: reader.backend()?,
            coordinate: reader.coordinate()?,
            kind: ledger.word("kind", value_kind)?,
            digest: ledger.word("digest", parsed::<Digest>)?,
            array_digest: reader.optional_word("array_digest", parsed::<Digest>)?,
            damage,
            damaged: damage.is_some() || !is_stored,
        })
    });
    held.collect()
}
