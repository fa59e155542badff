//! What the laws of this backend have in common.

use std::sync::Arc;

use cloakroom_backends_azure::AzureBackend;
use cloakroom_core::{Coordinate, Result, SecretBackend as _};
use cloakroom_testkit::ManualClock;
use libtest_mimic::Failed;

use crate::double::{CLIENT_SECRET, Double};
use crate::meeting::request;
use crate::{backend, settings};

pub(crate) type Verdict = Result<(), Failed>;

/// Laws as trials, under the name of what they are about.
macro_rules! trials {
    ($about:literal: $($law:ident),+ $(,)?) => {
        vec![$(::libtest_mimic::Trial::test(
            concat!("azure::", $about, "::", stringify!($law)),
            || $crate::scene::run($law()),
        )),+]
    };
}
pub(crate) use trials;

/// A vault and one client of it.
pub(crate) struct Scene {
    pub(crate) double: Double,
    pub(crate) backend: Arc<AzureBackend>,
    pub(crate) coordinate: Coordinate,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let double = Double::start(ManualClock::default()).await;
        let backend = backend(settings(&double, "own", CLIENT_SECRET));
        let coordinate = coordinate("airbyte_own_v1");
        Self {
            double,
            backend,
            coordinate,
        }
    }

    pub(crate) async fn with_secret() -> Result<Self> {
        let scene = Self::new().await;
        scene
            .backend
            .put(&request(&scene.coordinate, "value"))
            .await?;
        scene.double.take_log();
        Ok(scene)
    }
}

pub(crate) fn coordinate(text: &str) -> Coordinate {
    Coordinate::from_stored(text).unwrap()
}

pub(crate) fn run(law: impl Future<Output = Verdict>) -> Verdict {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(law)
}
