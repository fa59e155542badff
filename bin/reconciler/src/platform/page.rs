//! A report as a page of its own: one file, no script, readable on a phone.

use askama::Template;
use cloakroom_core::platform::Obstacle;
use cloakroom_reconcile::PlatformReport;

use super::shown::shown;
use super::view::{self, FindingLine, OwnerLine, SecretLine, UnusedLine};
use crate::listing::moment;

const STYLE: &str = concat!(
    include_str!("../../templates/style.css"),
    include_str!("../../templates/report.css")
);

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    style: &'static str,
    version: &'static str,
    platform: &'a str,
    place: &'a str,
    backend: &'a str,
    manager: &'a str,
    at: String,
    scope: String,
    level: &'static str,
    verdict: String,
    obstacles: &'a [Obstacle],
    left_out: Option<String>,
    notes: Vec<String>,
    now: String,
    leaked: String,
    after: String,
    secrets: Vec<SecretLine>,
    ages: Vec<(&'static str, u64)>,
    owners: Vec<OwnerLine>,
    more_owners: bool,
    findings: Vec<FindingLine>,
    unused: Vec<UnusedLine>,
    next: Vec<String>,
}

/// The report as HTML.
pub fn html(report: &PlatformReport) -> anyhow::Result<String> {
    let report = &shown(report);
    let page = Page {
        style: STYLE,
        version: env!("CARGO_PKG_VERSION"),
        platform: &report.platform,
        place: &report.database.place,
        backend: report.backend.as_str(),
        manager: &report.manager,
        at: moment(report.started),
        scope: view::scope(report),
        level: level(report),
        verdict: view::verdict(report),
        obstacles: &report.obstacles,
        left_out: view::left_out(report),
        notes: [view::kept_by_history(report), view::elsewhere(report)].concat(),
        now: view::dollars(report.cost.now),
        leaked: view::dollars(report.cost.leaked),
        after: view::dollars(report.cost.after),
        secrets: view::secrets(report),
        ages: view::ages(report),
        owners: view::owners(report),
        more_owners: report.more_owners,
        findings: view::findings(report),
        unused: view::unused(report),
        next: view::next(report),
    };
    Ok(page.render()?)
}

fn level(report: &PlatformReport) -> &'static str {
    if !report.is_complete() {
        "bad"
    } else if report.has_findings() {
        "warn"
    } else {
        "good"
    }
}
