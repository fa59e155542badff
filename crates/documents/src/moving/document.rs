//! One document taken to another backend: its values read and held against their digests, written and
//! read back there, and then, in one transaction, referred to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cloakroom_core::config::Held;
use cloakroom_core::ledger::RowState;
use cloakroom_core::store::{CommitOutcome, StoredDocument, Way};
use cloakroom_core::{
    BackendId, Coordinate, DocumentId, Error, ErrorKind, KeyRing, MoveId, Result, SecretValue,
    WorkspaceId,
};

use super::fit::obstacle;
use super::report::MoveIssue;
use super::run::Run;
use super::switching::switch;
use super::{Mover, OPERATION};
use crate::read::is_as_recorded;
use crate::secrets::NewSecret;

/// How often a document that is edited meanwhile is begun anew.
const ATTEMPTS: usize = 5;

/// What a document's secrets are to go by.
pub(super) struct Route<'a> {
    pub(super) id: MoveId,
    pub(super) way: Way,
    /// Which backend they leave.
    pub(super) leaving: &'a BackendId,
    /// Where they go.
    pub(super) entering: &'a BackendId,
}

/// What became of one document.
pub(super) enum Moved {
    /// It is gone, or has nothing to be moved.
    Nothing,
    /// Its references lead elsewhere; in a dry run, they would.
    Switched(Tally),
    /// So many of its values are what was stored.
    Compared(u64),
    /// It stands as before.
    Stands(Vec<MoveIssue>),
    /// It stands as before, since values are not what was stored.
    Differs(Vec<MoveIssue>),
}

/// What one document added to a move.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) copied: u64,
    pub(super) verified: u64,
    pub(super) returned: u64,
}

/// What the way back knows of a document: where each copy came from.
type Origins = BTreeMap<Coordinate, Coordinate>;

impl Run<'_> {
    /// Takes one document along. A document that somebody edits meanwhile is begun anew, on top of the
    /// edit.
    pub(super) async fn take_along(&self, route: &Route<'_>, id: DocumentId) -> Moved {
        for _ in 0..ATTEMPTS {
            match self.attempt(route, id).await {
                Ok(Attempt::Over(moved)) => return moved,
                Ok(Attempt::LostRace) => {}
                Err(error) => return Moved::Stands(vec![MoveIssue::of(id, &error)]),
            }
        }
        let message =
            "it was edited again and again while its secrets were copied; run the move again";
        let error = Error::new(ErrorKind::Conflict, OPERATION, message).with_coordinate(id);
        Moved::Stands(vec![MoveIssue::of(id, &error)])
    }

    async fn attempt(&self, route: &Route<'_>, id: DocumentId) -> Result<Attempt> {
        let over = |moved| Ok(Attempt::Over(moved));
        let mover = self.mover;
        let Ready {
            document,
            returned,
            values,
            ring,
        } = match mover.prepare(route, id).await? {
            Prepared::Over(moved) => return over(moved),
            Prepared::Ready(ready) => ready,
        };
        let from: Vec<Coordinate> = values
            .iter()
            .map(|(held, _)| held.coordinate.clone())
            .collect();
        let written = mover
            .documents
            .write_new(new_secrets(route, document.workspace, values), &ring);
        let written = written.await?;
        let to = written.iter().map(|new| new.coordinate.clone());
        let mut homes = returned.clone();
        homes.extend(from.into_iter().zip(to));

        let ready = async {
            let wrong = mover.read_back(route, id, &written).await?;
            let switch = switch(route, &document, &homes, &returned, &written)?;
            Ok((wrong, switch))
        };
        let switch = match ready.await {
            Ok((wrong, switch)) if wrong.is_empty() => switch,
            not_ready => {
                mover.documents.give_up(&written).await;
                return not_ready.map(|(wrong, _)| Attempt::Over(Moved::Differs(wrong)));
            }
        };
        match self.switch(&switch).await? {
            CommitOutcome::Committed { revision, .. } => {
                let copied = written.len() as u64;
                tracing::info!(
                    document.id = %id,
                    document.revision = revision.0,
                    secrets.copied = copied,
                    secrets.returned = returned.len(),
                    "document moved"
                );
                over(Moved::Switched(Tally {
                    copied,
                    verified: copied,
                    returned: returned.len() as u64,
                }))
            }
            // Somebody edited it, or a job came between: what it is now decides.
            CommitOutcome::LostRace { .. } | CommitOutcome::Expired => Ok(Attempt::LostRace),
        }
    }
}

impl Mover {
    /// What would become of one document. Values are read, nothing is written.
    pub(super) async fn look(&self, route: &Route<'_>, id: DocumentId) -> Moved {
        match self.look_at(route, id).await {
            Ok(moved) => moved,
            Err(error) => Moved::Stands(vec![MoveIssue::of(id, &error)]),
        }
    }

