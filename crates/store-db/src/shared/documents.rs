//! Reading documents and specs.

use std::collections::HashMap;

use cloakroom_core::config::Held;
use cloakroom_core::ledger::Damage;
use cloakroom_core::store::{DocumentSummary, SpecId, StoredDocument};
use cloakroom_core::{Digest, DocumentId, Error, ErrorKind, Result, Revision, WorkspaceId};

use super::rows::{Reader, parsed, value_kind};
use super::transaction::told;
use super::{CHUNK, Conn, Query, Row, Store, dialect};
use crate::failure::Failure;

const DOCUMENT_COLUMNS: &str =
    "SELECT d.document_id, d.workspace_id, d.revision, d.spec_id, d.blob FROM documents AS d";

impl Store {
    pub(crate) async fn document(&self, id: DocumentId) -> Result<Option<StoredDocument>> {
        let documents = async {
            let mut tx = self.begin_read().await?;
            let mut query = Query::new(DOCUMENT_COLUMNS);
            query
                .push(" WHERE d.document_id = ")
                .push_bind(dialect::id(id.0));
            let documents = with_references(&mut tx, query).await?;
            tx.commit().await?;
            Ok(documents)
        };
        let documents = documents
            .await
            .map_err(|failure| told("read a document", failure))?;
        Ok(documents.into_iter().next())
    }

    pub(crate) async fn documents(
        &self,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<StoredDocument>> {
        let documents = async {
            let mut tx = self.begin_read().await?;
            let mut query = Query::new(DOCUMENT_COLUMNS);
            if let Some(after) = after {
                query
                    .push(" WHERE d.document_id > ")
                    .push_bind(dialect::id(after.0));
            }
            query
                .push(" ORDER BY d.document_id LIMIT ")
                .push_bind(i64::from(limit));
            let documents = with_references(&mut tx, query).await?;
            tx.commit().await?;
            Ok(documents)
        };
        documents
            .await
            .map_err(|failure| told("read documents", failure))
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

/// The documents of a query, each with its references, in the query's order.
async fn with_references(
    conn: &mut Conn,
    mut documents: Query,
) -> Result<Vec<StoredDocument>, Failure> {
    let rows = documents.build().fetch_all(&mut *conn).await?;
    let mut documents = Vec::with_capacity(rows.len());
    for row in &rows {
        let reader = Reader::new("documents", row);
        documents.push(StoredDocument {
            id: DocumentId(reader.id("document_id")?),
            workspace: WorkspaceId(reader.id("workspace_id")?),
            revision: Revision(reader.get("revision")?),
            spec: SpecId(reader.get("spec_id")?),
            blob: reader.get("blob")?,
            references: Vec::new(),
        });
    }
    for chunk in documents.chunks_mut(CHUNK) {
        let ids: Vec<DocumentId> = chunk.iter().map(|document| document.id).collect();
        let mut held = held_by(conn, &ids).await?;
        for document in chunk {
            document.references = held.remove(&document.id).unwrap_or_default();
        }
    }
    Ok(documents)
}

async fn held_by(
    conn: &mut Conn,
    ids: &[DocumentId],
) -> Result<HashMap<DocumentId, Vec<Held>>, Failure> {
    let mut held: HashMap<DocumentId, Vec<Held>> = HashMap::new();
    if ids.is_empty() {
        return Ok(held);
    }
    let mut query = Query::new(
        "SELECT r.document_id, r.pointer, r.backend_id, r.coordinate, r.array_digest, s.kind, \
         s.digest, s.damage FROM secret_references AS r \
         JOIN secrets AS s ON s.backend_id = r.backend_id AND s.coordinate = r.coordinate \
         WHERE r.document_id IN (",
    );
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(dialect::id(id.0));
    }
    query.push(") ORDER BY r.document_id, r.pointer");
    for row in &query.build().persistent(false).fetch_all(conn).await? {
        let reader = Reader::new("secret_references", row);
        let document = DocumentId(reader.id("document_id")?);
        held.entry(document).or_default().push(Held {
            pointer: reader.get("pointer")?,
            backend: reader.backend()?,
            coordinate: reader.coordinate()?,
            kind: reader.word("kind", value_kind)?,
            digest: reader.word("digest", parsed::<Digest>)?,
            array_digest: reader.optional_word("array_digest", parsed::<Digest>)?,
            damaged: reader.optional_word("damage", Damage::from_word)?.is_some(),
        });
    }
    Ok(held)
}
