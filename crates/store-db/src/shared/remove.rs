//! Removing a document: its references go at once, its secrets later.

use std::collections::BTreeSet;

use cloakroom_core::store::RemoveOutcome;
use cloakroom_core::{DocumentId, Result, Revision};

use super::locks::{self, Key, settle_references};
use super::rows::Reader;
use super::transaction::Ending;
use super::{Conn, Query, Store, dialect};
use crate::failure::{Failure, miscounted};

impl Store {
    pub(crate) async fn remove(
        &self,
        id: DocumentId,
        expected: Option<Revision>,
    ) -> Result<RemoveOutcome> {
        in_transaction!(self, "remove a document", |tx| {
            self.remove_within(&mut tx, id, expected)
                .await
                .map(Ending::Keep)
        })
    }

    async fn remove_within(
        &self,
        conn: &mut Conn,
        id: DocumentId,
        expected: Option<Revision>,
    ) -> Result<RemoveOutcome, Failure> {
        let Some(current) = lock_document(conn, id).await? else {
            return Ok(RemoveOutcome::Missing);
        };
        if expected.is_some_and(|expected| expected != current) {
            return Ok(RemoveOutcome::LostRace { current });
        }
        let dropped = references_of(conn, id).await?;
        let locked = locks::lock(conn, &dropped).await?;
        let now = self.lasting_moment(conn).await?;
        sqlx::query("DELETE FROM secret_references WHERE document_id = $1")
            .bind(dialect::id(id.0))
            .execute(&mut *conn)
            .await?;
        let gone = sqlx::query("DELETE FROM documents WHERE document_id = $1")
            .bind(dialect::id(id.0))
            .execute(&mut *conn)
            .await?
            .rows_affected();
        if gone != 1 {
            return Err(miscounted("documents", id, 1, gone));
        }
        let unreferenced = settle_references(conn, &locked, &dropped, now).await?;
        Ok(RemoveOutcome::Removed { unreferenced })
    }
}

async fn lock_document(conn: &mut Conn, id: DocumentId) -> Result<Option<Revision>, Failure> {
    let mut query = Query::new("SELECT revision FROM documents WHERE document_id = ");
    query.push_bind(dialect::id(id.0)).push(dialect::FOR_UPDATE);
    Ok(query
        .build_query_scalar()
        .fetch_optional(conn)
        .await?
        .map(Revision))
}

async fn references_of(conn: &mut Conn, id: DocumentId) -> Result<BTreeSet<Key>, Failure> {
    let rows = sqlx::query(
        "SELECT document_id, pointer, backend_id, coordinate FROM secret_references \
         WHERE document_id = $1",
    )
    .bind(dialect::id(id.0))
    .fetch_all(conn)
    .await?;
    let keys = rows.iter().map(|row| {
        let reader = Reader::new("secret_references", row);
        Ok((reader.backend()?, reader.coordinate()?))
    });
    keys.collect()
}
