//! What only this backend promises, check by check, each in a namespace of its own.

use std::pin::Pin;

use cloakroom_core::Result;
use cloakroom_testkit::conformance;
use libtest_mimic::Trial;

use crate::cluster::{Cluster, Place};

pub(crate) type Outcome<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// A name and what has to hold.
pub(crate) type Check = (&'static str, for<'a> fn(&'a Place) -> Outcome<'a>);

/// Names checks after their functions.
macro_rules! checks {
    ($module:literal: $($function:ident,)+) => {
        &[$((concat!($module, "::", stringify!($function)), |place| Box::pin($function(place)))),+]
    };
}
pub(crate) use checks;

pub(crate) fn trials(cluster: &Cluster, checks: &[Check]) -> Vec<Trial> {
    let trial = |(name, check): &Check| {
        let (cluster, check) = (cluster.clone(), *check);
        Trial::test(*name, move || Ok(hold(&cluster, check)?))
    };
    checks.iter().map(trial).collect()
}

pub(crate) fn absent(checks: &[Check], reason: &str) -> Vec<Trial> {
    let skipped = |(name, _): &Check| conformance::skipped(name, reason);
    checks.iter().map(skipped).collect()
}

pub(crate) fn hold(
    cluster: &Cluster,
    check: for<'a> fn(&'a Place) -> Outcome<'a>,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let outcome = async { check(&cluster.place().await?).await };
        outcome.await.map_err(|error| format!("{error}: {error:?}"))
    })
}
