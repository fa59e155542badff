//! What the trials leave behind, and the documentation's table made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

use serde::{Deserialize, Serialize};

use super::by_name::BY_NAME;
use super::{Meanwhile, Operation, Trouble};

/// Names the folder in which each trial leaves its row; unset, none is left.
pub const TABLE_VARIABLE: &str = "CLOAKROOM_FAULT_TABLE";

/// Every trouble on a page after the first.
pub(super) const NEXT_PAGE: &str = "next_page";

/// What one call costs, without trouble.
pub(super) const REQUESTS: &str = "requests";

/// Begins the names of the storms; the seed follows.
pub(super) const STORM: &str = "storm_";

/// The corner of the table of troubles.
pub(super) const TROUBLE: &str = "trouble";

/// The corner of the table of requests.
pub(super) const OPERATION: &str = "operation";

const BEGIN: &str = "<!-- fault table: begin -->";
const END: &str = "<!-- fault table: end -->";

/// Whether the laws of one trial held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// They did.
    Holds,
    /// They did not; the note says how.
    Broken,
    /// They do not apply; the note says why.
    Excluded,
}

/// One trial's outcome. It holds no secret, and nothing that differs from run to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The manager's name.
    pub manager: String,
    /// The operation's name, or `all`.
    pub operation: String,
    /// The trouble's name, `next_page`, or `storm_` and the seed.
    pub trouble: String,
    /// Whether the laws held.
    pub held: Held,
    /// What kind of error the caller gets while the trouble lasts.
    pub kind: Option<String>,
    /// The requests of one call without trouble.
    pub requests: Option<usize>,
    /// How they broke, or why they do not apply.
    pub note: Option<String>,
}

/// Leaves a row, each in a file of its own since trials run side by side.
#[expect(clippy::print_stderr, reason = "a trial has no other way to say it")]
pub(super) fn write(row: &Row) {
    let Some(folder) = env::var_os(TABLE_VARIABLE) else {
        return;
    };
    if let Err(error) = write_to(Path::new(&folder), row) {
        eprintln!("{TABLE_VARIABLE}: a row cannot be written: {error}");
    }
}

fn write_to(folder: &Path, row: &Row) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let name = format!("{}.{}.{}.json", row.manager, row.operation, row.trouble);
    let text = serde_json::to_string(row).map_err(io::Error::other)?;
    fs::write(folder.join(name), text + "\n")
}

/// Every row in a folder, in the order of the files' names.
///
/// # Errors
/// A folder or file that cannot be read, or a `.json` file that is no row.
pub fn read_rows(folder: &Path) -> io::Result<Vec<Row>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path| serde_json::from_slice(&fs::read(path)?).map_err(io::Error::other);
    paths.into_iter().map(read).collect()
}

/// The document with the table between its markers, `None` where it has none.
pub fn insert_fault_table(document: &str, table: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

/// The tables in Markdown: troubles by managers, then what a call costs, the same for what is asked by
/// a platform's names, then the notes. The same rows give the same text, in whatever order they come.
pub fn render_fault_table(rows: &[Row]) -> String {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| (&row.manager, &row.operation, &row.trouble));
    let (by_name, by_coordinate): (Vec<&Row>, Vec<&Row>) = rows
        .into_iter()
        .partition(|row| row.manager.ends_with(BY_NAME));
    let mut notes = Notes::default();
    let mut text = String::new();
    troubles_by_managers(&mut text, &by_coordinate, &mut notes);
    text.push_str("\nRequests of one call, without trouble:\n\n");
    requests_by_managers(&mut text, &by_coordinate);
    if !by_name.is_empty() {
        text.push_str("\nAsked by the names that a platform gave:\n\n");
        troubles_by_managers(&mut text, &by_name, &mut notes);
        text.push_str("\nRequests of one such call:\n\n");
        requests_by_managers(&mut text, &by_name);
    }
    notes.write(&mut text);
    text
}

fn troubles_by_managers(text: &mut String, rows: &[&Row], notes: &mut Notes) {
    let managers = managers(rows);
    head(text, TROUBLE, &managers);
    for (title, fits) in troubles() {
        line(text, &title, &managers, |manager| {
            let cell = rows.iter().copied();
            let cell = cell.filter(|row| row.manager == manager && fits(&row.trouble));
            notes.cell(&cell.collect::<Vec<_>>())
        });
    }
}

fn requests_by_managers(text: &mut String, rows: &[&Row]) {
    let managers = managers(rows);
    head(text, OPERATION, &managers);
    for operation in Operation::ALL {
        let name = operation.name();
        line(text, &operation.title(), &managers, |manager| {
            let of = |row: &&&Row| row.manager == manager && row.operation == name;
            let most = rows.iter().filter(of).filter_map(|row| row.requests).max();
            most.map_or_else(|| "–".to_owned(), |count| count.to_string())
        });
    }
}

fn managers<'a>(rows: &[&'a Row]) -> BTreeSet<&'a str> {
    rows.iter().map(|row| row.manager.as_str()).collect()
}

type Fits = Box<dyn Fn(&str) -> bool>;

