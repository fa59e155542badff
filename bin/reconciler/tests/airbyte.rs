//! `report` of the real program on a real PostgreSQL with Airbyte's tables and a real manager: what was
//! planted comes out in exact counts, whatever is in the way is told, and nothing is read or changed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(unreachable_pub, reason = "each file is a module of this program")]

#[allow(dead_code, reason = "it is the tests' of the service")]
#[path = "http/asking.rs"]
mod asking;
#[path = "http/browser.rs"]
mod browser;
#[path = "airbyte/by_hand.rs"]
mod by_hand;
#[path = "airbyte/cleaning.rs"]
mod cleaning;
#[path = "airbyte/cleaning_beside.rs"]
mod cleaning_beside;
mod common;
#[path = "airbyte/database.rs"]
mod database;
#[path = "airbyte/killed.rs"]
mod killed;
#[path = "airbyte/managers.rs"]
mod managers;
#[path = "airbyte/moving.rs"]
mod moving;
#[path = "airbyte/pass.rs"]
mod pass;
#[path = "airbyte/planted.rs"]
mod planted;
#[path = "airbyte/policy.rs"]
mod policy;
#[path = "airbyte/reports.rs"]
mod reports;
#[path = "airbyte/serving.rs"]
mod serving;

use std::process::ExitCode;

use cloakroom_testkit::conformance::{run, skipped};
use libtest_mimic::Trial;

use managers::Kind;

type Law = fn(Kind);

fn main() -> ExitCode {
    let laws: [(&str, Kind, Law); 16] = [
        (
            "aws::planted_leaks_are_counted",
            Kind::Aws,
            reports::planted_leaks_are_counted,
        ),
        (
            "openbao::planted_leaks_are_counted",
            Kind::OpenBao,
            reports::planted_leaks_are_counted,
        ),
        (
            "aws::a_pass_takes_its_pages_and_one_in_a_hundred_more",
            Kind::Aws,
            pass::takes_its_pages_and_one_in_a_hundred_more,
        ),
        (
            "aws::what_was_left_behind_goes_once_and_comes_back",
            Kind::Aws,
            cleaning::what_was_left_behind_goes_once_and_comes_back,
        ),
        (
            "openbao::what_was_left_behind_goes_once_and_comes_back",
            Kind::OpenBao,
            cleaning::what_was_left_behind_goes_once_and_comes_back,
        ),
        (
            "aws::what_is_confirmed_is_cleaned_once_by_two_replicas",
            Kind::Aws,
            serving::what_is_confirmed_is_cleaned_once_by_two_replicas,
        ),
        (
            "openbao::what_is_confirmed_is_cleaned_once_by_two_replicas",
            Kind::OpenBao,
            serving::what_is_confirmed_is_cleaned_once_by_two_replicas,
        ),
        (
            "openbao::whoever_bears_the_token_cleans_a_platform",
            Kind::OpenBao,
            by_hand::whoever_bears_the_token_cleans_a_platform,
        ),
        (
            "openbao::what_another_platform_mentions_stays",
            Kind::OpenBao,
            cleaning_beside::what_another_platform_mentions_stays,
        ),
        (
            "aws::who_was_killed_is_followed_at_once",
            Kind::Aws,
            killed::who_was_killed_is_followed_at_once,
        ),
        (
            "aws::the_published_policy_is_enough_and_no_more",
            Kind::Aws,
            policy::is_enough_and_no_more,
        ),
        (
            "aws::a_platform_moves_to_another_manager_and_back",
            Kind::Aws,
            moving::a_platform_moves_to_another_manager_and_back,
        ),
        (
            "openbao::a_platform_moves_to_another_manager_and_back",
            Kind::OpenBao,
            moving::a_platform_moves_to_another_manager_and_back,
        ),
        (
            "aws::two_names_of_one_manager_let_nothing_go",
            Kind::Aws,
            moving::two_names_of_one_manager_let_nothing_go,
        ),
        (
            "aws::what_is_in_the_way_is_told",
            Kind::Aws,
            reports::what_is_in_the_way_is_told,
        ),
        ("aws::the_page_on_a_phone", Kind::Aws, reports::on_a_phone),
    ];
    let trial = |(name, kind, law): (&'static str, Kind, Law)| match missing(kind, name) {
        None => Trial::test(name, move || {
            law(kind);
            Ok(())
        }),
        Some(reason) => skipped(name, &reason),
    };
    run(laws.into_iter().map(trial).collect())
}

/// What a trial has to do without.
fn missing(kind: Kind, name: &str) -> Option<String> {
    let kinds = if name.ends_with("and_back") {
        vec![Kind::Aws, Kind::OpenBao]
    } else {
        vec![kind]
    };
    let variables = kinds.into_iter().flat_map(Kind::variables);
    let cleaner = name.contains("policy").then_some(managers::CLEANER);
    let variables = variables.chain(cleaner);
    let variables = [database::URL].into_iter().chain(variables);
    for variable in variables {
        if std::env::var_os(variable).is_none() {
            return Some(format!("{variable} is not set; cargo xtask test sets it"));
        }
    }
    let needs_browser = name.ends_with("phone") && browser::program().is_none();
    needs_browser.then(|| "the browser chromium (Debian package chromium) is not installed".into())
}
