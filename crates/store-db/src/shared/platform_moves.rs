//! Moves of platforms as they stand, and how far each of their secrets has come.

use std::collections::HashMap;

use cloakroom_core::platform::{
    CopyState, MoveManagers, NewPlatformMove, PlatformCopy, PlatformMove, SecretName,
};
use cloakroom_core::store::{Lease, MoveState};
use cloakroom_core::{Error, ErrorKind, MoveId, Result, Timestamp, WorkspaceId};

use super::locks::execute_exactly;
use super::moves::{elsewhere, of_both, scope_text};
use super::rows::{Reader, parsed};
use super::transaction::{Ending, told};
use super::{CHUNK, Conn, Query, Row, Store, dialect, push_list};
use crate::failure::Failure;

const BEGIN: &str = "begin a move";
const COPIES: &str = "write down copies";
const TABLE: &str = "platform_moves";

/// All of a move, to be followed by a condition.
const RECORD: &str = "SELECT move_id, platform AS name, from_backend, to_backend, from_manager, \
     to_manager, owners, state, newest_at, started_at, ended_at FROM platform_moves WHERE ";

/// Those that are not over.
const UNDER_WAY: &str = "state IN ('open', 'reversing', 'finishing') AND platform = ";

/// All of a copy, to be followed by a condition.
const COPY: &str = "SELECT coordinate, source, state, written, changed_at, digest, described \
     FROM platform_copies WHERE move_id = ";

impl Store {
    pub(crate) async fn begin_platform_move(
        &self,
        lease: &Lease,
        new: &NewPlatformMove,
    ) -> Result<PlatformMove> {
        in_transaction!(self, BEGIN, |tx| {
            self.fence(&mut tx, BEGIN, lease).await?;
            let now = self.moment(&mut tx).await?;
            begin_within(&mut tx, new, now).await.map(Ending::Keep)
        })
    }

    pub(crate) async fn platform_move_under_way(
        &self,
        platform: &str,
    ) -> Result<Option<PlatformMove>> {
        let found = async {
            let mut query = Query::new(RECORD);
            query.push(UNDER_WAY).push_bind(platform);
            let row = query.build().fetch_optional(&self.read).await?;
            row.as_ref().map(record).transpose()
        };
        found.await.map_err(|failure| told("read a move", failure))
    }

    pub(crate) async fn note_managers(
        &self,
        lease: &Lease,
        id: MoveId,
        managers: &MoveManagers,
    ) -> Result<()> {
        const OPERATION: &str = "write down a move's managers";
        in_transaction!(self, OPERATION, |tx| {
            self.fence(&mut tx, OPERATION, lease).await?;
            let mut query = Query::new("UPDATE platform_moves SET from_manager = ");
            query
                .push_bind(managers.from.as_str())
                .push(", to_manager = ")
                .push_bind(managers.to.as_str())
                .push(" WHERE move_id = ")
                .push_bind(dialect::id(id.0));
            execute_exactly(&mut tx, query, TABLE, id, 1)
                .await
                .map(Ending::Keep)
        })
    }

    pub(crate) async fn platform_move(&self, id: MoveId) -> Result<Option<PlatformMove>> {
        let found = async {
            let row = query_of(id).build().fetch_optional(&self.read).await?;
            row.as_ref().map(record).transpose()
        };
        found.await.map_err(|failure| told("read a move", failure))
    }

