//! The queries, whose text is the same for both databases; compiled once for each.

mod decode;
mod first;
mod rotation;
mod secrets;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cloakroom_core::{BackendId, Clock, KeyId};
use sqlx::{QueryBuilder, Row as _};

use super::dialect::{self, Db};
use crate::failure::Failure;
use crate::silence::unless_silent;

type Result<T> = std::result::Result<T, Failure>;
type Connection = <Db as sqlx::Database>::Connection;

/// One backend's rows in one database.
pub(crate) struct Secrets {
    pub(crate) backend: BackendId,
    pub(crate) write: sqlx::Pool<Db>,
    pub(crate) read: sqlx::Pool<Db>,
    /// `None` asks the database for the time.
    pub(crate) clock: Option<Arc<dyn Clock>>,
    /// A key that rows of this backend have been found under.
    pub(crate) key_in_use: OnceLock<KeyId>,
    /// After this long without a word from the server a question is given up; `None` where there is none.
    pub(crate) longest_silence: Option<Duration>,
}

impl Secrets {
    /// A query that begins with `text` and goes on with the backend's name.
    fn query(&self, text: &'static str) -> QueryBuilder<Db> {
        let mut query = QueryBuilder::new(text);
        query.push_bind(self.backend.as_str().to_owned());
        query
    }

    fn push_now(&self, query: &mut QueryBuilder<Db>) {
        dialect::push_now(query, self.clock.as_ref().map(|clock| clock.now()));
    }
}

/// Begins a write, whether or not the caller waits for it. sqlx knows of a transaction only once the
/// database has answered: dropped before that, the connection would go back to its pool inside a
/// transaction that nobody ends, and what the next user writes would never be committed.
async fn begin(
    write: &sqlx::Pool<Db>,
    longest_silence: Option<Duration>,
) -> Result<sqlx::Transaction<'static, Db>> {
    let write = write.clone();
    let begun = tokio::spawn(unless_silent(longest_silence, async move {
        Ok(write.begin_with(dialect::BEGIN_WRITE).await?)
    }));
    begun.await.map_err(|_| sqlx::Error::WorkerCrashed)?
}

/// Creates the table, unless it is there, and the column that a table of an older program lacks.
pub(crate) async fn create(
    write: &sqlx::Pool<Db>,
    longest_silence: Option<Duration>,
) -> Result<()> {
    let mut transaction = begin(write, longest_silence).await?;
    sqlx::raw_sql(dialect::CREATE)
        .execute(&mut *transaction)
        .await?;
    let knows_intents = sqlx::query(dialect::HAS_INTENT)
        .fetch_optional(&mut *transaction)
        .await?
        .is_some();
    if !knows_intents {
        sqlx::raw_sql(dialect::ADD_INTENT)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(transaction.commit().await?)
}

/// Whether the table holds no ciphertext of any backend.
pub(crate) async fn is_empty(read: &sqlx::Pool<Db>) -> Result<bool> {
    let row: Option<i64> = sqlx::query_scalar("SELECT revision FROM embedded_secrets LIMIT 1")
        .fetch_optional(read)
        .await?;
    Ok(row.is_none())
}

/// Every backend's rows by key.
pub(crate) async fn sealed_by_key(read: &sqlx::Pool<Db>) -> Result<Vec<(BackendId, KeyId, u64)>> {
    let rows = sqlx::query(
        "SELECT backend_id, key_id, count(*) AS secrets FROM embedded_secrets \
         GROUP BY backend_id, key_id ORDER BY backend_id, key_id",
    )
    .fetch_all(read)
    .await?;
    let counts = rows.iter().map(|row| {
        let backend: String = row.try_get("backend_id")?;
        let backend = backend.parse();
        let key: String = row.try_get("key_id")?;
        let secrets: i64 = row.try_get("secrets")?;
        Ok((
            backend.map_err(|_| Failure::corrupt("backend_id"))?,
            KeyId::from(key.as_str()),
            secrets.unsigned_abs(),
        ))
    });
    counts.collect()
}

/// The keys of every backend's rows. Each step asks the index for the next pair of backend and key,
/// so this takes as many steps as there are pairs, however many rows there are.
pub(crate) async fn needed_keys(read: &sqlx::Pool<Db>) -> Result<BTreeSet<KeyId>> {
    let mut connection = read.acquire().await?;
    needed_keys_within(&mut connection).await
}

async fn needed_keys_within(connection: &mut Connection) -> Result<BTreeSet<KeyId>> {
    let mut keys = BTreeSet::new();
    // Before every pair: no backend's name is empty.
    let mut last = (String::new(), String::new());
    loop {
        let row = sqlx::query(
            "SELECT backend_id, key_id FROM embedded_secrets \
             WHERE (backend_id, key_id) > ($1, $2) ORDER BY backend_id, key_id LIMIT 1",
        )
        .bind(&last.0)
        .bind(&last.1)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else {
            return Ok(keys);
        };
        last = (row.try_get("backend_id")?, row.try_get("key_id")?);
        keys.insert(KeyId::from(last.1.as_str()));
    }
}
