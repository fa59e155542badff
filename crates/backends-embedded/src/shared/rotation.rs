//! Which keys are needed, and wrapping data keys anew.

use async_trait::async_trait;
use cloakroom_core::KeyId;
use sqlx::Row as _;

use super::decode;
use super::{Result, Secrets};
use crate::envelope::WrappedKey;
use crate::row::KeyRow;
use crate::table::Rotation;

#[async_trait]
impl Rotation for Secrets {
    async fn keys_in_use(&self) -> Result<Vec<(KeyId, u64)>> {
        let mut query = self
            .query("SELECT key_id, count(*) AS secrets FROM embedded_secrets WHERE backend_id = ");
        query.push(" GROUP BY key_id ORDER BY key_id");
        let rows = query.build().fetch_all(&self.read).await?;
        let counts = rows.iter().map(|row| {
            let key: String = row.try_get("key_id")?;
            let secrets: i64 = row.try_get("secrets")?;
            Ok((KeyId::from(key.as_str()), secrets.unsigned_abs()))
        });
        counts.collect()
    }

    async fn under_other_keys(
        &self,
        current: &KeyId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<KeyRow>> {
        let mut query = self.query(
            "SELECT coordinate, key_id, key_nonce, wrapped_key FROM embedded_secrets \
             WHERE backend_id = ",
        );
        query
            .push(" AND key_id <> ")
            .push_bind(current.as_str().to_owned());
        query.push(" AND coordinate > ").push_bind(after.to_owned());
        query
            .push(" ORDER BY coordinate LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(&self.read).await?;
        rows.iter().map(decode::key_row).collect()
    }

    async fn exchange(&self, exchanges: &[(KeyRow, WrappedKey)]) -> Result<u64> {
        let mut exchanged = 0;
        let mut transaction = super::begin(&self.write, self.longest_silence).await?;
        for (old, new) in exchanges {
            let query = sqlx::query(
                "UPDATE embedded_secrets SET key_id = $1, key_nonce = $2, wrapped_key = $3 \
                 WHERE backend_id = $4 AND coordinate = $5 AND key_id = $6 AND key_nonce = $7",
            )
            .bind(new.key_id.as_str())
            .bind(&new.nonce)
            .bind(&new.bytes)
            .bind(self.backend.as_str())
            .bind(old.coordinate.as_str())
            .bind(old.wrapped.key_id.as_str())
            .bind(&old.wrapped.nonce);
            exchanged += query.execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
        Ok(exchanged)
    }
}
