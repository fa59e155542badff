//! What is due: each class is a range of its own partial index, in the order of the cursor.

use cloakroom_core::ledger::{Candidate, DueClass, DueCursor, LedgerRow, Reason, Windows};
use cloakroom_core::{BackendId, Result, Timestamp};

use super::locks::{Key, highest_referenced};
use super::rows::{LEDGER_COLUMNS, Reader, ledger_row, or_unreadable};
use super::transaction::told;
use super::{Conn, Query, Row, Store};
use crate::failure::Failure;
use crate::times::{before, millis};

/// For each class, how old a row's time must be.
#[derive(Clone, Copy)]
pub(crate) struct Cutoffs {
    now: i64,
    expired: i64,
    orphaned: i64,
    superseded: i64,
    keep: i64,
}

impl Cutoffs {
    pub(crate) fn new(now: i64, windows: &Windows) -> Self {
        Self {
            now,
            expired: before(now, windows.put_deadline),
            orphaned: before(now, windows.orphan_ttl),
            superseded: before(now, windows.superseded_grace),
            keep: windows.keep_superseded.into(),
        }
    }
}

/// The column whose time makes a row of the class due.
fn time_of(class: DueClass) -> &'static str {
    match class {
        DueClass::Resumable => "next_attempt_at",
        DueClass::Expired => "expires_at",
        DueClass::Orphaned | DueClass::Superseded => "unreferenced_since",
    }
}

/// Why a row of the ledger goes, or is going, read off the row itself.
pub(super) fn reason_of(row: &LedgerRow) -> Reason {
    match (
        row.once_referenced || row.unreferenced_since.is_some(),
        row.superseded,
    ) {
        (true, true) => Reason::Superseded,
        (true, false) => Reason::Orphaned,
        (false, _) if row.coordinate.is_ephemeral() => Reason::Ephemeral,
        (false, _) => Reason::Abandoned,
    }
}

/// Writes the condition on `secrets AS s`. Its first lines repeat the class's index word for word,
/// since that is how SQLite sees that the index has all the rows.
pub(super) fn push_due(query: &mut Query, class: DueClass, backend: &BackendId, cutoffs: Cutoffs) {
    let (of_class, cutoff) = match class {
        DueClass::Resumable => ("s.state = 'deleting'", cutoffs.now),
        DueClass::Expired => (
            "s.state IN ('intended', 'stored') AND NOT s.once_referenced \
             AND s.expires_at IS NOT NULL",
            cutoffs.expired,
        ),
        DueClass::Orphaned => (
            "s.state IN ('stored', 'held') AND NOT s.superseded \
             AND s.unreferenced_since IS NOT NULL",
            cutoffs.orphaned,
        ),
        DueClass::Superseded => (
            "s.state IN ('stored', 'held') AND s.superseded AND s.unreferenced_since IS NOT NULL",
            cutoffs.superseded,
        ),
    };
    query
        .push(of_class)
        .push(" AND s.backend_id = ")
        .push_bind(backend.as_str());
    query
        .push(" AND s.")
        .push(time_of(class))
        .push(" <= ")
        .push_bind(cutoff);
    if class == DueClass::Superseded && cutoffs.keep > 0 {
        query
            .push(" AND ")
            .push(NEWER_SUPERSEDED)
            .push(" >= ")
            .push_bind(cutoffs.keep);
    }
}

/// How many newer superseded versions a superseded row's base has.
pub(super) const NEWER_SUPERSEDED: &str = "(SELECT COUNT(*) FROM secrets AS newer \
     WHERE newer.state <> 'deleted' AND newer.base = s.base \
     AND newer.backend_id = s.backend_id AND newer.version > s.version \
     AND newer.state IN ('stored', 'held') AND newer.superseded \
     AND newer.unreferenced_since IS NOT NULL)";

pub(crate) fn due_query(
    backend: &BackendId,
    class: DueClass,
    cutoffs: Cutoffs,
    after: Option<(i64, &str)>,
    limit: u32,
) -> Query {
    let time = time_of(class);
    let mut query = Query::new("SELECT ");
    query.push(LEDGER_COLUMNS).push(" FROM secrets AS s WHERE ");
    push_due(&mut query, class, backend, cutoffs);
    if let Some((at, coordinate)) = after {
        query
            .push(" AND (s.")
            .push(time)
            .push(", s.coordinate) > (");
        query.push_bind(at).push(", ");
        query.push_bind(coordinate.to_owned()).push(")");
    }
    query
        .push(" ORDER BY s.")
        .push(time)
        .push(", s.coordinate LIMIT ");
    query.push_bind(i64::from(limit));
    query
}

impl Store {
    pub(crate) async fn due(
        &self,
        backend: &BackendId,
        class: DueClass,
        windows: &Windows,
        after: Option<&DueCursor>,
        limit: u32,
    ) -> Result<Vec<Candidate>> {
        let due = async {
            let mut tx = self.begin_read().await?;
            let now = self.moment(&mut tx).await?;
            let scan = Scan {
                backend,
                class,
                cutoffs: Cutoffs::new(now, windows),
            };
            let mut candidates = scan.readable(&mut tx, after, limit).await?;
            let keys: Vec<Key> = candidates
                .iter()
                .map(|candidate| (backend.clone(), candidate.row.coordinate.clone()))
                .collect();
            let highest = highest_referenced(&mut tx, &keys).await?;
            for candidate in &mut candidates {
                let coordinate = &candidate.row.coordinate;
                candidate.superseded_by = highest
                    .get(&(backend.clone(), coordinate.base().to_owned()))
                    .filter(|highest| highest.version() > coordinate.version())
                    .cloned();
            }
            tx.commit().await?;
            Ok(candidates)
        };
        due.await
            .map_err(|failure| told("scan what is due", failure))
    }
}

/// A scan of one class.
struct Scan<'a> {
    backend: &'a BackendId,
    class: DueClass,
    cutoffs: Cutoffs,
}

impl Scan<'_> {
    /// The next rows that can be read: one that cannot holds up none behind it, and goes nowhere itself.
    async fn readable(
        &self,
        conn: &mut Conn,
        after: Option<&DueCursor>,
        limit: u32,
    ) -> Result<Vec<Candidate>, Failure> {
        let mut after = after.map(|it| (millis(it.at), it.coordinate.to_string()));
        let mut candidates = Vec::new();
        loop {
            let behind = after.as_ref().map(|(at, name)| (*at, name.as_str()));
            let mut query = due_query(self.backend, self.class, self.cutoffs, behind, limit);
            let rows = query.build().fetch_all(&mut *conn).await?;
            for row in &rows {
                candidates.extend(or_unreadable(candidate(row, self.class))?.ok());
            }
            // Only a page of nothing but what cannot be read would look like the end.
            let Some(last) = rows.last().filter(|_| candidates.is_empty()) else {
                return Ok(candidates);
            };
            let reader = Reader::new("secrets", last);
            after = Some((reader.get(time_of(self.class))?, reader.get("coordinate")?));
        }
    }
}

fn candidate(row: &Row, class: DueClass) -> Result<Candidate, Failure> {
    let at: Timestamp = Reader::new("secrets", row).time(time_of(class))?;
    let row = ledger_row(row)?;
    Ok(Candidate {
        reason: reason_of(&row),
        superseded_by: None,
        cursor: DueCursor {
            at,
            coordinate: row.coordinate.clone(),
        },
        row,
    })
}
