//! What the rows of one table mention, and what is amiss in them.

use std::collections::HashSet;

use async_trait::async_trait;
use cloakroom_core::config::{MAX_TEXT, is_mask, parse_document};
use cloakroom_core::platform::{Defect, DefectKind, Mention, MentionKind, ScanSink};
use cloakroom_core::{Error, ErrorKind, Result, SecretJson, SecretValue};
use uuid::Uuid;

use crate::catalog::Table;
use crate::collide::{Collisions, FieldIds, Place};
use crate::entity::{About, EntityTable, Leaf, SERVER, each_text};
use crate::failure;
use crate::fernet_keys::{FernetKeys, TOKEN_PREFIX};
use crate::find::{is_telling, tokens};
use crate::ids::Ids;
use crate::options::Provider;
use crate::rows::{Fields, Reader};
use crate::secret_names::{is_called_so, is_secret_at, is_secret_setting_at};
use crate::standing_ids::{Standing, StandingIds};
use crate::stored::{Reference, Stored, is_null_text};

/// As many of either as are handed over together.
const FULL: usize = 1000;

/// Tokens in opened tokens, and so on; a server seals once.
const DEEPEST: u32 = 3;

/// As many ids and tokens as one value may mention.
const MOST_KNOWN: usize = 50_000;

/// What the pass knows of the deployment.
pub(crate) struct Knowledge<'a> {
    pub(crate) keys: &'a FernetKeys,
    pub(crate) provider: Provider,
    /// How the deployment names secrets; `None` where they stay in the database.
    pub(crate) ids: Option<&'a Ids>,
    /// The same, for finding them in texts.
    pub(crate) standing: Option<StandingIds<'a>>,
    /// How the deployment would name secrets in each manager there is.
    pub(crate) anywhere: &'a [Ids],
}

impl Knowledge<'_> {
    /// Every id of the deployment's that a text could mean.
    fn ids_in(&self, text: &[u8]) -> Standing {
        let standing = self.standing.as_ref();
        standing.map_or_else(Standing::default, |it| it.find(text, MOST_KNOWN))
    }

    /// The reference that a text is. Without a manager a server resolves none: then it is one only if it was left
    /// by the deployment itself, from when it had a manager.
    fn reference(&self, text: &str) -> Option<Reference> {
        let is_one = |it: &Reference| {
            let is_left = |ids: &Ids| ids.check(it.id()).is_some();
            self.provider.manager().is_some() || self.anywhere.iter().any(is_left)
        };
        Reference::read(text).filter(is_one)
    }

    /// What an opened text says.
    fn stored(&self, value: SecretValue) -> Stored {
        let text = value.expose_text();
        if text.is_some_and(|it| Reference::read(it).is_some() && self.reference(it).is_none()) {
            return Stored::Value(value);
        }
        Stored::of_value(value)
    }

    /// Whether a reference is told: the manager can have a secret of that name.
    fn is_tellable(&self, reference: &Reference) -> bool {
        let manager = self.provider.manager();
        manager.is_none_or(|it| reference.is_a_name(it))
    }
}

/// What a table came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Rows with a value that was not read because of its size.
    pub(crate) too_large: u64,
    /// Tokens that no key opened.
    pub(crate) unopened: u64,
    /// Tokens in tokens, and escapes in escapes, that were not looked into to the end.
    pub(crate) too_deep: u64,
    /// Values that mention more than is kept of one.
    pub(crate) too_many: u64,
    /// Pipelines that are deployed.
    pub(crate) deployed: u64,
}

impl Count {
    /// What a reading of more rows came to beside the reading of some of them.
    pub(crate) fn beyond(self, some: Self) -> Self {
        Self {
            rows: self.rows.saturating_sub(some.rows),
            bytes: self.bytes.saturating_sub(some.bytes),
            too_large: self.too_large.saturating_sub(some.too_large),
            unopened: self.unopened.saturating_sub(some.unopened),
            too_deep: self.too_deep.saturating_sub(some.too_deep),
            too_many: self.too_many.saturating_sub(some.too_many),
            deployed: self.deployed.saturating_sub(some.deployed),
        }
    }
}

/// Reads a table.
pub(crate) struct TableReader<'a, 's> {
    knowledge: &'a Knowledge<'a>,
    collisions: &'a mut Collisions,
    sink: &'s mut dyn ScanSink,
    entities: Option<EntityTable>,
    /// Below which keys a table without entities keeps secrets.
    settings: Option<&'static [&'static str]>,
    /// Which column says what a setting is called.
    called_in: Option<usize>,
    /// As `schema.table.column`.
    columns: Vec<String>,
    /// Which of them holds the entity.
    entity_column: Option<usize>,
    mentions: Vec<Mention>,
    defects: Vec<Defect>,
    pub(crate) count: Count,
}

