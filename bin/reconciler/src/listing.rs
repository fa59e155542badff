//! Lists for a person: a table where it fits the terminal, otherwise with the columns that can be
//! done without left out, otherwise a few lines an entry. Ids are always whole: the next command
//! needs them.

use cloakroom_core::Timestamp;
use comfy_table::Table;

use crate::harmless::harmless;
use crate::output::new_table;

/// What stands where there is nothing.
const NOTHING: &str = "-";

/// What is between the values of an entry's lines.
const SEPARATOR: &str = ", ";

const INDENT: &str = "  ";

/// A list.
#[derive(Clone, Debug)]
pub struct Listing {
    columns: Vec<&'static str>,
    /// Columns that a narrow terminal can do without; the first goes first.
    optional: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

/// A list as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// The text, without a line break at its end.
    pub text: String,
    /// The columns that found no place.
    pub left_out: Vec<&'static str>,
}

impl Listing {
    /// A list with these columns; the first names the entry.
    pub fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            optional: &[],
            rows: Vec::new(),
        }
    }

    /// Says which columns a narrow terminal can do without; the first goes first.
    pub fn with_optional(mut self, columns: &'static [&'static str]) -> Self {
        self.optional = columns;
        self
    }

    /// Adds an entry; values in the order of the columns.
    pub fn add<V: Into<String>>(&mut self, values: impl IntoIterator<Item = V>) {
        let values = values.into_iter().map(Into::into);
        self.rows
            .push(values.map(|value| harmless(&value).into_owned()).collect());
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The list as it is printed where lines have `width` columns, or any length.
    pub fn fit(&self, width: Option<usize>) -> Fitted {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let mut left_out = Vec::new();
        let Some(width) = width else {
            return Fitted {
                text: self.table(&shown),
                left_out,
            };
        };
        if self.fits(&shown, width) {
            return Fitted {
                text: self.table(&shown),
                left_out,
            };
        }
        // A column that says nothing is no loss.
        shown.retain(|&column| column == 0 || self.rows.iter().any(|row| row[column] != NOTHING));
        for &column in self.optional {
            if self.fits(&shown, width) {
                break;
            }
            let before = shown.len();
            shown.retain(|&at| self.columns[at] != column);
            if shown.len() < before {
                left_out.push(column);
            }
        }
        if self.fits(&shown, width) {
            return Fitted {
                text: self.table(&shown),
                left_out,
            };
        }
        Fitted {
            text: self.entries(width),
            left_out: Vec::new(),
        }
    }

    fn fits(&self, shown: &[usize], width: usize) -> bool {
        // A space on either side of each column.
        let needed: usize = shown.iter().map(|&column| self.widest(column) + 2).sum();
        needed <= width
    }

    fn widest(&self, column: usize) -> usize {
        let values = self.rows.iter().map(|row| length(&row[column]));
        values
            .chain([length(self.columns[column])])
            .max()
            .unwrap_or_default()
    }

    fn table(&self, shown: &[usize]) -> String {
        let header: Vec<&str> = shown.iter().map(|&column| self.columns[column]).collect();
        let mut table: Table = new_table(&header);
        for row in &self.rows {
            table.add_row(shown.iter().map(|&column| row[column].as_str()));
        }
        table.trim_fmt()
    }

    /// The first value of each entry on a line of its own, the others below it.
    fn entries(&self, width: usize) -> String {
        let mut lines = Vec::new();
        for row in &self.rows {
            lines.push(row[0].clone());
            let mut line = String::new();
            let others = self.columns.iter().zip(row).skip(1);
            for (column, value) in others.filter(|(_, value)| *value != NOTHING) {
                let told = format!("{} {value}", column.to_lowercase());
                let longer = length(&line) + SEPARATOR.len() + length(&told);
                if !line.is_empty() && longer + INDENT.len() > width {
                    lines.push(format!("{INDENT}{line}"));
                    line.clear();
                }
                if !line.is_empty() {
                    line.push_str(SEPARATOR);
                }
                line.push_str(&told);
            }
            if !line.is_empty() {
                lines.push(format!("{INDENT}{line}"));
            }
        }
        lines.join("\n")
    }
}

/// A value, or what stands for none.
pub fn or_nothing(value: Option<impl ToString>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| value.to_string())
}

/// A moment to the second.
pub fn moment(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second())
        .unwrap_or(at)
        .to_string()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        let mut listing =
            Listing::new(&["ID", "OWNER", "STATE", "EXPIRES"]).with_optional(&["OWNER", "STATE"]);
        listing.add(["first-identifier", "somebody", "stored", "-"]);
        listing.add(["second-identifier", "somebody-else", "held", "-"]);
        listing
    }

    #[test]
    fn what_fits_is_a_whole_table() {
        for width in [None, Some(80), Some(54)] {
            let fitted = listing().fit(width);
            assert!(fitted.left_out.is_empty(), "{fitted:?}");
            assert!(fitted.text.contains("EXPIRES"), "{}", fitted.text);
            assert_eq!(fitted.text.lines().count(), 3);
        }
    }

    #[test]
    fn columns_that_say_nothing_go_first_then_the_optional_ones() {
        let fitted = listing().fit(Some(44));
        assert!(!fitted.text.contains("EXPIRES") && fitted.left_out.is_empty());
        let fitted = listing().fit(Some(30));
        assert_eq!(fitted.left_out, ["OWNER"]);
        assert!(fitted.text.contains("stored") && !fitted.text.contains("somebody"));
        let fitted = listing().fit(Some(20));
        assert_eq!(fitted.left_out, ["OWNER", "STATE"]);
    }

    #[test]
    fn where_no_table_fits_every_value_is_told_below_its_entry() {
        let fitted = listing().fit(Some(18));
        assert!(fitted.left_out.is_empty());
        let lines: Vec<&str> = fitted.text.lines().collect();
        assert_eq!(
            lines,
            [
                "first-identifier",
                "  owner somebody",
                "  state stored",
                "second-identifier",
                "  owner somebody-else",
                "  state held",
            ]
        );
        // Ids are never cut.
        assert!(listing().fit(Some(4)).text.contains("second-identifier"));
    }

    #[test]
    fn no_line_of_a_table_is_longer_than_the_terminal() {
        for width in 19..90 {
            let fitted = listing().fit(Some(width));
            let longest = fitted
                .text
                .lines()
                .map(|line| length(line.trim_end()))
                .max();
            assert!(
                longest.unwrap() <= width.max(21),
                "{width}\n{}",
                fitted.text
            );
        }
    }

    #[test]
    fn moments_are_told_to_the_second() {
        let at: Timestamp = "2026-01-31T12:00:00.987Z".parse().unwrap();
        assert_eq!(moment(at), "2026-01-31T12:00:00Z");
        assert_eq!(or_nothing(None::<String>), "-");
    }
}
