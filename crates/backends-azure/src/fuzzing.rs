//! What the fuzz target `listing` feeds with any bytes.

use cloakroom_core::{Description, Result};

use crate::read::listed;
use crate::sdk::{Listing, read_page};

/// Reads a page of the living, or of what waits for its deletion, as the vault writes it.
pub fn listing(body: &[u8], waits: bool) -> Result<Vec<Description>> {
    let listing = if waits {
        Listing::Deleted
    } else {
        Listing::Living
    };
    let page = read_page(listing, body).map(|versions| listed("", listing, &versions));
    page.map_err(|failure| failure.to_error("list"))
}

#[cfg(test)]
mod tests {
    use cloakroom_core::SecretState;

    use super::*;

    /// What the fuzzing begins with, without the byte that names the manager.
    const LIVING: &[u8] = include_bytes!("../../../fuzz/corpus/listing/azure");
    const DELETED: &[u8] = include_bytes!("../../../fuzz/corpus/listing/azure-deleted");

    #[test]
    fn the_corpus_is_two_pages() {
        let living = listing(&LIVING[1..], false).unwrap();
        let waiting = listing(&DELETED[1..], true).unwrap();
        for listed in [&living, &waiting] {
            assert_eq!(listed.len(), 1);
            let mark = listed[0].mark.as_ref().unwrap();
            assert_eq!(mark.coordinate, listed[0].coordinate);
        }
        assert_eq!(living[0].state, SecretState::Enabled);
        let due = SecretState::ScheduledForDeletion { due: None };
        assert!(waiting[0].state != due && waiting[0].state != SecretState::Enabled);
        assert!(listing(b"{", false).is_err());
    }

    /// A run can then see that it waits for its deletion; a direct question says what of the mark is wrong.
    #[test]
    fn a_mark_that_cannot_be_read_is_listed_as_none() {
        for (page, waits) in [(LIVING, false), (DELETED, true)] {
            let text = std::str::from_utf8(&page[1..]).unwrap();
            let damaged = text.replace("cloakroom-digest", "cloakroom-nothing");
            assert_ne!(damaged, text);
            let whole = listing(text.as_bytes(), waits).unwrap();
            let listed = listing(damaged.as_bytes(), waits).unwrap();
            assert_eq!(listed.len(), 1);
            assert_eq!(listed[0].mark, None);
            assert_eq!(listed[0].coordinate, whole[0].coordinate);
            assert_eq!(listed[0].state, whole[0].state);
        }
    }
}
