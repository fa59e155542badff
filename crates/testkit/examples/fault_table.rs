//! Writes the table of a run's fault laws into the documentation.
//!
//! `fault_table FOLDER DOCUMENT`: reads the rows that trials left in the folder (named to them by
//! `CLOAKROOM_FAULT_TABLE`) and puts the table between the document's markers. A document that has
//! it already is left alone.

use std::path::PathBuf;
use std::{env, fs, io};

use cloakroom_testkit::faults::{insert_fault_table, read_rows, render_fault_table};

fn main() -> io::Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(document), None) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err(io::Error::other("give a folder of rows and a document"));
    };
    let rows = read_rows(&folder)?;
    if rows.is_empty() {
        return Err(io::Error::other(
            "the folder has no rows; run the backends' suites with CLOAKROOM_FAULT_TABLE set to it",
        ));
    }
    let before = fs::read_to_string(&document)?;
    let after = insert_fault_table(&before, &render_fault_table(&rows))
        .ok_or_else(|| io::Error::other("the document has no markers for the table"))?;
    if after != before {
        fs::write(&document, after)?;
    }
    Ok(())
}
