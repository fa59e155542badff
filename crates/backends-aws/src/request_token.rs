//! The token by which AWS knows a repeated request.

use cloakroom_core::Mark;
use sha2::{Digest as _, Sha256};
use uuid::Builder;

/// A token from the store, the coordinate and the intent, in the shape of a UUID. Store and intent are
/// part of it: the same bytes under the same name from another store, or from a copy of this store's
/// database, are another secret.
pub(crate) fn request_token(mark: &Mark) -> String {
    let mut hash = Sha256::new();
    hash.update(mark.store.0.as_bytes());
    hash.update(mark.coordinate.as_str());
    if let Some(intent) = mark.intent {
        hash.update(b"\0");
        hash.update(intent.0.as_bytes());
    }
    token_of(hash)
}

/// A token from a platform's name, which no mark gives.
pub(crate) fn request_token_for_name(name: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"cloakroom: a platform's name\0");
    hash.update(name);
    token_of(hash)
}

fn token_of(hash: Sha256) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use cloakroom_core::keys::Key;
    use cloakroom_core::{Coordinate, Digest, IntentId, StoreId, ValueKind};
    use cloakroom_testkit::canary::marked;
    use uuid::Uuid;

    use super::*;

    fn token(store: u128, coordinate: &str, value: &str, intent: Option<u128>) -> String {
        let coordinate = Coordinate::from_stored(coordinate).unwrap();
        let value = marked(value);
        request_token(&Mark {
            store: StoreId(Uuid::from_u128(store)),
            deployment: "d".to_owned(),
            digest: Digest::of(&Key::derive([7; 32]), "base", ValueKind::Text, &value),
            coordinate,
            intent: intent.map(|id| IntentId(Uuid::from_u128(id))),
        })
    }

    #[test]
    fn it_follows_from_store_coordinate_and_intent_alone() {
        let one = token(1, "airbyte_x_v1", "a", Some(5));
        assert_eq!(one.len(), 36);
        assert_eq!(one, token(1, "airbyte_x_v1", "b", Some(5)));
        assert_ne!(one, token(2, "airbyte_x_v1", "a", Some(5)));
        assert_ne!(one, token(1, "airbyte_x_v2", "a", Some(5)));
        assert_ne!(one, token(1, "airbyte_x_v1", "a", Some(6)));
        assert_ne!(one, token(1, "airbyte_x_v1", "a", None));
    }
}