    pub(crate) async fn set_platform_move(
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
            let mut query = Query::new("UPDATE platform_moves SET state = ");
            query
                .push_bind(to.as_str())
                .push(", ended_at = ")
                .push_bind(to.is_over().then_some(now))
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

    pub(crate) async fn compared(
        &self,
        lease: &Lease,
        id: MoveId,
        newest: Option<Timestamp>,
    ) -> Result<()> {
        const OPERATION: &str = "write down a comparison";
        in_transaction!(self, OPERATION, |tx| {
            self.fence(&mut tx, OPERATION, lease).await?;
            let mut query = Query::new("UPDATE platform_moves SET newest_at = ");
            query
                .push_bind(newest.map(Timestamp::as_millisecond))
                .push(" WHERE move_id = ")
                .push_bind(dialect::id(id.0));
            execute_exactly(&mut tx, query, TABLE, id, 1)
                .await
                .map(Ending::Keep)
        })
    }

    pub(crate) async fn copies(
        &self,
        id: MoveId,
        names: &[SecretName],
    ) -> Result<Vec<Option<PlatformCopy>>> {
        let known = async {
            let mut known = HashMap::with_capacity(names.len());
            for names in names.chunks(CHUNK) {
                let mut query = Query::new(COPY);
                query
                    .push_bind(dialect::id(id.0))
                    .push(" AND coordinate IN ");
                push_list(&mut query, names.iter().map(SecretName::as_str));
                let rows = query.build().persistent(false);
                for row in rows.fetch_all(&self.read).await? {
                    let copy = copy(&row)?;
                    known.insert(copy.name.clone(), copy);
                }
            }
            Ok(known)
        };
        let mut known: HashMap<_, _> = known
            .await
            .map_err(|failure: Failure| told("read copies", failure))?;
        Ok(names.iter().map(|name| known.remove(name)).collect())
    }

    pub(crate) async fn copies_after(
        &self,
        id: MoveId,
        after: Option<&SecretName>,
        limit: u32,
    ) -> Result<Vec<PlatformCopy>> {
        let copies = async {
            let mut query = Query::new(COPY);
            query.push_bind(dialect::id(id.0));
            if let Some(after) = after {
                query.push(" AND coordinate > ").push_bind(after.as_str());
            }
            query
                .push(" ORDER BY coordinate LIMIT ")
                .push_bind(i64::from(limit));
            let rows = query.build().fetch_all(&self.read).await?;
            rows.iter().map(copy).collect::<Result<_, Failure>>()
        };
        copies.await.map_err(|failure| told("read copies", failure))
    }

    pub(crate) async fn write_copies(
        &self,
        lease: &Lease,
        id: MoveId,
        copies: &[PlatformCopy],
    ) -> Result<()> {
        in_transaction!(self, COPIES, |tx| {
            self.fence(&mut tx, COPIES, lease).await?;
            write_within(&mut tx, id, copies).await.map(Ending::Keep)
        })
    }
}

async fn begin_within(
    conn: &mut Conn,
    new: &NewPlatformMove,
    now: i64,
) -> Result<PlatformMove, Failure> {
    let mut query = Query::new(RECORD);
    query.push(UNDER_WAY).push_bind(new.platform.as_str());
    let under_way = query.build().fetch_optional(&mut *conn).await?;
    let id = if let Some(known) = under_way.as_ref().map(record).transpose()? {
        write_scope(conn, known.id, &continued(&known, new)?, &new.managers).await?;
        known.id
    } else {
        insert(conn, new, now).await?;
        new.id
    };
    let row = query_of(id).build().fetch_one(conn).await?;
    record(&row)
}

/// The owners of both, where `new` goes on with `known`.
fn continued(known: &PlatformMove, new: &NewPlatformMove) -> Result<Vec<WorkspaceId>, Failure> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Conflict, BEGIN, message).into());
    let same = known.from == new.from && known.to == new.to;
    if !same || known.state != MoveState::Open {
        return refuse(format!(
            "move {} of {} from {} to {} is {}; finish it or take it back first",
            known.id,
            known.platform,
            known.from,
            known.to,
            known.state.as_str()
        ));
    }
    if known
        .managers
        .as_ref()
        .is_some_and(|it| *it != new.managers)
    {
        return refuse(format!(
            "the backends of move {} lead to other managers than when it began",
            known.id
        ));
    }
    if known.owners.is_empty() && !new.owners.is_empty() {
        return refuse(format!(
            "move {} is of everybody's secrets: go on with it without naming a workspace, or take it back \
             first",
            known.id
        ));
    }
    Ok(of_both(&known.owners, &new.owners))
}

