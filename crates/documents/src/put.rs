//! Writing a document: intent first, then the values, then the document.

use std::collections::HashSet;

use cloakroom_core::config::{
    Action, CompiledSpec, Field, Held, MAX_TEXT, Previous, Update, array_digest, parse_json, update,
};
use cloakroom_core::store::{
    CommitOutcome, DocumentCommit, Expected, NewReference, Spec, SpecId, StoredDocument,
};
use cloakroom_core::{
    BackendId, Coordinate, Digest, DocumentId, Error, ErrorKind, KeyRing, Result, Revision, Scope,
    SecretJson, SecretValue, Version, WorkspaceId,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::Documents;
use crate::change::{Change, ChangeKind};
use crate::naming::Naming;
use crate::secrets::NewSecret;

pub(crate) const OPERATION: &str = "put the document";

/// A spec read and compiled once, to be used for many documents.
#[derive(Clone, Debug)]
pub struct DocumentSpec {
    spec: Spec,
    compiled: CompiledSpec,
}

impl DocumentSpec {
    /// Reads a spec from its JSON text: a JSON Schema, or a connector's whole spec file.
    pub fn read(text: &str) -> Result<Self> {
        Self::compile(&parse_json("read the spec", text.as_bytes())?)
    }

    /// Reads a spec that a document is stored with, to update the document under it. One that an earlier
    /// version took and that is refused by now may not say what is secret, and a new value would be stored
    /// in clear.
    pub fn read_for_update(text: &str) -> Result<Self> {
        Self::read(text).map_err(|error| {
            let message = "the spec that the document is stored with is refused by now; put the document \
                           with its spec mended (--spec). Nothing was changed";
            Error::new(error.kind(), OPERATION, message).with_source(error)
        })
    }

    /// Reads a spec that a document is stored with, to show it. One that an earlier version took is taken
    /// still, though it would be refused for a put; see [`CompiledSpec::compile_stored`].
    pub(crate) fn read_stored(text: &str) -> Result<Self> {
        let spec = parse_json("read the spec", text.as_bytes())?;
        Ok(Self::of(&spec, CompiledSpec::compile_stored(&spec)?))
    }

    /// Compiles a spec that was read already.
    pub fn compile(spec: &Value) -> Result<Self> {
        Ok(Self::of(spec, CompiledSpec::compile(spec)?))
    }

    fn of(spec: &Value, compiled: CompiledSpec) -> Self {
        let text = spec.to_string();
        let id = hex::encode(Sha256::digest(text.as_bytes()));
        Self {
            spec: Spec {
                id: SpecId(id),
                text,
            },
            compiled,
        }
    }

    /// Where its secrets are.
    pub fn compiled(&self) -> &CompiledSpec {
        &self.compiled
    }
}

/// A document to be written.
#[derive(Debug)]
pub struct Put<'a> {
    /// The document to update; `None` makes a new one.
    pub id: Option<DocumentId>,
    /// Whose it is. An update cannot change it.
    pub workspace: WorkspaceId,
    /// Its spec.
    pub spec: &'a DocumentSpec,
    /// The configuration, with secrets in clear, masked, or as the nodes that stand there already.
    pub config: SecretJson,
    /// Only if the document stands at this revision; refused for a new document.
    pub if_revision: Option<Revision>,
}

/// What a put did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutDone {
    /// Which document.
    pub id: DocumentId,
    /// Its revision now.
    pub revision: Revision,
    /// What became of each secret, in the order of the fields, then what lost its reference.
    pub changes: Vec<Change>,
}

impl Documents {
    /// Writes a document. Fails with
    /// `Missing` (no such document), `Conflict` (another writer was first, or the values took
    /// longer than their expiry; nothing was changed), `Invalid` (a field of the configuration, named
    /// by its pointer), `TooLarge`, or what the backend answered. After a failure the document stands
    /// as before; only where the store's answer to the very last step was lost (`Unavailable` from
    /// the store) may it be written all the same: read it before putting a new document again.
    pub async fn put(&self, put: Put<'_>) -> Result<PutDone> {
        let ring = self.keys.ring()?;
        self.put_under(put, &ring, |_, _| Ok(())).await
    }

