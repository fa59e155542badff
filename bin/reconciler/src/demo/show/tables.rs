//! The tables of the demo's outcome.

use cloakroom_core::ledger::Reason;
use cloakroom_core::store::{Finding, FindingKind};
use cloakroom_reconcile::Report;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::ConnectorLine;
use crate::demo::words;

/// An id and the space around it.
const ID_WIDTH: u16 = 38;

/// How wide tables are where nobody says.
const WIDTH: u16 = 120;

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
pub(super) fn findings(findings: &[Finding]) -> Table {
    let mut table = plain(&[
        "finding",
        "how many",
        "what was seen, and what to do",
        "for example",
    ]);
    right(&mut table, &[1]);
    for kind in FindingKind::ALL {
        let mut of_kind = findings.iter().filter(|finding| finding.kind == kind);
        let Some(first) = of_kind.next() else {
            continue;
        };
        let many = (1 + of_kind.count()).to_string();
        table.add_row([
            kind.as_str().replace('_', " "),
            many,
            first.detail.clone(),
            place(first),
        ]);
    }
    // An id that is cut cannot be asked for.
    if let Some(examples) = table.column_mut(3) {
        examples.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(ID_WIDTH)));
    }
    table
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
pub(super) fn deletions(report: &Report) -> Table {
    let header = [
        "reason",
        "because",
        "found",
        "deleted",
        "can be brought back",
        "was gone already",
        "left",
    ];
    let mut table = plain(&header);
    right(&mut table, &[2, 3, 4, 5, 6]);
    for reason in Reason::ALL {
        let Some(count) = report.deletions.get(reason.as_str()) else {
            continue;
        };
        let left = count.spared + count.failed + count.refused;
        let number = |number: u64| number.to_string();
        table.add_row([
            reason.as_str().to_owned(),
            words::of_reason(reason).to_owned(),
            number(count.found),
            number(count.deleted),
            number(count.scheduled),
            number(count.already_gone),
            number(left),
        ]);
    }
    if report.deletions.is_empty() {
        table.add_row(["nothing was due"]);
    }
    table
}

fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    // A pager or a log has no width of its own.
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
    table
}

fn right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
