//! One manager behind two backends' names: what the ledger has under the one is not to be adopted, nor
//! deleted, under the other, nor by the clean-up of a platform.

use std::collections::{BTreeSet, HashMap, HashSet};

use cloakroom_core::store::Adoption;
use cloakroom_core::{BackendId, Coordinate, Digest, IntentId, Mark, Result};

use super::list::backend_names;
use super::rows::{Reader, parsed};
use super::transaction::told;
use super::{CHUNK, Conn, Query, Row, Store, push_list};
use crate::failure::Failure;

/// What tells a secret from any other, be it of the same coordinate.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    coordinate: &'a Coordinate,
    digest: &'a Digest,
    intent: Option<IntentId>,
}

impl<'a> From<&'a Mark> for Named<'a> {
    fn from(mark: &'a Mark) -> Self {
        Self {
            coordinate: &mark.coordinate,
            digest: &mark.digest,
            intent: mark.intent,
        }
    }
}

impl<'a> From<&'a Adoption> for Named<'a> {
    fn from(adoption: &'a Adoption) -> Self {
        Self {
            coordinate: &adoption.coordinate,
            digest: &adoption.digest,
            intent: adoption.intent,
        }
    }
}

/// A row of another backend. What of it cannot be read may be anything.
struct Other {
    backend: BackendId,
    digest: Option<Digest>,
    intent: Option<IntentId>,
    is_intent_read: bool,
}

/// In the place of a backend's name that cannot be read.
const UNREADABLE: &str = "unreadable-name";

impl Other {
    fn read(row: &Row) -> Result<Self, Failure> {
        let reader = Reader::new("secrets", row);
        let backend = match reader.backend() {
            Err(_) => parsed(UNREADABLE).ok_or_else(|| reader.corrupt("backend_id"))?,
            Ok(backend) => backend,
        };
        let intent = reader.optional_id("intent");
        Ok(Self {
            backend,
            digest: reader.word("digest", parsed::<Digest>).ok(),
            is_intent_read: intent.is_ok(),
            intent: intent.ok().flatten().map(IntentId),
        })
    }

    /// A copy that a move made has an intent of its own, and may be unknown after a restore.
    fn is(&self, named: &Named<'_>) -> bool {
        let one_intent = !self.is_intent_read || self.intent == named.intent;
        let one_digest = || self.digest.as_ref().is_none_or(|it| it == named.digest);
        one_intent && (self.intent.is_some() || one_digest())
    }
}

impl Store {
    pub(crate) async fn known_elsewhere(
        &self,
        backend: &BackendId,
        marks: &[Mark],
    ) -> Result<Vec<Option<BackendId>>> {
        let known = async {
            let mut conn = self.read.acquire().await?;
            let named: Vec<Named<'_>> = marks.iter().map(Named::from).collect();
            known_elsewhere_within(&mut conn, backend, &named).await
        };
        known
            .await
            .map_err(|failure| told("look for secrets under other backends", failure))
    }
}

impl Store {
    pub(crate) async fn known(&self, coordinates: &[Coordinate]) -> Result<BTreeSet<Coordinate>> {
        let known = async {
            let mut conn = self.read.acquire().await?;
            known_within(&mut conn, coordinates).await
        };
        known
            .await
            .map_err(|failure| told("look for secrets under all backends", failure))
    }
}

async fn known_within(
    conn: &mut Conn,
    coordinates: &[Coordinate],
) -> Result<BTreeSet<Coordinate>, Failure> {
    let backends = backend_names(conn).await?;
    let mut known = BTreeSet::new();
    if backends.is_empty() {
        return Ok(known);
    }
    for chunk in coordinates.chunks(CHUNK) {
        let mut query = Query::new("SELECT s.coordinate FROM secrets AS s WHERE s.backend_id IN ");
        push_list(&mut query, backends.iter().map(String::as_str));
        query.push(" AND s.coordinate IN ");
        push_list(&mut query, chunk.iter().map(Coordinate::as_str));
        for row in &query
            .build()
            .persistent(false)
            .fetch_all(&mut *conn)
            .await?
        {
            known.insert(Reader::new("secrets", row).coordinate()?);
        }
    }
    Ok(known)
}

pub(super) async fn known_elsewhere_within(
    conn: &mut Conn,
    backend: &BackendId,
    named: &[Named<'_>],
) -> Result<Vec<Option<BackendId>>, Failure> {
    let mut others = backend_names(conn).await?;
    others.retain(|other| other != backend.as_str());
    let mut known = vec![None; named.len()];
    if others.is_empty() {
        return Ok(known);
    }
    for (chunk, known) in named.chunks(CHUNK).zip(known.chunks_mut(CHUNK)) {
        let rows = rows_of_others(conn, &others, chunk).await?;
        for (named, known) in chunk.iter().zip(known) {
            let rows = rows.get(named.coordinate).into_iter().flatten();
            let mut same = rows.filter(|row| row.is(named));
            *known = same.next().map(|row| row.backend.clone());
        }
    }
    Ok(known)
}

async fn rows_of_others(
    conn: &mut Conn,
    others: &[String],
    named: &[Named<'_>],
) -> Result<HashMap<Coordinate, Vec<Other>>, Failure> {
    let mut query = Query::new(
        "SELECT s.backend_id, s.coordinate, s.digest, s.intent FROM secrets AS s \
         WHERE s.backend_id IN ",
    );
    push_list(&mut query, others.iter().map(String::as_str));
    query.push(" AND s.coordinate IN ");
    push_list(&mut query, named.iter().map(|it| it.coordinate.as_str()));
    query.push(
        " AND (s.state <> 'deleted' OR EXISTS (SELECT 1 FROM secret_references AS r \
         WHERE r.backend_id = s.backend_id AND r.coordinate = s.coordinate)) \
         ORDER BY s.backend_id",
    );
    let mut rows: HashMap<Coordinate, Vec<Other>> = HashMap::new();
    for row in &query.build().persistent(false).fetch_all(conn).await? {
        let coordinate = Reader::new("secrets", row).coordinate()?;
        rows.entry(coordinate).or_default().push(Other::read(row)?);
    }
    Ok(rows)
}

/// Those that a document refers to under another backend's name.
pub(super) async fn referenced_elsewhere(
    conn: &mut Conn,
    backend: &BackendId,
    coordinates: &[&Coordinate],
) -> Result<HashSet<Coordinate>, Failure> {
    let mut found = HashSet::new();
    for chunk in coordinates.chunks(CHUNK) {
        let mut query = referenced_elsewhere_query(backend, chunk);
        for row in &query
            .build()
            .persistent(false)
            .fetch_all(&mut *conn)
            .await?
        {
            found.insert(Reader::new("secrets", row).coordinate()?);
        }
    }
    Ok(found)
}

pub(super) fn referenced_elsewhere_query(
    backend: &BackendId,
    coordinates: &[&Coordinate],
) -> Query {
    let mut query = Query::new(
        "SELECT s.coordinate FROM secrets AS s WHERE s.intent IS NOT NULL AND s.backend_id = ",
    );
    query
        .push_bind(backend.as_str())
        .push(" AND s.coordinate IN ");
    push_list(&mut query, coordinates.iter().map(|it| it.as_str()));
    query.push(
        " AND EXISTS (SELECT 1 FROM secrets AS o JOIN secret_references AS r \
         ON r.backend_id = o.backend_id AND r.coordinate = o.coordinate \
         WHERE o.base = s.base AND o.version = s.version AND o.backend_id <> s.backend_id \
         AND o.intent = s.intent AND o.state <> 'deleted')",
    );
    query
}
