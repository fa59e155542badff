//! What the same writes take without the write protocol: for each document as many plain transactions,
//! with as many rows of about as many bytes, on the same database with the same settings.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use cloakroom_store_db::{DbStore, Pool};

/// Of one document.
const SECRETS: u64 = 3;

const TABLES: &str = "
    CREATE TABLE peer_secrets (name TEXT PRIMARY KEY, state TEXT NOT NULL, digest TEXT NOT NULL);
    CREATE TABLE peer_values (name TEXT PRIMARY KEY, sealed TEXT NOT NULL);
    CREATE TABLE peer_documents (id TEXT PRIMARY KEY, body TEXT NOT NULL);
    CREATE TABLE peer_references (
        document TEXT NOT NULL, place TEXT NOT NULL, name TEXT NOT NULL,
        PRIMARY KEY (document, place)
    );
    CREATE INDEX peer_references_by_name ON peer_references (name, document, place);
";

/// How long `count` documents take.
pub(crate) async fn written(store: &DbStore, count: u64) -> Result<Duration> {
    match store.pool() {
        Pool::Sqlite { write, .. } => on_sqlite(&write, count).await,
        Pool::Postgres(pool) => on_postgres(&pool, count).await,
        _ => bail!("a database this benchmark does not know"),
    }
}

/// The same statements, compiled for each database.
macro_rules! on {
    ($name:ident, $database:ty, $begin:expr) => {
        async fn $name(pool: &sqlx::Pool<$database>, count: u64) -> Result<Duration> {
            sqlx::raw_sql(TABLES).execute(pool).await?;
            let body = "x".repeat(2_000);
            let begun = Instant::now();
            for number in 0..count {
                let document = format!("document-{number}");
                let names = [0, 1, 2].map(|at| name_of(number * SECRETS + at));

                let mut intent = pool.begin_with($begin).await?;
                sqlx::query(
                    "INSERT INTO peer_secrets (name, state, digest) \
                     VALUES ($1, 'intended', $2), ($3, 'intended', $4), ($5, 'intended', $6)",
                )
                .bind(&names[0])
                .bind(DIGEST)
                .bind(&names[1])
                .bind(DIGEST)
                .bind(&names[2])
                .bind(DIGEST)
                .execute(&mut *intent)
                .await?;
                intent.commit().await?;

                sqlx::query(
                    "INSERT INTO peer_values (name, sealed) VALUES ($1, $2), ($3, $4), ($5, $6)",
                )
                .bind(&names[0])
                .bind(SEALED)
                .bind(&names[1])
                .bind(SEALED)
                .bind(&names[2])
                .bind(SEALED)
                .execute(pool)
                .await?;

                let mut commit = pool.begin_with($begin).await?;
                sqlx::query("INSERT INTO peer_documents (id, body) VALUES ($1, $2)")
                    .bind(&document)
                    .bind(&body)
                    .execute(&mut *commit)
                    .await?;
                sqlx::query(
                    "INSERT INTO peer_references (document, place, name) \
                     VALUES ($1, '/a', $2), ($1, '/b', $3), ($1, '/c', $4)",
                )
                .bind(&document)
                .bind(&names[0])
                .bind(&names[1])
                .bind(&names[2])
                .execute(&mut *commit)
                .await?;
                sqlx::query(
                    "UPDATE peer_secrets SET state = 'stored' WHERE name IN ($1, $2, $3)",
                )
                .bind(&names[0])
                .bind(&names[1])
                .bind(&names[2])
                .execute(&mut *commit)
                .await?;
                commit.commit().await?;
            }
            Ok(begun.elapsed())
        }
    };
}

on!(on_sqlite, sqlx::Sqlite, "BEGIN IMMEDIATE");
on!(on_postgres, sqlx::Postgres, "BEGIN");

/// As long as a coordinate is.
fn name_of(secret: u64) -> String {
    format!("airbyte_workspace_{secret:036}_secret_{secret:036}_v1")
}

/// As long as a digest is.
const DIGEST: &str =
    "0123456789abcdef:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// About as long as a sealed value with its mark.
const SEALED: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
     0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
