//! Airbyte's configs database as SQL text: its real table and column names, filled from a seed at any
//! size, the same rows each time.

pub mod documents;
mod ids;
mod plant;
mod rows;
mod schema;
mod specs;

use std::collections::BTreeSet;

use cloakroom_core::{Coordinate, Grammar, Scope, Version};
use uuid::Uuid;

use ids::{Kind, number, uuid};

/// A deployment with so many connectors. Whatever is asked of it follows from its seed.
///
/// ```
/// use cloakroom_testkit::airbyte::Deployment;
///
/// let deployment = Deployment::new(10, 7);
/// let sql: String = deployment.statements().collect();
/// let planted = deployment.secrets().next().unwrap();
/// assert!(sql.contains(planted.coordinate.as_str()));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Deployment {
    connectors: u32,
    seed: u64,
}

/// A secret field of the generated connectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `/password`
    Password,
    /// `/tunnel/key`, in a branch of a `oneOf`
    TunnelKey,
    /// `/credentials/client_secret`
    ClientSecret,
    /// `/replicas/0/token`, in an array
    ReplicaToken,
}

/// One secret that the database mentions.
#[derive(Clone, Debug)]
pub struct Planted {
    /// The version that is mentioned; lower ones were superseded.
    pub coordinate: Coordinate,
    /// Where in the configuration.
    pub field: Field,
    /// The row of `actor`.
    pub connector: Uuid,
    /// The connector's workspace, which is the owner in the coordinate.
    pub workspace: Uuid,
    /// Whether the connector is removed.
    pub tombstone: bool,
    /// Whether `secret_config` and `secret_reference` have rows for it, as newer releases write.
    pub has_rows: bool,
}

impl Field {
    /// Every field, in the order of [`Deployment::secrets`].
    pub const ALL: [Self; 4] = [
        Self::Password,
        Self::TunnelKey,
        Self::ClientSecret,
        Self::ReplicaToken,
    ];

    /// Where it is in a configuration.
    pub fn pointer(self) -> &'static str {
        match self {
            Self::Password => "/password",
            Self::TunnelKey => "/tunnel/key",
            Self::ClientSecret => "/credentials/client_secret",
            Self::ReplicaToken => "/replicas/0/token",
        }
    }
}

impl Deployment {
    /// How many connectors share a workspace.
    pub const CONNECTORS_OF_A_WORKSPACE: u32 = 20;

    /// A deployment of `connectors` connectors with four secrets each.
    pub fn new(connectors: u32, seed: u64) -> Self {
        Self { connectors, seed }
    }

    /// How many connectors it has.
    pub fn connectors(&self) -> u32 {
        self.connectors
    }

    /// Everything that makes the database: the schema, then the rows in the order of their keys.
    /// Each item is a few megabytes at most: one statement or several, each with its semicolon.
    pub fn statements(&self) -> impl Iterator<Item = String> + '_ {
        schema::STATEMENTS
            .iter()
            .map(|statement| (*statement).to_owned())
            .chain(rows::statements(self))
    }

    /// The workspaces, removed ones included: whoever's id may stand in a coordinate.
    pub fn workspaces(&self) -> impl Iterator<Item = Uuid> + '_ {
        (0..self.workspace_count()).map(|index| self.workspace_at(index))
    }

    /// The organisation that all workspaces belong to.
    pub fn organization(&self) -> Uuid {
        uuid(self.seed, Kind::Organization, 0)
    }

    /// Every secret that a connector mentions, connector by connector.
    pub fn secrets(&self) -> impl Iterator<Item = Planted> + '_ {
        (0..self.connectors)
            .flat_map(move |connector| Field::ALL.map(|field| self.planted(connector, field)))
    }

    /// One secret of the `connector`th connector.
    pub fn planted(&self, connector: u32, field: Field) -> Planted {
        let workspace = self.workspace_of(connector);
        let place = self.place(connector, field);
        let version = 1 + number(self.seed, Kind::Version, place) % 3;
        let coordinate = Grammar::default().managed(
            Scope::Workspace,
            workspace,
            uuid(self.seed, Kind::Secret, place),
            i64::try_from(version)
                .ok()
                .and_then(Version::new)
                .unwrap_or(Version::FIRST),
        );
        Planted {
            coordinate,
            field,
            connector: self.connector(connector),
            workspace,
            tombstone: Self::is_tombstone(connector),
            has_rows: Self::has_rows(connector),
        }
    }

    /// The row of the `index`th connector.
    pub fn connector(&self, index: u32) -> Uuid {
        uuid(self.seed, Kind::Connector, index.into())
    }

    /// The connectors that hold a secret in clear, where Airbyte's own walk does not look.
    pub fn in_clear(&self) -> BTreeSet<Uuid> {
        self.every(plant::is_in_clear)
    }

    /// The pointer of what they hold in clear.
    pub fn pointer_in_clear(&self) -> &'static str {
        plant::POINTER_IN_CLEAR
    }

    /// The connectors with a node whose `_secret_reference_id` leads nowhere.
    pub fn with_lost_references(&self) -> BTreeSet<Uuid> {
        self.every(plant::has_lost_reference)
    }

    /// A secret that has rows in `secret_config` and nothing that refers to them, for every hundred
    /// connectors: the index alone lists it.
    pub fn only_in_the_index(&self) -> impl Iterator<Item = Coordinate> + '_ {
        (0..self.connectors.div_ceil(100)).map(|index| {
            Grammar::default().managed(
                Scope::Workspace,
                self.workspace_of(index * 100),
                uuid(self.seed, Kind::Unused, index.into()),
                Version::FIRST,
            )
        })
    }

    fn every(&self, chosen: fn(u32) -> bool) -> BTreeSet<Uuid> {
        (0..self.connectors)
            .filter(|index| chosen(*index))
            .map(|index| self.connector(index))
            .collect()
    }

    fn workspace_count(&self) -> u32 {
        self.connectors.div_ceil(Self::CONNECTORS_OF_A_WORKSPACE)
    }

    fn workspace_at(&self, index: u32) -> Uuid {
        uuid(self.seed, Kind::Workspace, index.into())
    }

    fn workspace_of(&self, connector: u32) -> Uuid {
        self.workspace_at(connector / Self::CONNECTORS_OF_A_WORKSPACE)
    }

    fn reference(&self, connector: u32, field: Field) -> Uuid {
        uuid(self.seed, Kind::Reference, self.place(connector, field))
    }

    fn config(&self, connector: u32, field: Field) -> Uuid {
        uuid(self.seed, Kind::Config, self.place(connector, field))
    }

    #[expect(clippy::unused_self, reason = "read as a question to the deployment")]
    fn place(&self, connector: u32, field: Field) -> u64 {
        u64::from(connector) * 4 + field as u64
    }

    fn is_tombstone(connector: u32) -> bool {
        connector % 50 == 49
    }

    /// Older releases wrote the coordinate into the configuration and nowhere else.
    fn has_rows(connector: u32) -> bool {
        connector % 10 != 3
    }
}
