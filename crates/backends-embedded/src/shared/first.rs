//! The first rows decide which keys are the table's: processes that were started on an empty one with
//! different keys would each seal what the others cannot open.

use std::collections::HashSet;

use cloakroom_core::{Coordinate, KeyId, KeyRing};
use sqlx::Row as _;

use super::{Result, Secrets, begin, dialect, needed_keys_within};
use crate::opening::not_these_keys;
use crate::row::NewRow;

impl Secrets {
    /// Whether rows of this backend are under one of these keys.
    pub(super) async fn is_open_to(&self, ring: &KeyRing) -> Result<bool> {
        if let Some(key) = self.key_in_use.get()
            && ring.find(key).is_some()
        {
            return Ok(true);
        }
        let mut query = self.query("SELECT key_id FROM embedded_secrets WHERE backend_id = ");
        query.push(" AND key_id IN (");
        let mut ids = query.separated(", ");
        for key in ring.keys() {
            ids.push_bind(key.id().as_str().to_owned());
        }
        query.push(") LIMIT 1");
        let found = query.build().fetch_optional(&self.read).await?;
        let Some(found) = found else {
            return Ok(false);
        };
        let key: String = found.try_get("key_id")?;
        // Another task may have been faster.
        let _ = self.key_in_use.set(KeyId::from(key.as_str()));
        Ok(true)
    }

    /// Writes the first rows under these keys, where no others' are there.
    pub(super) async fn insert_first(
        &self,
        rows: &[NewRow<'_>],
        ring: &KeyRing,
    ) -> Result<HashSet<Coordinate>> {
        let mut transaction = begin(&self.write, self.longest_silence).await?;
        if let Some(lock) = dialect::LOCK_FIRST {
            sqlx::query(lock).execute(&mut *transaction).await?;
        }
        // A statement of its own: it sees what was committed while the lock was waited for.
        let needed = needed_keys_within(&mut transaction).await?;
        if !needed.is_empty() && !needed.iter().any(|key| ring.find(key).is_some()) {
            return Err(not_these_keys(&needed, ring));
        }
        let written = self.insert_within(&mut transaction, rows).await?;
        transaction.commit().await?;
        Ok(written)
    }
}
