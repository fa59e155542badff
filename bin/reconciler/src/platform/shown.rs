//! A report as it may be shown: names come from strangers' databases, and neither a terminal nor a
//! page is to do what a name tells it to.

use std::borrow::Cow;

use cloakroom_reconcile::PlatformReport;

use crate::harmless::harmless;

/// The report with every control character and every change of direction in its texts replaced.
pub(super) fn shown(report: &PlatformReport) -> PlatformReport {
    let mut report = report.clone();
    let always = [
        &mut report.platform,
        &mut report.manager,
        &mut report.database.place,
    ];
    let owners = report.owners.iter_mut().filter_map(|it| it.title.as_mut());
    let obstacles = report
        .obstacles
        .iter_mut()
        .flat_map(|it| [&mut it.subject, &mut it.detail]);
    let examples = report.examples.iter_mut().flat_map(|it| {
        let places = [&mut it.name, &mut it.title, &mut it.column, &mut it.pointer];
        places
            .into_iter()
            .filter_map(Option::as_mut)
            .chain([&mut it.detail])
    });
    always
        .into_iter()
        .chain(owners)
        .chain(obstacles)
        .chain(examples)
        .chain(report.unused.iter_mut().map(|it| &mut it.name))
        .chain(report.scan.left_out.iter_mut())
        .for_each(make_harmless);
    let kept = std::mem::take(&mut report.kept_by_history).into_iter();
    report.kept_by_history = kept
        .map(|(mut tables, number)| {
            make_harmless(&mut tables);
            (tables, number)
        })
        .collect();
    report
}

fn make_harmless(text: &mut String) {
    if let Cow::Owned(shown) = harmless(text) {
        *text = shown;
    }
}
