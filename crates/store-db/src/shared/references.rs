//! References and documents as the jobs scan them, each in the order it is kept in.

use std::collections::BTreeSet;

use cloakroom_core::ledger::{Damage, RowState};
use cloakroom_core::store::{
    DocumentRow, RecordedReference, ReferenceCursor, ReferenceRow, ReferencedRow, SpecId,
};
use cloakroom_core::{BackendId, Coordinate, Digest, DocumentId, Result};

use super::locks::{Key, referenced};
use super::rows::{Reader, or_unreadable, parsed, value_kind};
use super::transaction::told;
use super::{Conn, Query, Row, Store, dialect};
use crate::failure::Failure;

impl Store {
    pub(crate) async fn references(
        &self,
        backend: &BackendId,
        after: Option<&ReferenceCursor>,
        limit: u32,
    ) -> Result<Vec<ReferenceRow>> {
        let references = async {
            let mut looked_at = limit;
            loop {
                let mut query = references_query(backend, after, looked_at);
                let rows = query.build().fetch_all(&self.read).await?;
                let read = rows.iter().filter_map(|row| reference(row).transpose());
                let read: Vec<ReferenceRow> =
                    read.take(limit as usize).collect::<Result<_, _>>()?;
                // Where nothing of a page can be read there may be more behind it.
                if !read.is_empty() || rows.len() < looked_at as usize {
                    return Ok(read);
                }
                looked_at = looked_at.saturating_mul(2);
            }
        };
        references
            .await
            .map_err(|failure: Failure| told("read references", failure))
    }

