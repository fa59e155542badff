//! One table's rows: the names in them, and what is amiss.

use async_trait::async_trait;
use cloakroom_core::config::parse_document;
use cloakroom_core::platform::{Defect, DefectKind, Mention, MentionKind};
use cloakroom_core::{Result, SecretJson};
use memchr::memmem;
use uuid::Uuid;

use crate::batch::Batch;
use crate::copy::{Reader, Row};
use crate::documents::{self, Node, Reference};
use crate::find::{Finder, LONGEST_EXTERNAL, Maker, Name, Names};
use crate::known::Role;
use crate::own_managers::OwnManagers;
use crate::pins::Pins;
use crate::references::References;
use crate::select::{self, Select, Selected};
use crate::specs::Specs;

/// What rows are held against.
pub(crate) struct Knowledge {
    pub(crate) references: References,
    pub(crate) own_managers: OwnManagers,
    pub(crate) specs: Specs,
    pub(crate) pins: Pins,
    /// Whether documents are read for what is amiss too, and not for names alone.
    pub(crate) judges: bool,
}

/// Reads a table.
pub(crate) struct TableReader<'a, 's> {
    pub(crate) finder: &'a Finder,
    pub(crate) select: &'a Select,
    pub(crate) knowledge: &'a Knowledge,
    pub(crate) batch: &'a mut Batch<'s>,
    pub(crate) names: Names,
    pub(crate) count: Count,
}

/// What a table came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Rows with a value that was not read because of its size.
    pub(crate) too_large: u64,
    /// Values whose escapes were not undone to the end.
    pub(crate) too_deep: u64,
}

/// Whose row it is.
struct Whose {
    row: Option<Uuid>,
    title: Option<String>,
    workspace: Option<Uuid>,
    tombstone: bool,
}

#[async_trait]
impl Reader for TableReader<'_, '_> {
    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        self.count.rows += 1;
        self.count.too_large += u64::from(row.bool(select::TOO_LARGE));
        let select = self.select;
        for (index, column) in select.columns.iter().enumerate() {
            let Some(field) = row.field(select::FIRST + index) else {
                continue;
            };
            self.count.bytes += field.len() as u64;
            self.names.clear();
            self.finder.find(field, &mut self.names);
            self.count.too_deep += u64::from(self.names.too_deep);
            let document = self.document(column, field);
            if self.names.is_empty() && document.is_none() {
                continue;
            }
            let whose = Whose::of(row);
            let nodes = match &document {
                Some(Ok(document)) => documents::nodes(document.expose()),
                _ => Vec::new(),
            };
            self.judge_nodes(column, &whose, &nodes);
            if column.role == Role::Configuration
                && let Some(document) = &document
            {
                self.judge_configuration(column, &whose, row, document.as_ref().ok());
            }
            let own = select.index.and_then(|at| row.text(select::FIRST + at));
            self.mention(column, &whose, &nodes, own);
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    async fn settle(&mut self) -> Result<()> {
        self.batch.hand_over().await
    }
}

impl TableReader<'_, '_> {
    /// The JSON of a column that is known to hold nodes, where it is worth reading.
    fn document(&self, column: &Selected, field: &[u8]) -> Option<Result<SecretJson>> {
        let worth = match column.role {
            _ if !self.knowledge.judges => false,
            Role::Configuration => true,
            Role::Document => memmem::find(field, documents::SIGN).is_some(),
            Role::Plain | Role::Index | Role::Payload => false,
        };
        let text = column.reading.text(field)?;
        worth.then(|| parse_document(text))
    }

    fn mention(&mut self, column: &Selected, whose: &Whose, nodes: &[Node], own: Option<&str>) {
        for name in nodes.iter().filter_map(|it| it.name.as_deref()) {
            // A user's own secret need not look like one of the platform's. Nothing but the index
            // or a `secret_coordinate::` says that it is one: this may be the secret's own text.
            if is_plausible(name) && !self.finder.grammar().read(name).is_ours() {
                self.names.add(name, Maker::Platform);
            }
        }
        let references = &self.knowledge.references;
        self.mention_referred(column, whose, nodes);
        for name in self.names.drain() {
            let keeps = !is_about_itself(&name.text, own, column.role);
            if column.role == Role::Payload && !is_certain(self.finder, &name) {
                continue;
            }
            if !keeps && self.select.is_told_with_references && references.is_known() {
                continue;
            }
            let is_certain = is_certain(self.finder, &name);
            let kind = match name.maker {
                _ if !keeps => MentionKind::Index,
                Maker::Amid => MentionKind::Other,
                Maker::Unknown if !is_certain => MentionKind::Other,
                _ => self.select.kind,
            };
            let external = name.maker == Maker::User && !references.is_made_by_airbyte(&name.text);
            for storage in self
                .knowledge
                .storages(self.finder, &name.text, nodes, whose)
            {
                self.batch.mention(Mention {
                    name: name.text.clone(),
                    external,
                    kind,
                    keeps,
                    column: column.shown.clone(),
                    row: whose.row,
                    title: whose.title.clone(),
                    workspace: whose.workspace,
                    tombstone: whose.tombstone,
                    storage,
                });
            }
        }
    }

