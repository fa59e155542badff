//! A report as lines of text, the same for a terminal and for a page.

use std::time::Duration;

use cloakroom_core::platform::{OwnerTally, Standing};
use cloakroom_reconcile::{Age, PlatformFindingKind, PlatformReport};

use super::words;
use crate::listing::moment;
use crate::output::count;

/// A row of secrets.
pub(super) struct SecretLine {
    pub(super) title: &'static str,
    pub(super) meaning: String,
    pub(super) number: u64,
    /// Of these, how many wait for their deletion.
    pub(super) waiting: u64,
    pub(super) dollars: String,
    pub(super) leaked: bool,
}

/// A row about an owner.
pub(super) struct OwnerLine {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) in_use: u64,
    pub(super) leaked: u64,
    pub(super) others: u64,
}

/// A kind of what is amiss.
pub(super) struct FindingLine {
    pub(super) title: &'static str,
    pub(super) meaning: &'static str,
    pub(super) number: u64,
    pub(super) examples: Vec<ExampleLine>,
}

/// One thing amiss.
pub(super) struct ExampleLine {
    pub(super) place: String,
    pub(super) what: String,
}

/// An unused secret.
pub(super) struct UnusedLine {
    pub(super) title: &'static str,
    pub(super) name: String,
    pub(super) changed: String,
    pub(super) unused_since: String,
}

pub(super) fn secrets(report: &PlatformReport) -> Vec<SecretLine> {
    let counts = report.secrets.iter();
    let of_a_check = Duration::from_secs(report.ephemeral_seconds);
    counts
        .map(|(&standing, count)| {
            let price = count.paid() as f64 * report.cost.per_secret;
            SecretLine {
                title: words::of_standing(standing).title,
                meaning: words::meaning(standing, of_a_check),
                number: count.total(),
                waiting: count.waiting,
                dollars: dollars(if standing.is_the_platforms() {
                    price
                } else {
                    0.0
                }),
                leaked: standing.is_leaked(),
            }
        })
        .collect()
}

pub(super) fn ages(report: &PlatformReport) -> Vec<(&'static str, u64)> {
    let of = |age: Age| Some((words::of_age(age), *report.leaked_by_age.get(&age)?));
    Age::ALL.into_iter().filter_map(of).collect()
}

pub(super) fn owners(report: &PlatformReport) -> Vec<OwnerLine> {
    report.owners.iter().map(owner).collect()
}

fn owner(tally: &OwnerTally) -> OwnerLine {
    let name = match (&tally.title, tally.owner, tally.removed) {
        (_, None, _) => "names that tell no owner".to_owned(),
        (_, Some(id), _) if id.is_nil() => "checks and discovers".to_owned(),
        (_, Some(_), None) => "not in this database".to_owned(),
        (title, Some(id), Some(removed)) => {
            let title = title.clone().unwrap_or_else(|| id.to_string());
            let removed = if removed { " (removed)" } else { "" };
            format!("{title}{removed}")
        }
    };
    let in_use = tally
        .standings
        .get(&Standing::InUse)
        .copied()
        .unwrap_or_default();
    OwnerLine {
        name,
        id: tally.owner.map(|id| id.to_string()).unwrap_or_default(),
        in_use,
        leaked: tally.leaked(),
        others: tally.total() - in_use - tally.leaked(),
    }
}

pub(super) fn findings(report: &PlatformReport) -> Vec<FindingLine> {
    let kinds = PlatformFindingKind::ALL.into_iter();
    kinds.filter_map(|kind| finding(report, kind)).collect()
}

fn finding(report: &PlatformReport, kind: PlatformFindingKind) -> Option<FindingLine> {
    let number = *report.findings.get(&kind).filter(|it| **it > 0)?;
    let word = words::of_finding(kind);
    let examples = report.examples.iter().filter(|it| it.kind == kind);
    let examples = examples.map(|it| {
        let places = [
            it.title.clone(),
            it.row.map(|id| id.to_string()),
            it.column.clone(),
            it.pointer.clone(),
        ];
        let places: Vec<String> = places.into_iter().flatten().collect();
        ExampleLine {
            place: places.join(", "),
            what: match &it.name {
                // What is to be done depends on what it is about to come to, and on who made it.
                Some(name) if kind == PlatformFindingKind::Endangered => {
                    format!("{name}: {}", it.detail)
                }
                Some(name) => name.clone(),
                None => it.detail.clone(),
            },
        }
    });
    Some(FindingLine {
        title: word.title,
        meaning: word.meaning,
        number,
        examples: examples.collect(),
    })
}

