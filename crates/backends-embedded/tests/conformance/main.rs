//! The laws of every backend and those of this one, over SQLite and over PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;
mod kept;
mod own;
mod rotation;
mod seals;
mod silent;
mod table;

use std::env;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_backends_embedded::EmbeddedBackend;
use cloakroom_core::{Capabilities, Result, SecretBackend};
use cloakroom_testkit::ManualClock;
use cloakroom_testkit::conformance::{self, Manager, Powers, Subject};

use common::{Database, POSTGRES_URL, backend, ring};

fn main() -> ExitCode {
    let mut trials = conformance::trials(Embedded::Sqlite);
    trials.extend(own::trials(&Embedded::Sqlite));
    if let Ok(url) = env::var(POSTGRES_URL) {
        trials.extend(conformance::trials(Embedded::Postgres { url: url.clone() }));
        let postgres = Embedded::Postgres { url };
        trials.extend(own::trials(&postgres));
        trials.extend(own::trials_on_a_server(&postgres));
    } else {
        let reason = "CLOAKROOM_TEST_POSTGRES_URL is not set; cargo xtask test sets it";
        trials.extend(conformance::absent("postgres", reason));
        trials.extend(own::absent("postgres", reason));
    }
    conformance::run(trials)
}

#[derive(Clone)]
enum Embedded {
    Sqlite,
    Postgres { url: String },
}

impl Embedded {
    async fn database(&self) -> Result<Database> {
        match self {
            Self::Sqlite => Database::sqlite().await,
            Self::Postgres { url } => Database::postgres(url).await,
        }
    }
}

struct Namespace {
    database: Database,
    clock: ManualClock,
    backend: Arc<EmbeddedBackend>,
    second: Arc<EmbeddedBackend>,
    misled: Arc<EmbeddedBackend>,
}

#[async_trait]
impl Manager for Embedded {
    fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres { .. } => "postgres",
        }
    }

    fn capabilities(&self) -> Capabilities {
        EmbeddedBackend::CAPABILITIES
    }

    fn powers(&self) -> Powers {
        // Every row of the table bears a mark: it is ours alone.
        Powers {
            time: true,
            foreign: false,
            misled: true,
            pages: true,
        }
    }

    async fn subject(&self) -> Result<Box<dyn Subject>> {
        let database = self.database().await?;
        let clock = ManualClock::default();
        let second = database.second_pool().await?;
        Ok(Box::new(Namespace {
            backend: Arc::new(backend(&database.pool, ring(&[1]), &clock)),
            second: Arc::new(backend(&second, ring(&[1, 2]), &clock)),
            misled: Arc::new(backend(&second, ring(&[3, 2]), &clock)),
            database,
            clock,
        }))
    }
}

#[async_trait]
impl Subject for Namespace {
    fn backend(&self) -> Arc<dyn SecretBackend> {
        Arc::clone(&self.backend) as Arc<dyn SecretBackend>
    }

    fn second(&self) -> Arc<dyn SecretBackend> {
        Arc::clone(&self.second) as Arc<dyn SecretBackend>
    }

    fn misled(&self) -> Option<Arc<dyn SecretBackend>> {
        Some(Arc::clone(&self.misled) as Arc<dyn SecretBackend>)
    }

    fn several_pages(&self) -> usize {
        2_100
    }

    async fn advance(&self, by: Duration) -> Result<()> {
        self.clock.advance(by);
        Ok(())
    }

    async fn finish(&self) {
        self.database.finish().await;
    }
}
