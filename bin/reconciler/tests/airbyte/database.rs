//! A database with Airbyte's tables, and a role that may read it and nothing else.

use std::sync::atomic::{AtomicU64, Ordering};

use cloakroom_testkit::airbyte::Deployment;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};

/// Where the tests' PostgreSQL is. Its user may create databases and roles.
pub const URL: &str = "CLOAKROOM_TEST_POSTGRES_URL";

/// The role of the documentation.
const ROLE: &str = include_str!("../../../../deploy/policies/airbyte/reader.sql");

static MADE: AtomicU64 = AtomicU64::new(0);

pub struct Database {
    options: PgConnectOptions,
    name: String,
    reader: String,
}

impl Database {
    pub async fn create(deployment: &Deployment) -> Self {
        let options: PgConnectOptions = std::env::var(URL).unwrap().parse().unwrap();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("airbyte_report_{}_{number}", std::process::id());
        let reader = format!("{name}_reader");
        let made = Self {
            options,
            name,
            reader,
        };
        made.clear().await;
        made.as_admin(&format!("CREATE DATABASE {}", made.name))
            .await;
        let mut connection = made.connect().await;
        for statement in deployment.statements() {
            execute(&mut connection, &statement).await;
        }
        let role = ROLE
            .replace("cloakroom_reader", &made.reader)
            .replace(":'password'", "'only-to-read'");
        execute(&mut connection, &role).await;
        made
    }

    async fn connect(&self) -> PgConnection {
        let options = self.options.clone().database(&self.name);
        options.connect().await.unwrap()
    }

    /// The address, as the role that only reads.
    pub fn url(&self) -> String {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        format!(
            "postgres://{}:only-to-read@{host}:{port}/{}",
            self.reader, self.name
        )
    }

    /// Changes something as its owner.
    pub async fn execute(&self, sql: &str) {
        let sql = sql.replace("cloakroom_reader", &self.reader);
        execute(&mut self.connect().await, &sql).await;
    }

    async fn as_admin(&self, sql: &str) {
        execute(&mut self.options.connect().await.unwrap(), sql).await;
    }

    async fn clear(&self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        self.as_admin(&drop).await;
        self.as_admin(&format!("DROP ROLE IF EXISTS {}", self.reader))
            .await;
    }

    pub async fn drop(self) {
        self.clear().await;
    }
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .unwrap();
}