pub(super) fn unused(report: &PlatformReport) -> Vec<UnusedLine> {
    let told = |at: Option<cloakroom_core::Timestamp>| at.map_or_else(|| "-".to_owned(), moment);
    let lines = report.unused.iter().map(|it| UnusedLine {
        title: words::of_standing(it.standing).title,
        name: it.name.clone(),
        changed: told(it.changed),
        unused_since: told(it.unused_since),
    });
    lines.collect()
}

/// What the report comes to, in a sentence.
pub(super) fn verdict(report: &PlatformReport) -> String {
    if !report.is_complete() {
        return "Not everything could be seen: no deletions would be made on this report's word, and what it \
                calls leaked may be in use."
            .to_owned();
    }
    let leaked = report.leaked();
    let amiss: u64 = report.findings.values().sum();
    match (leaked, amiss) {
        (0, 0) => "Nothing is leaked and nothing is amiss.".to_owned(),
        (0, _) => format!("Nothing is leaked; {} amiss.", things(amiss)),
        (_, 0) => format!("{} leaked; nothing else is amiss.", secrets_are(leaked)),
        _ => format!(
            "{} leaked, and {} amiss.",
            secrets_are(leaked),
            things(amiss)
        ),
    }
}

fn secrets_are(number: u64) -> String {
    count(number, "secret is", "secrets are")
}

fn things(number: u64) -> String {
    count(number, "thing is", "things are")
}

/// What a clean-up would do now, a line each.
pub(super) fn next(report: &PlatformReport) -> Vec<String> {
    let next = &report.next;
    let mut lines = Vec::new();
    if report.is_complete() {
        let due = count(next.due, "secret", "secrets");
        lines.push(format!("{due} could go now"));
    } else {
        lines.push("nothing could go: see what is in the way".to_owned());
    }
    let mut say = |number: u64, what: &str| {
        if number > 0 {
            lines.push(format!("{number} {what}"));
        }
    };
    say(
        next.second_sighting,
        "have been seen unused only once, or twice too soon after each other: report again later",
    );
    say(
        next.within_grace,
        "were changed too lately, or at a time that is not known",
    );
    say(
        next.put_off,
        &format!("could not be brought back: {}", words::put_off(next)),
    );
    say(
        next.left,
        "are never deleted by a run: the manager would not set their names free",
    );
    say(next.waiting, "wait for their deletion already");
    lines
}

/// What was gone through.
pub(super) fn scope(report: &PlatformReport) -> String {
    format!(
        "{} listed on {}; {} in {} read; {} asked for directly",
        count(report.listed, "secret", "secrets"),
        count(report.pages, "page", "pages"),
        count(report.scan.rows, "row", "rows"),
        count(report.scan.tables, "table", "tables"),
        count(report.asked, "name", "names"),
    )
}

/// What only places without a known meaning keep, a line for each set of tables.
pub(super) fn kept_by_history(report: &PlatformReport) -> Vec<String> {
    let kept = report.kept_by_history.iter();
    kept.map(|(tables, number)| {
        let price = dollars(*number as f64 * report.cost.per_secret);
        let secrets = count(*number, "secret is", "secrets are");
        let known = &report.scan.history;
        let is_history = tables.split(", ").all(|it| known.iter().any(|known| known == it));
        let advice = if is_history {
            "list that under `leave_out` if its history need not be run again"
        } else {
            "what that means is not known, so leave it in unless you know that nothing in it is in use"
        };
        format!("{secrets} kept by nothing but {tables} (${price} a month): {advice}")
    })
    .collect()
}

/// What this report is not about, a line for each storage.
pub(super) fn elsewhere(report: &PlatformReport) -> Vec<String> {
    let elsewhere = report.elsewhere.iter();
    elsewhere
        .map(|(storage, number)| {
            let places = count(*number, "place mentions", "places mention");
            format!(
                "{places} a secret of storage {storage}, of which nothing is said here: a platform with \
                 `storage: {storage}` and that manager as its backend would"
            )
        })
        .collect()
}

/// What the configuration leaves out, where it does.
pub(super) fn left_out(report: &PlatformReport) -> Option<String> {
    let names = &report.scan.left_out;
    (!names.is_empty()).then(|| {
        format!(
            "Not read, because the configuration leaves it out: {}; a secret that only this mentions \
             looks unused",
            names.join(", ")
        )
    })
}

pub(super) fn dollars(amount: f64) -> String {
    format!("{amount:.2}")
}
