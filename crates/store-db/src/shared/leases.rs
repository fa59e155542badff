//! Leases: who may run a job now.

use std::time::Duration;

use cloakroom_core::store::Lease;
use cloakroom_core::{Error, ErrorKind, Result};

use super::locks::execute_exactly;
use super::rows::Reader;
use super::transaction::{Ending, told};
use super::{Conn, Query, Row, Store, dialect};
use crate::failure::Failure;
use crate::times::{after, millis, moment};

/// A lease as it stands; given back ones have no holder.
struct Standing {
    holder: Option<String>,
    token: i64,
    acquired_at: i64,
    expires_at: i64,
}

/// All of a lease, to be followed by a condition.
const STANDING: &str = "SELECT name, holder, token, acquired_at, expires_at FROM leases WHERE ";

impl Standing {
    fn read(row: &Row) -> Result<Self, Failure> {
        let reader = Reader::new("leases", row);
        Ok(Self {
            holder: reader.get("holder")?,
            token: reader.get("token")?,
            acquired_at: reader.get("acquired_at")?,
            expires_at: reader.get("expires_at")?,
        })
    }

    /// Whether it is the one that was lent, in a database no older than that.
    fn is(&self, lease: &Lease) -> bool {
        self.token == lease.token
            && self.holder.as_deref() == Some(lease.holder.as_str())
            && self.acquired_at >= millis(lease.renewed)
    }

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
            let lease = lease(name, holder, 1, now)?;
            return Ok((made.rows_affected() == 1).then_some(lease));
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
        let lease = lease(name, holder, token, now)?;
        write(conn, &lease, now, ttl).await?;
        Ok(Some(lease))
    }

    pub(crate) async fn renew_lease(&self, lease: &Lease, ttl: Duration) -> Result<Option<Lease>> {
        in_transaction!(self, "renew a lease", |tx| {
            self.renew_within(&mut tx, lease, ttl)
                .await
                .map(Ending::Keep)
        })
    }

    async fn renew_within(
        &self,
        conn: &mut Conn,
        held: &Lease,
        ttl: Duration,
    ) -> Result<Option<Lease>, Failure> {
        let standing = lock_lease(conn, &held.name).await?;
        if !standing.is_some_and(|standing| standing.is(held)) {
            return Ok(None);
        }
        let now = self.moment(conn).await?;
        let renewed = lease(&held.name, &held.holder, held.token, now)?;
        write(conn, &renewed, now, ttl).await?;
        Ok(Some(renewed))
    }

    /// Keeps a lease from changing hands until the transaction ends. `Unavailable` where somebody has
    /// had it since or it has lapsed: its holder slept, and what it knows is from before; and where
    /// this database is not the one it knew.
    pub(super) async fn fence(
        &self,
        conn: &mut Conn,
        operation: &'static str,
        lease: &Lease,
    ) -> Result<(), Failure> {
        let standing = standing(conn, &lease.name, dialect::FOR_SHARE).await?;
        let now = self.moment(conn).await?;
        if standing.is_some_and(|standing| standing.is(lease) && standing.stands(now)) {
            return Ok(());
        }
        let message = "the lease lapsed, somebody else has taken it, or the database was restored \
                       since: this run ends here";
        Err(Error::new(ErrorKind::Unavailable, operation, message)
            .with_coordinate(&lease.name)
            .into())
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

    pub(crate) async fn count_leases(&self, prefix: &str) -> Result<u64> {
        let count = async {
            let mut conn = self.read.acquire().await?;
            let now = self.moment(&mut conn).await?;
            // Behind every name that begins so, in the order of the bytes.
            let end = format!("{prefix}{}", char::MAX);
            let mut query = Query::new(STANDING);
            query.push("name >= ").push_bind(prefix);
            query.push(" AND name < ").push_bind(end);
            let mut held = 0;
            for row in &query.build().fetch_all(&mut *conn).await? {
                held += u64::from(Standing::read(row)?.stands(now));
            }
            Ok(held)
        };
        count
            .await
            .map_err(|failure: Failure| told("count leases", failure))
    }

    pub(crate) async fn release_lease(&self, lease: &Lease) -> Result<()> {
        in_transaction!(self, "release a lease", |tx| release_within(&mut tx, lease)
            .await)
    }
}

/// A lease as it is handed out.
fn lease(name: &str, holder: &str, token: i64, now: i64) -> Result<Lease, Failure> {
    Ok(Lease {
        name: name.to_owned(),
        holder: holder.to_owned(),
        token,
        renewed: moment(now, "lend a lease")?,
    })
}

/// Writes a lease over the one of its name, which is locked.
async fn write(conn: &mut Conn, lease: &Lease, now: i64, ttl: Duration) -> Result<(), Failure> {
    let mut query = Query::new("UPDATE leases SET holder = ");
    query.push_bind(&lease.holder);
    query.push(", token = ").push_bind(lease.token);
    query.push(", acquired_at = ").push_bind(now);
    query.push(", expires_at = ").push_bind(after(now, ttl));
    query.push(" WHERE name = ").push_bind(&lease.name);
    execute_exactly(conn, query, "leases", &lease.name, 1).await
}

async fn lock_lease(conn: &mut Conn, name: &str) -> Result<Option<Standing>, Failure> {
    standing(conn, name, dialect::FOR_UPDATE).await
}

async fn standing(
    conn: &mut Conn,
    name: &str,
    lock: &'static str,
) -> Result<Option<Standing>, Failure> {
    let mut query = Query::new(STANDING);
    query.push("name = ").push_bind(name).push(lock);
    let row = query.build().fetch_optional(conn).await?;
    row.as_ref().map(Standing::read).transpose()
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
