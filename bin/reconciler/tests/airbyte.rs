//! `report` of the real program on a real PostgreSQL with Airbyte's tables and a real manager: what was
//! planted comes out in exact counts, whatever is in the way is told, and nothing is read or changed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(unreachable_pub, reason = "each file is a module of this program")]

#[path = "http/browser.rs"]
mod browser;
#[path = "airbyte/cleaning.rs"]
mod cleaning;
mod common;
#[path = "airbyte/database.rs"]
mod database;
#[path = "airbyte/managers.rs"]
mod managers;
#[path = "airbyte/pass.rs"]
mod pass;
#[path = "airbyte/planted.rs"]
mod planted;
#[path = "airbyte/reports.rs"]
mod reports;

use std::process::ExitCode;

use cloakroom_testkit::conformance::{run, skipped};
use libtest_mimic::Trial;

use managers::Kind;

type Law = fn(Kind);

fn main() -> ExitCode {
    let laws: [(&str, Kind, Law); 7] = [
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
    let variables = [database::URL].into_iter().chain(kind.variables());
    for variable in variables {
        if std::env::var_os(variable).is_none() {
            return Some(format!("{variable} is not set; cargo xtask test sets it"));
        }
    }
    let needs_browser = name.ends_with("phone") && browser::program().is_none();
    needs_browser.then(|| "the browser chromium (Debian package chromium) is not installed".into())
}