/// The rows of the table: what they are called and which trials they sum up.
fn troubles() -> Vec<(String, Fits)> {
    let mut troubles: Vec<(String, Fits)> = Vec::new();
    for trouble in Trouble::ALL {
        let fits = move |name: &str| name == trouble.name();
        troubles.push((trouble.title().to_owned(), Box::new(fits)));
    }
    for meanwhile in Meanwhile::ALL {
        let fits = move |name: &str| name == meanwhile.name();
        troubles.push((meanwhile.title().to_owned(), Box::new(fits)));
    }
    let next_page = "any of these on a page after the first".to_owned();
    troubles.push((next_page, Box::new(|name| name == NEXT_PAGE)));
    let storm = "all of them at random, by seed".to_owned();
    troubles.push((storm, Box::new(|name| name.starts_with(STORM))));
    troubles
}

fn head(text: &mut String, corner: &str, managers: &BTreeSet<&str>) {
    let names: Vec<&str> = managers.iter().copied().collect();
    line_of(text, corner, &names);
    line_of(text, "---", &vec!["---"; names.len()]);
}

fn line(
    text: &mut String,
    title: &str,
    managers: &BTreeSet<&str>,
    cell: impl FnMut(&str) -> String,
) {
    let cells: Vec<String> = managers.iter().copied().map(cell).collect();
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    line_of(text, title, &cells);
}

fn line_of(text: &mut String, title: &str, cells: &[&str]) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "| {title} | {} |", cells.join(" | "));
}

/// Footnotes, each reason once.
#[derive(Default)]
struct Notes(BTreeMap<String, usize>);

impl Notes {
    /// What the caller is told, for how many operations that holds, and the notes to the rest.
    fn cell(&mut self, rows: &[&Row]) -> String {
        let of = |held: Held| rows.iter().filter(move |row| row.held == held);
        let (holds, broken) = (of(Held::Holds).count(), of(Held::Broken).count());
        if rows.is_empty() {
            return "not run".to_owned();
        }
        let mut cell = Vec::new();
        let kinds: BTreeSet<&str> = rows.iter().filter_map(|row| row.kind.as_deref()).collect();
        if !kinds.is_empty() {
            cell.push(kinds.into_iter().collect::<Vec<_>>().join(" or "));
        }
        if holds + broken > 0 {
            cell.push(format!("{holds} of {}", holds + broken));
        }
        if broken > 0 {
            let mut names: Vec<_> = of(Held::Broken).map(|row| row.operation.as_str()).collect();
            names.sort_unstable();
            cell.push(format!("**broken: {}**", names.join(", ")));
        }
        let mut marks = BTreeSet::new();
        for row in rows {
            if let (Some(note), true) = (&row.note, row.held != Held::Holds) {
                let next = self.0.len() + 1;
                marks.insert(*self.0.entry(note.clone()).or_insert(next));
            }
        }
        if holds + broken == 0 {
            cell.push("does not apply".to_owned());
        }
        let marks = marks.into_iter().map(|mark| format!("[{mark}]"));
        let mut cell = cell.join(", ");
        let marks: Vec<_> = marks.collect();
        if !marks.is_empty() {
            cell = format!("{cell} {}", marks.join(""));
        }
        cell
    }

    fn write(self, text: &mut String) {
        let mut notes: Vec<(usize, String)> = self
            .0
            .into_iter()
            .map(|(note, number)| (number, note))
            .collect();
        notes.sort();
        if !notes.is_empty() {
            text.push('\n');
        }
        for (number, note) in notes {
            let note = note.replace('\n', " ");
            let _ = writeln!(text, "- [{number}] {note}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(operation: &str, trouble: &str, held: Held, note: Option<&str>) -> Row {
        Row {
            manager: "shelf".to_owned(),
            operation: operation.to_owned(),
            trouble: trouble.to_owned(),
            held,
            kind: (held == Held::Holds).then(|| "denied".to_owned()),
            requests: (held == Held::Holds).then_some(2),
            note: note.map(str::to_owned),
        }
    }

    #[test]
    fn rows_are_summed_up_and_their_order_does_not_matter() {
        let mut rows = vec![
            row("put", "403", Held::Holds, None),
            row("get", "403", Held::Broken, Some("is missing")),
            row("restore", "403", Held::Excluded, Some("no recovery")),
            row("restore", "500", Held::Excluded, Some("no recovery")),
        ];
        let table = render_fault_table(&rows);
        assert!(
            table.contains("| 403 | denied, 1 of 2, **broken: get** [1][2] |"),
            "{table}"
        );
        assert!(table.contains("| 500 | does not apply [2] |"), "{table}");
        assert!(table.contains("| 503 | not run |"), "{table}");
        assert!(table.contains("| put | 2 |"), "{table}");
        assert!(
            table.ends_with("- [1] is missing\n- [2] no recovery\n"),
            "{table}"
        );
        rows.swap(0, 3);
        assert_eq!(render_fault_table(&rows), table);
    }

    #[test]
    fn rows_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let rows = [
            row("get", "403", Held::Broken, Some("is missing")),
            row("put", "403", Held::Holds, None),
        ];
        for row in &rows {
            write_to(folder.path(), row).unwrap();
            write_to(folder.path(), row).unwrap();
        }
        assert_eq!(read_rows(folder.path()).unwrap(), rows);
    }

    #[test]
    fn the_table_stands_between_its_markers() {
        let document = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = insert_fault_table(&document, "| new |\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\n\n| new |\n\n{END}\nafter\n"));
        assert_eq!(insert_fault_table(&new, "| new |\n").unwrap(), new);
        assert_eq!(insert_fault_table("no markers", ""), None);
    }
}
