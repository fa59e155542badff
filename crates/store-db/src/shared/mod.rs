//! The queries, compiled once for each database. `super::dialect` is where the two differ.

#[macro_use]
mod transaction;

mod adopt;
mod adoptions;
pub(crate) mod census;
mod claim;
mod commit;
mod digests;
mod documents;
pub(crate) mod due;
mod due_counts;
pub(crate) mod elsewhere;
mod epochs;
mod findings;
mod hold;
mod intend;
mod kept_places;
mod leases;
mod ledger;
mod let_go;
mod list;
pub(crate) mod locks;
mod moves;
mod platform_moves;
mod quarantine;
pub(crate) mod receipts;
pub(crate) mod references;
mod removal_runs;
pub(crate) mod removals;
mod remove;
mod rescued;
mod restored_platforms;
mod rows;
mod runs;
pub(crate) mod schema;
mod secret_migrations;
mod settle;
pub(crate) mod sightings;
pub(crate) mod staged;
mod switch;
pub(crate) mod unused;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::silence::unless_silent;
use cloakroom_core::{Randomness, Result};

use super::dialect;
use super::dialect::Db;
use crate::options::{Options, StoreClock};
use crate::postgres::silence;

type Conn = <Db as sqlx::Database>::Connection;
type Row = <Db as sqlx::Database>::Row;
pub(crate) type Query = sqlx::QueryBuilder<Db>;

/// Rows handled by one statement: far below what either database takes as parameters.
const CHUNK: usize = 500;

/// Longer than a sound connection takes to be handed back and closed.
const CLOSING: Duration = Duration::from_secs(5);

/// A store in one kind of database.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) write: sqlx::Pool<Db>,
    pub(crate) read: sqlx::Pool<Db>,
    clock: StoreClock,
    randomness: Arc<dyn Randomness>,
    deployment: Arc<str>,
    /// After this long without a word an operation is given up; `None` where there is no network.
    pub(crate) longest_silence: Option<Duration>,
    /// What a SQLite file was called when it was opened, links followed.
    pub(crate) opened_as: Option<PathBuf>,
}

impl Store {
    pub(crate) fn new(options: &Options, write: sqlx::Pool<Db>, read: sqlx::Pool<Db>) -> Self {
        Self {
            write,
            read,
            clock: options.clock.clone(),
            randomness: Arc::clone(&options.randomness),
            deployment: options.deployment.as_str().into(),
            longest_silence: None,
            opened_as: None,
        }
    }

    /// What `work` gives, `Unavailable` where the server is silent. `call` is it as the source has it, or in
    /// words.
    pub(crate) async fn unless_silent<T>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match self.longest_silence {
            Some(longest) => unless_silent(longest, work)
                .await
                .unwrap_or_else(|| Err(silence::told(call, longest))),
            None => work.await,
        }
    }

    pub(crate) async fn close(&self) {
        let closing = async {
            self.read.close().await;
            self.write.close().await;
        };
        match self.longest_silence {
            // What is not closed by then ends with the process.
            Some(_) => drop(tokio::time::timeout(CLOSING, closing).await),
            None => closing.await,
        }
    }
}

/// Writes `(a, b, ..)` of texts.
fn push_list<'a>(query: &mut Query, texts: impl IntoIterator<Item = &'a str>) {
    query.push("(");
    let mut list = query.separated(", ");
    for text in texts {
        list.push_bind(text);
    }
    query.push(")");
}