    /// Writes a document; what has a digest under a key that `ring` lacks is written anew. Nothing is
    /// written where `check` refuses what would become of what is held.
    pub(crate) async fn put_under(
        &self,
        put: Put<'_>,
        ring: &KeyRing,
        check: impl FnOnce(&Update, &[Held]) -> Result<()>,
    ) -> Result<PutDone> {
        let before = self.before(&put).await?;
        let id = put.id.unwrap_or_else(|| DocumentId(self.randomness.uuid()));
        let held = before
            .as_ref()
            .map_or(&[][..], |document| &document.references);
        let other = self.other_spec(before.as_ref(), put.spec).await?;
        let before_it = before.as_ref().map(|document| (document, other.as_ref()));
        let update = self.split(&put.spec.compiled, put.config, before_it, ring, id)?;
        refuse_places_that_no_store_can_hold(&update)?;
        check(&update, held)?;

        let mut plan = Plan::of(update, held, ring, &id.to_string());
        let new = plan.take_new(self, put.workspace, held)?;
        let written = self.write_new(new, ring).await?;
        let homes = plan.homes(held, &written);
        let changes = plan.changes(held, &homes);
        let references = plan.references(&homes);
        let coordinates: Vec<Coordinate> = homes
            .into_iter()
            .flatten()
            .map(|(_, coordinate)| coordinate)
            .collect();
        let blob = plan.update.into_blob(&coordinates)?.to_string();
        if blob.len() > MAX_TEXT {
            self.give_up(&written).await;
            return Err(too_large(id, blob.len()));
        }
        let commit = DocumentCommit {
            id,
            workspace: put.workspace,
            spec: put.spec.spec.clone(),
            blob,
            expected: before
                .as_ref()
                .map_or(Expected::Absent, |document| Expected::At(document.revision)),
            references,
            intended: written.iter().filter_map(NewSecret::intended).collect(),
        };
        self.commit(commit, changes).await
    }

    async fn before(&self, put: &Put<'_>) -> Result<Option<StoredDocument>> {
        let refuse = |message| Err(Error::new(ErrorKind::Invalid, OPERATION, message));
        Naming::Workspace.owner(put.workspace)?;
        let Some(id) = put.id else {
            return match put.if_revision {
                Some(_) => refuse("a new document has no revision to hold it against"),
                None => Ok(None),
            };
        };
        let Some(document) = self.store.document(id).await? else {
            return Err(Error::new(
                ErrorKind::Missing,
                OPERATION,
                "there is no such document; leave the id out to make a new one",
            )
            .with_coordinate(id));
        };
        if document.workspace != put.workspace {
            return Err(Error::new(
                ErrorKind::Invalid,
                OPERATION,
                format!(
                    "it belongs to workspace {} and cannot change hands",
                    document.workspace
                ),
            )
            .with_coordinate(id));
        }
        match put.if_revision {
            Some(expected) if expected != document.revision => {
                Err(other_revision(OPERATION, id, document.revision, expected))
            }
            _ => Ok(Some(document)),
        }
    }

