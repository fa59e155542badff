//! Epochs: compare and swap, one row for each backend.

use cloakroom_core::store::{Epoch, EpochRaise, Home, Homes, words};
use cloakroom_core::{BackendId, Error, ErrorKind, Result};
use uuid::Uuid;

use super::list::backends_of;
use super::receipts::{Entry, append};
use super::rows::Reader;
use super::transaction::{Ending, told};
use super::{Conn, Query, Row, Store, dialect};
use crate::failure::{Failure, miscounted, printable};

const OPERATION: &str = "raise the epoch";

impl Store {
    pub(crate) async fn epoch(&self, backend: &BackendId) -> Result<Epoch> {
        let epoch = async {
            let mut conn = self.read.acquire().await?;
            epoch_of(&mut conn, backend).await
        };
        epoch
            .await
            .map_err(|failure| told("read the epoch", failure))
    }

    pub(crate) async fn homes(&self, backend: &BackendId) -> Result<Homes> {
        let homes = async {
            let mut conn = self.read.acquire().await?;
            Ok(Homes {
                here: dialect::home(&mut conn, self.opened_as.as_deref()).await?,
                known: known_home(&mut conn, backend).await?,
                manager: known_manager(&mut conn, backend).await?,
            })
        };
        homes
            .await
            .map_err(|failure| told("tell where the database is", failure))
    }

    pub(crate) async fn note_manager(&self, backend: &BackendId, manager: &str) -> Result<String> {
        const OPERATION: &str = "write down which manager it is";
        let known = async {
            let mut conn = self.read.acquire().await?;
            known_manager(&mut conn, backend).await
        };
        let known = known.await.map_err(|failure| told(OPERATION, failure))?;
        if let Some(known) = known {
            return Ok(known);
        }
        in_transaction!(self, OPERATION, |tx| {
            self.note_within(&mut tx, backend, manager)
                .await
                .map(Ending::Keep)
        })
    }

    async fn note_within(
        &self,
        conn: &mut Conn,
        backend: &BackendId,
        manager: &str,
    ) -> Result<String, Failure> {
        let now = self.moment(conn).await?;
        write_manager(conn, backend, manager, "DO NOTHING", now).await?;
        let known = known_manager(conn, backend).await?;
        Ok(known.unwrap_or_default())
    }

    pub(crate) async fn confirm_epoch(&self, backend: &BackendId, raise: Uuid) -> Result<()> {
        in_transaction!(self, "confirm the epoch", |tx| {
            self.confirm_epoch_within(&mut tx, backend, raise)
                .await
                .map(Ending::Keep)
        })
    }

    async fn confirm_epoch_within(
        &self,
        conn: &mut Conn,
        backend: &BackendId,
        raise: Uuid,
    ) -> Result<(), Failure> {
        let now = self.moment(conn).await?;
        sqlx::query(
            "UPDATE backend_epochs SET marked_at = $3 \
             WHERE backend_id = $1 AND raise_id = $2 AND (marked_at IS NULL OR marked_at < raised_at)",
        )
        .bind(backend.as_str())
        .bind(dialect::id(raise))
        .bind(now)
        .execute(conn)
        .await?;
        Ok(())
    }

    pub(crate) async fn raise_epoch(
        &self,
        backend: &BackendId,
        raise: &EpochRaise,
    ) -> Result<Epoch> {
        if raise.from < 0 || raise.to <= raise.from {
            let message = "an epoch only ever grows";
            return Err(Error::new(ErrorKind::Invalid, OPERATION, message).with_backend(backend));
        }
        in_transaction!(self, OPERATION, |tx| {
            self.raise_within(&mut tx, backend, raise)
                .await
                .map(Ending::Keep)
        })
    }

