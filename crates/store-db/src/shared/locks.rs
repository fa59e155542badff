//! Locking ledger rows, always in the order of base and version, and what is decided under the
//! lock: which rows lost their last reference, and which are superseded.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cloakroom_core::coordinates::Coordinate;
use cloakroom_core::ledger::RowState;
use cloakroom_core::{BackendId, IntentId};

use super::rows::Reader;
use super::{CHUNK, Conn, Query, dialect, push_list};
use crate::failure::{Failure, miscounted};

/// A secret among all backends.
pub(super) type Key = (BackendId, Coordinate);

/// What a writer needs to know of a locked row.
#[derive(Clone, Copy)]
pub(super) struct Locked {
    pub(super) state: RowState,
    pub(super) intent: Option<IntentId>,
    pub(super) expires_at: Option<i64>,
    unreferenced: bool,
    superseded: bool,
}

impl Locked {
    /// Whether the row says that a document refers to it.
    pub(super) fn is_in_use(&self) -> bool {
        self.state == RowState::Stored && self.expires_at.is_none() && !self.unreferenced
    }
}

/// Every living row of some bases, locked until the transaction ends. A tombstone is not among
/// them.
pub(super) struct LockedRows {
    rows: BTreeMap<Key, Locked>,
}

impl LockedRows {
    pub(super) fn get(&self, key: &Key) -> Option<&Locked> {
        self.rows.get(key)
    }
}

/// Locks the living rows of every base that `keys` name.
pub(super) async fn lock<'a>(
    conn: &mut Conn,
    keys: impl IntoIterator<Item = &'a Key>,
) -> Result<LockedRows, Failure> {
    let mut rows = BTreeMap::new();
    for (backend, bases) in bases_by_backend(keys) {
        for row in living_query(backend, &bases)
            .build()
            .persistent(false)
            .fetch_all(&mut *conn)
            .await?
        {
            let reader = Reader::new("secrets", &row);
            let locked = Locked {
                state: reader.word("state", RowState::from_word)?,
                intent: reader.optional_id("intent")?.map(IntentId),
                expires_at: reader.get("expires_at")?,
                unreferenced: reader.get::<Option<i64>>("unreferenced_since")?.is_some(),
                superseded: reader.get("superseded")?,
            };
            rows.insert((backend.clone(), reader.coordinate()?), locked);
        }
    }
    Ok(LockedRows { rows })
}

/// The bases that `keys` name, each once, as many as a query takes at a time.
fn bases_by_backend<'a>(
    keys: impl IntoIterator<Item = &'a Key>,
) -> Vec<(&'a BackendId, Vec<&'a str>)> {
    let mut bases: BTreeMap<&BackendId, BTreeSet<&str>> = BTreeMap::new();
    for (backend, coordinate) in keys {
        bases.entry(backend).or_default().insert(coordinate.base());
    }
    chunked(bases)
}

/// Looks at the rows of these bases alone, however many the ledger has.
pub(crate) fn living_query(backend: &BackendId, bases: &[&str]) -> Query {
    let mut query = Query::new(
        "SELECT s.backend_id, s.coordinate, s.state, s.intent, s.expires_at, \
         s.unreferenced_since, s.superseded FROM secrets AS s WHERE s.state <> 'deleted' AND s.backend_id = ",
    );
    query.push_bind(backend.as_str()).push(" AND s.base IN ");
    push_list(&mut query, bases.iter().copied());
    query
        .push(" ORDER BY s.base, s.version")
        .push(dialect::FOR_UPDATE);
    query
}

/// Marks those of `dropped` that no document refers to any more, then sets for every locked row
/// without reference whether a referenced higher version took its place. Called once the
/// references are as they will be. Gives back what lost its last reference.
pub(super) async fn settle_references(
    conn: &mut Conn,
    locked: &LockedRows,
    dropped: &BTreeSet<Key>,
    now: i64,
) -> Result<Vec<Coordinate>, Failure> {
    let still = referenced(conn, dropped).await?;
    // A tombstone that was referred to (a damaged or restored store) stays one.
    let lost: BTreeSet<&Key> = dropped
        .iter()
        .filter(|key| !still.contains(*key) && locked.get(key).is_some())
        .collect();
    for (backend, chunk) in by_backend(lost.iter().copied()) {
        let mut query = Query::new("UPDATE secrets SET unreferenced_since = ");
        query
            .push_bind(now)
            .push(", superseded = FALSE WHERE backend_id = ");
        query
            .push_bind(backend.as_str())
            .push(" AND coordinate IN ");
        push_list(
            &mut query,
            chunk.iter().map(|coordinate| coordinate.as_str()),
        );
        execute_exactly(conn, query, "secrets", backend, chunk.len()).await?;
    }
    reclassify(conn, locked, &lost).await?;
    Ok(lost
        .into_iter()
        .map(|(_, coordinate)| coordinate.clone())
        .collect())
}

