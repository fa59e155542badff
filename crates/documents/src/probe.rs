//! A backend tried out with secrets of its own: written, read, described, listed, restored, deleted, alone
//! and as many together as its jobs do.

use std::sync::Arc;

use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::{
    BackendId, Coordinate, DeleteMode, Description, Error, ErrorKind, Operation, PutRequest,
    Result, Scope, SecretBackend, SecretState, SecretValue, StoredSecret, ValueKind,
};
use uuid::Uuid;

use crate::Documents;
use crate::secrets::NewSecret;

/// Pages of a listing that are looked through for the test secret.
const MOST_PAGES: usize = 10;

/// A test secret of a check or discover in one backend, and a second one for what is asked of several.
///
/// The ledger has a row before the manager has a secret, and the row expires as those of every
/// check do: whatever happens to whoever tries it out, the reconciler deletes what is left.
pub struct Probe {
    documents: Documents,
    backend: Arc<dyn SecretBackend>,
    secrets: Vec<NewSecret>,
    /// One for each secret; the first is the one that is tried alone.
    requests: Vec<PutRequest>,
    /// Has the form of a secret and was never put.
    absent: Coordinate,
    /// Those that the manager may have.
    may_be_there: Vec<Coordinate>,
}

/// One operation that was tried.
#[derive(Debug)]
pub struct Step {
    /// Which one.
    pub operation: Operation,
    /// How it went.
    pub outcome: StepOutcome,
}

/// How one operation went.
#[derive(Debug)]
pub enum StepOutcome {
    /// The manager did it, and did it right.
    Works,
    /// It was not tried, for this reason.
    NotTried(&'static str),
    /// It failed.
    Failed(Error),
}

impl Documents {
    /// A probe of one backend. Writes a row to the ledger and nothing to the backend yet.
    pub async fn probe(&self, backend: &BackendId) -> Result<Probe> {
        let mut probe = Probe {
            documents: self.clone(),
            backend: Arc::clone(self.backends.get(backend)?),
            secrets: Vec::new(),
            requests: Vec::new(),
            absent: self.fresh_base(Scope::Workspace, Uuid::nil()),
            may_be_there: Vec::new(),
        };
        probe.intend().await?;
        Ok(probe)
    }
}

impl Probe {
    /// The coordinate of the test secret.
    pub fn coordinate(&self) -> &Coordinate {
        &self.secrets[0].coordinate
    }

    /// One more secret that is to be written.
    async fn intend(&mut self) -> Result<()> {
        let documents = &self.documents;
        let ring = documents.keys.ring()?;
        let identity = documents.store.identity().await?;
        let base = documents.fresh_base(Scope::Workspace, Uuid::nil());
        let text = format!("A test of Cloakroom's, {}.", documents.randomness.uuid());
        let value = SecretValue::from(text);
        let id = self.backend.id().clone();
        let new = NewSecret::new(String::new(), id, base, ValueKind::Text, value);
        let mut new = vec![new];
        documents.intend_unnoted(&mut new, &ring).await?;
        let expires = self.backend.capabilities().native_expiry != NativeExpiry::Absent;
        let request = documents.request(&new[0], &ring, &identity, expires);
        self.secrets.append(&mut new);
        self.requests.push(request);
        Ok(())
    }

