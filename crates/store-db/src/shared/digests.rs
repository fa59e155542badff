//! Which keys made the digests that documents depend on.

use cloakroom_core::{BackendId, KeyId, Result};

use super::Store;
use super::rows::Reader;
use super::transaction::told;
use crate::failure::Failure;

/// `<key id>:<64 hex digits>`, up to the colon.
const BY_KEY: &str = "SELECT used.backend_id, used.key_id, COUNT(*) AS count FROM (\
       SELECT r.backend_id, substr(s.digest, 1, length(s.digest) - 65) AS key_id \
       FROM secret_references AS r JOIN secrets AS s \
       ON s.backend_id = r.backend_id AND s.coordinate = r.coordinate) AS used \
     GROUP BY used.backend_id, used.key_id ORDER BY used.backend_id, used.key_id";

/// Of a thousand references, whichever they are: a start may not read every one.
const SOME_KEYS: &str = "SELECT DISTINCT substr(s.digest, 1, length(s.digest) - 65) AS key_id \
     FROM (SELECT backend_id, coordinate FROM secret_references LIMIT 1000) AS r JOIN secrets AS s \
     ON s.backend_id = r.backend_id AND s.coordinate = r.coordinate ORDER BY key_id";

impl Store {
    pub(crate) async fn some_digest_keys(&self) -> Result<Vec<KeyId>> {
        let keys = async {
            let rows = sqlx::query(SOME_KEYS).fetch_all(&self.read).await?;
            let keys = rows.iter().map(|row| {
                Reader::new("secrets", row).word("key_id", |key| Some(KeyId::from(key)))
            });
            keys.collect::<Result<_, Failure>>()
        };
        keys.await
            .map_err(|failure| told("look for keys of digests", failure))
    }

    pub(crate) async fn count_digests(&self) -> Result<Vec<(BackendId, KeyId, u64)>> {
        let counts = async {
            let rows = sqlx::query(BY_KEY).fetch_all(&self.read).await?;
            let counts = rows.iter().map(|row| {
                let reader = Reader::new("secrets", row);
                let key = reader.word("key_id", |key| Some(KeyId::from(key)))?;
                Ok((reader.backend()?, key, reader.count("count")?))
            });
            counts.collect::<Result<_, Failure>>()
        };
        counts
            .await
            .map_err(|failure| told("count digests by key", failure))
    }
}
