//! Moves as they stand, and what each is about: documents that still refer to a backend, and those a
//! move took along.

use cloakroom_core::store::{Lease, MoveRecord, MoveSize, MoveState, MovedSecret, NewMove};
use cloakroom_core::{
    BackendId, Coordinate, DocumentId, Error, ErrorKind, MoveId, Result, WorkspaceId,
};

use super::locks::execute_exactly;
use super::rows::{Reader, parsed};
use super::transaction::{Ending, told};
use super::{Conn, Query, Row, Store, dialect};
use crate::OpenMoves;
use crate::failure::Failure;

const BEGIN: &str = "begin a move";

/// All of a move, to be followed by a condition.
const RECORD: &str = "SELECT move_id, from_backend, to_backend, workspaces, state, \
     started_at, ended_at FROM moves";

const UNDER_WAY: &str = " WHERE state IN ('open', 'reversing', 'finishing')";

impl Store {
    pub(crate) async fn begin_move(&self, lease: &Lease, new: &NewMove) -> Result<MoveRecord> {
        in_transaction!(self, BEGIN, |tx| {
            self.fence(&mut tx, BEGIN, lease).await?;
            self.begin_move_within(&mut tx, new).await.map(Ending::Keep)
        })
    }

    async fn begin_move_within(
        &self,
        conn: &mut Conn,
        new: &NewMove,
    ) -> Result<MoveRecord, Failure> {
        let mut query = Query::new(RECORD);
        query.push(UNDER_WAY);
        let under_way = query.build().fetch_optional(&mut *conn).await?;
        let id = if let Some(record) = under_way.as_ref().map(record).transpose()? {
            let scope = continued(&record, new)?;
            write_scope(conn, record.id, &scope).await?;
            record.id
        } else {
            let now = self.moment(conn).await?;
            insert(conn, new, now).await?;
            new.id
        };
        let row = query_of(id).build().fetch_one(conn).await?;
        record(&row)
    }

    pub(crate) async fn move_record(&self, id: MoveId) -> Result<Option<MoveRecord>> {
        let found = async {
            let row = query_of(id).build().fetch_optional(&self.read).await?;
            row.as_ref().map(record).transpose()
        };
        found.await.map_err(|failure| told("read a move", failure))
    }

    pub(crate) async fn moves(&self, limit: u32) -> Result<Vec<MoveRecord>> {
        let moves = async {
            let mut query = Query::new(RECORD);
            query
                .push(" ORDER BY seq DESC, move_id DESC LIMIT ")
                .push_bind(i64::from(limit));
            let rows = query.build().fetch_all(&self.read).await?;
            rows.iter().map(record).collect::<Result<_, Failure>>()
        };
        moves.await.map_err(|failure| told("list moves", failure))
    }

    /// What is not over in one of the tables of moves.
    pub(crate) async fn open_moves(&self, table: &'static str) -> Result<OpenMoves> {
        let mut query = Query::new("SELECT COUNT(*) AS number, MIN(started_at) AS oldest FROM ");
        query.push(table).push(UNDER_WAY);
        let open = async {
            let row = query.build().fetch_one(&self.read).await?;
            let reader = Reader::new(table, &row);
            Ok(OpenMoves {
                number: reader.count("number")?,
                oldest: reader.optional_time("oldest")?,
            })
        };
        open.await
            .map_err(|failure: Failure| told("count open moves", failure))
    }

    pub(crate) async fn set_move_state(
        &self,
        lease: &Lease,
        id: MoveId,
        from: MoveState,
        to: MoveState,
    ) -> Result<()> {
        const OPERATION: &str = "say where a move stands";
        in_transaction!(self, OPERATION, |tx| {
            self.fence(&mut tx, OPERATION, lease).await?;
            let now = self.moment(&mut tx).await?;
            let ended = to.is_over().then_some(now);
            let mut query = Query::new("UPDATE moves SET state = ");
            query
                .push_bind(to.as_str())
                .push(", ended_at = ")
                .push_bind(ended)
                .push(" WHERE move_id = ")
                .push_bind(dialect::id(id.0))
                .push(" AND state = ")
                .push_bind(from.as_str());
            match query.build().execute(&mut *tx).await?.rows_affected() {
                0 => Err(Failure::from(elsewhere(OPERATION, id))),
                _ => Ok(Ending::Keep(())),
            }
        })
    }

