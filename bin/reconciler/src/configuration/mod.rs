//! The configuration: a YAML file, overrides from the environment, secrets by reference.

mod addresses;
mod apart;
mod backends;
mod check;
mod cron;
mod doubts;
mod duration;
mod entangled;
mod environment;
mod listening;
mod load;
mod node;
mod one_manager;
mod paths;
mod platforms;
mod print;
mod reader;
mod schema;
mod secret_reference;
mod sections;
mod variables;
mod withheld;
mod yaml;

pub(crate) use apart::{share_ids, told_apart};
pub use backends::{
    AppRole, Aws, AwsKeys, AwsLogin, Azure, AzureLogin, Backend, Embedded, Gcp, GcpLogin,
    Kubernetes, KubernetesLogin, PublishedRates, Vault, VaultLogin,
};
pub use cron::CronLine;
pub use duration::Span;
pub(crate) use duration::parse as parse_duration;
pub(crate) use environment::is_override;
pub use listening::listening;
pub use load::{Loaded, load};
pub use paths::key_of;
pub use platforms::{Airbyte, OpenMetadata, Platform, ProviderName};
pub use print::print;
pub use schema::schema;
pub use secret_reference::{SecretReference, without_line_end};
pub use sections::{
    Configuration, CoordinateScope, Deployment, Documents, Failures, Guards, Http, Jobs, Log,
    LogFormat, Postgres, Reconcile, Request, Schedule, Shutdown, Sqlite, Store, Windows,
};

/// The known word nearest to `word`, if one is near enough to have been meant.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &str| strsim::damerau_levenshtein(&word.to_lowercase(), known);
    let near = known.map(|known| (likeness(known), known)).min()?;
    let tolerated = (near.1.len() / 3).max(2);
    (near.0 <= tolerated).then_some(near.1)
}