async fn reclassify(
    conn: &mut Conn,
    locked: &LockedRows,
    lost: &BTreeSet<&Key>,
) -> Result<(), Failure> {
    let unreferenced: Vec<(&Key, bool)> = locked
        .rows
        .iter()
        .filter(|(_, row)| matches!(row.state, RowState::Stored | RowState::Held))
        .filter_map(|(key, row)| {
            let just_lost = lost.contains(key);
            (just_lost || row.unreferenced).then_some((key, row.superseded && !just_lost))
        })
        .collect();
    let highest = highest_referenced(conn, unreferenced.iter().map(|(key, _)| *key)).await?;
    let is_superseded = |(backend, coordinate): &Key| {
        highest
            .get(&(backend.clone(), coordinate.base().to_owned()))
            .is_some_and(|highest| highest.version() > coordinate.version())
    };
    for superseded in [true, false] {
        let wrong = unreferenced.iter().filter_map(|(key, was)| {
            (is_superseded(key) == superseded && *was != superseded).then_some(*key)
        });
        for (backend, chunk) in by_backend(wrong) {
            let mut query = Query::new("UPDATE secrets SET superseded = ");
            query.push_bind(superseded).push(" WHERE backend_id = ");
            query
                .push_bind(backend.as_str())
                .push(" AND coordinate IN ");
            push_list(
                &mut query,
                chunk.iter().map(|coordinate| coordinate.as_str()),
            );
            execute_exactly(conn, query, "secrets", backend, chunk.len()).await?;
        }
    }
    Ok(())
}

/// The highest version of each base among `keys` that a document refers to.
pub(super) async fn highest_referenced<'a>(
    conn: &mut Conn,
    keys: impl IntoIterator<Item = &'a Key>,
) -> Result<HashMap<(BackendId, String), Coordinate>, Failure> {
    let mut highest = HashMap::new();
    for (backend, bases) in bases_by_backend(keys) {
        for row in highest_query(backend, &bases)
            .build()
            .persistent(false)
            .fetch_all(&mut *conn)
            .await?
        {
            let coordinate = Reader::new("secrets", &row).coordinate()?;
            // The last of each base is its highest.
            highest.insert((backend.clone(), coordinate.base().to_owned()), coordinate);
        }
    }
    Ok(highest)
}

pub(crate) fn highest_query(backend: &BackendId, bases: &[&str]) -> Query {
    let mut query = Query::new(
        "SELECT s.backend_id, s.coordinate FROM secrets AS s \
         WHERE s.state <> 'deleted' AND s.backend_id = ",
    );
    query.push_bind(backend.as_str()).push(" AND s.base IN ");
    push_list(&mut query, bases.iter().copied());
    query.push(
        " AND EXISTS (SELECT 1 FROM secret_references AS r \
         WHERE r.backend_id = s.backend_id AND r.coordinate = s.coordinate) \
         ORDER BY s.base, s.version",
    );
    query
}

/// Which of these some document refers to.
pub(super) async fn referenced<'a>(
    conn: &mut Conn,
    keys: impl IntoIterator<Item = &'a Key>,
) -> Result<HashSet<Key>, Failure> {
    let mut found = HashSet::new();
    for (backend, chunk) in by_backend(keys) {
        let mut query = Query::new(
            "SELECT DISTINCT r.backend_id, r.coordinate FROM secret_references AS r \
             WHERE r.backend_id = ",
        );
        query
            .push_bind(backend.as_str())
            .push(" AND r.coordinate IN ");
        push_list(
            &mut query,
            chunk.iter().map(|coordinate| coordinate.as_str()),
        );
        for row in query
            .build()
            .persistent(false)
            .fetch_all(&mut *conn)
            .await?
        {
            let coordinate = Reader::new("secret_references", &row).coordinate()?;
            found.insert((backend.clone(), coordinate));
        }
    }
    Ok(found)
}

/// Chunks that a statement can name, each of one backend.
pub(super) fn by_backend<'a>(
    keys: impl IntoIterator<Item = &'a Key>,
) -> Vec<(&'a BackendId, Vec<&'a Coordinate>)> {
    let mut backends: BTreeMap<&BackendId, Vec<&Coordinate>> = BTreeMap::new();
    for (backend, coordinate) in keys {
        backends.entry(backend).or_default().push(coordinate);
    }
    chunked(backends)
}

fn chunked<T: Copy>(
    backends: BTreeMap<&BackendId, impl IntoIterator<Item = T>>,
) -> Vec<(&BackendId, Vec<T>)> {
    let mut chunked = Vec::new();
    for (backend, all) in backends {
        let all: Vec<T> = all.into_iter().collect();
        chunked.extend(all.chunks(CHUNK).map(|chunk| (backend, chunk.to_vec())));
    }
    chunked
}

/// Executes a write that must meet exactly `expected` rows.
pub(super) async fn execute_exactly(
    conn: &mut Conn,
    mut query: Query,
    table: &'static str,
    row: impl std::fmt::Display,
    expected: usize,
) -> Result<(), Failure> {
    let met = query
        .build()
        .persistent(false)
        .execute(conn)
        .await?
        .rows_affected();
    if met == expected as u64 {
        Ok(())
    } else {
        Err(miscounted(table, row, expected as u64, met))
    }
}
