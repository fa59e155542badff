//! Receipts of what a run restored because it is in use.

use cloakroom_core::store::{Restored, words};
use cloakroom_core::{BackendId, Result, RunId};

use super::receipts::{Entry, append};
use super::transaction::Ending;
use super::{Conn, Store};
use crate::failure::Failure;

impl Store {
    pub(crate) async fn rescued(
        &self,
        run: RunId,
        backend: &BackendId,
        restored: &[Restored],
    ) -> Result<()> {
        if restored.is_empty() {
            return Ok(());
        }
        in_transaction!(self, "write receipts of rescues", |tx| {
            self.rescued_within(&mut tx, run, backend, restored)
                .await
                .map(Ending::Keep)
        })
    }

    async fn rescued_within(
        &self,
        conn: &mut Conn,
        run: RunId,
        backend: &BackendId,
        restored: &[Restored],
    ) -> Result<(), Failure> {
        let now = self.lasting_moment(conn).await?;
        let entries: Vec<Entry<'_>> = restored
            .iter()
            .map(|restored| Entry {
                reason: words::RESCUED,
                ..Entry::from(restored)
            })
            .collect();
        append(conn, run, backend, &entries, now).await
    }
}