    pub(crate) async fn documents_to_move(
        &self,
        backend: &BackendId,
        workspaces: &[WorkspaceId],
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentId>> {
        let documents = async {
            // Document by document, by the key of its references: an index by backend would lead
            // through every reference there is.
            let mut query = Query::new("SELECT d.document_id FROM documents AS d WHERE TRUE");
            push_workspaces(&mut query, workspaces);
            if let Some(after) = after {
                query
                    .push(" AND d.document_id > ")
                    .push_bind(dialect::id(after.0));
            }
            query.push(
                " AND EXISTS (SELECT 1 FROM secret_references AS r \
                 WHERE r.document_id = d.document_id AND r.backend_id = ",
            );
            query.push_bind(backend.as_str());
            query
                .push(") ORDER BY d.document_id LIMIT ")
                .push_bind(i64::from(limit));
            ids(&query
                .build()
                .persistent(false)
                .fetch_all(&self.read)
                .await?)
        };
        documents
            .await
            .map_err(|failure| told("look for documents to move", failure))
    }

    pub(crate) async fn count_to_move(
        &self,
        backend: &BackendId,
        workspaces: &[WorkspaceId],
    ) -> Result<MoveSize> {
        let mut query = Query::new(
            "SELECT COUNT(DISTINCT r.document_id) AS documents, COUNT(*) AS secrets \
             FROM secret_references AS r \
             JOIN documents AS d ON d.document_id = r.document_id WHERE r.backend_id = ",
        );
        query.push_bind(backend.as_str());
        push_workspaces(&mut query, workspaces);
        self.size("count documents to move", query).await
    }

    pub(crate) async fn moved_documents(
        &self,
        id: MoveId,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<DocumentId>> {
        let documents = async {
            let mut query = Query::new(
                "SELECT DISTINCT m.document_id FROM moved_secrets AS m WHERE m.move_id = ",
            );
            query.push_bind(dialect::id(id.0));
            if let Some(after) = after {
                query
                    .push(" AND m.document_id > ")
                    .push_bind(dialect::id(after.0));
            }
            query
                .push(" ORDER BY m.document_id LIMIT ")
                .push_bind(i64::from(limit));
            ids(&query.build().fetch_all(&self.read).await?)
        };
        documents
            .await
            .map_err(|failure| told("list what a move took along", failure))
    }

    pub(crate) async fn moved_secrets(
        &self,
        id: MoveId,
        document: DocumentId,
    ) -> Result<Vec<MovedSecret>> {
        let secrets = async {
            let rows = sqlx::query(
                "SELECT m.document_id, m.from_coordinate, m.to_coordinate \
                 FROM moved_secrets AS m WHERE m.move_id = $1 AND m.document_id = $2 \
                 ORDER BY m.from_coordinate",
            )
            .bind(dialect::id(id.0))
            .bind(dialect::id(document.0))
            .fetch_all(&self.read)
            .await?;
            rows.iter()
                .map(moved_secret)
                .collect::<Result<_, Failure>>()
        };
        secrets
            .await
            .map_err(|failure| told("read what a move did with a document", failure))
    }

    pub(crate) async fn count_moved(&self, id: MoveId) -> Result<MoveSize> {
        let mut query = Query::new(
            "SELECT COUNT(DISTINCT m.document_id) AS documents, COUNT(*) AS secrets \
             FROM moved_secrets AS m WHERE m.move_id = ",
        );
        query.push_bind(dialect::id(id.0));
        self.size("count what a move took along", query).await
    }

    async fn size(&self, operation: &'static str, mut query: Query) -> Result<MoveSize> {
        let size = async {
            let query = query.build().persistent(false);
            let row = query.fetch_one(&self.read).await?;
            let reader = Reader::new("documents", &row);
            Ok(MoveSize {
                documents: reader.count("documents")?,
                references: reader.count("secrets")?,
            })
        };
        size.await
            .map_err(|failure: Failure| told(operation, failure))
    }
}

/// The workspaces of both, where `new` goes on with `record`.
fn continued(record: &MoveRecord, new: &NewMove) -> Result<Vec<WorkspaceId>, Failure> {
    let same = record.from == new.from && record.to == new.to;
    if !same || record.state != MoveState::Open {
        let message = format!(
            "move {} from {} to {} is {}; finish it or take it back first",
            record.id,
            record.from,
            record.to,
            record.state.as_str()
        );
        return Err(Error::new(ErrorKind::Conflict, BEGIN, message).into());
    }
    Ok(of_both(&record.workspaces, &new.workspaces))
}

/// The workspaces of both; none means everybody's.
pub(super) fn of_both(known: &[WorkspaceId], new: &[WorkspaceId]) -> Vec<WorkspaceId> {
    if known.is_empty() || new.is_empty() {
        return Vec::new();
    }
    let mut scope = [known, new].concat();
    scope.sort_unstable();
    scope.dedup();
    scope
}

async fn insert(conn: &mut Conn, new: &NewMove, now: i64) -> Result<(), Failure> {
    let mut query = Query::new(
        "INSERT INTO moves (move_id, from_backend, to_backend, workspaces, state, \
         started_at, seq) VALUES (",
    );
    let mut values = query.separated(", ");
    values
        .push_bind(dialect::id(new.id.0))
        .push_bind(new.from.as_str())
        .push_bind(new.to.as_str())
        .push_bind(scope_text(&new.workspaces)?)
        .push_bind(MoveState::Open.as_str())
        .push_bind(now)
        .push("(SELECT COALESCE(MAX(seq), 0) + 1 FROM moves)");
    query.push(")");
    execute_exactly(conn, query, "moves", new.id, 1).await
}

async fn write_scope(
    conn: &mut Conn,
    id: MoveId,
    workspaces: &[WorkspaceId],
) -> Result<(), Failure> {
    let mut query = Query::new("UPDATE moves SET workspaces = ");
    query
        .push_bind(scope_text(workspaces)?)
        .push(" WHERE move_id = ")
        .push_bind(dialect::id(id.0));
    execute_exactly(conn, query, "moves", id, 1).await
}

pub(super) fn scope_text(workspaces: &[WorkspaceId]) -> Result<String, Failure> {
    serde_json::to_string(workspaces).map_err(|source| {
        let message = "the workspaces cannot be written down";
        Error::new(ErrorKind::Invalid, BEGIN, message)
            .with_source(source)
            .into()
    })
}

fn query_of(id: MoveId) -> Query {
    let mut query = Query::new(RECORD);
    query.push(" WHERE move_id = ").push_bind(dialect::id(id.0));
    query
}

fn push_workspaces(query: &mut Query, workspaces: &[WorkspaceId]) {
    if workspaces.is_empty() {
        return;
    }
    query.push(" AND d.workspace_id IN (");
    let mut list = query.separated(", ");
    for workspace in workspaces {
        list.push_bind(dialect::id(workspace.0));
    }
    query.push(")");
}

fn record(row: &Row) -> Result<MoveRecord, Failure> {
    let reader = Reader::new("moves", row);
    Ok(MoveRecord {
        id: MoveId(reader.id("move_id")?),
        from: reader.word("from_backend", parsed)?,
        to: reader.word("to_backend", parsed)?,
        workspaces: reader.word("workspaces", |text| serde_json::from_str(text).ok())?,
        state: reader.word("state", MoveState::from_word)?,
        started: reader.time("started_at")?,
        ended: reader.optional_time("ended_at")?,
    })
}

fn moved_secret(row: &Row) -> Result<MovedSecret, Failure> {
    let reader = Reader::new("moved_secrets", row);
    let coordinate = |column| reader.word(column, |text| Coordinate::from_stored(text).ok());
    Ok(MovedSecret {
        from: coordinate("from_coordinate")?,
        to: coordinate("to_coordinate")?,
    })
}

fn ids(rows: &[Row]) -> Result<Vec<DocumentId>, Failure> {
    let id = |row| Reader::new("documents", row).id("document_id");
    rows.iter().map(|row| id(row).map(DocumentId)).collect()
}

pub(super) fn elsewhere(operation: &'static str, id: MoveId) -> Error {
    let message = "the move stands elsewhere by now; look at it again";
    Error::new(ErrorKind::Conflict, operation, message).with_coordinate(id)
}
