//! Rows that say a document refers to them, and no document does: found, and let go at an operator's word.

use std::collections::BTreeSet;

use cloakroom_core::ledger::Reason;
use cloakroom_core::store::{LetGo, SecretPage, words};
use cloakroom_core::{BackendId, Coordinate, Result, RunId};

use super::list::Place;
use super::locks::{self, Key, settle_references};
use super::receipts::{Entry, append};
use super::rows::LEDGER_COLUMNS;
use super::transaction::{Ending, told};
use super::{Conn, Query, Store};
use crate::failure::Failure;

impl Store {
    pub(crate) async fn missed(
        &self,
        backend: &BackendId,
        after: Option<&Coordinate>,
        limit: u32,
    ) -> Result<SecretPage> {
        let after = after.map(|after| Place::behind(backend, after));
        let query = |after: Option<&Place>, limit| {
            missed_query(backend, after.map(|after| &*after.coordinate), limit)
        };
        let missed = self.page(after, limit, query).await;
        missed.map_err(|failure| told("look for secrets that nobody let go", failure))
    }

    pub(crate) async fn let_missed_go(
        &self,
        run: RunId,
        backend: &BackendId,
        items: &[LetGo],
    ) -> Result<Vec<bool>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        in_transaction!(self, "let go of secrets", |tx| {
            self.let_missed_go_within(&mut tx, run, backend, items)
                .await
                .map(Ending::Keep)
        })
    }

    async fn let_missed_go_within(
        &self,
        conn: &mut Conn,
        run: RunId,
        backend: &BackendId,
        items: &[LetGo],
    ) -> Result<Vec<bool>, Failure> {
        let keys = items
            .iter()
            .map(|item| (backend.clone(), item.coordinate.clone()));
        let mut keys: BTreeSet<Key> = keys.collect();
        let locked = locks::lock(conn, &keys).await?;
        keys.retain(|key| locked.get(key).is_some_and(locks::Locked::is_in_use));
        let now = self.lasting_moment(conn).await?;
        // What some document refers to after all is not among these.
        let lost = settle_references(conn, &locked, &keys, now).await?;
        let mut lost: BTreeSet<Coordinate> = lost.into_iter().collect();
        // Taken out, so that a coordinate named twice is let go once.
        let gone: Vec<bool> = items
            .iter()
            .map(|item| lost.remove(&item.coordinate))
            .collect();
        let these = items.iter().zip(&gone).filter(|(_, gone)| **gone);
        let entries: Vec<Entry<'_>> = these
            .map(|(item, _)| Entry {
                name: (&item.coordinate).into(),
                reason: Reason::Orphaned.as_str(),
                evidence: &item.evidence,
                outcome: words::ADOPTED,
                detail: None,
            })
            .collect();
        append(conn, run, backend, &entries, now).await?;
        Ok(gone)
    }
}

pub(crate) fn missed_query(backend: &BackendId, after: Option<&str>, limit: u32) -> Query {
    let mut query = Query::new("SELECT ");
    query
        .push(LEDGER_COLUMNS)
        .push(" FROM secrets AS s WHERE s.backend_id = ");
    query
        .push_bind(backend.as_str())
        .push(" AND s.coordinate > ")
        .push_bind(after.unwrap_or_default());
    query.push(
        " AND s.state = 'stored' AND s.once_referenced AND s.unreferenced_since IS NULL \
         AND NOT EXISTS (SELECT 1 FROM secret_references AS r \
         WHERE r.backend_id = s.backend_id AND r.coordinate = s.coordinate) \
         ORDER BY s.coordinate LIMIT ",
    );
    query.push_bind(i64::from(limit));
    query
}