/// A text that is being looked through.
struct Text<'t> {
    column: &'t str,
    about: &'t About,
    /// Ids and tokens that were told.
    known: HashSet<String>,
}

#[async_trait]
impl Reader for TableReader<'_, '_> {
    fn row(&mut self, row: &dyn Fields) -> Result<()> {
        self.count.rows += 1;
        if row.is_true(0).map_err(failure::error)? {
            self.count.too_large += 1;
        }
        let columns = std::mem::take(&mut self.columns);
        let read = self.columns(row, &columns);
        self.columns = columns;
        read
    }

    fn is_full(&self) -> bool {
        self.mentions.len() >= FULL || self.defects.len() >= FULL
    }

    async fn settle(&mut self) -> Result<()> {
        if !self.mentions.is_empty() {
            let mentions = std::mem::take(&mut self.mentions);
            self.sink.mentions(mentions).await?;
        }
        if !self.defects.is_empty() {
            let defects = std::mem::take(&mut self.defects);
            self.sink.defects(defects).await?;
        }
        Ok(())
    }
}

impl<'a, 's> TableReader<'a, 's> {
    pub(crate) fn new(
        knowledge: &'a Knowledge<'a>,
        collisions: &'a mut Collisions,
        sink: &'s mut dyn ScanSink,
        entities: Option<EntityTable>,
        table: &Table,
    ) -> Self {
        let readable = table.columns.iter().filter(|it| it.readable);
        Self {
            knowledge,
            collisions,
            sink,
            entities,
            settings: None,
            called_in: None,
            columns: readable
                .map(|it| format!("{}.{}", table.shown(), it.name))
                .collect(),
            entity_column: table.entity_column(),
            mentions: Vec::new(),
            defects: Vec::new(),
            count: Count::default(),
        }
    }

