//! Every document against its spec and its recorded references: still the JSON it was, every secret
//! field really replaced, every node recorded and every record a node.

use std::collections::{BTreeMap, HashMap};

use cloakroom_core::config::{CompiledSpec, clear_text, nodes, parse_json};
use cloakroom_core::store::{DocumentRow, Finding, FindingKind, RecordedReference, SpecId};
use cloakroom_core::{DocumentId, Error, ErrorKind, Result};

use crate::Pass;
use crate::observe::Phase;

/// Documents read together: each comes with its whole blob.
const DOCUMENTS_TOGETHER: u32 = 100;
/// Compiled specs kept; a deployment has far fewer.
const SPECS_KEPT: usize = 256;

/// Specs compiled so far, each once.
type Specs = HashMap<SpecId, Spec>;

/// A stored spec, as far as it can be read.
struct Spec {
    compiled: Option<CompiledSpec>,
    /// Why it would not be taken for a new document.
    refused: Option<String>,
}

impl Spec {
    fn read(text: &str) -> Self {
        match parse_json("read the spec", text.as_bytes()) {
            Ok(spec) => Self {
                compiled: CompiledSpec::compile_stored(&spec).ok(),
                refused: CompiledSpec::compile(&spec).err().map(|error| told(&error)),
            },
            Err(error) => Self::refused(&error),
        }
    }

    fn refused(error: &Error) -> Self {
        Self {
            compiled: None,
            refused: Some(told(error)),
        }
    }

    fn missing() -> Self {
        Self {
            compiled: None,
            refused: Some("it is not there".to_owned()),
        }
    }
}

/// What is wrong, and where.
fn told(error: &Error) -> String {
    match error.subject() {
        Some(place) => format!("{place}: {}", error.message()),
        None => error.message().to_owned(),
    }
}

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
        for why in &document.unreadable {
            let detail = format!("what is recorded for it cannot be read: {why}");
            self.about(FindingKind::LedgerMismatch, document, None, &detail)
                .await?;
        }
        let blob = match parse_json("read the document", document.blob.as_bytes()) {
            Ok(blob) => blob,
            Err(error) => return self.broken(document, &error).await,
        };
        match nodes(&blob) {
            Ok(nodes) => self.compare_nodes(document, nodes).await?,
            Err(error) => return self.broken(document, &error).await,
        }
        let spec = self.spec(&document.spec, specs).await?;
        let why = spec.refused.as_deref().unwrap_or_default();
        let Some(compiled) = &spec.compiled else {
            let detail = format!(
                "its spec cannot be read ({why}), so clear text cannot be looked for; put it again with \
                 its spec"
            );
            if !self.is_as_read(document).await? {
                return Ok(());
            }
            return self
                .about(FindingKind::BrokenBlob, document, None, &detail)
                .await;
        };
        if spec.refused.is_some() {
            let detail = format!(
                "its spec would not be taken any more ({why}): what was meant to be secret there may be in \
                 clear text; put the document again with its spec mended"
            );
            self.about(FindingKind::ClearText, document, None, &detail)
                .await?;
        }
        let pointers = match clear_text(compiled, &blob) {
            Ok(pointers) => pointers,
            Err(error) => {
                let detail = format!("clear text cannot be looked for: {}", told(&error));
                return self
                    .about(FindingKind::BrokenBlob, document, None, &detail)
                    .await;
            }
        };
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

    async fn spec<'s>(&self, id: &SpecId, specs: &'s mut Specs) -> Result<&'s Spec> {
        if !specs.contains_key(id) {
            if specs.len() >= SPECS_KEPT {
                specs.clear();
            }
            let spec = match self.reconciler.store.spec_text(id).await {
                Ok(text) => Spec::read(&text),
                Err(error) if error.is_missing() => Spec::missing(),
                Err(error) if error.kind() == ErrorKind::Corrupt => Spec::refused(&error),
                Err(error) => return Err(error),
            };
            specs.insert(id.clone(), spec);
        }
        Ok(&specs[id])
    }

    /// Spec and document are read one after the other, and the database may be brought back in between.
    async fn is_as_read(&self, document: &DocumentRow) -> Result<bool> {
        if !document.unreadable.is_empty() {
            return Ok(true);
        }
        let now = self.store().document(document.id).await?;
        Ok(now.is_some_and(|now| now.spec == document.spec && now.blob == document.blob))
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
