//! A report on a terminal.

use cloakroom_reconcile::PlatformReport;

use super::shown::shown;
use super::view;
use crate::listing::{Listing, moment};
use crate::output::Console;

/// Prints a report for a person.
pub fn print(report: &PlatformReport, console: &Console) -> anyhow::Result<()> {
    let report = &shown(report);
    console.line(format_args!(
        "{} ({}) and backend {} ({}), {}",
        report.platform,
        report.database.place,
        report.backend,
        report.manager,
        moment(report.started)
    ))?;
    console.line(view::scope(report))?;
    if let Some(left_out) = view::left_out(report) {
        console.line(left_out)?;
    }
    console.line("")?;
    console.line(view::verdict(report))?;
    for obstacle in &report.obstacles {
        console.line(format_args!("! {}: {}", obstacle.subject, obstacle.detail))?;
    }
    for line in view::kept_by_history(report)
        .iter()
        .chain(&view::elsewhere(report))
    {
        console.line(line)?;
    }
    secrets(report, console)?;
    money(report, console)?;
    owners(report, console)?;
    findings(report, console)?;
    unused(report, console)?;
    console.line("")?;
    console.line("What a clean-up would do:")?;
    for line in view::next(report) {
        console.line(format_args!("  {line}"))?;
    }
    if report.unanswered > 0 {
        console.note(format_args!(
            "the manager gave no sure answer for {} names; nothing is said of them",
            report.unanswered
        ));
    }
    Ok(())
}

fn secrets(report: &PlatformReport, console: &Console) -> anyhow::Result<()> {
    let mut listing = Listing::new(&["SECRETS", "NUMBER", "WAITING", "$ A MONTH", "MEANING"])
        .with_optional(&["MEANING", "WAITING"]);
    for line in view::secrets(report) {
        listing.add([
            line.title.to_owned(),
            line.number.to_string(),
            line.waiting.to_string(),
            line.dollars,
            line.meaning,
        ]);
    }
    list(&listing, console)
}

fn money(report: &PlatformReport, console: &Console) -> anyhow::Result<()> {
    console.line("")?;
    console.line(format_args!(
        "Dollars a month: {} now, {} of it leaked, {} after a clean-up",
        view::dollars(report.cost.now),
        view::dollars(report.cost.leaked),
        view::dollars(report.cost.after),
    ))?;
    let ages = view::ages(report);
    if !ages.is_empty() {
        let ages: Vec<String> = ages
            .iter()
            .map(|(age, number)| format!("{number} {age}"))
            .collect();
        console.line(format_args!("Leaked, last changed: {}", ages.join(", ")))?;
    }
    Ok(())
}

fn owners(report: &PlatformReport, console: &Console) -> anyhow::Result<()> {
    let mut listing =
        Listing::new(&["OWNER", "IN USE", "LEAKED", "OTHERS", "ID"]).with_optional(&["OTHERS"]);
    for line in view::owners(report) {
        listing.add([
            line.name,
            line.in_use.to_string(),
            line.leaked.to_string(),
            line.others.to_string(),
            line.id,
        ]);
    }
    list(&listing, console)?;
    if report.more_owners {
        console.note("there are more owners; `--limit` shows more");
    }
    Ok(())
}

fn findings(report: &PlatformReport, console: &Console) -> anyhow::Result<()> {
    for line in view::findings(report) {
        console.line("")?;
        console.line(format_args!(
            "{}: {} ({})",
            line.title, line.number, line.meaning
        ))?;
        for example in &line.examples {
            console.line(format_args!("  {}", example.place))?;
            console.line(format_args!("    {}", example.what))?;
        }
        if line.number > line.examples.len() as u64 {
            console.line("  …")?;
        }
    }
    Ok(())
}

fn unused(report: &PlatformReport, console: &Console) -> anyhow::Result<()> {
    let mut listing = Listing::new(&["UNUSED", "CHANGED", "SEEN UNUSED SINCE", "NAME"]);
    for line in view::unused(report) {
        listing.add([
            line.title.to_owned(),
            line.changed,
            line.unused_since,
            line.name,
        ]);
    }
    list(&listing, console)
}

fn list(listing: &Listing, console: &Console) -> anyhow::Result<()> {
    if listing.is_empty() {
        return Ok(());
    }
    console.line("")?;
    console.list(listing)
}
