//! Which keys made the digests that documents depend on.

use cloakroom_core::{BackendId, KeyId, Result};

use super::Store;
use super::rows::Reader;
use super::transaction::told;
use crate::WaysBack;
use crate::failure::Failure;

/// `<key id>:<64 hex digits>`, up to the colon.
const BY_KEY: &str = "SELECT used.backend_id, used.key_id, COUNT(*) AS count FROM (\
       SELECT r.backend_id, substr(s.digest, 1, length(s.digest) - 65) AS key_id \
       FROM secret_references AS r JOIN secrets AS s \
       ON s.backend_id = r.backend_id AND s.coordinate = r.coordinate) AS used \
     GROUP BY used.backend_id, used.key_id ORDER BY used.backend_id, used.key_id";

/// Fields that were switched, what was written under names, and what a move of a platform wrote. What was taken back
/// needs no key any more.
const WAYS_BACK: &str = "SELECT used.from_place, used.to_place, used.key_id, COUNT(*) AS count FROM (\
       SELECT m.from_place, m.to_place, substr(f.digest, 1, length(f.digest) - 65) AS key_id \
       FROM migrated_fields AS f JOIN secret_migrations AS m ON m.migration_id = f.migration_id \
       WHERE f.digest IS NOT NULL AND m.state <> 'reversed' \
       UNION ALL \
       SELECT place, place, substr(digest, 1, length(digest) - 65) FROM migration_copies \
       UNION ALL \
       SELECT m.from_backend, m.to_backend, substr(c.digest, 1, length(c.digest) - 65) \
       FROM platform_copies AS c JOIN platform_moves AS m ON m.move_id = c.move_id \
       WHERE c.digest IS NOT NULL AND m.ended_at IS NULL) AS used \
     GROUP BY used.from_place, used.to_place, used.key_id \
     ORDER BY used.from_place, used.to_place, used.key_id";

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

    pub(crate) async fn count_ways_back(&self) -> Result<Vec<WaysBack>> {
        let counts = async {
            let rows = sqlx::query(WAYS_BACK).fetch_all(&self.read).await?;
            let counts = rows.iter().map(|row| {
                let reader = Reader::new("secret_migrations", row);
                Ok(WaysBack {
                    from: reader.get("from_place")?,
                    to: reader.get("to_place")?,
                    key: reader.word("key_id", |key| Some(KeyId::from(key)))?,
                    digests: reader.count("count")?,
                })
            });
            counts.collect::<Result<_, Failure>>()
        };
        counts
            .await
            .map_err(|failure| told("count digests of migrations by key", failure))
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
