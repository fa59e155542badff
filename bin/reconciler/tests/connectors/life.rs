//! One connector's life, and what must hold at every step of it.

use std::time::Duration;

use cloakroom_core::config::parse_json;
use cloakroom_core::{DocumentId, SecretJson, WorkspaceId};
use cloakroom_documents::{ChangeKind, Put, PutDone};
use cloakroom_reconciler::demo::connector::Connector;
use cloakroom_reconciler::demo::generator::{
    CANARY, Dice, Serial, Source, change_plain, change_secrets, leave_masked,
};
use cloakroom_reconciler::demo::seeded::Seeded;
use libtest_mimic::Failed;
use serde_json::Value;

use crate::airbyte;
use crate::rig::Rig;

pub(crate) type Outcome<T = ()> = Result<T, Failed>;

/// Configurations left to chance, beside one for each branch.
const MORE: usize = 8;

pub(crate) fn live(connector: &Connector) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let rig = Rig::new().await;
        let life = Life {
            rig: &rig,
            connector,
            workspace: WorkspaceId(uuid::Uuid::from_u128(7)),
        };
        let lived = life.whole().await;
        let shown = rig.files_hold(CANARY);
        // A search that finds nothing at all would prove nothing.
        let searched = rig.files_hold("airbyte_workspace_");
        rig.close().await;
        lived?;
        ensure(searched.is_some(), || {
            "the database's files were not found".into()
        })?;
        ensure(shown.is_none(), || {
            format!("a secret stands in clear in {shown:?}")
        })
    })
}

struct Life<'a> {
    rig: &'a Rig,
    connector: &'a Connector,
    workspace: WorkspaceId,
}