    /// The same of a table that keeps secrets without ids.
    pub(crate) fn with_settings(
        mut self,
        settings: Option<&'static [&'static str]>,
        table: &Table,
    ) -> Self {
        let mut readable = table.columns.iter().filter(|it| it.readable);
        self.called_in = readable.position(|it| it.name.eq_ignore_ascii_case("configType"));
        self.called_in.take_if(|_| settings.is_none());
        self.settings = settings;
        self
    }

    fn columns(&mut self, row: &dyn Fields, columns: &[String]) -> Result<()> {
        let field = |index: usize| row.field(1 + index).map_err(failure::error);
        let entity = match self.entity_column {
            Some(index) => field(index)?.map(|text| (text, self.knowledge.ids_in(text))),
            None => None,
        };
        let is_watched = self.entities.is_some() || self.settings.is_some();
        let parsed = entity
            .as_ref()
            .filter(|(text, standing)| is_watched || !standing.ids.is_empty() || is_telling(text))
            .map(|(text, _)| parse_document(text));
        let mut about = match &parsed {
            Some(Ok(entity)) => About::of(entity),
            _ => About::default(),
        };
        if let Some(called) = self.called_in.map(field).transpose()?.flatten() {
            about.title = std::str::from_utf8(called).ok().map(str::to_owned);
        }
        let is_pipeline = self.entities == Some(EntityTable::Pipelines);
        self.count.deployed += u64::from(is_pipeline && about.deployed);
        let mut in_entity = entity.map(|(_, standing)| standing);
        for (index, column) in columns.iter().enumerate() {
            let Some(text) = field(index)? else { continue };
            let is_entity = self.entity_column == Some(index);
            let standing = in_entity
                .take_if(|_| is_entity)
                .unwrap_or_else(|| self.knowledge.ids_in(text));
            self.count.bytes += text.len() as u64;
            let mut place = Text {
                column,
                about: &about,
                known: HashSet::new(),
            };
            if is_entity {
                match &parsed {
                    Some(Ok(entity)) => self.entity(&mut place, entity),
                    Some(Err(error)) if is_watched => self.unjudged(&place, error),
                    _ => {}
                }
            }
            self.standing(&mut place, standing);
            self.tokens(&mut place, text, 0);
            self.count.too_many += u64::from(place.known.len() >= MOST_KNOWN);
        }
        Ok(())
    }

    /// Every text of an entity, with what it means there.
    fn entity(&mut self, place: &mut Text<'_>, entity: &SecretJson) {
        each_text(entity, |leaf| {
            if leaf.text.starts_with(TOKEN_PREFIX) {
                self.sealed(place, leaf);
            } else if let Some(reference) = self.in_clear(leaf) {
                self.reference(place, leaf, &reference);
            } else if self.is_watched(leaf) {
                self.clear(place, leaf);
            }
        });
    }

    fn sealed(&mut self, place: &mut Text<'_>, leaf: &Leaf<'_>) {
        let token = &leaf.text[TOKEN_PREFIX.len()..];
        place.known.insert(token.to_owned());
        let Some(value) = self.knowledge.keys.open_token(token) else {
            self.count.unopened += 1;
            return;
        };
        match self.knowledge.stored(value) {
            Stored::Null => {}
            Stored::Reference(reference) => self.reference(place, leaf, &reference),
            Stored::Value(value) => {
                self.text(place, value.expose(), 1);
                if value.expose_text().is_some_and(is_mask) {
                    self.mask(place, leaf);
                }
                self.collide(place, leaf, None);
            }
        }
    }

    fn reference(&mut self, place: &mut Text<'_>, leaf: &Leaf<'_>, reference: &Reference) {
        let id = reference.id();
        if let Some(detail) = self.leads_nowhere(reference) {
            self.defect(place, leaf, DefectKind::ReferenceToNowhere, detail);
        }
        if id.is_empty() {
            return;
        }
        if self.knowledge.is_tellable(reference) {
            place.known.insert(id.to_owned());
            let kind = self
                .entities
                .as_ref()
                .map_or(MentionKind::Other, EntityTable::kind);
            self.mention(place, id, kind);
        }
        let is_managed = self.is_managed(id);
        self.collide(place, leaf, is_managed.then_some(id));
        if !is_managed {
            // An ARN, or another of the names that the manager has for it.
            self.standing(place, self.knowledge.ids_in(id.as_bytes()));
        }
    }

    /// The reference that an unsealed text is. What something is called may begin so, and a description.
    fn in_clear(&self, leaf: &Leaf<'_>) -> Option<Reference> {
        let may_be_one = match &self.entities {
            Some(entities) => entities.is_watched(leaf.path),
            None => !is_called_so(leaf.path),
        };
        let reference = self.knowledge.reference(leaf.text).filter(|_| may_be_one);
        reference.filter(|it| !it.id().contains(|it: char| it.is_whitespace()))
    }

    /// Why a reference cannot be resolved, as far as the database and its configuration tell.
    fn leads_nowhere(&self, reference: &Reference) -> Option<&'static str> {
        if reference.id().is_empty() {
            return Some("the reference names no secret; save the field's value again");
        }
        let Some(manager) = self.knowledge.provider.manager() else {
            return Some(
                "the field refers to a secrets manager and the configuration has none (db): the \
                 reference itself is used as the value; configure the manager or save the value \
                 again",
            );
        };
        (!reference.is_a_name(manager)).then_some(
            "the configured manager can have no secret of that name: it comes from another \
             manager, or is a value that begins as references do; save the field's value again",
        )
    }

    fn is_watched(&self, leaf: &Leaf<'_>) -> bool {
        if leaf.text.is_empty() || is_null_text(leaf.text.as_bytes()) {
            return false;
        }
        let is_below = |keys: &[&str]| {
            let first = leaf.path.first();
            keys.is_empty() || first.is_some_and(|it| keys.contains(it))
        };
        match (&self.entities, self.settings) {
            (Some(entities), _) => entities.is_watched(leaf.path) && is_secret_at(leaf.path),
            (None, Some(keys)) => is_below(keys) && is_secret_setting_at(leaf.path),
            (None, None) => false,
        }
    }

    fn clear(&mut self, place: &Text<'_>, leaf: &Leaf<'_>) {
        if is_mask(leaf.text) {
            self.mask(place, leaf);
            return;
        }
        if is_hash(leaf.text) {
            return;
        }
        let detail = if self.entities.is_some() {
            "the field's name says that it is secret and it holds clear text; OpenMetadata does not seal it where it \
             stands: replace the secret, and move it to a field that is a password"
        } else {
            "the field's name says that it is secret and it holds clear text: replace the secret, and save the new one in \
             a release of OpenMetadata that seals it there; until then whoever reads the database has it"
        };
        self.defect(place, leaf, DefectKind::ClearText, detail);
    }

    fn mask(&mut self, place: &Text<'_>, leaf: &Leaf<'_>) {
        let detail = "the mask that the page shows was saved in place of the secret; save the \
                      secret again";
        self.defect(place, leaf, DefectKind::Mask, detail);
    }

    fn unjudged(&mut self, place: &Text<'_>, error: &Error) {
        let reason = if error.kind() == ErrorKind::TooLarge {
            format!(
                "it is larger than {} MiB, more than is taken apart in memory at once",
                MAX_TEXT / 1024 / 1024
            )
        } else {
            "it is no JSON, or nested too deep".to_owned()
        };
        let detail = format!(
            "{reason}: whether it holds clear text, a mask or an id that another field has is not known; the \
             names of secrets in it count all the same"
        );
        self.defects
            .push(defect(place, DefectKind::Unjudged, None, &detail));
    }

    /// Holds a field against all others: by the id it refers to, and by the one under which its next value is saved.
    fn collide(&mut self, place: &Text<'_>, leaf: &Leaf<'_>, now: Option<&str>) {
        let (Some(ids), Some(entities), Some(name)) =
            (self.knowledge.ids, &self.entities, &place.about.name)
        else {
            return;
        };
        let is_managed = matches!(self.knowledge.provider, Provider::Managed(_));
        let is_shared = leaf.path.first() == Some(&SERVER);
        if !is_managed || is_shared || leaf.in_list {
            return;
        }
        // What stands in clear where OpenMetadata seals nothing is not saved elsewhere.
        let is_saved = leaf.text.starts_with(TOKEN_PREFIX) || is_secret_at(leaf.path);
        let own = is_saved.then(|| entities.id(ids, name, leaf.path));
        let ids = FieldIds {
            now: now.map(str::to_owned),
            next: own.flatten(),
        };
        let field = Place {
            column: place.column.to_owned(),
            row: place.about.row,
            title: place.about.title.clone(),
            pointer: leaf.pointer.to_owned(),
        };
        self.collisions.add(ids, field);
    }

    /// Whatever reads as an id or a token, wherever it stands.
    fn text(&mut self, place: &mut Text<'_>, text: &[u8], depth: u32) {
        self.standing(place, self.knowledge.ids_in(text));
        self.tokens(place, text, depth);
    }

    /// Ids that were found in a text.
    fn standing(&mut self, place: &mut Text<'_>, standing: Standing) {
        self.count.too_deep += u64::from(standing.too_deep);
        for id in standing.ids {
            if place.known.len() < MOST_KNOWN && place.known.insert(id.clone()) {
                self.mention(place, &id, MentionKind::Other);
            }
        }
    }

    fn tokens(&mut self, place: &mut Text<'_>, text: &[u8], depth: u32) {
        for token in tokens(text) {
            if !place.known.contains(&token) {
                self.nested(place, &token, depth);
            }
        }
    }

    fn nested(&mut self, place: &mut Text<'_>, token: &str, depth: u32) {
        if depth >= DEEPEST {
            self.count.too_deep += 1;
            return;
        }
        match self.knowledge.keys.open_token(token) {
            None => self.count.unopened += 1,
            Some(value) => self.opened(place, &value, depth + 1),
        }
    }

    fn opened(&mut self, place: &mut Text<'_>, value: &SecretValue, depth: u32) {
        let text = value.expose_text();
        let reference = text.and_then(|it| self.knowledge.reference(it));
        if let Some(reference) = reference.filter(|it| !it.id().is_empty())
            && self.knowledge.is_tellable(&reference)
            && place.known.insert(reference.id().to_owned())
        {
            self.mention(place, reference.id(), MentionKind::Other);
        }
        self.text(place, value.expose(), depth);
    }

    fn is_managed(&self, id: &str) -> bool {
        matches!(self.knowledge.provider, Provider::Managed(_))
            && self
                .knowledge
                .ids
                .is_some_and(|ids| ids.check(id).is_some())
    }

    fn mention(&mut self, place: &Text<'_>, id: &str, kind: MentionKind) {
        self.mentions.push(Mention {
            name: id.to_owned(),
            external: !self.is_managed(id),
            kind,
            keeps: true,
            column: place.column.to_owned(),
            row: place.about.row,
            title: place.about.title.clone(),
            workspace: None,
            tombstone: place.about.deleted,
            storage: Uuid::nil(),
        });
    }

    fn defect(&mut self, place: &Text<'_>, leaf: &Leaf<'_>, kind: DefectKind, detail: &str) {
        // Elsewhere than in an entity or a setting it is history, which nobody can mend.
        let is_reference = kind == DefectKind::ReferenceToNowhere;
        if self.entities.is_some() || self.settings.is_some() && !is_reference {
            let pointer = Some(leaf.pointer.to_owned());
            self.defects.push(defect(place, kind, pointer, detail));
        }
    }
}

/// Whether it is what is kept of the password that a person logs in with.
fn is_hash(text: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|it| text.starts_with(it))
}

fn defect(place: &Text<'_>, kind: DefectKind, pointer: Option<String>, detail: &str) -> Defect {
    Defect {
        kind,
        column: place.column.to_owned(),
        row: place.about.row,
        title: place.about.title.clone(),
        workspace: None,
        tombstone: place.about.deleted,
        pointer,
        detail: detail.to_owned(),
    }
}
