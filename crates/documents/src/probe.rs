//! A backend tried out with a secret of its own: written, read, described, listed, restored, deleted.

use std::sync::Arc;

use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::{
    BackendId, Coordinate, DeleteMode, Error, ErrorKind, Operation, PutRequest, Result, Scope,
    SecretBackend, SecretState, SecretValue, ValueKind,
};
use uuid::Uuid;

use crate::Documents;
use crate::secrets::NewSecret;

/// A test secret of a check or discover in one backend.
///
/// The ledger has its row before the manager has the secret, and the row expires as those of every
/// check do: whatever happens to whoever tries it out, the reconciler deletes what is left.
pub struct Probe {
    documents: Documents,
    backend: Arc<dyn SecretBackend>,
    secret: Vec<NewSecret>,
    request: PutRequest,
    /// Whether the manager may have it.
    may_be_there: bool,
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
        let backend = Arc::clone(self.backends.get(backend)?);
        let ring = self.keys.ring()?;
        let identity = self.store.identity().await?;
        let base = self.fresh_base(Scope::Workspace, Uuid::nil());
        let text = format!("A test of Cloakroom's, {}.", self.randomness.uuid());
        let value = SecretValue::from(text);
        let id = backend.id().clone();
        let mut secret = vec![NewSecret::new(
            String::new(),
            id,
            base,
            ValueKind::Text,
            value,
        )];
        self.intend(&mut secret, &ring).await?;
        let expires = backend.capabilities().native_expiry != NativeExpiry::Absent;
        let request = self.request(&secret[0], &ring, &identity, expires);
        Ok(Probe {
            documents: self.clone(),
            backend,
            secret,
            request,
            may_be_there: false,
        })
    }
}

impl Probe {
    /// The coordinate of the test secret.
    pub fn coordinate(&self) -> &Coordinate {
        &self.secret[0].coordinate
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
        self.may_be_there = true;
        if !tried(Operation::Put, self.put().await) {
            return;
        }
        tried(Operation::Get, self.get().await);
        tried(Operation::Describe, self.describe().await);
        tried(Operation::List, self.list().await);
        if keep {
            return;
        }
        if self.request.native_expiry.is_some() {
            tried(Operation::LiftExpiry, self.lift_expiry().await);
        }
        if let Some(recovery) = self.backend.capabilities().recovery {
            let deleted = self
                .delete(DeleteMode::Recoverable(recovery.shortest))
                .await;
            if tried(Operation::Delete, deleted) {
                tried(Operation::Restore, self.restore().await);
            }
        } else {
            on_step(Step {
                operation: Operation::Delete,
                outcome: StepOutcome::NotTried("this manager has no recovery"),
            });
        }
        let deleted = self.delete(self.last_mode()).await;
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
        self.may_be_there = !works;
    }

    /// Leaves the secret to live as long as those of a check do.
    pub async fn keep(self) -> Result<()> {
        let store = &self.documents.store;
        store
            .confirm_ephemeral(self.backend.id(), self.coordinate())
            .await
    }

    /// Deletes what may be left and expires the row, so that the reconciler looks once more. An
    /// error says that something may be left until then.
    pub async fn clean_up(self) -> Result<()> {
        let deleted = if self.may_be_there {
            self.delete_as_far_as_allowed().await
        } else {
            Ok(())
        };
        self.documents.give_up(&self.secret).await;
        deleted
    }

    /// Who may not delete for good may still delete recoverably: then nobody can read what is left.
    async fn delete_as_far_as_allowed(&self) -> Result<()> {
        let last = self.last_mode();
        let deleted = self.delete(last).await;
        if let (Err(_), DeleteMode::Final, Some(recovery)) =
            (&deleted, last, self.backend.capabilities().recovery)
        {
            // The error told is that of the right that is missing.
            let _ = self
                .delete(DeleteMode::Recoverable(recovery.shortest))
                .await;
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

    async fn put(&self) -> Result<()> {
        let policy = &self.documents.settings.put;
        let put = policy.run("put the secret", || self.backend.put(&self.request));
        put.await.map(drop)
    }

    async fn get(&self) -> Result<()> {
        let policy = &self.documents.settings.put;
        let read = policy.run("read the secret", || self.backend.get(self.coordinate()));
        let read = read.await?;
        if read.value != self.request.value {
            return Err(self.wrong("the value read is another than was written"));
        }
        if read.mark.is_some_and(|mark| mark != self.request.mark) {
            return Err(self.wrong("the mark read is another than was written"));
        }
        Ok(())
    }

    async fn describe(&self) -> Result<()> {
        let policy = &self.documents.settings.put;
        let described = policy.run("describe the secret", || {
            self.backend.describe(self.coordinate())
        });
        let described = described.await?;
        if described.mark.as_ref() != Some(&self.request.mark) {
            return Err(self.wrong("the mark described is another than was written"));
        }
        match described.state {
            SecretState::Enabled => Ok(()),
            _ => Err(self.wrong("a secret just written is not described as enabled")),
        }
    }

    /// The right to list shows on the first page; the secret itself may be on any.
    async fn list(&self) -> Result<()> {
        let policy = &self.documents.settings.put;
        let listed = policy.run("list the secrets", || self.backend.list(None));
        listed.await.map(drop)
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

    async fn delete(&self, mode: DeleteMode) -> Result<()> {
        let policy = &self.documents.settings.put;
        let deleted = policy.run("delete the secret", || {
            self.backend.delete(self.coordinate(), mode, None)
        });
        deleted.await.map(drop)
    }

    fn wrong(&self, message: &'static str) -> Error {
        Error::new(ErrorKind::Corrupt, "try the backend out", message)
            .with_backend(self.backend.id())
            .with_coordinate(self.coordinate())
    }
}