impl Life<'_> {
    async fn whole(&self) -> Outcome {
        let seeded = Seeded::new(11);
        let serial = Serial::new();
        let source = Source {
            dice: Dice::new(&seeded),
            serial: &serial,
        };
        let generator = &self.connector.generator;
        let on_branches = generator
            .branches()
            .iter()
            .map(|branch| (branch.to_string(), generator.on(branch, source)));
        let by_chance = (0..MORE).map(|number| (format!("chance {number}"), generator.any(source)));
        let configs: Vec<(String, Value)> = on_branches.chain(by_chance).collect();
        airbyte::writes_and_we_read(self.connector, configs.iter().map(|(_, config)| config))?;

        let mut ids = Vec::new();
        for (name, config) in configs {
            let id = self
                .edit(config, source)
                .await
                .map_err(|failed| named(&name, &failed))?;
            ids.push(id);
        }
        self.check(source).await?;
        for id in ids.iter().step_by(2) {
            self.rig.documents.remove(*id, None).await?;
        }
        self.clean().await?;
        for id in ids.iter().skip(1).step_by(2) {
            self.rig.documents.hydrate(*id).await?;
            self.rig.documents.remove(*id, None).await?;
        }
        Ok(())
    }

    /// Put, saved unchanged, saved masked, changed in clear, changed in a form.
    async fn edit(&self, config: Value, source: Source<'_>) -> Outcome<DocumentId> {
        let Source { dice, serial } = source;
        let id = self.put(None, &config).await?.id;
        self.holds(id, &config).await?;

        let unchanged = self.put(Some(id), &config).await?;
        ensure(only_kept(&unchanged), || {
            format!("saved unchanged: {:?}", unchanged.changes)
        })?;
        self.holds(id, &config).await?;

        let mut form = self.rig.documents.masked(id).await?;
        ensure(!form.to_string().contains(CANARY), || {
            "the masked configuration shows a secret".into()
        })?;
        let mut plain = config.clone();
        let seed = serial.next();
        let steady = Seeded::new(seed);
        // The same edit twice: in the form and in the configuration it stands for.
        let numbers = (Serial::new(), Serial::new());
        change_plain(&mut form, 30, &numbers.0, &Dice::new(&steady));
        let steady = Seeded::new(seed);
        change_plain(&mut plain, 30, &numbers.1, &Dice::new(&steady));
        let masked = self.put(Some(id), &form).await?;
        ensure(only_kept(&masked), || {
            format!("saved masked: {:?}", masked.changes)
        })?;
        self.holds(id, &plain).await?;

        let mut changed = plain.clone();
        let count = change_secrets(&mut changed, 30, serial, &dice);
        let done = self.put(Some(id), &changed).await?;
        let raised = done
            .changes
            .iter()
            .filter(|change| change.change == ChangeKind::Raised)
            .count();
        // Texts within one whole-object secret are one secret together.
        ensure((raised > 0) == (count > 0) && raised <= count, || {
            format!("{count} texts changed, {raised} secrets raised")
        })?;
        self.holds(id, &changed).await?;

        let shown = self.rig.documents.masked(id).await?;
        let mut in_mind = changed.clone();
        change_secrets(&mut in_mind, 0, serial, &dice);
        self.put(Some(id), &leave_masked(&shown, &changed, &in_mind))
            .await?;
        self.holds(id, &in_mind).await?;
        Ok(id)
    }

    async fn put(&self, id: Option<DocumentId>, config: &Value) -> Outcome<PutDone> {
        let put = Put {
            id,
            workspace: self.workspace,
            spec: &self.connector.spec,
            config: SecretJson::new(config.clone()),
            if_revision: None,
        };
        Ok(self.rig.documents.put(put).await?)
    }

    /// The document gives back exactly `config`, and its blob shows none of its secrets.
    async fn holds(&self, id: DocumentId, config: &Value) -> Outcome {
        let hydrated = self.rig.documents.hydrate(id).await?.into_exposed();
        ensure(&hydrated == config, || {
            "hydrating gives another configuration".into()
        })?;
        let stored = self
            .rig
            .store
            .document(id)
            .await?
            .ok_or("the document is gone")?;
        ensure(!stored.blob.contains(CANARY), || {
            "the blob shows a secret".into()
        })?;
        let blob = parse_json("read the blob", stored.blob.as_bytes())?;
        let open = cloakroom_core::config::clear_text(self.connector.spec.compiled(), &blob)?;
        ensure(open.is_empty(), || format!("in clear: {open:?}"))?;
        let coordinates: Vec<_> = stored
            .references
            .iter()
            .map(|held| held.coordinate.clone())
            .collect();
        let values = self.rig.backend.get_many(&coordinates).await;
        let values: Vec<_> = values.into_iter().collect::<cloakroom_core::Result<_>>()?;
        let secrets = stored.references.iter().zip(values);
        airbyte::reads_ours(&blob, secrets.map(|(held, it)| (held, it.value)), config)
    }

    /// A check with a configuration that nobody saves.
    async fn check(&self, source: Source<'_>) -> Outcome {
        let config = self.connector.generator.any(source);
        let done = self
            .rig
            .documents
            .put_ephemeral(&self.connector.spec, config.clone().into())
            .await?;
        let back = self
            .rig
            .documents
            .hydrate_ephemeral(done.blob)
            .await?
            .into_exposed();
        ensure(back == config, || {
            "hydrating a check gives another configuration".into()
        })
    }

    /// The jobs leave exactly what is in use, and find nothing amiss; then everything that waits
    /// for its deletion goes.
    async fn clean(&self) -> Outcome {
        self.rig.advance(Duration::from_hours(25));
        for report in self.rig.reconcile().await {
            ensure(!report.has_findings(), || {
                format!("{}: {:?}", report.job, report.findings)
            })?;
            ensure(report.guards.is_empty(), || {
                format!("{}: {:?}", report.job, report.guards)
            })?;
            ensure(report.failed == 0, || {
                format!("{}: {} failed", report.job, report.failed)
            })?;
        }
        let (enabled, waiting) = self.rig.listed().await;
        let referenced = self.rig.referenced().await;
        let hollow = enabled.is_empty() && !self.connector.secret_fields().is_empty();
        ensure(!hollow, || "no secret was ever in use".into())?;
        ensure(enabled == referenced, || {
            let left: Vec<_> = enabled.difference(&referenced).collect();
            let lost: Vec<_> = referenced.difference(&enabled).collect();
            format!("left: {left:?}, lost: {lost:?}")
        })?;
        ensure(waiting.is_disjoint(&referenced), || {
            "something in use waits for its deletion".into()
        })?;
        // Past their windows the last step of a run ends them, and nothing else does.
        self.rig.advance(Duration::from_hours(8 * 24));
        self.rig.reconcile().await;
        let (_, waiting) = self.rig.listed().await;
        ensure(waiting.is_empty(), || {
            format!("{} secrets are still recoverable", waiting.len())
        })
    }
}

fn only_kept(done: &PutDone) -> bool {
    done.changes
        .iter()
        .all(|change| change.change == ChangeKind::Kept && change.from.is_none())
}

pub(crate) fn ensure(holds: bool, message: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(message().into()) }
}

fn named(name: &str, failed: &Failed) -> Failed {
    format!("{name}: {}", failed.message().unwrap_or_default()).into()
}