    pub(crate) async fn documents(
        &self,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentRow>> {
        let documents = async {
            let mut tx = self.begin_read().await?;
            let rows = documents_query(after, limit)
                .build()
                .fetch_all(&mut *tx)
                .await?;
            let mut documents = rows.iter().map(document).collect::<Result<Vec<_>, _>>()?;
            add_references(&mut tx, &mut documents).await?;
            tx.commit().await?;
            Ok(documents)
        };
        documents
            .await
            .map_err(|failure| told("read documents", failure))
    }

    pub(crate) async fn referenced(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<BTreeSet<Coordinate>> {
        let keys: Vec<Key> = coordinates
            .iter()
            .map(|coordinate| (backend.clone(), coordinate.clone()))
            .collect();
        let found = async {
            let mut conn = self.read.acquire().await?;
            referenced(&mut conn, &keys).await
        };
        let found = found
            .await
            .map_err(|failure| told("read which secrets are referred to", failure))?;
        Ok(found
            .into_iter()
            .map(|(_, coordinate)| coordinate)
            .collect())
    }

    pub(crate) async fn referrers(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        limit: u32,
    ) -> Result<Vec<(Option<DocumentId>, String)>> {
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
            rows.iter().map(referrer).collect::<Result<_, Failure>>()
        };
        referrers
            .await
            .map_err(|failure| told("read referrers", failure))
    }
}

/// Index and ledger are read side by side, each in its own order: a coordinate is next to the one
/// before it in both.
pub(crate) fn references_query(
    backend: &BackendId,
    after: Option<&ReferenceCursor>,
    limit: u32,
) -> Query {
    let mut query = Query::new(
        "SELECT r.document_id, r.pointer, r.coordinate, s.state, s.kind, s.digest, s.damage \
         FROM secret_references AS r \
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
    query
}

fn documents_query(after: Option<DocumentId>, limit: u32) -> Query {
    let mut query = Query::new("SELECT d.document_id, d.spec_id, d.blob FROM documents AS d");
    if let Some(after) = after {
        query
            .push(" WHERE d.document_id > ")
            .push_bind(dialect::id(after.0));
    }
    query
        .push(" ORDER BY d.document_id LIMIT ")
        .push_bind(i64::from(limit));
    query
}

pub(crate) fn recorded_query(first: DocumentId, last: DocumentId) -> Query {
    let mut query = Query::new(
        "SELECT r.document_id, r.pointer, r.backend_id, r.coordinate FROM secret_references AS r \
         WHERE r.document_id BETWEEN ",
    );
    query.push_bind(dialect::id(first.0)).push(" AND ");
    query.push_bind(dialect::id(last.0));
    query.push(" ORDER BY r.document_id, r.pointer");
    query
}

/// Gives each of some documents, which are all there are from the first to the last, what is
/// recorded for it.
async fn add_references(conn: &mut Conn, documents: &mut [DocumentRow]) -> Result<(), Failure> {
    let (Some(first), Some(last)) = (documents.first(), documents.last()) else {
        return Ok(());
    };
    let mut query = recorded_query(first.id, last.id);
    let rows = query.build().fetch_all(conn).await?;
    let mut documents = documents.iter_mut().peekable();
    for row in &rows {
        let reader = Reader::new("secret_references", row);
        let owner = DocumentId(reader.id("document_id")?);
        while documents.next_if(|document| document.id < owner).is_some() {}
        if let Some(document) = documents.peek_mut().filter(|document| document.id == owner) {
            match or_unreadable(recorded(reader))? {
                Ok(recorded) => document.references.push(recorded),
                Err(error) => document.unreadable.push(error.message().to_owned()),
            }
        }
    }
    Ok(())
}

fn recorded(reader: Reader<'_>) -> Result<RecordedReference, Failure> {
    Ok(RecordedReference {
        pointer: reader.get("pointer")?,
        backend: reader.backend()?,
        coordinate: reader.coordinate()?,
    })
}

/// A secret is in use whether or not it can be read where.
fn referrer(row: &Row) -> Result<(Option<DocumentId>, String), Failure> {
    let reader = Reader::new("secret_references", row);
    let document = or_unreadable(reader.id("document_id"))?.ok();
    let (pointer, _) = reader.as_far_as_text("pointer")?;
    Ok((document.map(DocumentId), pointer))
}

/// What cannot be read as text is given as far as it is text: coordinates in it still count.
fn document(row: &Row) -> Result<DocumentRow, Failure> {
    let reader = Reader::new("documents", row);
    let mut unreadable = Vec::new();
    let mut text = |column| {
        let (text, error) = reader.as_far_as_text(column)?;
        unreadable.extend(error.map(|it| it.message().to_owned()));
        Ok::<_, Failure>(text)
    };
    Ok(DocumentRow {
        id: DocumentId(reader.id("document_id")?),
        spec: SpecId(text("spec_id")?),
        blob: text("blob")?,
        references: Vec::new(),
        unreadable,
    })
}

/// `None` where the reference itself cannot be read.
fn reference(row: &Row) -> Result<Option<ReferenceRow>, Failure> {
    let reader = Reader::new("secret_references", row);
    let document = DocumentId(reader.id("document_id")?);
    let place = || Ok::<_, Failure>((reader.get("pointer")?, reader.coordinate()?));
    let Ok((pointer, coordinate)) = or_unreadable(place())? else {
        return Ok(None);
    };
    // One row that cannot be read hides none of the others.
    let (ledger, unreadable) = match or_unreadable(referenced_row(row))? {
        Ok(ledger) => (ledger, None),
        Err(error) => (None, Some(error.message().to_owned())),
    };
    Ok(Some(ReferenceRow {
        document,
        pointer,
        coordinate,
        ledger,
        unreadable,
    }))
}

fn referenced_row(row: &Row) -> Result<Option<ReferencedRow>, Failure> {
    let reader = Reader::new("secrets", row);
    let Some(state) = reader.optional_word("state", RowState::from_word)? else {
        return Ok(None);
    };
    Ok(Some(ReferencedRow {
        state,
        kind: reader.word("kind", value_kind)?,
        digest: reader.word("digest", parsed::<Digest>)?,
        damage: reader.optional_word("damage", Damage::from_word)?,
    }))
}
