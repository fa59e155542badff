//! What an operation costs: the requests of one call, counted at the proxy and held against what the
//! backend's suite declares.

use libtest_mimic::Trial;

use super::hold::{self, Findings};
use super::{FaultSubject, Operation};
use crate::conformance::verdict::{Broken, Verdict, ensure_eq};

/// The requests of one call of each operation that a manager has, where nothing goes wrong and whoever
/// logs in has done so.
pub type Requests = &'static [(Operation, usize)];

/// Counts one operation's.
pub(super) async fn hold(
    subject: &dyn FaultSubject,
    operation: Operation,
) -> Result<Findings, Broken> {
    let counted = hold::count(subject, operation).await?;
    ensure_eq(
        &Some(counted),
        &declared(subject.requests(), operation),
        "the requests of one call",
    )?;
    Ok(Findings {
        requests: Some(counted),
        ..Findings::default()
    })
}

fn declared(requests: Requests, operation: Operation) -> Option<usize> {
    let mut found = requests.iter().filter(|(it, _)| *it == operation);
    found.next().map(|(_, count)| *count)
}

/// The trial that `page`, the document which [`insert_fault_table`](super::insert_fault_table) wrote, tells
/// just these requests of a manager. It needs no server.
pub fn page_trial(page: &'static str, manager: &'static str, requests: Requests) -> Trial {
    let name = format!("faults::{manager}::the_page_tells_its_requests");
    Trial::test(name, move || {
        Ok(ensure_page_tells(page, manager, requests)?)
    })
}

fn ensure_page_tells(page: &str, manager: &str, requests: Requests) -> Verdict {
    let mut lines = page.lines().map(cells);
    let is_head = |cells: &Vec<&str>| cells.first() == Some(&OPERATION) && cells.contains(&manager);
    let head = lines.find(is_head);
    let column = head.and_then(|head| head.iter().position(|it| *it == manager));
    let column = column.ok_or_else(|| Broken::new(format!("the page has no {manager}")))?;
    let rows: Vec<_> = lines.take_while(|cells| cells.len() > column).collect();
    for operation in Operation::ALL {
        let row = rows.iter().find(|cells| cells[0] == operation.title());
        let told = row.and_then(|cells| cells[column].parse().ok());
        ensure_eq(
            &told,
            &declared(requests, operation),
            &format!("what the page tells of {manager}: {}", operation.title()),
        )?;
    }
    Ok(())
}

/// The corner of the table of requests.
pub(super) const OPERATION: &str = "operation";

fn cells(line: &str) -> Vec<&str> {
    let row = line.strip_prefix('|').and_then(|it| it.strip_suffix('|'));
    row.map(|row| row.split('|').map(str::trim).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
