//! What the fuzz target `listing` feeds with any bytes.

use cloakroom_core::Description;
use google_cloud_secretmanager_v1::model::ListSecretsResponse;

use crate::read::ours;
use crate::sdk::page_of;

/// Reads a page as the service writes it in JSON; `None` where the SDK does not take it for one.
pub fn listing(body: &[u8]) -> Option<Vec<Description>> {
    let answer: ListSecretsResponse = serde_json::from_slice(body).ok()?;
    let (secrets, _) = page_of(answer);
    let ours = ours("", secrets).into_iter();
    Some(ours.map(|(description, _)| description).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzzing begins with, without the byte that names the manager.
    fn corpus() -> &'static [u8] {
        &include_bytes!("../../../fuzz/corpus/listing/google")[1..]
    }

    #[test]
    fn the_corpus_is_a_page() {
        let listed = listing(corpus()).unwrap();
        assert_eq!(listed.len(), 1);
        let mark = listed[0].mark.as_ref().unwrap();
        assert_eq!(mark.coordinate, listed[0].coordinate);
        assert!(listed[0].native_expiry.is_some());
        assert_eq!(listing(b"not a page"), None);
    }
}
