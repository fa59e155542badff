//! Leases: who may run a job now.

use std::time::Duration;

use cloakroom_core::Result;
use cloakroom_core::store::Lease;

use super::locks::execute_exactly;
use super::rows::Reader;
use super::transaction::{Ending, told};
use super::{Conn, Query, Store, dialect};
use crate::failure::Failure;
use crate::times::after;

/// A lease as it stands; given back ones have no holder.
struct Standing {
    holder: Option<String>,
    token: i64,
    acquired_at: i64,
    expires_at: i64,
}

impl Standing {
    /// Whether somebody holds it now. One that was taken further ahead of now than it lasts was
    /// written before the clock jumped back.
    fn stands(&self, now: i64) -> bool {
        let lasts = self.expires_at.saturating_sub(self.acquired_at);
        let jumped = self.acquired_at.saturating_sub(now) > lasts;
        self.holder.is_some() && now < self.expires_at && !jumped
    }
}

impl Store {
    pub(crate) async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>> {
        in_transaction!(self, "acquire a lease", |tx| {
            self.acquire_within(&mut tx, name, holder, ttl)
                .await
                .map(Ending::Keep)
        })
    }

    async fn acquire_within(
        &self,
        conn: &mut Conn,
        name: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, Failure> {
        let lease = |token| Lease {
            name: name.to_owned(),
            holder: holder.to_owned(),
            token,
        };
        let Some(standing) = lock_lease(conn, name).await? else {
            let now = self.moment(conn).await?;
            let made = sqlx::query(
                "INSERT INTO leases (name, holder, token, acquired_at, expires_at) \
                 VALUES ($1, $2, 1, $3, $4) ON CONFLICT DO NOTHING",
            )
            .bind(name)
            .bind(holder)
            .bind(now)
            .bind(after(now, ttl))
            .execute(conn)
            .await?;
            // Where nothing was written somebody else made it this very moment.
            return Ok((made.rows_affected() == 1).then(|| lease(1)));
        };
        let now = self.moment(conn).await?;
        let ours = standing.holder.as_deref() == Some(holder);
        if standing.stands(now) && !ours {
            return Ok(None);
        }
        let token = if ours {
            standing.token
        } else {
            standing.token + 1
        };
        let mut query = Query::new("UPDATE leases SET holder = ");
        query.push_bind(holder).push(", token = ").push_bind(token);
        query
            .push(", acquired_at = ")
            .push_bind(now)
            .push(", expires_at = ")
            .push_bind(after(now, ttl))
            .push(" WHERE name = ")
            .push_bind(name);
        execute_exactly(conn, query, "leases", name, 1).await?;
        Ok(Some(lease(token)))
    }

    pub(crate) async fn lease_holder(&self, name: &str) -> Result<Option<String>> {
        let holder = async {
            let mut conn = self.read.acquire().await?;
            let standing = standing(&mut conn, name, "").await?;
            let now = self.moment(&mut conn).await?;
            let held = standing.filter(|standing| standing.stands(now));
            Ok(held.and_then(|standing| standing.holder))
        };
        holder
            .await
            .map_err(|failure: Failure| told("look at a lease", failure))
    }

    pub(crate) async fn release_lease(&self, lease: &Lease) -> Result<()> {
        in_transaction!(self, "release a lease", |tx| release_within(&mut tx, lease)
            .await)
    }
}

async fn lock_lease(conn: &mut Conn, name: &str) -> Result<Option<Standing>, Failure> {
    standing(conn, name, dialect::FOR_UPDATE).await
}

async fn standing(
    conn: &mut Conn,
    name: &str,
    lock: &'static str,
) -> Result<Option<Standing>, Failure> {
    let mut query =
        Query::new("SELECT name, holder, token, acquired_at, expires_at FROM leases WHERE name = ");
    query.push_bind(name).push(lock);
    let Some(row) = query.build().fetch_optional(conn).await? else {
        return Ok(None);
    };
    let reader = Reader::new("leases", &row);
    Ok(Some(Standing {
        holder: reader.get("holder")?,
        token: reader.get("token")?,
        acquired_at: reader.get("acquired_at")?,
        expires_at: reader.get("expires_at")?,
    }))
}

async fn release_within(conn: &mut Conn, lease: &Lease) -> Result<Ending<()>, Failure> {
    // The row stays: its token must go on growing.
    sqlx::query(
        "UPDATE leases SET holder = NULL, expires_at = 0 \
         WHERE name = $1 AND holder = $2 AND token = $3",
    )
    .bind(&lease.name)
    .bind(&lease.holder)
    .bind(lease.token)
    .execute(conn)
    .await?;
    Ok(Ending::Keep(()))
}
