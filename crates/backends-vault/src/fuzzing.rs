//! What the fuzz target `listing` feeds with any bytes.

use cloakroom_core::{Coordinate, Description, Result, SecretValue, Timestamp};

use crate::failure::Failure;
use crate::kv::{Envelope, Seen, read};
use crate::list::{Listed, page};
use crate::record::Record;

/// Reads the server's answer to a listing with metadata, as it was at `now`.
pub fn listing(body: &[u8], now: Option<Timestamp>) -> Result<Vec<Description>> {
    let descriptions = descriptions(&SecretValue::new(body.to_vec()), now);
    descriptions.map_err(|failure| failure.to_error("list"))
}

fn descriptions(
    body: &SecretValue,
    now: Option<Timestamp>,
) -> std::result::Result<Vec<Description>, Failure> {
    let Envelope { data } = read::<Envelope<Listed>>(body)?;
    let mut page = page("", Seen { it: data, now });
    let mut descriptions = Vec::new();
    for key in std::mem::take(&mut page.listed) {
        let Ok(coordinate) = Coordinate::from_stored(&key) else {
            continue;
        };
        let Some(seen) = page.told(&key)? else {
            continue;
        };
        let record = Record::marked(&coordinate, seen);
        descriptions.extend(record.map(|record| record.describe(&coordinate)));
    }
    Ok(descriptions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzzing begins with, without the byte that names the manager.
    fn corpus() -> &'static [u8] {
        &include_bytes!("../../../fuzz/corpus/listing/vault")[1..]
    }

    #[test]
    fn the_corpus_is_a_page() {
        let listed = listing(corpus(), Some(Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!(listed.len(), 1);
        let mark = listed[0].mark.as_ref().unwrap();
        assert_eq!(mark.coordinate, listed[0].coordinate);
        assert!(listed[0].native_expiry.is_some());
        assert!(listing(b"{}", None).is_err());
    }
}