    async fn raise_within(
        &self,
        conn: &mut Conn,
        backend: &BackendId,
        raise: &EpochRaise,
    ) -> Result<Epoch, Failure> {
        let now = self.moment(conn).await?;
        let met = if raise.from == 0 {
            sqlx::query(
                "INSERT INTO backend_epochs (backend_id, epoch, raise_id, raised_at, home) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            )
            .bind(backend.as_str())
            .bind(raise.to)
            .bind(dialect::id(raise.raise))
            .bind(now)
            .bind(raise.home.as_str())
            .execute(&mut *conn)
            .await?
            .rows_affected()
        } else {
            sqlx::query(
                "UPDATE backend_epochs SET epoch = $2, raise_id = $3, raised_at = $4, \
                 home = $5, marked_at = NULL WHERE backend_id = $1 AND epoch = $6",
            )
            .bind(backend.as_str())
            .bind(raise.to)
            .bind(dialect::id(raise.raise))
            .bind(now)
            .bind(raise.home.as_str())
            .bind(raise.from)
            .execute(&mut *conn)
            .await?
            .rows_affected()
        };
        match met {
            1 => {}
            0 => {
                let message = format!("the epoch does not stand at {} any more", raise.from);
                return Err(Error::new(ErrorKind::Conflict, OPERATION, message)
                    .with_backend(backend)
                    .into());
            }
            met => return Err(miscounted("backend_epochs", backend, 1, met)),
        }
        sqlx::query("UPDATE store_identity SET epoch = $1 WHERE single = 1 AND epoch < $1")
            .bind(raise.to)
            .execute(&mut *conn)
            .await?;
        let conflict = match raise.adopted {
            Some(_) => ADOPT_MANAGER,
            None => "DO NOTHING",
        };
        write_manager(conn, backend, &raise.manager, conflict, now).await?;
        if let Some(adopted) = &raise.adopted {
            let entry = Entry {
                name: (&adopted.mark).into(),
                reason: words::EPOCH,
                evidence: &adopted.evidence,
                outcome: words::RAISED,
                detail: Some(format!("from {} to {}", raise.from, raise.to)),
            };
            append(conn, adopted.run, backend, &[entry], now).await?;
            settle_home(conn, &raise.home).await?;
        }
        epoch_of(conn, backend).await
    }
}

/// Once an operator has adopted the database where it is for every backend that it knows anything of, it is
/// at home there for backends to come as well. Until then one that was never raised may be one that
/// another copy is at.
async fn settle_home(conn: &mut Conn, home: &Home) -> Result<(), Failure> {
    let mut backends = backends_of(conn).await?;
    let raised = sqlx::query("SELECT e.backend_id FROM backend_epochs AS e")
        .fetch_all(&mut *conn)
        .await?;
    for row in &raised {
        backends.push(Reader::new("backend_epochs", row).backend()?);
    }
    for backend in &backends {
        if !home.is_still(&known_home(conn, backend).await?) {
            return Ok(());
        }
    }
    sqlx::query("UPDATE store_identity SET home = $1 WHERE single = 1")
        .bind(home.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

const ADOPT_MANAGER: &str = "(backend_id) DO UPDATE SET manager = excluded.manager, \
     recorded_at = excluded.recorded_at";

async fn write_manager(
    conn: &mut Conn,
    backend: &BackendId,
    manager: &str,
    conflict: &'static str,
    now: i64,
) -> Result<(), Failure> {
    let mut query =
        Query::new("INSERT INTO backend_managers (backend_id, manager, recorded_at) VALUES (");
    query
        .push_bind(backend.as_str())
        .push(", ")
        .push_bind(printable(manager))
        .push(", ")
        .push_bind(now)
        .push(") ON CONFLICT ")
        .push(conflict);
    query.build().execute(conn).await?;
    Ok(())
}

/// Which manager the backend's name meant; nothing where that was never written down.
async fn known_manager(conn: &mut Conn, backend: &BackendId) -> Result<Option<String>, Failure> {
    let known =
        sqlx::query_scalar("SELECT m.manager FROM backend_managers AS m WHERE m.backend_id = $1")
            .bind(backend.as_str())
            .fetch_optional(conn)
            .await?;
    Ok(known)
}

/// Where the database was for this backend; nothing where that was never written down.
async fn known_home(conn: &mut Conn, backend: &BackendId) -> Result<Home, Failure> {
    let known: Option<String> = sqlx::query_scalar(
        "SELECT COALESCE( \
            (SELECT e.home FROM backend_epochs AS e WHERE e.backend_id = $1), s.home) \
         FROM store_identity AS s WHERE s.single = 1",
    )
    .bind(backend.as_str())
    .fetch_one(conn)
    .await?;
    Ok(Home::from_stored(known.unwrap_or_default()))
}

async fn epoch_of(conn: &mut Conn, backend: &BackendId) -> Result<Epoch, Failure> {
    let mut query = Query::new(
        "SELECT backend_id, epoch, raise_id, raised_at, marked_at FROM backend_epochs \
         WHERE backend_id = ",
    );
    query.push_bind(backend.as_str());
    let row = query.build().fetch_optional(conn).await?;
    row.as_ref().map_or(Ok(Epoch::default()), epoch)
}

fn epoch(row: &Row) -> Result<Epoch, Failure> {
    let reader = Reader::new("backend_epochs", row);
    Ok(Epoch {
        number: reader.get("epoch")?,
        raise: reader.id("raise_id")?,
        raised: Some(reader.time("raised_at")?),
        marked: is_marked(&reader)?,
    })
}

/// A program of before raises without taking away what its last raise was marked at.
fn is_marked(reader: &Reader<'_>) -> Result<bool, Failure> {
    let (raised, marked): (i64, Option<i64>) = (reader.get("raised_at")?, reader.get("marked_at")?);
    Ok(marked.is_some_and(|marked| marked >= raised))
}