    /// Tries one operation after the other and hands each over as it ends. With `keep` the secret
    /// is left as it was written; otherwise it is deleted at last.
    pub async fn run(&mut self, keep: bool, mut on_step: impl FnMut(Step)) {
        let mut tried = |operation, outcome: Result<()>| {
            let works = outcome.is_ok();
            let outcome = outcome.map_or_else(StepOutcome::Failed, |()| StepOutcome::Works);
            on_step(Step { operation, outcome });
            works
        };
        if !tried(Operation::Put, self.put_last().await) {
            return;
        }
        tried(Operation::Get, self.get(keep).await);
        tried(Operation::Describe, self.describe_all().await);
        tried(Operation::List, self.list().await);
        if keep {
            return;
        }
        if self.requests[0].native_expiry.is_some() {
            tried(Operation::LiftExpiry, self.lift_expiry().await);
        }
        if let Some(recovery) = self.backend.capabilities().recovery {
            let window = DeleteMode::Recoverable(recovery.shortest);
            let deleted = self.delete(self.coordinate(), window).await;
            if tried(Operation::Delete, deleted) {
                tried(Operation::Restore, self.restore().await);
            }
        } else {
            on_step(Step {
                operation: Operation::Delete,
                outcome: StepOutcome::NotTried("this manager has no recovery"),
            });
        }
        let deleted = self.delete_all().await;
        let works = deleted.is_ok();
        let outcome = match deleted {
            Err(error) => StepOutcome::Failed(error),
            Ok(()) if !self.deletes_for_good() => {
                StepOutcome::NotTried("this manager deletes nothing for good at once")
            }
            Ok(()) => StepOutcome::Works,
        };
        on_step(Step {
            operation: Operation::DeleteFinally,
            outcome,
        });
        if works {
            self.may_be_there.clear();
        }
    }

    /// Leaves the secret to live as long as those of a check do.
    pub async fn keep(self) -> Result<()> {
        let store = &self.documents.store;
        store
            .confirm_ephemeral(self.backend.id(), self.coordinate())
            .await
    }

    /// Deletes what may be left and expires the rows, so that the reconciler looks once more. An
    /// error says that something may be left until then.
    pub async fn clean_up(self) -> Result<()> {
        let mut deleted = Ok(());
        for coordinate in &self.may_be_there {
            deleted = deleted.and(self.delete_as_far_as_allowed(coordinate).await);
        }
        self.documents.give_up(&self.secrets).await;
        deleted
    }

    /// Who may not delete for good may still delete recoverably: then nobody can read what is left.
    async fn delete_as_far_as_allowed(&self, coordinate: &Coordinate) -> Result<()> {
        let last = self.last_mode();
        let deleted = self.delete(coordinate, last).await;
        if let (Err(_), DeleteMode::Final, Some(recovery)) =
            (&deleted, last, self.backend.capabilities().recovery)
        {
            // The error told is that of the right that is missing.
            let window = DeleteMode::Recoverable(recovery.shortest);
            let _ = self.delete(coordinate, window).await;
        }
        deleted
    }

    fn deletes_for_good(&self) -> bool {
        self.backend.capabilities().final_deletion
    }

    /// How the secret goes at last: for good, or as soon as the manager lets it.
    fn last_mode(&self) -> DeleteMode {
        match self.backend.capabilities().recovery {
            Some(recovery) if !self.deletes_for_good() => {
                DeleteMode::Recoverable(recovery.shortest)
            }
            _ => DeleteMode::Final,
        }
    }

    /// Puts the one that was intended last.
    async fn put_last(&mut self) -> Result<()> {
        let policy = &self.documents.settings.put;
        let Some(request) = self.requests.last() else {
            return Ok(());
        };
        self.may_be_there.push(request.mark.coordinate.clone());
        let put = policy.run("put the secret", || self.backend.put(request));
        put.await.map(drop)
    }

    /// Alone, and with others: a batch takes rights of its own. What is to be kept stays alone.
    async fn get(&mut self, alone: bool) -> Result<()> {
        let policy = &self.documents.settings.put;
        let read = policy.run("read the secret", || self.backend.get(self.coordinate()));
        self.ensure_read(&read.await?, 0)?;
        if !alone {
            self.intend().await?;
            self.put_last().await?;
        }
        let policy = &self.documents.settings.put;
        let asked = self.all_and_absent();
        let read = policy.run("read the secrets", || async {
            self.told_apart(self.backend.get_many(&asked).await)
        });
        for (at, read) in read.await?.iter().enumerate() {
            self.ensure_read(read, at)?;
        }
        Ok(())
    }

