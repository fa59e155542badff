//! Things that a command tells one by one as they come, however many there are.

use serde::Serialize;

use crate::output::Console;

/// Printed as a table; what is more is counted.
const MOST_PRINTED: usize = 1_000;

/// Prints things as JSON as they come; keeps the first ones where they are for a table.
pub(super) struct OneByOne<'a, T> {
    console: &'a Console,
    told: anyhow::Result<()>,
    kept: Vec<T>,
}

impl<'a, T: Clone + Serialize> OneByOne<'a, T> {
    pub(super) fn new(console: &'a Console) -> Self {
        Self {
            console,
            told: Ok(()),
            kept: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, one: &T) {
        if self.console.is_json() {
            if self.told.is_ok() {
                self.told = self.console.json_line(one);
            }
        } else if self.kept.len() < MOST_PRINTED {
            self.kept.push(one.clone());
        }
    }

    /// What is for the table; an error where the things could not be printed.
    pub(super) fn kept(self) -> anyhow::Result<Kept<T>> {
        self.told.map(|()| Kept(self.kept))
    }
}

/// The first of the things that came.
pub(super) struct Kept<T>(Vec<T>);

impl<T> Kept<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// Says how many of `all` are not among them.
    pub(super) fn note_more(&self, all: u64, console: &Console) {
        let more = all - self.0.len() as u64;
        if more > 0 {
            console.note(format_args!("{more} more; `--output json` tells them all"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn a_table_has_the_first_thousand() {
        let console = Console::new(Format::Table);
        let mut things = OneByOne::new(&console);
        for thing in 0..1_005 {
            things.take(&thing);
        }
        let kept = things.kept().unwrap();
        let first: Vec<i32> = kept.iter().copied().collect();
        assert_eq!(first, (0..1_000).collect::<Vec<_>>());
    }
}
