//! The tables of the demo's outcome.

use cloakroom_core::ledger::Reason;
use cloakroom_core::store::{Finding, FindingKind};
use cloakroom_reconcile::Report;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::ConnectorLine;
use crate::demo::words;

/// How wide tables are where nobody says.
const WIDTH: usize = 120;

/// A table, and what found no place in it.
pub(super) struct Fitted {
    pub(super) table: Table,
    /// One line a row.
    pub(super) below: Vec<String>,
}

/// Rows whose last column explains the first: told below the table where it would be wrapped.
struct Explained<const N: usize> {
    header: [&'static str; N],
    rows: Vec<[String; N]>,
    /// Columns of numbers.
    right: &'static [usize],
}

impl<const N: usize> Explained<N> {
    fn fit(self, width: Option<usize>) -> Fitted {
        let explained = self.width(N) > width.unwrap_or(WIDTH);
        let columns = if explained { N - 1 } else { N };
        let mut table = plain(&self.header[..columns]);
        right(&mut table, self.right);
        for row in &self.rows {
            table.add_row(&row[..columns]);
        }
        let line = |row: &[String; N]| format!("{}: {}", row[0], row[N - 1]);
        Fitted {
            table,
            below: if explained {
                self.rows.iter().map(line).collect()
            } else {
                Vec::new()
            },
        }
    }

    /// What the first columns take up with the lines around them.
    fn width(&self, columns: usize) -> usize {
        let widest = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].as_str());
            let lines = cells.chain([self.header[column]]).flat_map(str::lines);
            lines
                .map(|line| line.chars().count())
                .max()
                .unwrap_or_default()
        };
        (0..columns).map(|column| widest(column) + 3).sum::<usize>() + 1
    }
}

/// How many secret fields each connector has.
pub(super) fn specs(connectors: &[ConnectorLine]) -> Table {
    let mut table = plain(&["connector", "secret fields"]);
    right(&mut table, &[1]);
    for connector in connectors {
        table.add_row([connector.name.clone(), connector.secret_fields.to_string()]);
    }
    table
}

/// Findings by kind, one example each.
pub(super) fn findings(findings: &[Finding], width: Option<usize>) -> Fitted {
    let mut rows = Vec::new();
    for kind in FindingKind::ALL {
        let mut of_kind = findings.iter().filter(|finding| finding.kind == kind);
        let Some(first) = of_kind.next() else {
            continue;
        };
        let many = (1 + of_kind.count()).to_string();
        rows.push([
            kind.as_str().replace('_', " "),
            many,
            place(first),
            first.detail.clone(),
        ]);
    }
    let header = [
        "finding",
        "how many",
        "for example",
        "what was seen, and what to do",
    ];
    let right = &[1];
    Explained {
        header,
        rows,
        right,
    }
    .fit(width)
}

fn place(finding: &Finding) -> String {
    let document = finding.document.map(|id| id.to_string());
    match (document, &finding.pointer) {
        (Some(document), Some(pointer)) => format!("{document}\n{pointer}"),
        (Some(document), None) => document,
        (None, _) => finding
            .coordinate
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
    }
}

/// Deletions by reason.
pub(super) fn deletions(report: &Report, width: Option<usize>) -> Fitted {
    let mut rows = Vec::new();
    for reason in Reason::ALL {
        let Some(count) = report.deletions.get(reason.as_str()) else {
            continue;
        };
        let left = count.spared + count.failed + count.refused;
        rows.push([
            reason.as_str().to_owned(),
            count.found.to_string(),
            count.deleted.to_string(),
            count.scheduled.to_string(),
            count.already_gone.to_string(),
            left.to_string(),
            words::of_reason(reason).to_owned(),
        ]);
    }
    let nothing = rows.is_empty();
    let header = [
        "reason",
        "found",
        "deleted",
        "recoverable",
        "gone already",
        "left",
        "because",
    ];
    let right = &[1, 2, 3, 4, 5];
    let mut fitted = Explained {
        header,
        rows,
        right,
    }
    .fit(width);
    if nothing {
        fitted.table.add_row(["nothing was due"]);
    }
    fitted
}

fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.to_vec());
    table
}

fn right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