    fn ensure_read(&self, read: &StoredSecret, at: usize) -> Result<()> {
        let request = &self.requests[at];
        if read.value != request.value {
            return Err(self.wrong("the value read is another than was written"));
        }
        if read.mark.as_ref().is_some_and(|mark| *mark != request.mark) {
            return Err(self.wrong("the mark read is another than was written"));
        }
        Ok(())
    }

    /// Those that were written, and one that was not.
    fn all_and_absent(&self) -> Vec<Coordinate> {
        let written = self.secrets.iter().map(|it| it.coordinate.clone());
        written.chain([self.absent.clone()]).collect()
    }

    /// The answers to [`Probe::all_and_absent`] without the last, which has to be that it is missing.
    fn told_apart<T>(&self, mut answers: Vec<Result<T>>) -> Result<Vec<T>> {
        match answers.pop() {
            Some(Err(missing)) if missing.is_missing() => {}
            Some(Err(error)) => return Err(error),
            _ => return Err(self.wrong("what was never written is told as if it were there")),
        }
        answers.into_iter().collect()
    }

    async fn describe_all(&self) -> Result<()> {
        self.describe().await?;
        let policy = &self.documents.settings.put;
        let asked = self.all_and_absent();
        let described = policy.run("describe the secrets", || async {
            self.told_apart(self.backend.describe_many(&asked).await)
        });
        described.await.map(drop)
    }

    async fn describe(&self) -> Result<()> {
        let policy = &self.documents.settings.put;
        let described = policy.run("describe the secret", || {
            self.backend.describe(self.coordinate())
        });
        let described = described.await?;
        if described.mark.as_ref() != Some(&self.requests[0].mark) {
            return Err(self.wrong("the mark described is another than was written"));
        }
        match described.state {
            SecretState::Enabled => Ok(()),
            _ => Err(self.wrong("a secret just written is not described as enabled")),
        }
    }

    /// Until it is seen, on the first pages: a listing may lag, and a full manager has many.
    async fn list(&self) -> Result<()> {
        let policy = &self.documents.settings.put;
        let mut next = None;
        for _ in 0..MOST_PAGES {
            let listed = policy.run("list the secrets", || self.backend.list(next.as_ref()));
            let page = listed.await?;
            let is_it = |it: &Description| it.coordinate == *self.coordinate();
            if page.secrets.iter().any(is_it) || page.next.is_none() {
                break;
            }
            next = page.next;
        }
        Ok(())
    }

    async fn lift_expiry(&self) -> Result<()> {
        let policy = &self.documents.settings.put;
        let lifted = policy.run("lift the expiry", || {
            self.backend.lift_expiry(self.coordinate())
        });
        lifted.await?;
        let described = self.backend.describe(self.coordinate()).await?;
        if described.native_expiry.is_some() {
            return Err(self.wrong("it has an expiry after that was lifted"));
        }
        Ok(())
    }

    async fn restore(&self) -> Result<()> {
        let policy = &self.documents.settings.put;
        let restored = policy.run("restore the secret", || {
            self.backend.restore(self.coordinate())
        });
        restored.await?;
        self.describe().await
    }

    async fn delete(&self, coordinate: &Coordinate, mode: DeleteMode) -> Result<()> {
        let policy = &self.documents.settings.put;
        let deleted = policy.run("delete the secret", || {
            self.backend.delete(coordinate, mode, None)
        });
        deleted.await.map(drop)
    }

    /// One alone, and the rest with one that was never there.
    async fn delete_all(&self) -> Result<()> {
        let mode = self.last_mode();
        let mut left = self.all_and_absent();
        if left.len() > 2 {
            self.delete(&left.remove(1), mode).await?;
        }
        let policy = &self.documents.settings.put;
        let deleted = policy.run("delete the secrets", || async {
            let deleted = self.backend.delete_many(&left, mode).await;
            deleted.into_iter().collect::<Result<Vec<_>>>()
        });
        deleted.await.map(drop)
    }

    fn wrong(&self, message: &'static str) -> Error {
        Error::new(ErrorKind::Corrupt, "try the backend out", message)
            .with_backend(self.backend.id())
            .with_coordinate(self.coordinate())
    }
}
