//! What the laws stand on: a database for each, and a sink that keeps everything.

use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::platform::{Defect, Mention, Owner, PlatformSource as _, ScanReport, ScanSink};
use cloakroom_core::{ErrorKind, Result, SecretValue, Timestamp};
use cloakroom_store_openmetadata::{
    FernetKeys, Manager, Naming, OpenMetadataSource, Options, Provider,
};
use cloakroom_testkit::openmetadata::{Deployment, Dialect};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, PgConnection};

/// 32 bytes of 7.
pub(crate) const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Postgres,
    MariaDb,
    MySql,
}

impl Server {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
            Self::MySql => "mysql",
        }
    }

    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "CLOAKROOM_TEST_POSTGRES_URL",
            Self::MariaDb => "CLOAKROOM_TEST_MARIADB_URL",
            Self::MySql => "CLOAKROOM_TEST_MYSQL_URL",
        }
    }
}

/// A fresh database with nothing in it.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) server: Server,
    address: String,
    pub(crate) database: String,
}

/// A connection as somebody.
pub(crate) enum Session {
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

impl Session {
    pub(crate) async fn open(server: Server, url: &str) -> Self {
        match server {
            Server::Postgres => Self::Postgres(PgConnection::connect(url).await.unwrap()),
            Server::MariaDb | Server::MySql => {
                Self::MySql(MySqlConnection::connect(url).await.unwrap())
            }
        }
    }

    pub(crate) async fn try_execute(&mut self, statements: &str) -> sqlx::Result<()> {
        let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
        match self {
            Self::Postgres(it) => statements.execute(it).await.map(|_| ()),
            Self::MySql(it) => statements.execute(it).await.map(|_| ()),
        }
    }

    pub(crate) async fn execute(&mut self, statements: &str) {
        let executed = self.try_execute(statements).await;
        executed.unwrap_or_else(|error| {
            panic!("{error}: {}", statements.get(..300).unwrap_or(statements))
        });
    }
}

/// Everything a scan handed over.
#[derive(Default)]
pub(crate) struct Everything {
    pub(crate) mentions: Vec<Mention>,
    pub(crate) defects: Vec<Defect>,
}

#[async_trait]
impl ScanSink for Everything {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        panic!("OpenMetadata's ids name no owner");
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
    /// What is said of a secret.
    pub(crate) fn of(&self, name: &str) -> Vec<&Mention> {
        self.mentions.iter().filter(|it| it.name == name).collect()
    }
}

impl Bench {
    pub(crate) fn new(server: Server, address: &str, law: &str) -> Self {
        let mut database = format!("openmetadata_{}", law.replace("::", "_"));
        database.truncate(63);
        Self {
            server,
            address: address.to_owned(),
            database,
        }
    }

    /// Another one on the same server, which whoever asks for it makes and removes.
    pub(crate) fn another(&self) -> Self {
        let mut another = self.clone();
        another.database.truncate(60);
        another.database.push_str("_2");
        another
    }

    pub(crate) async fn make(&self) {
        self.remove().await;
        self.on_server(&format!("CREATE DATABASE {}", self.database))
            .await;
    }

    pub(crate) async fn remove(&self) {
        let force = match self.server {
            Server::Postgres => " WITH (FORCE)",
            Server::MariaDb | Server::MySql => "",
        };
        self.on_server(&format!("DROP DATABASE IF EXISTS {}{force}", self.database))
            .await;
    }

    /// Executes one statement in the server's own database.
    pub(crate) async fn on_server(&self, statement: &str) {
        let mut session = Session::open(self.server, &self.address).await;
        session.execute(statement).await;
    }

    /// The address of the law's database as the administrator.
    pub(crate) fn url(&self) -> String {
        let (server, _) = self.address.rsplit_once('/').unwrap();
        format!("{server}/{}", self.database)
    }

    /// The same as another role, whose password is its name.
    pub(crate) fn url_as(&self, role: &str) -> String {
        let (_, server) = self.address.split_once('@').unwrap();
        let (server, _) = server.rsplit_once('/').unwrap();
        let scheme = match self.server {
            Server::Postgres => "postgres",
            Server::MariaDb | Server::MySql => "mysql",
        };
        format!("{scheme}://{role}:{role}@{server}/{}", self.database)
    }

    pub(crate) async fn session(&self) -> Session {
        Session::open(self.server, &self.url()).await
    }

    /// Executes statements as the administrator.
    pub(crate) async fn sql(&self, statements: &str) {
        self.session().await.execute(statements).await;
    }

    /// Makes a role that can log in and nothing else. Roles are the server's, and a law that failed
    /// left its own behind.
    pub(crate) async fn role(&self) -> String {
        let role = format!("r_{}", &self.database["openmetadata_".len()..]);
        // MySQL knows no longer name of a user.
        let role: String = role.chars().take(32).collect();
        self.dismiss(&role).await;
        match self.server {
            Server::Postgres => {
                self.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD '{role}'"))
                    .await;
            }
            Server::MariaDb | Server::MySql => {
                self.sql(&format!("CREATE USER {role}@'%' IDENTIFIED BY '{role}'"))
                    .await;
            }
        }
        role
    }

