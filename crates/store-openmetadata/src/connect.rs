//! One connection and one transaction for each question, to whichever server the address names.

use std::collections::HashMap;
use std::str::FromStr as _;

use cloakroom_core::Result;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::catalog::Catalog;
use crate::failure::{self, invalid, unavailable};
use crate::options::Options;
use crate::rows::{Read, Reader};
use crate::{mysql, postgres};

/// What a URL may say behind its `?`. The drivers ignore anything else, or log it with its value,
/// which may be a misspelt password.
const KNOWN: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "sslca",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "application_name",
    "host",
    "user",
    "password",
    "socket",
];

const SHAPE: &str = "the database's URL is neither postgres://user:password@host:port/database nor \
                     mysql://user:password@host:port/database";

/// Where the database is, checked before anything connects.
#[derive(Clone)]
pub(crate) enum Address {
    Postgres(PgConnectOptions),
    MySql(MySqlConnectOptions),
}

impl Address {
    pub(crate) fn read(options: &Options) -> Result<Self> {
        let url = options
            .url
            .expose_text()
            .ok_or_else(|| invalid("the database's URL is not text"))?;
        if url.starts_with("jdbc:") {
            return Err(invalid(
                "the database's URL is written as for Java: take `jdbc:` away, and put user and password where \
                 they are in mysql://user:password@host:port/database, or postgres:// likewise",
            ));
        }
        let parameters = url.split_once('?').map_or("", |(_, behind)| behind);
        let mut names = parameters
            .split('&')
            .filter_map(|pair| pair.split('=').next());
        if names.any(|name| !name.is_empty() && !KNOWN.contains(&name)) {
            return Err(invalid(
                "the database's URL has a parameter that is not known",
            ));
        }
        // The cause may quote the address, password included.
        let garbled = |_| invalid(SHAPE);
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        if matches!(scheme, "mysql" | "mariadb") {
            let address = MySqlConnectOptions::from_str(url).map_err(garbled)?;
            if address.get_database().is_none() {
                return Err(invalid("the database's URL does not say which database"));
            }
            return Ok(Self::MySql(address.disable_statement_logging()));
        }
        // The driver looks at no scheme, and goes to this machine where it finds no host.
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(invalid(SHAPE));
        }
        let address = PgConnectOptions::from_str(url).map_err(garbled)?;
        Ok(Self::Postgres(
            address
                .statement_cache_capacity(0)
                .disable_statement_logging(),
        ))
    }

    /// What an operator calls the database; no credential.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Postgres(it) => place(
                it.get_host(),
                it.get_socket(),
                it.get_port(),
                it.get_database().unwrap_or(it.get_username()),
            ),
            Self::MySql(it) => place(
                it.get_host(),
                it.get_socket(),
                it.get_port(),
                it.get_database().unwrap_or_default(),
            ),
        }
    }
}

fn place(host: &str, socket: Option<&std::path::PathBuf>, port: u16, database: &str) -> String {
    match socket {
        Some(socket) => format!("{}:{port}/{database}", socket.display()),
        None => format!("{host}:{port}/{database}"),
    }
}

/// A connection inside a transaction that sees one state and can write nothing.
pub(crate) enum Connection {
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

impl Connection {
    pub(crate) async fn open(options: &Options, address: &Address) -> Result<Self> {
        let connecting = async {
            match address {
                Address::Postgres(address) => {
                    let mut connection = PgConnection::connect_with(address).await?;
                    postgres::begin(&mut connection, options).await?;
                    Ok(Self::Postgres(connection))
                }
                Address::MySql(address) => {
                    let mut connection = MySqlConnection::connect_with(address).await?;
                    mysql::begin(&mut connection, options).await?;
                    Ok(Self::MySql(connection))
                }
            }
        };
        match tokio::time::timeout(options.connect_timeout, connecting).await {
            Ok(connected) => connected.map_err(failure::error),
            Err(_) => Err(unavailable("no connection to the database in time")),
        }
    }

    /// The moment of the snapshot in milliseconds since 1970, and what the server has.
    pub(crate) async fn look(&mut self, options: &Options) -> Result<(i64, Catalog)> {
        let looked = match self {
            Self::Postgres(it) => postgres::look(it, options).await,
            Self::MySql(it) => mysql::look(it, options).await,
        };
        looked.map_err(failure::error)
    }

    /// What each table is made of, where the server does not refuse by itself to read one that was made anew
    /// since the snapshot was taken.
    pub(crate) async fn shapes(&mut self) -> Result<HashMap<String, String>> {
        match self {
            Self::Postgres(it) => postgres::shapes(it).await.map_err(failure::error),
            Self::MySql(_) => Ok(HashMap::new()),
        }
    }

    /// Likewise, as they are by now; the snapshot is given up for it.
    pub(crate) async fn later_shapes(
        &mut self,
        options: &Options,
    ) -> Result<HashMap<String, String>> {
        if let Self::Postgres(it) = self {
            it.execute("ROLLBACK").await.map_err(failure::error)?;
            let begun = postgres::begin(it, options).await;
            begun.map_err(failure::error)?;
        }
        self.shapes().await
    }

    /// Reads a table.
    pub(crate) async fn read(&mut self, select: &str, reader: &mut dyn Reader) -> Result<Read> {
        match self {
            Self::Postgres(it) => postgres::read(it, select, reader).await,
            Self::MySql(it) => mysql::read(it, select, reader).await,
        }
    }

    /// What tells this database from another one.
    pub(crate) async fn identity(&mut self, place: &str) -> Result<String> {
        let identity = match self {
            Self::Postgres(it) => postgres::identity(it, place).await,
            Self::MySql(it) => mysql::identity(it, place).await,
        };
        identity.map_err(failure::error)
    }

    pub(crate) async fn close(self) {
        // Nothing was written, and the answer is complete without it.
        let _ = match self {
            Self::Postgres(it) => it.close().await,
            Self::MySql(it) => it.close().await,
        };
    }
}
