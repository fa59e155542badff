//! One manager behind two backends' names: what the ledger has under the one is not to be adopted, nor
//! deleted, under the other, nor by the clean-up of a platform.

use std::collections::{BTreeSet, HashMap, HashSet};

use cloakroom_core::store::Adoption;
use cloakroom_core::{BackendId, Coordinate, Digest, IntentId, Mark, Result};

use super::list::backends_of;
use super::rows::{Reader, parsed};
use super::transaction::told;
use super::{CHUNK, Conn, Query, Store, push_list};
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

/// A row of another backend.
struct Other {
    backend: BackendId,
    digest: Digest,
    intent: Option<IntentId>,
}

impl Other {
    /// A copy that a move made has an intent of its own, and may be unknown after a restore.
    fn is(&self, named: &Named<'_>) -> bool {
        self.intent == named.intent && (self.intent.is_some() || self.digest == *named.digest)
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
    let backends = backends_of(conn).await?;
    let mut known = BTreeSet::new();
    if backends.is_empty() {
        return Ok(known);
    }
    for chunk in coordinates.chunks(CHUNK) {
        let mut query = Query::new("SELECT s.coordinate FROM secrets AS s WHERE s.backend_id IN ");
        push_list(&mut query, backends.iter().map(BackendId::as_str));
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
    let mut others = backends_of(conn).await?;
    others.retain(|other| other != backend);
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
    others: &[BackendId],
    named: &[Named<'_>],
) -> Result<HashMap<Coordinate, Vec<Other>>, Failure> {
    let mut query = Query::new(
        "SELECT s.backend_id, s.coordinate, s.digest, s.intent FROM secrets AS s \
         WHERE s.backend_id IN ",
    );
    push_list(&mut query, others.iter().map(BackendId::as_str));
    query.push(" AND s.coordinate IN ");
    push_list(&mut query, named.iter().map(|it| it.coordinate.as_str()));
    query.push(
        " AND (s.state <> 'deleted' OR EXISTS (SELECT 1 FROM secret_references AS r \
         WHERE r.backend_id = s.backend_id AND r.coordinate = s.coordinate)) \
         ORDER BY s.backend_id",
    );
    let mut rows: HashMap<Coordinate, Vec<Other>> = HashMap::new();
    for row in &query.build().persistent(false).fetch_all(conn).await? {
        let reader = Reader::new("secrets", row);
        rows.entry(reader.coordinate()?).or_default().push(Other {
            backend: reader.backend()?,
            digest: reader.word("digest", parsed::<Digest>)?,
            intent: reader.optional_id("intent")?.map(IntentId),
        });
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