    /// What nodes mention by a reference and not by name.
    fn mention_referred(&mut self, column: &Selected, whose: &Whose, nodes: &[Node]) {
        for node in nodes.iter().filter(|it| it.name.is_none()) {
            let Some(Reference::To(id)) = node.reference else {
                continue;
            };
            if let Some(secret) = self.knowledge.references.secret(id) {
                self.batch.mention(Mention {
                    name: secret.name.to_string(),
                    external: secret.external,
                    kind: self.select.kind,
                    keeps: true,
                    column: column.shown.clone(),
                    row: whose.row,
                    title: whose.title.clone(),
                    workspace: whose.workspace,
                    tombstone: whose.tombstone,
                    storage: secret.storage,
                });
            }
        }
    }

    fn judge_nodes(&mut self, column: &Selected, whose: &Whose, nodes: &[Node]) {
        let references = &self.knowledge.references;
        if !references.is_known() {
            return;
        }
        for node in nodes {
            let nowhere = DefectKind::ReferenceToNowhere;
            let told = match (node.reference, node.name.as_deref()) {
                (Some(Reference::To(id)), name) => match (references.secret(id), name) {
                    (None, _) => {
                        let detail = "which does not exist; save it again";
                        (
                            nowhere,
                            format!("refers to secret_reference {id}, {detail}"),
                        )
                    }
                    (Some(secret), Some(name)) if *secret.name != *name => {
                        let detail = "names another secret than its _secret does; save it again";
                        let detail = format!("refers to secret_reference {id}, which {detail}");
                        (DefectKind::Disagreement, detail)
                    }
                    _ => continue,
                },
                (Some(Reference::Garbled), _) => {
                    let detail = "holds a _secret_reference_id that is no id; save it again";
                    (nowhere, detail.to_owned())
                }
                (None, _) => continue,
            };
            let (kind, detail) = told;
            let defect = whose.defect(kind, column, detail);
            self.batch.defect(Defect {
                pointer: Some(node.pointer.clone()),
                ..defect
            });
        }
    }

    fn judge_configuration(
        &mut self,
        column: &Selected,
        whose: &Whose,
        row: &Row<'_>,
        document: Option<&SecretJson>,
    ) {
        let kind = self.select.kind;
        let document = document.map(SecretJson::expose);
        let judged = self.knowledge.judge(kind, row, document);
        for clear in judged.clear {
            let detail = clear.by.detail(whose.tombstone);
            let defect = whose.defect(DefectKind::ClearText, column, detail);
            self.batch.defect(Defect {
                pointer: Some(clear.pointer),
                ..defect
            });
        }
        let Some(unjudged) = judged.unjudged else {
            return;
        };
        if kind != MentionKind::Connector {
            return;
        }
        let detail = format!("whether it holds clear text is not known: {unjudged}");
        let defect = whose.defect(DefectKind::Unjudged, column, detail);
        self.batch.defect(defect);
    }
}

impl Whose {
    fn of(row: &Row<'_>) -> Self {
        Self {
            row: row.uuid(select::ID),
            title: row.text(select::TITLE).map(str::to_owned),
            workspace: row.uuid(select::WORKSPACE),
            tombstone: row.bool(select::TOMBSTONE),
        }
    }

    fn defect(&self, kind: DefectKind, column: &Selected, detail: impl Into<String>) -> Defect {
        Defect {
            kind,
            column: column.shown.clone(),
            row: self.row,
            title: self.title.clone(),
            workspace: self.workspace,
            tombstone: self.tombstone,
            pointer: None,
            detail: detail.into(),
        }
    }
}

/// Whether a row of an index only says which secret it is about.
fn is_about_itself(name: &str, own: Option<&str>, role: Role) -> bool {
    role == Role::Index
        && own.is_some_and(|own| {
            own.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("_v"))
        })
}

/// Whether some manager could have it for a name.
fn is_plausible(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_EXTERNAL && !name.contains(char::is_control)
}

/// Whether it can be nothing but a name of the platform's.
fn is_certain(finder: &Finder, name: &Name) -> bool {
    let managed = |text: &str| {
        finder
            .grammar()
            .coordinate(text)
            .is_ok_and(|it| it.is_managed())
    };
    managed(&name.text) || managed(&format!("{}_v1", name.text))
}

impl Knowledge {
    /// Where the nodes around a name say that the secret is; where none does, where the index has it; and
    /// where that does not know it, where its owner's are.
    fn storages(&self, finder: &Finder, name: &str, nodes: &[Node], whose: &Whose) -> Vec<Uuid> {
        let Knowledge {
            references,
            own_managers,
            ..
        } = self;
        let mut storages: Vec<Uuid> = nodes
            .iter()
            .filter(|it| it.name.as_deref() == Some(name))
            .filter_map(|it| match it.reference {
                Some(Reference::To(id)) => references.secret(id).map(|it| it.storage),
                _ => None,
            })
            .collect();
        if storages.is_empty() {
            storages = references.storages_of(name);
        }
        if storages.is_empty() {
            let own = own_managers.storage_of(finder, name, whose.workspace);
            storages.push(own.unwrap_or_default());
        }
        storages.sort_unstable();
        storages.dedup();
        storages
    }
}