async fn insert(conn: &mut Conn, new: &NewPlatformMove, now: i64) -> Result<(), Failure> {
    let owners = scope_text(&new.owners)?;
    let mut query = Query::new(
        "INSERT INTO platform_moves (move_id, platform, from_backend, to_backend, from_manager, \
         to_manager, owners, state, started_at) ",
    );
    query.push_values([new], |mut row, new| {
        row.push_bind(dialect::id(new.id.0))
            .push_bind(new.platform.as_str())
            .push_bind(new.from.as_str())
            .push_bind(new.to.as_str())
            .push_bind(new.managers.from.as_str())
            .push_bind(new.managers.to.as_str())
            .push_bind(owners.as_str())
            .push_bind(MoveState::Open.as_str())
            .push_bind(now);
    });
    execute_exactly(conn, query, TABLE, new.id, 1).await
}

async fn write_scope(
    conn: &mut Conn,
    id: MoveId,
    owners: &[WorkspaceId],
    managers: &MoveManagers,
) -> Result<(), Failure> {
    let mut query = Query::new("UPDATE platform_moves SET owners = ");
    query
        .push_bind(scope_text(owners)?)
        .push(", from_manager = ")
        .push_bind(managers.from.as_str())
        .push(", to_manager = ")
        .push_bind(managers.to.as_str())
        .push(" WHERE move_id = ")
        .push_bind(dialect::id(id.0));
    execute_exactly(conn, query, TABLE, id, 1).await
}

async fn write_within(conn: &mut Conn, id: MoveId, copies: &[PlatformCopy]) -> Result<(), Failure> {
    for copies in copies.chunks(CHUNK) {
        let mut query = Query::new(
            "INSERT INTO platform_copies (move_id, coordinate, source, state, written, changed_at, \
             digest, described) ",
        );
        query.push_values(copies, |mut row, copy| {
            row.push_bind(dialect::id(id.0))
                .push_bind(copy.name.as_str())
                .push_bind(copy.source.as_str())
                .push_bind(copy.state.as_str())
                .push_bind(copy.written)
                .push_bind(copy.changed.map(Timestamp::as_millisecond))
                .push_bind(copy.digest.as_ref().map(ToString::to_string))
                .push_bind(copy.described.as_deref());
        });
        query.push(
            " ON CONFLICT (move_id, coordinate) DO UPDATE SET source = excluded.source, \
             state = excluded.state, written = excluded.written, changed_at = excluded.changed_at, \
             digest = excluded.digest, described = excluded.described",
        );
        execute_exactly(conn, query, "platform_copies", id, copies.len()).await?;
    }
    Ok(())
}

fn query_of(id: MoveId) -> Query {
    let mut query = Query::new(RECORD);
    query.push("move_id = ").push_bind(dialect::id(id.0));
    query
}

fn record(row: &Row) -> Result<PlatformMove, Failure> {
    let reader = Reader::new(TABLE, row);
    let from: Option<String> = reader.get("from_manager")?;
    let to: Option<String> = reader.get("to_manager")?;
    Ok(PlatformMove {
        id: MoveId(reader.id("move_id")?),
        platform: reader.get("name")?,
        from: reader.word("from_backend", parsed)?,
        to: reader.word("to_backend", parsed)?,
        managers: from.zip(to).map(|(from, to)| MoveManagers { from, to }),
        owners: reader.word("owners", |text| serde_json::from_str(text).ok())?,
        state: reader.word("state", MoveState::from_word)?,
        newest: reader.optional_time("newest_at")?,
        started: reader.time("started_at")?,
        ended: reader.optional_time("ended_at")?,
    })
}

fn copy(row: &Row) -> Result<PlatformCopy, Failure> {
    let reader = Reader::new("platform_copies", row);
    Ok(PlatformCopy {
        name: reader.secret_name()?,
        source: reader.word("source", parsed)?,
        state: reader.word("state", CopyState::from_word)?,
        written: reader.get("written")?,
        changed: reader.optional_time("changed_at")?,
        digest: reader.optional_word("digest", parsed)?,
        described: reader.get("described")?,
    })
}
