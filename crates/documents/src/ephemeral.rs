//! Secrets of a check or discover: never referenced, gone after two hours.

use cloakroom_core::config::{Action, Revealed, hydrate, nodes, update};
use cloakroom_core::{
    Coordinate, Error, ErrorKind, Result, Scope, SecretJson, SecretValue, ValueKind, WorkspaceId,
};
use serde_json::Value;
use uuid::Uuid;

use crate::Documents;
use crate::put::DocumentSpec;
use crate::secrets::NewSecret;

/// A configuration whose secrets live for two hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EphemeralDocument {
    /// The configuration with a node in place of each secret.
    pub blob: Value,
    /// The secrets written, in the order of the fields.
    pub coordinates: Vec<Coordinate>,
}

impl Documents {
    /// Splits a configuration whose secrets nobody will ever refer to and puts them under the nil
    /// owner, with an expiry in the ledger and, where the manager has one, its own.
    pub async fn put_ephemeral(
        &self,
        spec: &DocumentSpec,
        config: SecretJson,
    ) -> Result<EphemeralDocument> {
        let ring = self.keys.ring()?;
        let options = self.options();
        let mut update = update(spec.compiled(), config, None, &ring, "ephemeral", &options)?;
        let backend = self.backends.default_backend()?.id().clone();
        let mut new = Vec::new();
        for field in &mut update.fields {
            if let Action::New { value, kind } = &mut field.action {
                let value = std::mem::replace(value, SecretValue::new(Vec::new()));
                let nobody = Uuid::nil();
                new.push(NewSecret::new(
                    field.pointer.clone(),
                    backend.clone(),
                    self.fresh_base(Scope::Workspace, nobody),
                    *kind,
                    value,
                    WorkspaceId(nobody),
                ));
            }
        }
        let new = self.write_ephemeral(new, &ring).await?;
        let coordinates: Vec<Coordinate> =
            new.into_iter().map(|secret| secret.coordinate).collect();
        Ok(EphemeralDocument {
            blob: update.into_blob(&coordinates)?,
            coordinates,
        })
    }

    /// The configuration of [`Documents::put_ephemeral`] with its secrets in place. Only
    /// coordinates of the nil owner are followed: a caller cannot read a document's secrets by
    /// naming them.
    pub async fn hydrate_ephemeral(&self, blob: Value) -> Result<SecretJson> {
        let mut pointers = Vec::new();
        let mut coordinates = Vec::new();
        for (pointer, text) in nodes(&blob)? {
            let coordinate = Coordinate::from_stored(&text)
                .ok()
                .filter(Coordinate::is_ephemeral);
            let Some(coordinate) = coordinate else {
                return Err(Error::new(
                    ErrorKind::Denied,
                    "hydrate the configuration",
                    "it refers to a secret that is not a check's or discover's",
                )
                .with_coordinate(pointer));
            };
            pointers.push(pointer);
            coordinates.push(coordinate);
        }
        let backend = self.backends.default_backend()?.id().clone();
        let values = self.values(&backend, &coordinates).await?;
        let mut revealed = Vec::with_capacity(values.len());
        for (pointer, value) in pointers.into_iter().zip(values) {
            let kind = kind_at(&blob, &pointer);
            revealed.push(Revealed {
                pointer,
                kind,
                value: value?.value,
            });
        }
        hydrate(blob, revealed)
    }

    async fn write_ephemeral(
        &self,
        mut new: Vec<NewSecret>,
        ring: &cloakroom_core::KeyRing,
    ) -> Result<Vec<NewSecret>> {
        self.fit(&new)?;
        self.intend(&mut new, ring).await?;
        let identity = self.store.identity().await?;
        for index in 0..new.len() {
            let put = self.put_one(&mut new[index], ring, &identity, true).await;
            let confirmed = match put {
                Ok(()) => {
                    self.store
                        .confirm_ephemeral(&new[index].backend, &new[index].coordinate)
                        .await
                }
                failed => failed,
            };
            if let Err(error) = confirmed {
                self.give_up(&new).await;
                return Err(error);
            }
        }
        Ok(new)
    }
}

fn kind_at(blob: &Value, pointer: &str) -> ValueKind {
    let marked = blob
        .pointer(pointer)
        .and_then(|node| node.get("_secret_type"));
    if marked.and_then(Value::as_str) == Some("json") {
        ValueKind::Json
    } else {
        ValueKind::Text
    }
}
