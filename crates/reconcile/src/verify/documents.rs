//! Every document against its spec and its recorded references: still the JSON it was, every secret
//! field really replaced, every node recorded and every record a node.

use std::collections::{BTreeMap, HashMap};

use cloakroom_core::config::{CompiledSpec, clear_text, nodes, parse_json};
use cloakroom_core::store::{DocumentRow, Finding, FindingKind, RecordedReference, SpecId};
use cloakroom_core::{DocumentId, Error, Result};

use crate::Pass;
use crate::observe::Phase;

/// Documents read together: each comes with its whole blob.
const DOCUMENTS_TOGETHER: u32 = 100;
/// Compiled specs kept; a deployment has far fewer.
const SPECS_KEPT: usize = 256;

/// Specs compiled so far, each once.
type Specs = HashMap<SpecId, Option<CompiledSpec>>;

impl Pass<'_> {
    pub(crate) async fn verify_documents(&mut self) -> Result<()> {
        let mut specs = Specs::new();
        let mut after: Option<DocumentId> = None;
        loop {
            if self.told_to_stop() {
                self.report.cut_short = true;
                return Ok(());
            }
            self.keep_lease().await?;
            let page = self
                .reconciler
                .store
                .documents(after, self.settings().page.min(DOCUMENTS_TOGETHER))
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.id);
            for document in &page {
                self.verify_document(document, &mut specs).await?;
            }
            self.report.checked.documents += page.len() as u64;
            self.progressed(Phase::Documents, self.report.checked.documents);
        }
    }

    async fn verify_document(&mut self, document: &DocumentRow, specs: &mut Specs) -> Result<()> {
        let blob = match parse_json("read the document", document.blob.as_bytes()) {
            Ok(blob) => blob,
            Err(error) => return self.broken(document, &error).await,
        };
        match nodes(&blob) {
            Ok(nodes) => self.compare_nodes(document, nodes).await?,
            Err(error) => return self.broken(document, &error).await,
        }
        let Some(spec) = self.spec(&document.spec, specs).await? else {
            let detail =
                "its spec cannot be read, so clear text cannot be looked for; put it again";
            return self
                .about(FindingKind::BrokenBlob, document, None, detail)
                .await;
        };
        let pointers = clear_text(spec, &blob)?;
        for pointer in pointers {
            let detail = "by the spec this is or may hold a secret, and it is in clear text; put the document again";
            self.about(FindingKind::ClearText, document, Some(pointer), detail)
                .await?;
        }
        Ok(())
    }

    async fn compare_nodes(
        &mut self,
        document: &DocumentRow,
        nodes: Vec<(String, String)>,
    ) -> Result<()> {
        let mut recorded: BTreeMap<&str, &str> = document
            .references
            .iter()
            .map(|held| (held.pointer.as_str(), held.coordinate.as_str()))
            .collect();
        for (pointer, coordinate) in nodes {
            if recorded.remove(pointer.as_str()) != Some(coordinate.as_str()) {
                let detail = "the blob names a secret here that is not recorded for this document";
                self.about(FindingKind::UnrecordedNode, document, Some(pointer), detail)
                    .await?;
            }
        }
        let is_lost = |held: &&RecordedReference| recorded.contains_key(held.pointer.as_str());
        for held in document.references.iter().filter(is_lost) {
            let detail = "a secret is recorded for this field and the blob does not name it; put the \
                          document again with a mask here, or with a value";
            self.about_reference(FindingKind::LostNode, document, held, detail.to_owned())
                .await?;
        }
        self.look_for_strangers(document).await
    }

    /// References into a backend that no job is at, because the configuration lost it.
    async fn look_for_strangers(&mut self, document: &DocumentRow) -> Result<()> {
        for held in &document.references {
            if self.reconciler.backends.get(&held.backend).is_ok() {
                continue;
            }
            let detail = format!(
                "backend {} is not configured: its secrets are neither verified nor cleared; \
                 configure it again",
                held.backend
            );
            self.about_reference(FindingKind::LedgerMismatch, document, held, detail)
                .await?;
        }
        Ok(())
    }

    async fn spec<'s>(
        &self,
        id: &SpecId,
        specs: &'s mut Specs,
    ) -> Result<Option<&'s CompiledSpec>> {
        if !specs.contains_key(id) {
            if specs.len() >= SPECS_KEPT {
                specs.clear();
            }
            let compiled = match self.reconciler.store.spec_text(id).await {
                Ok(text) => parse_json("read the spec", text.as_bytes())
                    .and_then(|spec| CompiledSpec::compile(&spec))
                    .ok(),
                Err(error) if error.is_missing() => None,
                Err(error) => return Err(error),
            };
            specs.insert(id.clone(), compiled);
        }
        Ok(specs.get(id).and_then(Option::as_ref))
    }

    async fn broken(&mut self, document: &DocumentRow, error: &Error) -> Result<()> {
        let detail = format!(
            "its stored blob is damaged ({}); put it again",
            error.message()
        );
        self.about(FindingKind::BrokenBlob, document, None, &detail)
            .await
    }

    async fn about_reference(
        &mut self,
        kind: FindingKind,
        document: &DocumentRow,
        held: &RecordedReference,
        detail: String,
    ) -> Result<()> {
        self.found(Finding {
            kind,
            document: Some(document.id),
            pointer: Some(held.pointer.clone()),
            coordinate: Some(held.coordinate.clone()),
            detail,
        })
        .await
    }

    async fn about(
        &mut self,
        kind: FindingKind,
        document: &DocumentRow,
        pointer: Option<String>,
        detail: &str,
    ) -> Result<()> {
        self.found(Finding {
            kind,
            document: Some(document.id),
            pointer,
            coordinate: None,
            detail: detail.to_owned(),
        })
        .await
    }
}
