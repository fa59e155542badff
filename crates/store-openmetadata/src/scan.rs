//! One pass over the whole database from one snapshot.

use cloakroom_core::platform::{Obstacle, ScanReport, ScanSink};
use cloakroom_core::{Result, Timestamp};

use crate::catalog::Table;
use crate::collide::Collisions;
use crate::connect::Connection;
use crate::options::Options;
use crate::reader::{Count, Knowledge, TableReader};
use crate::rows::{Read, Reader as _};

/// Reads everything.
pub(crate) async fn scan(
    mut connection: Connection,
    options: &Options,
    knowledge: &Knowledge<'_>,
    collisions: &mut Collisions,
    sink: &mut dyn ScanSink,
) -> Result<ScanReport> {
    let (moment, mut catalog) = connection.look(options).await?;
    let shapes = connection.shapes().await?;
    let choice = catalog.choose(&options.leave_out)?;
    let mut report = ScanReport {
        snapshot: Timestamp::from_millisecond(moment).ok(),
        left_out: choice.left_out,
        obstacles: std::mem::take(&mut catalog.obstacles),
        ..ScanReport::default()
    };
    report.obstacles.extend(choice.obstacles);
    for index in &choice.read {
        let table = &catalog.tables[*index];
        let mut reader =
            TableReader::new(knowledge, collisions, sink, catalog.entities(table), table)
                .with_settings(catalog.settings(table), table);
        let read = connection.read(&table.select(), &mut reader).await?;
        reader.settle().await?;
        let count = reader.count;
        note(&mut report, table, count, &read, options);
        report.tables += 1;
        if catalog.is_history(table) {
            report.history.push(table.shown());
        }
        report.columns += table.columns.iter().filter(|it| it.readable).count() as u64;
        if let Some(select) = table.select_history() {
            // What a row said once is no field any more.
            let mut reader = TableReader::new(knowledge, collisions, sink, None, table);
            let read = connection.read(&select, &mut reader).await?;
            reader.settle().await?;
            note(
                &mut report,
                table,
                reader.count.beyond(count),
                &read,
                options,
            );
        }
    }
    let later = connection.later_shapes(options).await?;
    for table in choice.read.iter().map(|it| catalog.tables[*it].shown()) {
        let is_told = report.obstacles.iter().any(|it| it.subject == table);
        if shapes.get(&table) != later.get(&table) && !is_told {
            report.obstacles.push(changed(table));
        }
    }
    drop(catalog);
    connection.close().await;
    Ok(report)
}

fn changed(table: String) -> Obstacle {
    Obstacle {
        subject: table,
        detail: "it was rewritten, replaced or emptied while the scan ran, which hides rows that were there \
                 when it began: run it again"
            .to_owned(),
    }
}

fn note(report: &mut ScanReport, table: &Table, count: Count, read: &Read, options: &Options) {
    report.rows += count.rows;
    report.bytes += count.bytes;
    report.deployed_jobs += count.deployed;
    let mut add = |detail: String| {
        report.obstacles.push(Obstacle {
            subject: table.shown(),
            detail,
        });
    };
    if let Read::Hindered(reason) = read {
        add(reason.clone());
    }
    if count.too_large > 0 {
        add(format!(
            "{} of its rows have a value of more than {} bytes, which was not read; leave the table \
             out if nothing in it names a secret",
            count.too_large, options.max_value
        ));
    }
    if count.unopened > 0 {
        add(format!(
            "no key opens {} of its sealed values, so which secrets they refer to is not known: {}",
            count.unopened,
            options.keys.remedy()
        ));
    }
    if count.too_deep > 0 {
        add(format!(
            "{} of its values are sealed or escaped so many times over that they were not read to the \
             end; leave the table out if nothing in it names a secret",
            count.too_deep
        ));
    }
    if count.too_many > 0 {
        add(format!(
            "{} of its values mention more ids than are kept of one value; leave the table out if \
             nothing in it names a secret",
            count.too_many
        ));
    }
}
