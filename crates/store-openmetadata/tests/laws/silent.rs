//! A server that falls silent holds nobody up for ever.

use cloakroom_store_openmetadata::OpenMetadataSource;
use cloakroom_testkit::openmetadata::Deployment;
use cloakroom_testkit::silent::platform::{IMPATIENCE, every_question_ends};

use crate::support::{Bench, id, naming, options_at};

pub(crate) async fn a_server_that_falls_silent(bench: Bench) {
    bench.fill(&Deployment::new(3, naming())).await;
    every_question_ends(&bench.url(), &id(1), |url| {
        let mut options = options_at(url);
        options.connect_timeout = IMPATIENCE;
        options.statement_timeout = IMPATIENCE;
        Box::new(OpenMetadataSource::new(options).unwrap())
    })
    .await;
}