    async fn look_at(&self, route: &Route<'_>, id: DocumentId) -> Result<Moved> {
        Ok(match self.prepare(route, id).await? {
            Prepared::Over(moved) => moved,
            Prepared::Ready(ready) => Moved::Switched(Tally {
                copied: ready.values.len() as u64,
                verified: ready.values.len() as u64,
                returned: ready.returned.len() as u64,
            }),
        })
    }

    /// Reads what a document's secrets are, and whether they can go. Writes nothing.
    async fn prepare(&self, route: &Route<'_>, id: DocumentId) -> Result<Prepared> {
        let over = |moved| Ok(Prepared::Over(moved));
        let Some(document) = self.store.document(id).await? else {
            return over(Moved::Nothing);
        };
        let origins = self.origins(route, id).await?;
        let leaving = leaving(&document, route, &origins);
        if leaving.is_empty() {
            return over(Moved::Nothing);
        }
        let ring = self.documents.keys.ring()?;
        let returned = self.originals(route, &leaving, &origins, &ring).await?;
        let copied: Vec<&Held> = leaving
            .into_iter()
            .filter(|held| !returned.contains_key(&held.coordinate))
            .collect();
        let (values, differing) = self.proven(id, &copied, &ring).await?;
        if !differing.is_empty() {
            return over(Moved::Differs(differing));
        }
        let issues = self.obstacles(route, id, &values)?;
        if !issues.is_empty() {
            return over(Moved::Stands(issues));
        }
        Ok(Prepared::Ready(Ready {
            document,
            returned,
            values,
            ring,
        }))
    }

    /// Whether what a document refers to in a backend is there and is what was stored.
    pub(super) async fn compare(&self, backend: &BackendId, id: DocumentId) -> Moved {
        match self.compare_within(backend, id).await {
            Ok(moved) => moved,
            Err(error) => Moved::Stands(vec![MoveIssue::of(id, &error)]),
        }
    }

    async fn compare_within(&self, backend: &BackendId, id: DocumentId) -> Result<Moved> {
        let Some(document) = self.store.document(id).await? else {
            return Ok(Moved::Nothing);
        };
        let there: Vec<&Held> = document
            .references
            .iter()
            .filter(|held| held.backend == *backend)
            .collect();
        let ring = self.documents.keys.ring()?;
        let (values, differing) = self.proven(id, &there, &ring).await?;
        if differing.is_empty() {
            return Ok(Moved::Compared(values.len() as u64));
        }
        Ok(Moved::Differs(differing))
    }

    /// Where the copies of a document came from, on the way back.
    async fn origins(&self, route: &Route<'_>, id: DocumentId) -> Result<Origins> {
        match route.way {
            Way::Forth => Ok(Origins::new()),
            Way::Back => {
                let moved = self.store.moved_secrets(route.id, id).await?;
                Ok(moved.into_iter().map(|it| (it.to, it.from)).collect())
            }
        }
    }

    /// The old copies that still are what documents refer to, each read and held against the digest of
    /// its copy. One that cannot be read is written anew.
    async fn originals(
        &self,
        route: &Route<'_>,
        leaving: &[&Held],
        origins: &Origins,
        ring: &KeyRing,
    ) -> Result<BTreeMap<Coordinate, Coordinate>> {
        let mut candidates = BTreeMap::new();
        for held in leaving {
            if let Some(original) = origins.get(&held.coordinate) {
                candidates.insert(&held.coordinate, (*held, original));
            }
        }
        let coordinates: Vec<Coordinate> = candidates
            .values()
            .map(|(_, original)| (*original).clone())
            .collect();
        if coordinates.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows = self.store.each_row(route.entering, &coordinates).await?;
        let values = self.documents.values(route.entering, &coordinates).await?;
        let mut originals = BTreeMap::new();
        for (((copy, (held, original)), row), value) in candidates.into_iter().zip(rows).zip(values)
        {
            let is_held = match row {
                Ok(row) => row.is_some_and(|row| row.state == RowState::Held),
                Err(error) => {
                    tracing::warn!(secret.coordinate = %original, error = %error, "the row of an old copy cannot be read; the secret is written anew");
                    false
                }
            };
            let same =
                value.is_ok_and(|stored| is_as_recorded(ring, held, &stored.value) == Some(true));
            if is_held && same {
                originals.insert(copy.clone(), original.clone());
            }
        }
        Ok(originals)
    }

