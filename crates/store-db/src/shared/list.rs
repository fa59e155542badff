//! Ledger rows as they are shown: lists, single rows, counts.

use std::collections::HashMap;

use cloakroom_core::ledger::{LedgerRow, RowState};
use cloakroom_core::store::SecretFilter;
use cloakroom_core::{BackendId, Coordinate, Error, Result};

use super::rows::{LEDGER_COLUMNS, Reader, ledger_row, or_unreadable};
use super::transaction::told;
use super::{CHUNK, Conn, Query, Store, dialect, push_list};
use crate::failure::Failure;

impl Store {
    pub(crate) async fn list_secrets(
        &self,
        filter: &SecretFilter,
        after: Option<(BackendId, Coordinate)>,
        limit: u32,
    ) -> Result<Vec<LedgerRow>> {
        let mut query = Query::new("SELECT ");
        query
            .push(LEDGER_COLUMNS)
            .push(" FROM secrets AS s WHERE TRUE");
        if let Some(owner) = filter.owner {
            query
                .push(" AND s.owner = ")
                .push_bind(dialect::id(owner.0));
        }
        if let Some(base) = &filter.base {
            query.push(" AND s.base = ").push_bind(base.as_str());
        }
        if let Some(state) = filter.state {
            query.push(" AND s.state = ").push_bind(state.as_str());
        }
        if let Some((backend, coordinate)) = &after {
            query
                .push(" AND (s.backend_id, s.coordinate) > (")
                .push_bind(backend.as_str());
            query.push(", ").push_bind(coordinate.as_str()).push(")");
        }
        query
            .push(" ORDER BY s.backend_id, s.coordinate LIMIT ")
            .push_bind(i64::from(limit));
        let secrets = async {
            let rows = query.build().fetch_all(&self.read).await?;
            rows.iter().map(ledger_row).collect::<Result<_, Failure>>()
        };
        secrets
            .await
            .map_err(|failure| told("list secrets", failure))
    }

    pub(crate) async fn rows(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Option<LedgerRow>>> {
        self.each_row(backend, coordinates)
            .await?
            .into_iter()
            .collect()
    }

    pub(crate) async fn each_row(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Result<Option<LedgerRow>>>> {
        let rows = async {
            let mut found = HashMap::new();
            for chunk in coordinates.chunks(CHUNK) {
                let mut query = Query::new("SELECT ");
                query
                    .push(LEDGER_COLUMNS)
                    .push(" FROM secrets AS s WHERE s.backend_id = ");
                query
                    .push_bind(backend.as_str())
                    .push(" AND s.coordinate IN ");
                push_list(&mut query, chunk.iter().map(Coordinate::as_str));
                for row in &query
                    .build()
                    .persistent(false)
                    .fetch_all(&self.read)
                    .await?
                {
                    let coordinate = Reader::new("secrets", row).coordinate()?;
                    found.insert(coordinate, or_unreadable(ledger_row(row))?);
                }
            }
            let mut rows = Vec::with_capacity(coordinates.len());
            for coordinate in coordinates {
                rows.push(match found.get(coordinate) {
                    Some(Ok(row)) => Ok(Some(LedgerRow::clone(row))),
                    Some(Err(error)) => Err(told_again(error)),
                    None => Ok(None),
                });
            }
            Ok(rows)
        };
        rows.await
            .map_err(|failure| told("read ledger rows", failure))
    }

    pub(crate) async fn backends(&self) -> Result<Vec<BackendId>> {
        let backends = async {
            let mut conn = self.read.acquire().await?;
            backends_of(&mut conn).await
        };
        backends
            .await
            .map_err(|failure: Failure| told("list the backends of the ledger", failure))
    }

    pub(crate) async fn count_by_state(&self, backend: &BackendId) -> Result<Vec<(RowState, u64)>> {
        let counts = async {
            let mut counts = RowState::ALL.map(|state| (state, 0));
            let mut query =
                Query::new("SELECT s.state, COUNT(*) AS count FROM secrets AS s WHERE s.state IN ");
            push_list(&mut query, RowState::ALL.map(RowState::as_str));
            query
                .push(" AND s.backend_id = ")
                .push_bind(backend.as_str());
            query.push(" GROUP BY s.state");
            for row in &query.build().fetch_all(&self.read).await? {
                let reader = Reader::new("secrets", row);
                let state = reader.word("state", RowState::from_word)?;
                for (known, count) in &mut counts {
                    if *known == state {
                        *count = reader.count("count")?;
                    }
                }
            }
            Ok(counts.to_vec())
        };
        counts
            .await
            .map_err(|failure| told("count ledger rows", failure))
    }
}

/// The same of a row that was asked for twice.
fn told_again(error: &Error) -> Error {
    let again = Error::new(error.kind(), error.operation(), error.message().to_owned());
    again.with_coordinate(error.subject().unwrap_or_default())
}

/// Looks one backend up after the other: there are few of them and many rows.
pub(super) async fn backends_of(conn: &mut Conn) -> Result<Vec<BackendId>, Failure> {
    let mut backends: Vec<BackendId> = Vec::new();
    loop {
        let last = backends.last().map_or("", BackendId::as_str);
        let next = sqlx::query(
            "SELECT s.backend_id FROM secrets AS s WHERE s.backend_id > $1 \
             ORDER BY s.backend_id LIMIT 1",
        )
        .bind(last)
        .fetch_optional(&mut *conn)
        .await?;
        match next {
            Some(row) => backends.push(Reader::new("secrets", &row).backend()?),
            None => return Ok(backends),
        }
    }
}
