//! How else an id can be read: as one of another deployment's on the same manager, whose prefix and cluster name
//! together are shorter or longer than ours.
//!
//! What stands between two separators is a level. A deployment's ids have its prefix and cluster name, then a word
//! that a base begins with, then a name, then the properties on the way to a field; any of these may have several
//! levels.

use crate::ids::{Ids, SERVER_CONNECTION, is_known};

/// Properties that lead to a secret field, as ids write them: neither a type of services nor what anybody calls a
/// service. One that is missing here keeps a secret for nothing.
const PROPERTIES: &[&str] = &[
    "auth",
    "authconfig",
    "authentication",
    "authmechanism",
    "authtype",
    "awsconfig",
    "awscredentials",
    "azureconfig",
    "azurecredentials",
    "brokerconfig",
    "certificates",
    "config",
    "configsource",
    "connection",
    "connectionarguments",
    "connectionoptions",
    "consumerconfigssl",
    "credentials",
    "databaseconnection",
    "dbtconfigsource",
    "dbtprefixconfig",
    "dbtsecurityconfig",
    "gcpconfig",
    "gcpcredentials",
    "gcsconfig",
    "gitcredentials",
    "kafkaconnectconfig",
    "metastoreconnection",
    "nificonfig",
    "openapischemaconnection",
    "packageconnection",
    "pbitfilessource",
    "request",
    "sampledatastorageconfig",
    "schemaregistryssl",
    "securityconfig",
    "sourceconfig",
    "sslconfig",
    "storageconfig",
    "tlsconfig",
];

/// Properties that somebody may call a service, too, each with the one that follows it on the way to a secret field.
const PROPERTIES_BEFORE: &[(&str, &str)] = &[("catalog", "connection"), ("filesystem", "type")];

/// Ways to secret fields that have a word which is a type of services, too.
const WAYS: &[[&str; 3]] = &[["authconfig", "security", "keystorepassword"]];

impl Ids {
    /// Whether an id of this deployment's may as well be another one's, whose prefix and cluster name together
    /// begin as this one's do or this one's as that one's: of prefix `prod` and cluster `search` beside cluster
    /// `prod`. That may be of a newer release and have types of services that are not known here, but none that
    /// is called like a part of this one's own prefix or cluster name.
    ///
    /// ```
    /// use cloakroom_store_openmetadata::{Ids, Manager, Naming};
    ///
    /// let ids = Ids::new(Naming {
    ///     prefix: String::new(),
    ///     cluster: "prod".into(),
    ///     manager: Manager::Aws,
    /// })?;
    /// assert!(!ids.may_be_anothers("/prod/search/elastic/authtype/password"));
    /// assert!(ids.may_be_anothers("/prod/search/eu/database/x/authtype/password"));
    /// assert!(ids.may_be_anothers("/prod/search/unheard-of/x/password"));
    /// # Ok::<(), cloakroom_core::Error>(())
    /// ```
    pub fn may_be_anothers(&self, id: &str) -> bool {
        let manager = self.naming().manager;
        let Some(behind) = id.strip_prefix(self.head()) else {
            return false;
        };
        // Where runs of separators are one, a name may leave nothing behind.
        let fewest = if manager.cut().is_some() { 1 } else { 2 };
        let behind: Vec<&str> = behind.split(manager.separator()).collect();
        let head = self.head().trim_matches(manager.separator());
        let mut further = head.split(manager.separator()).skip(1);
        further.any(is_known) || is_within(&behind, fewest)
    }
}

/// Whether what stands behind our prefix and cluster name may begin with the rest of a longer one. A word that is
/// known has as many levels behind it as `fewest`.
fn is_within(levels: &[&str], fewest: usize) -> bool {
    (1..levels.len()).any(|at| {
        let behind = levels.len() - at - 1;
        match levels[at] {
            SERVER_CONNECTION => behind >= 1,
            word if is_known(word) => behind >= fewest && !is_end_of_a_way(levels, at),
            _ => behind >= 2 && !is_property(levels, at) && !is_property(levels, at + 1),
        }
    })
}

/// Whether this level is within a way to a secret field that ends there.
fn is_end_of_a_way(levels: &[&str], at: usize) -> bool {
    let way = levels.get(at - 1..).unwrap_or_default();
    WAYS.iter().any(|it| it == way)
}

/// Whether this level leads to a secret field.
fn is_property(levels: &[&str], at: usize) -> bool {
    let next = levels.get(at + 1);
    let is_before =
        |(property, follows): &(&str, &str)| levels[at] == *property && next == Some(follows);
    PROPERTIES.contains(&levels[at]) || PROPERTIES_BEFORE.iter().any(is_before)
}