    /// The values of these references, each held against its digest; one for each secret. Those that
    /// are not what was stored are the issues.
    async fn proven(
        &self,
        document: DocumentId,
        leaving: &[&Held],
        ring: &KeyRing,
    ) -> Result<(Vec<(Held, SecretValue)>, Vec<MoveIssue>)> {
        let mut secrets: BTreeMap<(&BackendId, &Coordinate), &Held> = BTreeMap::new();
        for held in leaving {
            secrets.insert((&held.backend, &held.coordinate), held);
        }
        let secrets: Vec<&Held> = secrets.into_values().collect();
        let Some(backend) = secrets.first().map(|held| held.backend.clone()) else {
            return Ok((Vec::new(), Vec::new()));
        };
        let coordinates: Vec<Coordinate> =
            secrets.iter().map(|held| held.coordinate.clone()).collect();
        let answers = self.documents.values(&backend, &coordinates).await?;
        let mut values = Vec::with_capacity(secrets.len());
        let mut issues = Vec::new();
        for (held, answer) in secrets.into_iter().zip(answers) {
            let value = answer
                .map_err(|error| unreadable(document, held, error))?
                .value;
            match is_as_recorded(ring, held, &value) {
                Some(true) => values.push((held.clone(), value)),
                Some(false) => issues.push(differs(document, held, DIFFERENT)),
                None => issues.push(differs(document, held, KEY_GONE)),
            }
        }
        Ok((values, issues))
    }

    fn obstacles(
        &self,
        route: &Route<'_>,
        id: DocumentId,
        values: &[(Held, SecretValue)],
    ) -> Result<Vec<MoveIssue>> {
        let capabilities = self.documents.backends.get(route.entering)?.capabilities();
        let issues = values.iter().filter_map(|(held, value)| {
            let (kind, message) = obstacle(capabilities, &held.coordinate, value)?;
            Some(MoveIssue {
                document: id,
                coordinate: Some(held.coordinate.clone()),
                kind,
                message: format!("{}: {message}", held.pointer),
            })
        });
        Ok(issues.collect())
    }

    /// Reads every copy and holds it against the digest in its ledger row; what differs are the issues.
    async fn read_back(
        &self,
        route: &Route<'_>,
        id: DocumentId,
        written: &[NewSecret],
    ) -> Result<Vec<MoveIssue>> {
        let coordinates: Vec<Coordinate> =
            written.iter().map(|new| new.coordinate.clone()).collect();
        if coordinates.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.documents.values(route.entering, &coordinates).await?;
        let mut issues = Vec::new();
        for (new, answer) in written.iter().zip(answers) {
            if answer?.value != *new.value() {
                issues.push(MoveIssue {
                    document: id,
                    coordinate: Some(new.coordinate.clone()),
                    kind: ErrorKind::Corrupt,
                    message: "the new backend gives back another value than was written; nothing \
                              refers to the copy"
                        .to_owned(),
                });
            }
        }
        Ok(issues)
    }
}

/// A document whose secrets can go.
struct Ready {
    document: StoredDocument,
    /// Old copies to be referred to again, by what the document refers to now.
    returned: BTreeMap<Coordinate, Coordinate>,
    /// The other secrets, with their values, in the order of their coordinates.
    values: Vec<(Held, SecretValue)>,
    ring: Arc<KeyRing>,
}

/// What reading a document came to.
enum Prepared {
    Over(Moved),
    Ready(Ready),
}

/// How one attempt at a document ended.
enum Attempt {
    Over(Moved),
    LostRace,
}

const DIFFERENT: &str = "its value is not the one that was stored: run verify-blobs, and put the \
     document again with the value it is to have";
const KEY_GONE: &str = "whether its value is the one that was stored cannot be told, since the key of \
     its digest is not configured: bring that key back, or renew the digests";

/// What of a document is to leave. On the way back only what the move took along, whatever became of
/// it since.
fn leaving<'d>(
    document: &'d StoredDocument,
    route: &Route<'_>,
    origins: &Origins,
) -> Vec<&'d Held> {
    let bases: BTreeSet<&str> = origins.keys().map(Coordinate::base).collect();
    let goes = |held: &&Held| {
        held.backend == *route.leaving
            && (route.way == Way::Forth || bases.contains(held.coordinate.base()))
    };
    document.references.iter().filter(goes).collect()
}

fn new_secrets(
    route: &Route<'_>,
    workspace: WorkspaceId,
    values: Vec<(Held, SecretValue)>,
) -> Vec<NewSecret> {
    let new = values.into_iter().map(|(held, value)| {
        NewSecret::new(
            held.pointer.clone(),
            route.entering.clone(),
            held.coordinate.clone(),
            held.kind,
            value,
            workspace,
        )
    });
    new.collect()
}

fn differs(document: DocumentId, held: &Held, message: &'static str) -> MoveIssue {
    MoveIssue {
        document,
        coordinate: Some(held.coordinate.clone()),
        kind: ErrorKind::Corrupt,
        message: format!("{}: {message}", held.pointer),
    }
}

fn unreadable(document: DocumentId, held: &Held, cause: Error) -> Error {
    let message = format!(
        "its secret at {} ({}) cannot be read: {}",
        held.pointer,
        held.coordinate,
        cause.message()
    );
    Error::new(cause.kind(), OPERATION, message)
        .with_backend(&held.backend)
        .with_coordinate(document)
        .with_source(cause)
}
