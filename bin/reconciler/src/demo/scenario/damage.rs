//! Damage that no program of ours does: a hand in the database, a hand in the backend.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use cloakroom_core::store::{DocumentRow, FindingKind, RecordedReference};
use cloakroom_core::{DeleteMode, PutRequest, SecretValue};
use serde_json::{Value, json};

use super::{Fate, PAGE, Scenario};
use crate::demo::tally::Damaged;

/// What is done to documents, in this order.
#[derive(Clone, Copy)]
enum Harm {
    ClearText,
    BrokenBlob,
    SecretDeleted,
    ValueAltered,
    NodeRemoved,
}

const HARMS: [Harm; 8] = [
    Harm::ClearText,
    Harm::BrokenBlob,
    Harm::SecretDeleted,
    Harm::ValueAltered,
    Harm::NodeRemoved,
    Harm::ClearText,
    Harm::SecretDeleted,
    Harm::ValueAltered,
];

impl Scenario<'_> {
    /// Damages a few documents that nothing else happened to, as far as there are any: never more
    /// than a quarter of all.
    pub(super) async fn damage(&mut self) -> Result<()> {
        let most = usize::try_from(self.tally.documents / 4)
            .unwrap_or(HARMS.len())
            .min(HARMS.len());
        let mut harms = HARMS[..most].iter();
        let mut after = None;
        while harms.len() > 0 {
            let page = self.deployment.store.documents(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.id);
            for document in page
                .iter()
                .filter(|document| Fate::of(document.id) == Fate::Quiet)
            {
                let Some(held) = replaceable(document) else {
                    continue;
                };
                let Some(harm) = harms.next() else {
                    return Ok(());
                };
                self.harm(*harm, document, held).await?;
            }
        }
        Ok(())
    }

    async fn harm(
        &mut self,
        harm: Harm,
        document: &DocumentRow,
        held: &RecordedReference,
    ) -> Result<()> {
        let (what, findings, lost) = match harm {
            Harm::ClearText => {
                let clear = json!(format!(
                    "canary-{}-typed-into-the-database",
                    self.serial.next()
                ));
                self.rewrite(document, &held.pointer, Some(clear)).await?;
                (
                    "a password typed into the blob in clear",
                    vec![FindingKind::ClearText, FindingKind::LostNode],
                    false,
                )
            }
            Harm::NodeRemoved => {
                self.rewrite(document, &held.pointer, None).await?;
                (
                    "a secret's node taken out of the blob",
                    vec![FindingKind::LostNode],
                    false,
                )
            }
            Harm::BrokenBlob => {
                let middle = document.blob.len() / 2;
                let half = document
                    .blob
                    .char_indices()
                    .map(|(at, _)| at)
                    .find(|at| *at >= middle);
                self.store_blob(document, &document.blob[..half.unwrap_or(0)])
                    .await?;
                ("a blob cut in half", vec![FindingKind::BrokenBlob], false)
            }
            Harm::SecretDeleted => {
                self.deployment
                    .backend
                    .delete(&held.coordinate, DeleteMode::Final, None)
                    .await?;
                (
                    "a secret in use deleted in the backend",
                    vec![FindingKind::Dangling],
                    true,
                )
            }
            Harm::ValueAltered => {
                self.alter(held).await?;
                (
                    "a value changed in the backend",
                    vec![FindingKind::Altered],
                    false,
                )
            }
        };
        self.tally.damage.push(Damaged {
            what,
            document: document.id,
            lost: lost.then(|| held.coordinate.clone()),
            findings: BTreeSet::from_iter(findings),
        });
        Ok(())
    }

    /// Another value under the mark of the one before, as a hand in the manager's console leaves it.
    async fn alter(&self, held: &RecordedReference) -> Result<()> {
        let backend = &self.deployment.backend;
        let mark = backend
            .describe(&held.coordinate)
            .await?
            .mark
            .context("a secret of ours bears a mark")?;
        backend
            .delete(&held.coordinate, DeleteMode::Final, None)
            .await?;
        let value = SecretValue::from(format!("canary-{}-by-hand", self.serial.next()));
        backend
            .put(&PutRequest {
                mark,
                value,
                native_expiry: None,
            })
            .await?;
        Ok(())
    }

    async fn rewrite(
        &self,
        document: &DocumentRow,
        pointer: &str,
        value: Option<Value>,
    ) -> Result<()> {
        let mut blob: Value = serde_json::from_str(&document.blob)?;
        let (parent, key) = pointer
            .rsplit_once('/')
            .context("a secret is never the whole document")?;
        let key = key.replace("~1", "/").replace("~0", "~");
        match blob
            .pointer_mut(parent)
            .context("the blob has its parent")?
        {
            Value::Object(members) => match value {
                Some(value) => drop(members.insert(key, value)),
                None => drop(members.shift_remove(&key)),
            },
            // Taken out of a list, those behind it would all have moved.
            Value::Array(elements) => {
                let element = key.parse().ok().and_then(|at: usize| elements.get_mut(at));
                *element.context("the list has its element")? = value.unwrap_or_default();
            }
            _ => bail!("the secret is in no object and no list"),
        }
        self.store_blob(document, &blob.to_string()).await
    }

    async fn store_blob(&self, document: &DocumentRow, blob: &str) -> Result<()> {
        let written = sqlx::query("UPDATE documents SET blob = $1 WHERE document_id = $2")
            .bind(blob)
            .bind(document.id.to_string())
            .execute(&self.deployment.pool)
            .await?;
        ensure!(
            written.rows_affected() == 1,
            "document {} was not met",
            document.id
        );
        Ok(())
    }
}

/// A secret of the document that is not the whole document.
fn replaceable(document: &DocumentRow) -> Option<&RecordedReference> {
    let mut held = document.references.iter();
    held.find(|held| !held.pointer.is_empty())
}
