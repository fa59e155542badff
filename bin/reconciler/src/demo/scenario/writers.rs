//! What people and programs do: make, edit, check, remove; and die halfway.

use anyhow::{Context, Result};
use cloakroom_core::config::{Action, Options, Previous, parse_json, update};
use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{Intent, StoredDocument};
use cloakroom_core::{
    Coordinate, Digest, Grammar, IntentId, Mark, PutRequest, Scope, SecretJson, SecretValue,
    ValueKind, Version, WorkspaceId,
};
use cloakroom_documents::Put;
use serde_json::Value;

use super::Scenario;
use super::dying::Death;
use crate::demo::generator::{change_plain, change_secrets, leave_masked};

/// How many of a document's secrets an edit changes, in a hundred; at least one.
const CHANGED: usize = 20;

/// A put that is still on its way although its row is gone.
pub(super) struct LatePut {
    request: PutRequest,
}

impl Scenario<'_> {
    pub(super) async fn make(&mut self, workspace: WorkspaceId, connector: usize) -> Result<()> {
        let connector = &self.connectors[connector];
        let config = connector.generator.any(self.source());
        let put = Put {
            id: None,
            workspace,
            spec: &connector.spec,
            config: config.into(),
            if_revision: None,
        };
        let done = self
            .documents
            .put(put)
            .await
            .with_context(|| format!("make a document of {}", connector.name))?;
        self.tally.documents += 1;
        self.tally
            .changed(&done.changes, workspace, self.now(), &self.deadline);
        Ok(())
    }

    /// A check or discover, with a configuration that nobody saves.
    pub(super) async fn check(&mut self, connector: usize) -> Result<()> {
        let connector = &self.connectors[connector];
        let config = connector.generator.any(self.source());
        let done = self
            .documents
            .put_ephemeral(&connector.spec, config.into())
            .await?;
        self.tally
            .checked(done.coordinates.len() as u64, self.now(), &self.deadline);
        Ok(())
    }

    pub(super) async fn change(&mut self, document: &StoredDocument) -> Result<()> {
        let mut config = self.clear(document).await?;
        change_secrets(&mut config, CHANGED, &self.serial, &self.dice);
        self.save(document, config).await
    }

    pub(super) async fn save_unchanged(&mut self, document: &StoredDocument) -> Result<()> {
        let config = self.clear(document).await?;
        self.save(document, config).await
    }

    pub(super) async fn save_masked(&mut self, document: &StoredDocument) -> Result<()> {
        let mut form = self.documents.masked(document.id).await?;
        change_plain(&mut form, CHANGED, &self.serial, &self.dice);
        self.save(document, form).await
    }

    pub(super) async fn change_in_form(&mut self, document: &StoredDocument) -> Result<()> {
        let masked = self.documents.masked(document.id).await?;
        let before = self.clear(document).await?;
        let mut edited = before.clone();
        change_secrets(&mut edited, 0, &self.serial, &self.dice);
        self.save(document, leave_masked(&masked, &before, &edited))
            .await
    }

    pub(super) async fn replace(&mut self, document: &StoredDocument) -> Result<()> {
        let connector = self.connector_of(document).await?;
        let config = self.connectors[connector].generator.any(self.source());
        self.save(document, config).await
    }

    pub(super) async fn remove(&mut self, document: &StoredDocument) -> Result<()> {
        let unreferenced = self.documents.remove(document.id, None).await?;
        self.tally.removed(
            unreferenced.len(),
            document.workspace,
            self.now(),
            &self.deadline,
        );
        Ok(())
    }

    async fn clear(&self, document: &StoredDocument) -> Result<Value> {
        Ok(self.documents.hydrate(document.id).await?.into_exposed())
    }

    async fn save(&mut self, document: &StoredDocument, config: Value) -> Result<()> {
        let connector = self.connector_of(document).await?;
        let put = Put {
            id: Some(document.id),
            workspace: document.workspace,
            spec: &self.connectors[connector].spec,
            config: config.into(),
            if_revision: Some(document.revision),
        };
        let done = self
            .documents
            .put(put)
            .await
            .with_context(|| format!("save document {}", document.id))?;
        self.tally.saved_again += 1;
        self.tally.changed(
            &done.changes,
            document.workspace,
            self.now(),
            &self.deadline,
        );
        Ok(())
    }

    /// A writer dies while it makes a document.
    pub(super) async fn die_making(
        &mut self,
        workspace: WorkspaceId,
        connector: usize,
    ) -> Result<()> {
        let connector = &self.connectors[connector];
        let config = connector.generator.any(self.source());
        let rows = self.written(connector, config.clone().into(), None)?;
        if rows == 0 {
            // It would have nowhere to die: it would make one document more.
            return Ok(());
        }
        let put = Put {
            id: None,
            workspace,
            spec: &connector.spec,
            config: config.into(),
            if_revision: None,
        };
        self.die(put, rows).await
    }

    /// A writer dies while it changes a document, which stays as it was.
    pub(super) async fn die_changing(&mut self, document: &StoredDocument) -> Result<()> {
        let connector = self.connector_of(document).await?;
        let connector = &self.connectors[connector];
        let mut config = self.clear(document).await?;
        change_secrets(&mut config, CHANGED, &self.serial, &self.dice);
        let rows = self.written(connector, config.clone().into(), Some(document))?;
        let put = Put {
            id: Some(document.id),
            workspace: document.workspace,
            spec: &connector.spec,
            config: config.into(),
            if_revision: None,
        };
        self.die(put, rows).await
    }

    async fn die(&mut self, put: Put<'_>, rows: u64) -> Result<()> {
        let death = if self.dice.chance(50) {
            Death::AfterIntent
        } else {
            Death::AfterPut
        };
        let workspace = put.workspace;
        match self.dying.kill(death, self.documents.put(put)).await {
            None => self.tally.died(rows, self.now(), &self.deadline),
            // It had no secret to put, so there was nowhere to die.
            Some(lived) => {
                self.tally.saved_again += 1;
                self.tally
                    .changed(&lived?.changes, workspace, self.now(), &self.deadline);
            }
        }
        Ok(())
    }

    /// How many rows a writer of this configuration intends.
    fn written(
        &self,
        connector: &crate::demo::connector::Connector,
        config: SecretJson,
        before: Option<&StoredDocument>,
    ) -> Result<u64> {
        let ring = self.deployment.keys.ring()?;
        let blob = before
            .map(|document| parse_json("read the document", document.blob.as_bytes()))
            .transpose()?;
        let previous = before.zip(blob.as_ref()).map(|(document, blob)| Previous {
            blob,
            held: &document.references,
            spec: None,
        });
        let scope = before.map_or_else(String::new, |document| document.id.to_string());
        let options = Options {
            allow_external: false,
            grammar: Grammar::default(),
        };
        let update = update(
            connector.spec.compiled(),
            config,
            previous,
            &ring,
            &scope,
            &options,
        )?;
        let writes = |action: &Action| matches!(action, Action::New { .. } | Action::Raise { .. });
        Ok(update
            .fields
            .iter()
            .filter(|field| writes(&field.action))
            .count() as u64)
    }

    /// Rows whose writers died right after they intended them, with the puts still on their way.
    pub(super) async fn intend_only(&mut self, count: u64) -> Result<Vec<LatePut>> {
        let store = &self.deployment.store;
        let ring = self.deployment.keys.ring()?;
        let identity = store.identity().await?;
        let mut late = Vec::new();
        for _ in 0..count {
            let owner = self.workspaces[self.dice.below(self.workspaces.len())];
            let base = Grammar::default().managed(
                Scope::Workspace,
                owner.0,
                self.dice.uuid(),
                Version::FIRST,
            );
            let value = SecretValue::from(format!("canary-{}-late", self.serial.next()));
            let digest = Digest::of(ring.current(), base.base(), ValueKind::Text, &value);
            let intent = Intent {
                base,
                kind: ValueKind::Text,
                digest: digest.clone(),
                id: IntentId(self.dice.uuid()),
                workspace: owner,
            };
            let id = intent.id;
            let expiry = self.deployment.expires_in;
            let coordinates = store
                .intend(self.deployment.backend.id(), &[intent], expiry)
                .await?;
            let coordinate = coordinates
                .into_iter()
                .next()
                .context("one intent has one coordinate")?;
            let mark = Mark {
                store: identity.store,
                deployment: identity.deployment.clone(),
                coordinate,
                digest,
                intent: Some(id),
            };
            late.push(LatePut {
                request: PutRequest {
                    mark,
                    value,
                    native_expiry: None,
                },
            });
        }
        Ok(late)
    }

    /// The puts land, on rows that are tombstones by now.
    pub(super) async fn land(&mut self, late: Vec<LatePut>) -> Result<()> {
        for late in late {
            let coordinate: &Coordinate = &late.request.mark.coordinate;
            let rows = self
                .deployment
                .store
                .rows(
                    self.deployment.backend.id(),
                    std::slice::from_ref(coordinate),
                )
                .await?;
            let state = rows.first().and_then(Option::as_ref).map(|row| row.state);
            anyhow::ensure!(
                state == Some(RowState::Deleted),
                "the row of {coordinate} was not reaped in time"
            );
            self.deployment.backend.put(&late.request).await?;
            self.tally.late += 1;
        }
        Ok(())
    }
}
