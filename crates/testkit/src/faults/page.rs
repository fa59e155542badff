//! The documentation's tables, held against what the laws of a suite come to. A law that holds has just one
//! outcome, so the page can be told by no run what it may say, and never goes stale unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use libtest_mimic::Trial;

use super::requests::declared;
use super::run::FaultLaw;
use super::table::{OPERATION, Row, TROUBLE, render_fault_table};
use super::{FaultManager, Operation, Requests};
use crate::conformance::verdict::{Broken, Verdict, ensure_eq};

/// The trial that `page`, the document which [`insert_fault_table`](super::insert_fault_table) wrote, tells
/// just these requests of a manager. It needs no server.
pub fn page_trial(page: &'static str, manager: &'static str, requests: Requests) -> Trial {
    let name = format!("faults::{manager}::the_page_tells_its_requests");
    Trial::test(name, move || {
        Ok(ensure_page_tells(page, manager, requests)?)
    })
}

fn ensure_page_tells(page: &str, manager: &str, requests: Requests) -> Verdict {
    let rows = column(page, OPERATION, manager)?;
    for operation in Operation::ALL {
        let row = rows.iter().find(|(title, _)| *title == operation.title());
        let told = row.and_then(|(_, cell)| cell.parse().ok());
        ensure_eq(
            &told,
            &declared(requests, operation),
            &format!("what the page tells of {manager}: {}", operation.title()),
        )?;
    }
    Ok(())
}

/// The name of a manager's trial below.
pub(super) fn outcomes(manager: &str) -> String {
    format!("faults::{manager}::the_page_tells_its_outcomes")
}

/// The trial that `page` tells what the laws of a manager come to: which hold for what, what the caller is
/// told, what does not apply and why.
pub(super) fn outcomes_trial(page: &'static str, manager: Arc<dyn FaultManager>) -> Trial {
    let name = outcomes(manager.name());
    Trial::test(name, move || {
        let laws = FaultLaw::all().into_iter();
        let rows: Vec<Row> = laws.map(|law| law.expected(&*manager)).collect();
        Ok(ensure_outcomes(page, manager.name(), &rows)?)
    })
}

fn ensure_outcomes(page: &str, manager: &str, rows: &[Row]) -> Verdict {
    let told = outcomes_of(page, manager)?;
    let should = outcomes_of(&render_fault_table(rows), manager)?;
    for (title, outcome) in &should {
        let told = told.get(title);
        ensure_eq(
            &told,
            &Some(outcome),
            &format!("what the page tells of {manager}: {title}"),
        )?;
    }
    ensure_eq(&told.len(), &should.len(), "the troubles on the page")
}

/// What a table says where a trouble meets a manager, and the notes to it.
type Outcome = (String, BTreeSet<String>);

/// A manager's column, by trouble.
fn outcomes_of(page: &str, manager: &str) -> Result<BTreeMap<String, Outcome>, Broken> {
    let notes: BTreeMap<&str, &str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("- [")?.split_once("] "))
        .collect();
    let column = column(page, TROUBLE, manager)?.into_iter();
    let outcomes = column.map(|(title, cell)| {
        let (text, marks) = cell.split_once(" [").unwrap_or((cell, ""));
        let marks = marks.split(['[', ']']).filter(|mark| !mark.is_empty());
        let notes = marks.map(|mark| notes.get(mark).copied().unwrap_or(mark).to_owned());
        (title.to_owned(), (text.to_owned(), notes.collect()))
    });
    Ok(outcomes.collect())
}

/// The rows of the table with that corner and that manager: what is in the first cell, and in the
/// manager's.
fn column<'a>(
    page: &'a str,
    corner: &str,
    manager: &str,
) -> Result<Vec<(&'a str, &'a str)>, Broken> {
    let mut lines = page.lines().map(cells);
    let is_head = |cells: &Vec<&str>| cells.first() == Some(&corner) && cells.contains(&manager);
    let head = lines.find(is_head);
    let column = head.and_then(|head| head.iter().position(|it| *it == manager));
    let column = column.ok_or_else(|| Broken::new(format!("the page has no {manager}")))?;
    let rows = lines.take_while(|cells| cells.len() > column);
    let rows = rows.map(|cells| (cells[0], cells[column]));
    Ok(rows.filter(|(title, _)| *title != "---").collect())
}

fn cells(line: &str) -> Vec<&str> {
    let row = line.strip_prefix('|').and_then(|it| it.strip_suffix('|'));
    row.map(|row| row.split('|').map(str::trim).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Held;

    const PAGE: &str = "| trouble | a |\n| --- | --- |\n| 403 | x |\n\ntext\n\n\
        | operation | b | a |\n| --- | --- | --- |\n| put | 7 | 2 |\n| put again | 1 | – |\n\n\
        | operation | c |\n| --- | --- |\n| put | 9 |\n";

    #[test]
    fn a_page_is_held_to_its_column() {
        ensure_page_tells(PAGE, "a", &[(Operation::Put, 2)]).unwrap();
        ensure_page_tells(PAGE, "b", &[(Operation::Put, 7), (Operation::PutAgain, 1)]).unwrap();
        ensure_page_tells(PAGE, "c", &[(Operation::Put, 9)]).unwrap();
        for requests in [
            &[(Operation::Put, 3)][..],
            &[],
            &[(Operation::Put, 2), (Operation::Get, 1)],
            &[(Operation::Put, 2), (Operation::PutAgain, 1)],
        ] {
            // Leaked by a test alone.
            let requests: Requests = Box::leak(requests.to_vec().into_boxed_slice());
            assert!(ensure_page_tells(PAGE, "a", requests).is_err());
        }
        assert!(ensure_page_tells(PAGE, "d", &[]).is_err());
    }

    fn row(operation: &str, trouble: &str, note: Option<&str>) -> Row {
        let held = note.map_or(Held::Holds, |_| Held::Excluded);
        Row {
            manager: "a".to_owned(),
            operation: operation.to_owned(),
            trouble: trouble.to_owned(),
            held,
            kind: (held == Held::Holds).then(|| "denied".to_owned()),
            requests: None,
            note: note.map(str::to_owned),
        }
    }

    #[test]
    fn a_page_is_held_to_every_outcome() {
        let rows = [
            row("put", "403", None),
            row("get", "403", None),
            row("restore", "403", Some("no recovery")),
            row("list", "expired_page", Some("no pages")),
        ];
        let page = render_fault_table(&rows);
        ensure_outcomes(&page, "a", &rows).unwrap();
        // Beside others the notes have other numbers.
        let swap = |text: &str| {
            text.replace("[1]", "[x]")
                .replace("[2]", "[1]")
                .replace("[x]", "[2]")
        };
        ensure_outcomes(&swap(&page), "a", &rows).unwrap();
        for (old, new) in [
            ("denied, 2 of 2", "denied, 1 of 1"),
            ("denied, 2 of 2", "unavailable, 2 of 2"),
            ("no recovery", "nothing comes back"),
            ("does not apply", "unavailable, 1 of 1"),
            ("| 403 |", "| 404 |"),
            ("| 503 | not run |\n", ""),
        ] {
            assert!(page.contains(old), "{page}");
            let stale = page.replace(old, new);
            assert!(ensure_outcomes(&stale, "a", &rows).is_err(), "{old}");
        }
        assert!(ensure_outcomes(&page, "b", &rows).is_err());
    }
}
