//! `report`, `adopt`, `clean` and `undo` of the real program on a real PostgreSQL, MariaDB and MySQL
//! with OpenMetadata's tables, and real managers: nothing in use is touched, and what was left behind goes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(unreachable_pub, reason = "each file is a module of this program")]

#[path = "openmetadata/cleaning.rs"]
mod cleaning;
mod common;
#[allow(dead_code, reason = "the tests of what writes use the rest of it")]
#[path = "openmetadata/database.rs"]
mod database;
#[path = "openmetadata/managers.rs"]
mod managers;
#[path = "openmetadata/obstacles.rs"]
mod obstacles;
#[path = "openmetadata/policy.rs"]
mod policy;
#[path = "openmetadata/stage.rs"]
mod stage;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

use cloakroom_testkit::conformance::{run, skipped};
use libtest_mimic::Trial;

use database::Server;
use managers::Kind;
use stage::Stage;

type Law = fn(Stage) -> Pin<Box<dyn Future<Output = ()>>>;

/// A law, the manager it is about, and a region, project or namespace of its own for each server.
type Case = (&'static str, Kind, [&'static str; 2], Law);

fn main() -> ExitCode {
    let cases: [Case; 12] = [
        (
            "aws::what_was_left_behind_goes_and_nothing_else",
            Kind::Aws,
            ["eu-north-1", "eu-west-3"],
            |stage| Box::pin(cleaning::what_was_left_behind_goes_and_nothing_else(stage)),
        ),
        (
            "ssm::what_was_left_behind_goes_and_nothing_else",
            Kind::Ssm,
            ["eu-north-1", "eu-west-3"],
            |stage| Box::pin(cleaning::what_was_left_behind_goes_and_nothing_else(stage)),
        ),
        (
            "ssm::what_may_be_another_deployments_stays",
            Kind::Ssm,
            ["ca-central-1", "sa-east-1"],
            |stage| Box::pin(cleaning::what_may_be_another_deployments_stays(stage)),
        ),
        (
            "google::what_was_left_behind_goes_and_nothing_else",
            Kind::Google,
            ["left-behind-postgres", "left-behind-mariadb"],
            |stage| Box::pin(cleaning::what_was_left_behind_goes_and_nothing_else(stage)),
        ),
        (
            "google::a_tag_that_openmetadata_does_not_write_keeps_a_secret",
            Kind::Google,
            ["labelled-postgres", "labelled-mariadb"],
            |stage| {
                Box::pin(cleaning::a_tag_that_openmetadata_does_not_write_keeps_a_secret(stage))
            },
        ),
        (
            "kubernetes::what_was_left_behind_goes_and_nothing_else",
            Kind::Kubernetes,
            ["left-behind-postgres", "left-behind-mariadb"],
            |stage| Box::pin(cleaning::what_was_left_behind_goes_and_nothing_else(stage)),
        ),
        (
            "kubernetes::labels_tell_whose_a_secret_is",
            Kind::Kubernetes,
            ["labels-postgres", "labels-mariadb"],
            |stage| Box::pin(cleaning::labels_tell_whose_a_secret_is(stage)),
        ),
        (
            "aws::a_tag_that_openmetadata_does_not_write_keeps_a_secret",
            Kind::Aws,
            ["me-central-1", "ap-south-2"],
            |stage| {
                Box::pin(cleaning::a_tag_that_openmetadata_does_not_write_keeps_a_secret(stage))
            },
        ),
        (
            "ssm::a_tag_that_no_listing_tells_keeps_a_secret",
            Kind::Ssm,
            ["me-central-1", "ap-south-2"],
            |stage| Box::pin(cleaning::a_tag_that_no_listing_tells_keeps_a_secret(stage)),
        ),
        (
            "aws::what_may_be_restored_gets_its_secrets_back",
            Kind::Aws,
            ["ap-south-1", "ap-southeast-1"],
            |stage| Box::pin(cleaning::what_may_be_restored_gets_its_secrets_back(stage)),
        ),
        (
            "aws::what_may_have_been_missed_stops_everything",
            Kind::Aws,
            ["ca-central-1", "sa-east-1"],
            |stage| Box::pin(obstacles::what_may_have_been_missed_stops_everything(stage)),
        ),
        (
            "aws::what_users_make_is_never_deleted",
            Kind::Aws,
            ["us-west-1", "us-east-2"],
            |stage| Box::pin(obstacles::what_users_make_is_never_deleted(stage)),
        ),
    ];
    let mut trials = Vec::new();
    for (law, kind, regions, obey) in cases {
        for (server, region) in Server::ALL.into_iter().zip(regions) {
            trials.push(trial(
                &format!("{}::{law}", server.name()),
                server,
                kind,
                region,
                obey,
            ));
        }
    }
    trials.push(trial(
        "mysql::aws::what_was_left_behind_goes_and_nothing_else",
        Server::MySql,
        Kind::Aws,
        "us-west-2",
        |stage| Box::pin(cleaning::what_was_left_behind_goes_and_nothing_else(stage)),
    ));
    trials.push(trial(
        "mysql::ssm::what_may_be_another_deployments_stays",
        Server::MySql,
        Kind::Ssm,
        "us-west-2",
        |stage| Box::pin(cleaning::what_may_be_another_deployments_stays(stage)),
    ));
    trials.push(trial(
        "postgres::aws::a_foreign_tag_keeps_a_secret",
        Server::Postgres,
        Kind::Aws,
        "ap-northeast-1",
        |stage| Box::pin(cleaning::a_foreign_tag_keeps_a_secret(stage)),
    ));
    for (law, kind) in [("aws", Kind::Aws), ("ssm", Kind::Ssm)] {
        trials.push(trial(
            &format!("postgres::{law}::the_published_policies_are_enough_and_no_more"),
            Server::Postgres,
            kind,
            "ap-southeast-2",
            |stage| Box::pin(policy::each_is_enough_and_no_more(stage)),
        ));
    }
    run(trials)
}

fn trial(name: &str, server: Server, kind: Kind, region: &'static str, law: Law) -> Trial {
    let cleaner = name.contains("policies").then_some(managers::CLEANER);
    let needed = kind.variables().iter().copied();
    let mut needed = needed.chain([server.variable()]).chain(cleaner);
    if let Some(variable) = needed.find(|it| std::env::var_os(it).is_none()) {
        return skipped(
            name,
            &format!("{variable} is not set; cargo xtask test sets it"),
        );
    }
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(async { law(Stage::new(server, kind, region).await).await });
        Ok(())
    })
}
