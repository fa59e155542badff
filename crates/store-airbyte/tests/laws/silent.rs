//! A server that falls silent holds nobody up for ever.

use cloakroom_store_airbyte::AirbyteSource;
use cloakroom_testkit::airbyte::Deployment;
use cloakroom_testkit::silent::platform::{IMPATIENCE, every_question_ends};

use crate::support::{Bench, coordinate, options};

pub(crate) async fn a_server_that_falls_silent(bench: Bench) {
    bench.fill(&Deployment::new(3, 4)).await;
    every_question_ends(&bench.url(), &coordinate(1), |url| {
        let mut options = options(url);
        options.connect_timeout = IMPATIENCE;
        options.statement_timeout = IMPATIENCE;
        Box::new(AirbyteSource::new(options).unwrap())
    })
    .await;
}
