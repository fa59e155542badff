//! Step 1 of a put: rows that say what is about to be written, under numbers never used before.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use cloakroom_core::coordinates::{Coordinate, Version};
use cloakroom_core::store::Intent;
use cloakroom_core::{BackendId, Error, ErrorKind, Result};

use super::rows::Reader;
use super::transaction::Ending;
use super::{CHUNK, Conn, Query, Store, dialect};
use crate::failure::{Failure, miscounted};
use crate::times::after;

const OPERATION: &str = "intend secrets";

impl Store {
    pub(crate) async fn intend(
        &self,
        backend: &BackendId,
        intents: &[Intent],
        expires_in: Duration,
    ) -> Result<Vec<Coordinate>> {
        if intents.is_empty() {
            return Ok(Vec::new());
        }
        in_transaction!(self, OPERATION, |tx| {
            self.intend_within(&mut tx, backend, intents, expires_in)
                .await
                .map(Ending::Keep)
        })
    }

    async fn intend_within(
        &self,
        conn: &mut Conn,
        backend: &BackendId,
        intents: &[Intent],
        expires_in: Duration,
    ) -> Result<Vec<Coordinate>, Failure> {
        let bases: BTreeSet<&str> = intents.iter().map(|intent| intent.base.base()).collect();
        dialect::lock_bases(conn, backend, &bases).await?;
        let now = self.lasting_moment(conn).await?;
        let mut highest = highest_versions(conn, backend, &bases).await?;
        let mut coordinates = Vec::with_capacity(intents.len());
        for intent in intents {
            let version = highest.entry(intent.base.base()).or_default();
            let coordinate = one_above(&intent.base, *version)?;
            *version = coordinate.version().get();
            coordinates.push(coordinate);
        }
        let expires = after(now, expires_in);
        let rows: Vec<_> = intents.iter().zip(&coordinates).collect();
        for rows in rows.chunks(CHUNK) {
            insert_intended(conn, backend, rows, now, expires).await?;
        }
        Ok(coordinates)
    }
}

fn one_above(base: &Coordinate, highest: i64) -> Result<Coordinate, Failure> {
    let refuse = |message: &'static str| {
        Error::new(ErrorKind::Invalid, OPERATION, message).with_coordinate(base.base())
    };
    let next = highest
        .checked_add(1)
        .and_then(Version::new)
        .ok_or_else(|| refuse("the secret has used up its version numbers"))?;
    let coordinate = base.with_version(next);
    coordinate.map_err(|source| {
        refuse("the next version cannot be named")
            .with_source(source)
            .into()
    })
}

/// The highest version each base ever had; a base without rows is left out.
async fn highest_versions<'a>(
    conn: &mut Conn,
    backend: &BackendId,
    bases: &BTreeSet<&'a str>,
) -> Result<HashMap<&'a str, i64>, Failure> {
    let mut highest = HashMap::new();
    let bases: Vec<&str> = bases.iter().copied().collect();
    for bases in bases.chunks(CHUNK) {
        // One look at the end of the index for each base, however many versions it has had.
        let mut query = Query::new(
            "SELECT wanted.column1 AS base, (SELECT MAX(s.version) FROM secrets AS s \
             WHERE s.base = wanted.column1 AND s.backend_id = ",
        );
        query
            .push_bind(backend.as_str())
            .push(") AS version FROM (");
        query.push_values(bases, |mut row, base| {
            row.push_bind(*base);
        });
        query.push(") AS wanted");
        for row in query
            .build()
            .persistent(false)
            .fetch_all(&mut *conn)
            .await?
        {
            let reader = Reader::new("secrets", &row);
            let base: &str = reader.get("base")?;
            let known = bases.iter().find(|known| **known == base);
            if let (Some(base), Some(version)) = (known, reader.get("version")?) {
                highest.insert(*base, version);
            }
        }
    }
    Ok(highest)
}

async fn insert_intended(
    conn: &mut Conn,
    backend: &BackendId,
    rows: &[(&Intent, &Coordinate)],
    now: i64,
    expires: i64,
) -> Result<(), Failure> {
    let mut query = Query::new(
        "INSERT INTO secrets (backend_id, coordinate, base, version, owner, kind, state, digest, \
         intent, once_referenced, created_at, expires_at) ",
    );
    query.push_values(rows, |mut row, (intent, coordinate)| {
        row.push_bind(backend.as_str())
            .push_bind(coordinate.as_str())
            .push_bind(coordinate.base())
            .push_bind(coordinate.version().get())
            .push_bind(dialect::id(intent.workspace.0))
            .push_bind(intent.kind.as_str())
            .push("'intended'")
            .push_bind(intent.digest.to_string())
            .push_bind(dialect::id(intent.id.0))
            .push("FALSE")
            .push_bind(now)
            .push_bind(expires);
    });
    let written = query
        .build()
        .persistent(false)
        .execute(conn)
        .await?
        .rows_affected();
    if written == rows.len() as u64 {
        Ok(())
    } else {
        Err(miscounted("secrets", backend, rows.len() as u64, written))
    }
}
