//! Rows as the database gives them, made into ours.

use cloakroom_core::{Coordinate, IntentId, KeyId, Mark, StoreId, Timestamp};
use sqlx::Row as _;

use super::Result;
use super::dialect::{self, Db};
use crate::envelope::{SealedValue, WrappedKey};
use crate::failure::Failure;
use crate::row::{Found, FullRow, KeyRow, Row, StateToken};

type DbRow = <Db as sqlx::Database>::Row;

/// The columns that [`row`] reads, besides whether it has `expired`.
pub(super) const COLUMNS: &str = "coordinate, store_id, deployment, digest, intent, nonce, \
                                  revision, created_at, changed_at, expires_at, purge_at";

/// The columns that [`full_row`] reads besides.
pub(super) const SEALED_COLUMNS: &str = "key_id, key_nonce, wrapped_key, ciphertext";

/// Each row by its name, read by `decode`.
pub(super) fn found<T>(rows: &[DbRow], decode: fn(&DbRow) -> Result<T>) -> Result<Vec<Found<T>>> {
    let named = |row| Ok((coordinate(row)?, decode(row)));
    rows.iter().map(named).collect()
}

pub(super) fn row(row: &DbRow) -> Result<Row> {
    let moment = |column: &'static str| -> Result<Option<Timestamp>> {
        let millis: Option<i64> = row.try_get(column)?;
        millis
            .map(|millis| Timestamp::from_millisecond(millis).map_err(|_| Failure::corrupt(column)))
            .transpose()
    };
    let known = |column| moment(column)?.ok_or_else(|| Failure::corrupt(column));
    let digest: String = row.try_get("digest")?;
    let intent: Option<dialect::Id> = row.try_get("intent")?;
    Ok(Row {
        mark: Mark {
            store: StoreId(dialect::uuid(row.try_get("store_id")?)),
            deployment: row.try_get("deployment")?,
            coordinate: coordinate(row)?,
            digest: digest.parse().map_err(|_| Failure::corrupt("digest"))?,
            intent: intent.map(|id| IntentId(dialect::uuid(id))),
        },
        state: StateToken {
            nonce: row.try_get("nonce")?,
            revision: row.try_get("revision")?,
        },
        created: known("created_at")?,
        changed: known("changed_at")?,
        expires: moment("expires_at")?,
        expired: row.try_get("expired")?,
        purge: moment("purge_at")?,
    })
}

pub(super) fn full_row(full: &DbRow) -> Result<FullRow> {
    let sealed = SealedValue {
        key: wrapped_key(full)?,
        nonce: full.try_get("nonce")?,
        ciphertext: full.try_get("ciphertext")?,
    };
    Ok(FullRow {
        row: row(full)?,
        sealed,
    })
}

pub(super) fn key_row(row: &DbRow) -> Result<KeyRow> {
    Ok(KeyRow {
        coordinate: coordinate(row)?,
        wrapped: wrapped_key(row)?,
    })
}

pub(super) fn coordinate(row: &DbRow) -> Result<Coordinate> {
    let text: String = row.try_get("coordinate")?;
    Coordinate::from_stored(&text).map_err(|_| Failure::corrupt("coordinate"))
}

fn wrapped_key(row: &DbRow) -> Result<WrappedKey> {
    let key_id: String = row.try_get("key_id")?;
    Ok(WrappedKey {
        key_id: KeyId::from(key_id.as_str()),
        nonce: row.try_get("key_nonce")?,
        bytes: row.try_get("wrapped_key")?,
    })
}
