//! What the fuzz target `listing` feeds with any bytes.

use cloakroom_core::{ListPage, Result, SecretValue};

use crate::answers::read_page;
use crate::backend::listed;

/// Reads the API server's answer to a listing.
pub fn listing(body: &[u8]) -> Result<ListPage> {
    let page = read_page(&SecretValue::new(body.to_vec())).and_then(listed);
    page.map_err(|failure| failure.into_error("list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzzing begins with, without the byte that names the manager.
    fn corpus() -> &'static [u8] {
        &include_bytes!("../../../fuzz/corpus/listing/kubernetes")[1..]
    }

    #[test]
    fn the_corpus_is_a_page() {
        let page = listing(corpus()).unwrap();
        assert_eq!(page.secrets.len(), 1);
        assert_eq!(page.next.unwrap().0.as_ref(), "next");
        let mark = page.secrets[0].mark.as_ref().unwrap();
        assert_eq!(mark.coordinate, page.secrets[0].coordinate);
    }
}
