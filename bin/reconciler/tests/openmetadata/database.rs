//! A database with OpenMetadata's tables, on any of the servers, and a role that may read it and nothing else.

use std::sync::atomic::{AtomicU64, Ordering};

use cloakroom_core::{SecretValue, Timestamp};
use cloakroom_store_openmetadata::FernetKeys;
use cloakroom_testkit::openmetadata::{Deployment, Dialect};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, PgConnection};

/// 32 bytes of 7.
pub const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

const ROLES: [&str; 2] = [
    include_str!("../../../../deploy/policies/openmetadata/reader-postgres.sql"),
    include_str!("../../../../deploy/policies/openmetadata/reader-mysql.sql"),
];

static MADE: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Postgres,
    MariaDb,
    MySql,
}

impl Server {
    /// What every law is held against. MySQL itself takes part in the main ones.
    pub const ALL: [Self; 2] = [Self::Postgres, Self::MariaDb];

    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
            Self::MySql => "mysql",
        }
    }

    /// Where the tests' server is. Its user may create databases and roles.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "CLOAKROOM_TEST_POSTGRES_URL",
            Self::MariaDb => "CLOAKROOM_TEST_MARIADB_URL",
            Self::MySql => "CLOAKROOM_TEST_MYSQL_URL",
        }
    }

    fn dialect(self) -> Dialect {
        match self {
            Self::Postgres => Dialect::Postgres,
            Self::MariaDb | Self::MySql => Dialect::MySql,
        }
    }

    async fn execute(self, url: &str, sql: &str) {
        let statements = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let executed = match self {
            Self::Postgres => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                statements.execute(&mut connection).await.map(|_| ())
            }
            Self::MariaDb | Self::MySql => {
                let mut connection = MySqlConnection::connect(url).await.unwrap();
                statements.execute(&mut connection).await.map(|_| ())
            }
        };
        executed.unwrap_or_else(|error| panic!("{error}: {}", sql.get(..300).unwrap_or(sql)));
    }
}

pub struct Database {
    server: Server,
    /// Of the server, as its administrator.
    address: String,
    name: String,
}

impl Database {
    pub async fn create(server: Server, deployment: &Deployment) -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let made = Self {
            server,
            address: std::env::var(server.variable()).unwrap(),
            name: format!("om_{}_{number}", std::process::id()),
        };
        made.clear().await;
        made.on_server(&format!("CREATE DATABASE {}", made.name))
            .await;
        let keys = FernetKeys::parse(&SecretValue::from(KEY.to_owned())).unwrap();
        let statements = deployment.statements(server.dialect(), |text| seal(&keys, text));
        made.execute(&statements.collect::<String>()).await;
        let role = ROLES[usize::from(server.dialect() == Dialect::MySql)]
            .replace("cloakroom_reader", &made.name)
            .replace("openmetadata_db", &made.name)
            .replace(":'password'", "'only-to-read'");
        made.execute(&role).await;
        made
    }

    /// The address, as the role that only reads.
    pub fn url(&self) -> String {
        let (_, host) = self.address.split_once('@').unwrap();
        let (host, _) = host.rsplit_once('/').unwrap();
        let scheme = match self.server {
            Server::Postgres => "postgres",
            Server::MariaDb | Server::MySql => "mysql",
        };
        format!("{scheme}://{0}:only-to-read@{host}/{0}", self.name)
    }

    /// Changes something as its owner.
    pub async fn execute(&self, sql: &str) {
        let (server, _) = self.address.rsplit_once('/').unwrap();
        let url = format!("{server}/{}", self.name);
        self.server.execute(&url, sql).await;
    }

    /// Every pipeline says that it is deployed.
    pub async fn deploy_pipelines(&self) {
        let deployed = match self.server {
            Server::Postgres => "jsonb_set(json::jsonb, '{deployed}', 'true')",
            Server::MariaDb | Server::MySql => r#"JSON_MERGE_PATCH(json, '{"deployed": true}')"#,
        };
        let update = format!("UPDATE ingestion_pipeline_entity SET json = {deployed}");
        self.execute(&update).await;
    }

    /// Another one with all that is in it takes its place and its name, where the server would tell that.
    pub async fn restore(&self) {
        let name = &self.name;
        if self.server == Server::Postgres {
            for statement in [
                format!("CREATE DATABASE {name}_restored TEMPLATE {name}"),
                format!("DROP DATABASE {name} WITH (FORCE)"),
                format!("ALTER DATABASE {name}_restored RENAME TO {name}"),
                format!("GRANT CONNECT ON DATABASE {name} TO {name}"),
            ] {
                self.on_server(&statement).await;
            }
        }
    }

    async fn on_server(&self, sql: &str) {
        self.server.execute(&self.address, sql).await;
    }

    async fn clear(&self) {
        let name = &self.name;
        match self.server {
            Server::Postgres => {
                self.on_server(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
                    .await;
                self.on_server(&format!("DROP ROLE IF EXISTS {name}")).await;
            }
            Server::MariaDb | Server::MySql => {
                self.on_server(&format!("DROP DATABASE IF EXISTS {name}"))
                    .await;
                self.on_server(&format!("DROP USER IF EXISTS {name}@'%'"))
                    .await;
            }
        }
    }

    pub async fn drop(self) {
        self.clear().await;
    }
}

pub fn seal(keys: &FernetKeys, text: &str) -> String {
    let at = Timestamp::from_second(1_760_000_000).unwrap();
    keys.seal(&SecretValue::from(text.to_owned()), at).unwrap()
}
