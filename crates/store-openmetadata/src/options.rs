//! Which database, as whom, with which keys, and what its configuration says of its secrets.

use std::fmt;
use std::time::Duration;

use cloakroom_core::coordinates::openmetadata::{Manager, Naming};
use cloakroom_core::{Error, ErrorKind, Result, SecretValue};

use crate::fernet_keys::FernetKeys;

/// `secretsManagerConfiguration.secretsManager`: who writes secrets, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// `db`: values stay in the database.
    Database,
    /// `managed-aws` and its like, `gcp`, `kubernetes`: the platform writes them to the manager.
    Managed(Manager),
    /// `aws` and its like: the user made them, and none is the platform's to delete.
    NotManaged(Manager),
}

impl Provider {
    /// The provider that a configuration names.
    ///
    /// # Errors
    /// `Invalid` for a name that is not known.
    ///
    /// ```
    /// use cloakroom_store_openmetadata::{Manager, Provider};
    ///
    /// assert_eq!(Provider::from_name("managed-aws")?, Provider::Managed(Manager::Aws));
    /// assert_eq!(Provider::from_name("aws")?, Provider::NotManaged(Manager::Aws));
    /// assert_eq!(Provider::from_name("gcp")?, Provider::Managed(Manager::Google));
    /// # Ok::<(), cloakroom_core::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        if matches!(name, "db" | "noop") {
            return Ok(Self::Database);
        }
        let manager = Manager::from_name(name).ok_or_else(|| {
            let message = "`secretsManager` is not known: db, managed-aws, aws, managed-aws-ssm, \
                           aws-ssm, managed-azure-kv, azure-kv, gcp and kubernetes are";
            Error::new(ErrorKind::Invalid, "read the provider", message)
        })?;
        let has_one_mode = matches!(manager, Manager::Google | Manager::Kubernetes);
        Ok(if has_one_mode || name.starts_with("managed-") {
            Self::Managed(manager)
        } else {
            Self::NotManaged(manager)
        })
    }

    /// The manager, where there is one.
    pub fn manager(self) -> Option<Manager> {
        match self {
            Self::Database => None,
            Self::Managed(manager) | Self::NotManaged(manager) => Some(manager),
        }
    }
}

/// How to read an OpenMetadata database.
///
/// ```
/// use cloakroom_core::SecretValue;
/// use cloakroom_store_openmetadata::{FernetKeys, Options, Provider};
///
/// let secret = |text: &str| SecretValue::from(text.to_owned());
/// let keys = FernetKeys::parse(&secret("no_encryption_at_rest"))?;
/// let url = secret("mysql://cloakroom:hunter2@db/openmetadata_db");
/// let options = Options::new(url, keys, Provider::from_name("managed-aws")?);
/// assert!(!format!("{options:?}").contains("hunter2"));
/// # Ok::<(), cloakroom_core::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// `postgres://user:password@host:port/database`, or `mysql://…` for MySQL and MariaDB. It may
    /// hold a password, so it is never printed.
    pub url: SecretValue,
    /// `fernetConfiguration.fernetKey`.
    pub keys: FernetKeys,
    /// `secretsManagerConfiguration.secretsManager`.
    pub provider: Provider,
    /// `secretsManagerConfiguration.prefix`.
    pub prefix: String,
    /// `clusterName`.
    pub cluster: String,
    /// The schema that OpenMetadata's own tables are in, on PostgreSQL. Tables of every other schema
    /// are read too. On MySQL the database in the address is the one that is read.
    pub schema: String,
    /// Tables that are not read, as `schema.table`, or `table` for one of OpenMetadata's own: history
    /// that would keep secrets for ever. Tables of entities cannot be left out.
    pub leave_out: Vec<String>,
    /// The largest value that is read, in bytes of its text. A larger one makes the scan
    /// incomplete. Memory is a few times this at worst.
    pub max_value: u32,
    /// As many secret fields as are held against each other for one id; 200 bytes of memory each.
    pub max_fields: u32,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// The server gives up reading one table after this long, the time that the scan waits for its
    /// sink included. Whole seconds on MariaDB.
    pub statement_timeout: Duration,
    /// How long to wait for a table that somebody else has locked. Whole seconds on MySQL.
    pub lock_timeout: Duration,
}

impl Options {
    /// Options that suit most: no prefix, OpenMetadata's own cluster name and schema, everything read.
    pub fn new(url: SecretValue, keys: FernetKeys, provider: Provider) -> Self {
        Self {
            url,
            keys,
            provider,
            prefix: String::new(),
            cluster: "openmetadata".to_owned(),
            schema: "public".to_owned(),
            leave_out: Vec::new(),
            max_value: 32 * 1024 * 1024,
            max_fields: 1_000_000,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_mins(30),
            lock_timeout: Duration::from_secs(5),
        }
    }

    /// How the deployment names its secrets, where it has a manager.
    pub(crate) fn naming(&self) -> Option<Naming> {
        self.provider.manager().map(|it| self.naming_in(it))
    }

    /// How it would name them in each manager there is.
    pub(crate) fn namings(&self) -> impl Iterator<Item = Naming> {
        Manager::ALL.into_iter().map(|it| self.naming_in(it))
    }

    fn naming_in(&self, manager: Manager) -> Naming {
        Naming {
            prefix: self.prefix.clone(),
            cluster: self.cluster.clone(),
            manager,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("keys", &self.keys)
            .field("provider", &self.provider)
            .field("prefix", &self.prefix)
            .field("cluster", &self.cluster)
            .field("schema", &self.schema)
            .field("leave_out", &self.leave_out)
            .field("max_value", &self.max_value)
            .field("max_fields", &self.max_fields)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .finish_non_exhaustive()
    }
}
