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

impl Store {
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
