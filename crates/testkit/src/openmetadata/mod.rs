//! OpenMetadata's database as SQL text: its real table and column names and JSON shaped as its own,
//! filled at any size, the same rows each time but for what sealing makes of a value.

mod client;
mod entities;
mod schema;

use cloakroom_core::coordinates::openmetadata::Naming;
use uuid::Uuid;

pub use client::{CLIENT, client_digest, passwords_of_client, read_by_client};
pub use entities::{ServiceKind, Table};

/// Which server the SQL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
}

/// A deployment with so many services. Whatever is asked of it follows from its number and naming.
///
/// ```
/// use cloakroom_core::coordinates::openmetadata::{Manager, Naming};
/// use cloakroom_testkit::openmetadata::{Deployment, Dialect};
///
/// let deployment = Deployment::new(20, Naming {
///     prefix: String::new(),
///     cluster: "openmetadata".into(),
///     manager: Manager::Aws,
/// });
/// let sql: String = deployment.statements(Dialect::MySql, |text| format!("<{text}>")).collect();
/// let first = deployment.planted().next().unwrap();
/// assert!(sql.contains(&format!("<secret:{}>", first.id)));
/// ```
#[derive(Clone, Debug)]
pub struct Deployment {
    services: u32,
    naming: Naming,
}

/// What a secret field of a generated service holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holds {
    /// A reference that the platform made.
    Managed,
    /// A reference to a secret that the user made.
    Own,
    /// The value itself, sealed.
    Value,
    /// The mask, sealed.
    Mask,
}

/// One reference that the database holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planted {
    /// What it refers to.
    pub id: String,
    /// Where it is.
    pub table: Table,
    /// The row.
    pub row: Uuid,
    /// Where in its JSON.
    pub pointer: &'static str,
    /// Whether the entity is soft-deleted.
    pub deleted: bool,
    /// Whether the user made the secret.
    pub own: bool,
}

impl Deployment {
    /// A deployment of `services` services, each with one secret field.
    pub fn new(services: u32, naming: Naming) -> Self {
        Self { services, naming }
    }

    /// Everything that makes the database: the schema, then the rows. `seal` turns what a sealed
    /// field says into what is stored.
    pub fn statements<'a>(
        &'a self,
        dialect: Dialect,
        seal: impl Fn(&str) -> String + 'a,
    ) -> impl Iterator<Item = String> + 'a {
        schema::statements(dialect)
            .into_iter()
            .chain(entities::rows(self).map(move |row| row.insert(dialect, &seal)))
    }

    /// Every reference in an entity, table by table.
    pub fn planted(&self) -> impl Iterator<Item = Planted> + '_ {
        entities::rows(self).filter_map(|row| row.planted(self))
    }

    /// The id of a service that is gone, which only the history of entities mentions.
    pub fn in_history(&self) -> String {
        self.naming
            .id(&["database", "gone"], &["authType", "password"])
    }

    /// The rows of services with a map that holds a secret in clear, and where.
    pub fn in_clear(&self) -> (Vec<Uuid>, &'static str) {
        let clear = (0..self.services).filter(|index| entities::is_in_clear(*index));
        (
            clear.map(entities::service_row).collect(),
            entities::POINTER_IN_CLEAR,
        )
    }

    /// The rows of services whose mask was saved in place of the secret.
    pub fn masked(&self) -> Vec<Uuid> {
        let masked = (0..self.services).filter(|it| entities::holds(*it) == Holds::Mask);
        masked.map(entities::service_row).collect()
    }

    /// The one id that two pipelines have, since two services have a pipeline of one name.
    pub fn shared(&self) -> String {
        entities::pipeline_id(&self.naming)
    }

    fn naming(&self) -> &Naming {
        &self.naming
    }
}
