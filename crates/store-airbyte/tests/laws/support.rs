//! What the laws stand on: a database for each, and a sink that keeps everything.

use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::platform::{Defect, Mention, Owner, PlatformSource as _, ScanReport, ScanSink};
use cloakroom_core::{Result, SecretValue};
use cloakroom_store_airbyte::{AirbyteSource, Options};
use cloakroom_testkit::airbyte::Deployment;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A fresh database with nothing in it.
#[derive(Clone)]
pub(crate) struct Bench {
    server: String,
    pub(crate) database: String,
}

/// Everything a scan handed over.
#[derive(Default)]
pub(crate) struct Everything {
    pub(crate) owners: Vec<Owner>,
    pub(crate) mentions: Vec<Mention>,
    pub(crate) defects: Vec<Defect>,
}

#[async_trait]
impl ScanSink for Everything {
    async fn owners(&mut self, owners: Vec<Owner>) -> Result<()> {
        assert!(self.mentions.is_empty(), "owners come first");
        self.owners.extend(owners);
        Ok(())
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        self.mentions.extend(mentions);
        Ok(())
    }

    async fn defects(&mut self, defects: Vec<Defect>) -> Result<()> {
        self.defects.extend(defects);
        Ok(())
    }
}

impl Everything {
    /// Whether something keeps the secret.
    pub(crate) fn keeps(&self, name: &str) -> bool {
        self.mentions.iter().any(|it| it.keeps && it.name == name)
    }

    /// What is said of a secret, by column.
    pub(crate) fn of(&self, name: &str) -> Vec<&Mention> {
        let mut found: Vec<&Mention> = self.mentions.iter().filter(|it| it.name == name).collect();
        found.sort_by(|left, right| left.column.cmp(&right.column));
        found
    }
}

impl Bench {
    pub(crate) async fn new(server: &str, name: &str) -> Self {
        let mut database = format!("airbyte_law_{}", name.replace("::", "_"));
        database.truncate(63);
        let bench = Self {
            server: server.to_owned(),
            database,
        };
        bench.remove().await;
        bench
            .on_server(&format!("CREATE DATABASE {}", bench.database))
            .await;
        bench
    }

    pub(crate) async fn remove(&self) {
        let gone = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database);
        self.on_server(&gone).await;
    }

    /// Executes one statement in the server's own database.
    async fn on_server(&self, statement: &str) {
        let mut connection = PgConnection::connect(&self.server).await.unwrap();
        execute(&mut connection, statement).await;
    }

    /// The address of the law's database as the administrator.
    pub(crate) fn url(&self) -> String {
        let (address, parameters) = match self.server.split_once('?') {
            Some((address, parameters)) => (address, format!("?{parameters}")),
            None => (self.server.as_str(), String::new()),
        };
        let (server, _) = address.rsplit_once('/').unwrap();
        format!("{server}/{}{parameters}", self.database)
    }

    /// The same as another role.
    pub(crate) fn url_as(&self, role: &str) -> String {
        let url = self.url();
        let joint = if url.contains('?') { '&' } else { '?' };
        format!("{url}{joint}user={role}&password={role}")
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// Executes statements as the administrator.
    pub(crate) async fn sql(&self, statements: &str) {
        execute(&mut self.connect().await, statements).await;
    }

    /// Comes back once somebody waits for a lock in the law's database.
    pub(crate) async fn waits_for_a_lock(&self) {
        let waiting = "SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                       WHERE NOT l.granted AND d.datname = current_database())";
        let mut connection = self.connect().await;
        while !sqlx::query_scalar::<_, bool>(waiting)
            .fetch_one(&mut connection)
            .await
            .unwrap()
        {
            tokio::task::yield_now().await;
        }
    }

    /// Makes a role that can log in and nothing else, named after the database.
    pub(crate) async fn role(&self) -> String {
        // Roles are the server's, and a law that failed left its own behind.
        let role = format!("r_{}", self.database.trim_start_matches("airbyte_law_"));
        let exists: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1)")
                .bind(&role)
                .fetch_one(&mut self.connect().await)
                .await
                .unwrap();
        if !exists {
            self.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD '{role}'"))
                .await;
        }
        self.sql(&format!("ALTER ROLE {role} NOBYPASSRLS")).await;
        role
    }

    /// Roles are the server's, so theirs does not go with the database.
    pub(crate) async fn dismiss(&self) {
        let role = self.role().await;
        self.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
            .await;
    }

    pub(crate) async fn fill(&self, deployment: &Deployment) {
        let mut connection = self.connect().await;
        for statement in deployment.statements() {
            execute(&mut connection, &statement).await;
        }
    }

    pub(crate) fn options(&self) -> Options {
        options(self.url())
    }

    pub(crate) fn source(&self) -> AirbyteSource {
        AirbyteSource::new(self.options()).unwrap()
    }

    pub(crate) async fn scan(&self) -> (Everything, ScanReport) {
        scan(&self.source()).await
    }

    /// As a role of its own with SELECT on everything in `public`.
    pub(crate) async fn reader(&self) -> AirbyteSource {
        let role = self.role().await;
        self.sql(&format!(
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
        ))
        .await;
        AirbyteSource::new(options(self.url_as(&role))).unwrap()
    }
}

pub(crate) fn options(url: String) -> Options {
    let mut options = Options::new(SecretValue::from(url));
    options.lock_timeout = Duration::from_millis(200);
    options
}

pub(crate) async fn scan(source: &AirbyteSource) -> (Everything, ScanReport) {
    let mut everything = Everything::default();
    let report = source.scan(&mut everything).await.unwrap();
    (everything, report)
}

pub(crate) async fn execute(connection: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", statements.get(..300).unwrap_or(statements)));
}

/// A canonical coordinate that follows from a number.
pub(crate) fn coordinate(number: u128) -> String {
    format!(
        "airbyte_workspace_{}_secret_{}_v1",
        uuid::Uuid::from_u128(1),
        uuid::Uuid::from_u128(number)
    )
}