    pub(crate) async fn dismiss(&self, role: &str) {
        match self.server {
            Server::Postgres => {
                let mut session = self.session().await;
                // Fails where there is no such role.
                let _ = session.try_execute(&format!("DROP OWNED BY {role}")).await;
                session
                    .execute(&format!("DROP ROLE IF EXISTS {role}"))
                    .await;
            }
            Server::MariaDb | Server::MySql => {
                self.sql(&format!("DROP USER IF EXISTS {role}@'%'")).await;
            }
        }
    }

    /// What lets a role read everything there is now.
    pub(crate) async fn grant_select(&self, role: &str) {
        match self.server {
            Server::Postgres => {
                self.sql(&format!(
                    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
                ))
                .await;
            }
            Server::MariaDb | Server::MySql => {
                self.sql(&format!(
                    "GRANT SELECT ON {}.* TO {role}@'%'",
                    self.database
                ))
                .await;
            }
        }
    }

    /// Executes the grant that a message ends with as it stands there, with another database selected where one can
    /// name tables of this one.
    pub(crate) async fn grant_as_told(&self, message: &str) {
        let grant = &message[message.find("GRANT").unwrap()..];
        match self.server {
            Server::Postgres => self.sql(grant).await,
            Server::MariaDb | Server::MySql => self.on_server(grant).await,
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.server {
            Server::Postgres => Dialect::Postgres,
            Server::MariaDb | Server::MySql => Dialect::MySql,
        }
    }

    /// A text without quotation marks as it is written between them.
    pub(crate) fn literal(&self, text: &str) -> String {
        match self.server {
            Server::Postgres => text.to_owned(),
            Server::MariaDb | Server::MySql => text.replace('\\', "\\\\"),
        }
    }

    /// The schema that reports show.
    pub(crate) fn schema(&self) -> &str {
        match self.server {
            Server::Postgres => "public",
            Server::MariaDb | Server::MySql => &self.database,
        }
    }

    pub(crate) async fn fill(&self, deployment: &Deployment) {
        let keys = keys();
        let mut session = self.session().await;
        for statement in deployment.statements(self.dialect(), |text| seal(&keys, text)) {
            session.execute(&statement).await;
        }
    }

    /// As managed in AWS, by its own URL.
    pub(crate) fn options(&self) -> Options {
        options_at(self.url())
    }

    pub(crate) fn source(&self) -> OpenMetadataSource {
        OpenMetadataSource::new(self.options()).unwrap()
    }

    pub(crate) async fn scan(&self) -> (Everything, ScanReport) {
        scan(&self.source()).await
    }

    /// A table of entities, without which it is not OpenMetadata's.
    pub(crate) async fn with_a_table(&self) {
        let none = Deployment::new(0, naming());
        let first = none.statements(self.dialect(), str::to_owned).next();
        self.sql(&first.unwrap()).await;
    }
}

pub(crate) fn options_at(url: String) -> Options {
    let provider = Provider::Managed(Manager::Aws);
    let mut options = Options::new(SecretValue::from(url), keys(), provider);
    options.lock_timeout = Duration::from_millis(200);
    // A machine that is busy is not what the laws are about.
    options.connect_timeout = Duration::from_mins(2);
    options
}

pub(crate) fn naming() -> Naming {
    Naming {
        prefix: String::new(),
        cluster: "openmetadata".to_owned(),
        manager: Manager::Aws,
    }
}

pub(crate) fn keys() -> FernetKeys {
    FernetKeys::parse(&SecretValue::from(KEY.to_owned())).unwrap()
}

pub(crate) fn seal(keys: &FernetKeys, text: &str) -> String {
    let at = Timestamp::from_second(1_760_000_000).unwrap();
    keys.seal(&SecretValue::from(text.to_owned()), at).unwrap()
}

/// An id of the deployment's that follows from a number.
pub(crate) fn id(number: u32) -> String {
    format!("/openmetadata/database/service-{number}/password")
}

pub(crate) async fn scan(source: &OpenMetadataSource) -> (Everything, ScanReport) {
    let mut everything = Everything::default();
    let report = source.scan(&mut everything).await.unwrap();
    (everything, report)
}

/// The one obstacle there is.
pub(crate) fn only(report: &ScanReport) -> (&str, &str) {
    assert_eq!(report.obstacles.len(), 1, "{:?}", report.obstacles);
    (&report.obstacles[0].subject, &report.obstacles[0].detail)
}

pub(crate) async fn is_refused(source: &OpenMetadataSource) {
    let error = source.still_mentioned(&[id(1)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}
