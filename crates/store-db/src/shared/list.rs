//! Ledger rows as they are shown: lists, single rows, counts.

use std::collections::HashMap;

use cloakroom_core::ledger::{LedgerRow, RowState};
use cloakroom_core::store::{SecretFilter, SecretPage, UnreadableRow};
use cloakroom_core::{BackendId, Coordinate, Error, Result};

use super::rows::{LEDGER_COLUMNS, Reader, ledger_row, or_unreadable};
use super::transaction::told;
use super::{CHUNK, Conn, Query, Row, Store, dialect, push_list};
use crate::failure::Failure;

impl Store {
    pub(crate) async fn list_secrets(
        &self,
        filter: &SecretFilter,
        after: Option<(BackendId, Coordinate)>,
        limit: u32,
    ) -> Result<SecretPage> {
        let after = after.map(|(backend, coordinate)| Place::behind(&backend, &coordinate));
        let query = |after: Option<&Place>, limit| secrets_query(filter, after, limit);
        let secrets = self.page(after, limit, query).await;
        secrets.map_err(|failure| told("list secrets", failure))
    }

    /// As many rows as asked for whose keys can be read: behind the last of them the next page begins. A
    /// row whose keys cannot be read never ends one.
    pub(super) async fn page(
        &self,
        mut after: Option<Place>,
        limit: u32,
        query: impl Fn(Option<&Place>, u32) -> Query,
    ) -> Result<SecretPage, Failure> {
        let mut page = SecretPage::default();
        let mut left = limit;
        loop {
            let asked = left;
            let mut query = query(after.as_ref(), asked);
            let rows = query.build().fetch_all(&self.read).await?;
            for row in &rows {
                match or_unreadable(ledger_row(row))? {
                    Ok(row) => page.rows.push(row),
                    Err(error) => page.unreadable.push(unreadable(row, &error)),
                }
                if let Some(keys) = readable_keys(row) {
                    page.next = Some(keys);
                    left -= 1;
                }
            }
            let Some(last) = rows.last().filter(|_| rows.len() == asked as usize) else {
                page.next = None;
                return Ok(page);
            };
            if left == 0 {
                return Ok(page);
            }
            after = Some(Place::of(last)?);
        }
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
            let missing = coordinates.iter().filter(|it| !found.contains_key(*it));
            let missing: Vec<&Coordinate> = missing.collect();
            found.extend(self.rows_of_nobody(&missing).await?);
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

    /// Rows whose backend's name cannot be read: each may be any backend's, and counts as unreadable.
    async fn rows_of_nobody(
        &self,
        coordinates: &[&Coordinate],
    ) -> Result<HashMap<Coordinate, Result<LedgerRow>>, Failure> {
        let mut found = HashMap::new();
        if coordinates.is_empty() {
            return Ok(found);
        }
        let mut conn = self.read.acquire().await?;
        let mut names = backend_names(&mut conn).await?;
        names.retain(|name| name.parse::<BackendId>().is_err());
        if names.is_empty() {
            return Ok(found);
        }
        for chunk in coordinates.chunks(CHUNK) {
            let mut query = Query::new("SELECT ");
            query
                .push(LEDGER_COLUMNS)
                .push(" FROM secrets AS s WHERE s.backend_id IN ");
            push_list(&mut query, names.iter().map(String::as_str));
            query.push(" AND s.coordinate IN ");
            push_list(&mut query, chunk.iter().map(|it| it.as_str()));
            let query = query.build().persistent(false);
            for row in &query.fetch_all(&mut *conn).await? {
                let coordinate = Reader::new("secrets", row).coordinate()?;
                found.insert(coordinate, or_unreadable(ledger_row(row))?);
            }
        }
        Ok(found)
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

/// Where a list goes on, in texts that need not be what they should.
pub(super) struct Place {
    backend: String,
    pub(super) coordinate: String,
}

impl Place {
    /// Behind this coordinate of a backend.
    pub(super) fn behind(backend: &BackendId, coordinate: &Coordinate) -> Self {
        Self {
            backend: backend.to_string(),
            coordinate: coordinate.to_string(),
        }
    }

    fn of(row: &Row) -> Result<Self, Failure> {
        let reader = Reader::new("secrets", row);
        Ok(Self {
            backend: reader.get("backend_id")?,
            coordinate: reader.get("coordinate")?,
        })
    }
}

fn readable_keys(row: &Row) -> Option<(BackendId, Coordinate)> {
    let reader = Reader::new("secrets", row);
    reader.backend().ok().zip(reader.coordinate().ok())
}

fn unreadable(row: &Row, error: &Error) -> UnreadableRow {
    UnreadableRow {
        coordinate: Reader::new("secrets", row).coordinate().ok(),
        unreadable: error.subject().unwrap_or_default().to_owned(),
        error: error.message().to_owned(),
    }
}

fn secrets_query(filter: &SecretFilter, after: Option<&Place>, limit: u32) -> Query {
    let mut query = Query::new("SELECT ");
    query
        .push(LEDGER_COLUMNS)
        .push(" FROM secrets AS s WHERE TRUE");
    if let Some(backend) = &filter.backend {
        query
            .push(" AND s.backend_id = ")
            .push_bind(backend.as_str());
    }
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
    if let Some(after) = after {
        query
            .push(" AND (s.backend_id, s.coordinate) > (")
            .push_bind(after.backend.as_str());
        query
            .push(", ")
            .push_bind(after.coordinate.as_str())
            .push(")");
    }
    query
        .push(" ORDER BY s.backend_id, s.coordinate LIMIT ")
        .push_bind(i64::from(limit));
    query
}

/// The same of a row that was asked for twice.
fn told_again(error: &Error) -> Error {
    let again = Error::new(error.kind(), error.operation(), error.message().to_owned());
    again.with_coordinate(error.subject().unwrap_or_default())
}

/// The backends of the ledger, but for rows whose backend's name cannot be read.
pub(super) async fn backends_of(conn: &mut Conn) -> Result<Vec<BackendId>, Failure> {
    let names = backend_names(conn).await?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// Looks one backend up after the other: there are few of them and many rows. A name need not be one.
pub(super) async fn backend_names(conn: &mut Conn) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let last = names.last().map_or("", String::as_str);
        let next = sqlx::query(
            "SELECT s.backend_id FROM secrets AS s WHERE s.backend_id > $1 \
             ORDER BY s.backend_id LIMIT 1",
        )
        .bind(last)
        .fetch_optional(&mut *conn)
        .await?;
        match next {
            Some(row) => names.push(Reader::new("secrets", &row).get("backend_id")?),
            None => return Ok(names),
        }
    }
}