    /// The spec that a document was put under, where it is another than that of the put and can be read.
    async fn other_spec(
        &self,
        before: Option<&StoredDocument>,
        spec: &DocumentSpec,
    ) -> Result<Option<DocumentSpec>> {
        let Some(document) = before.filter(|document| document.spec != spec.spec.id) else {
            return Ok(None);
        };
        match self.store.spec(&document.spec).await {
            Ok(text) => Ok(DocumentSpec::read_stored(&text).ok()),
            Err(error) if error.kind() == ErrorKind::Missing => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn split(
        &self,
        spec: &CompiledSpec,
        config: SecretJson,
        before: Option<(&StoredDocument, Option<&DocumentSpec>)>,
        ring: &KeyRing,
        id: DocumentId,
    ) -> Result<Update> {
        // A blob that is damaged must not stand in the way of repairing it: without it, masks in
        // arrays are refused as ambiguous, everything else is found by its pointer, and no secret may
        // be left out.
        let blob = before.map(|(document, _)| {
            parse_json(OPERATION, document.blob.as_bytes()).unwrap_or(Value::Null)
        });
        let previous = before.zip(blob.as_ref());
        let previous = previous.map(|((document, other), blob)| Previous {
            blob,
            held: &document.references,
            spec: other.map(DocumentSpec::compiled),
        });
        let options = self.options();
        update(spec, config, previous, ring, &id.to_string(), &options)
    }

    async fn commit(&self, commit: DocumentCommit, mut changes: Vec<Change>) -> Result<PutDone> {
        let id = commit.id;
        match self.store.commit(&commit).await? {
            CommitOutcome::Committed {
                revision,
                unreferenced,
            } => {
                tracing::info!(
                    document.id = %id,
                    document.revision = revision.0,
                    secrets.written = commit.intended.len(),
                    secrets.unreferenced = unreferenced.len(),
                    "document written"
                );
                let lost: HashSet<&str> = unreferenced.iter().map(Coordinate::as_str).collect();
                changes.retain(|change| {
                    change.change != ChangeKind::Unreferenced
                        || lost.contains(change.coordinate.as_str())
                });
                Ok(PutDone {
                    id,
                    revision,
                    changes,
                })
            }
            CommitOutcome::LostRace { current } => Err(lost_race(id, current)),
            CommitOutcome::Expired => Err(Error::new(
                ErrorKind::Conflict,
                OPERATION,
                "writing the secrets took longer than they live unreferenced, or a kept one is \
                 being deleted; nothing was changed, put it again with the values",
            )
            .with_coordinate(id)),
        }
    }
}

/// Places that are longer do not fit into PostgreSQL's indexes, beside the names that are in them.
const LONGEST_PLACE: usize = 2_000;

/// The place of a secret is kept beside it, and PostgreSQL's text holds no NUL.
fn refuse_places_that_no_store_can_hold(update: &Update) -> Result<()> {
    let refused = |pointer: &str, message: String| {
        Err(Error::new(ErrorKind::Invalid, OPERATION, message).with_coordinate(pointer))
    };
    for field in &update.fields {
        let pointer = &*field.pointer;
        if pointer.contains('\0') {
            let message = "a key on the way to this secret has a NUL character (shown as ␀), which not \
                           every database can hold; rename the key";
            return refused(&pointer.replace('\0', "\u{2400}"), message.to_owned());
        }
        // What is there already was taken by this database.
        if pointer.len() > LONGEST_PLACE && matches!(field.action, Action::New { .. }) {
            let message = format!(
                "the keys on the way to this secret have {} bytes, more than the {LONGEST_PLACE} that every database \
                 can hold; shorten them; nothing was changed",
                pointer.len()
            );
            return refused(&shortened(pointer), message);
        }
    }
    Ok(())
}

/// Enough to find it by.
fn shortened(pointer: &str) -> String {
    const SHOWN: usize = 100;
    let shown: String = pointer.chars().take(SHOWN).collect();
    format!("{shown}…")
}

fn too_large(id: DocumentId, bytes: usize) -> Error {
    let message = format!(
        "with a coordinate in place of each secret it has {bytes} bytes and may have {MAX_TEXT}; \
         nothing was changed"
    );
    Error::new(ErrorKind::TooLarge, OPERATION, message).with_coordinate(id)
}

/// The caller asked for a revision that the document does not stand at, whoever wrote it.
pub(crate) fn other_revision(
    operation: &'static str,
    id: DocumentId,
    current: Revision,
    expected: Revision,
) -> Error {
    let message = format!(
        "it stands at revision {current} and was to stand at {expected}; nothing was changed, read \
         it again before you decide"
    );
    Error::new(ErrorKind::Conflict, operation, message).with_coordinate(id)
}

fn lost_race(id: DocumentId, current: Option<Revision>) -> Error {
    let message = match current {
        Some(revision) => format!(
            "another writer was first and it stands at revision {revision}; nothing was changed, \
             read it again and put your edit on top"
        ),
        None => "it was removed meanwhile; nothing was changed".to_owned(),
    };
    Error::new(ErrorKind::Conflict, OPERATION, message).with_coordinate(id)
}

/// The backend and coordinate of one field's secret.
type Home = (BackendId, Coordinate);

/// What is to be done for each field, the values taken out of it.
struct Plan {
    update: Update,
    array_digests: Vec<Option<Digest>>,
}

impl Plan {
    fn of(update: Update, held: &[Held], ring: &KeyRing, scope: &str) -> Self {
        let array_digests = update
            .fields
            .iter()
            .map(|field| array_digest_of(field, held, ring, scope))
            .collect();
        Self {
            update,
            array_digests,
        }
    }

    /// Takes the values out of the fields, each with the base it goes under.
    fn take_new(
        &mut self,
        documents: &Documents,
        workspace: WorkspaceId,
        held: &[Held],
    ) -> Result<Vec<NewSecret>> {
        let default = documents.backends.for_workspace(workspace)?.id().clone();
        let naming = documents.settings.naming;
        let owner = naming.owner(workspace)?;
        let mut new = Vec::new();
        for field in &mut self.update.fields {
            match &mut field.action {
                Action::Raise {
                    held: at,
                    value,
                    kind,
                } => new.push(NewSecret::new(
                    field.pointer.clone(),
                    held[*at].backend.clone(),
                    held[*at].coordinate.clone(),
                    *kind,
                    take(value),
                    workspace,
                )),
                Action::New { value, kind } => new.push(NewSecret::new(
                    field.pointer.clone(),
                    default.clone(),
                    documents.fresh_base(naming.scope(), owner),
                    *kind,
                    take(value),
                    workspace,
                )),
                Action::Keep { .. } | Action::External { .. } => {}
            }
        }
        Ok(new)
    }

    /// Where the secret of each field is from now on; `None` for somebody else's.
    fn homes(&self, held: &[Held], written: &[NewSecret]) -> Vec<Option<Home>> {
        let mut written = written.iter();
        self.update
            .fields
            .iter()
            .map(|field| match &field.action {
                Action::Keep { held: at } => {
                    Some((held[*at].backend.clone(), held[*at].coordinate.clone()))
                }
                Action::Raise { .. } | Action::New { .. } => written
                    .next()
                    .map(|new| (new.backend.clone(), new.coordinate.clone())),
                Action::External { .. } => None,
            })
            .collect()
    }

    fn references(&self, homes: &[Option<Home>]) -> Vec<NewReference> {
        let fields = self
            .update
            .fields
            .iter()
            .zip(homes)
            .zip(&self.array_digests);
        fields
            .filter_map(|((field, home), array_digest)| {
                let (backend, coordinate) = home.clone()?;
                Some(NewReference {
                    pointer: field.pointer.clone(),
                    backend,
                    coordinate,
                    array_digest: array_digest.clone(),
                })
            })
            .collect()
    }

    fn changes(&self, held: &[Held], homes: &[Option<Home>]) -> Vec<Change> {
        let now = |field: &Field, home: &Option<Home>| {
            let coordinate = home.as_ref().map(|(_, coordinate)| coordinate.to_string());
            let (change, from) = match &field.action {
                Action::Keep { held: at } => {
                    let before = &held[*at].pointer;
                    (
                        ChangeKind::Kept,
                        (*before != field.pointer).then(|| before.clone()),
                    )
                }
                Action::Raise { .. } => (ChangeKind::Raised, None),
                Action::New { .. } => (ChangeKind::New, None),
                Action::External { .. } => (ChangeKind::External, None),
            };
            let external = match &field.action {
                Action::External { name } => Some(name.clone()),
                _ => None,
            };
            let coordinate = coordinate.or(external).unwrap_or_default();
            Change {
                pointer: field.pointer.clone(),
                change,
                coordinate,
                damaged: matches!(field.action, Action::Keep { held: at } if held[at].damaged),
                from,
            }
        };
        let fields = self
            .update
            .fields
            .iter()
            .zip(homes)
            .map(|(field, home)| now(field, home));
        let lost = self.update.unreferenced.iter().map(|at| Change {
            pointer: held[*at].pointer.clone(),
            change: ChangeKind::Unreferenced,
            coordinate: held[*at].coordinate.to_string(),
            damaged: false,
            from: None,
        });
        fields.chain(lost).collect()
    }
}

/// Finds the value again where it moves within its array; a kept value brings its own along.
fn array_digest_of(field: &Field, held: &[Held], ring: &KeyRing, scope: &str) -> Option<Digest> {
    let array_scope = field.array_scope.as_ref()?;
    match &field.action {
        Action::Keep { held: at } => held[*at].array_digest.clone(),
        Action::Raise { value, kind, .. } | Action::New { value, kind } => Some(array_digest(
            ring.current(),
            scope,
            array_scope,
            *kind,
            value,
        )),
        Action::External { .. } => None,
    }
}

fn take(value: &mut SecretValue) -> SecretValue {
    std::mem::replace(value, SecretValue::new(Vec::new()))
}

impl Documents {
    /// A base nobody has used, as its first version; the store chooses the version.
    pub(crate) fn fresh_base(&self, scope: Scope, owner: uuid::Uuid) -> Coordinate {
        self.settings
            .grammar
            .managed(scope, owner, self.randomness.uuid(), Version::FIRST)
    }
}
