//! A backend tried out with secrets of its own: written, read, described, listed, restored, deleted, alone
//! and as many together as its jobs do.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::{
    BackendId, Coordinate, DeleteMode, Description, Error, ErrorKind, Operation, PutRequest,
    Result, Scope, SecretBackend, SecretState, SecretValue, StoredSecret, ValueKind, WorkspaceId,
};
use uuid::Uuid;

use crate::Documents;
use crate::secrets::{NewSecret, taken};

/// Pages of a listing that are looked through for the test secret.
const MOST_PAGES: usize = 10;

/// So many times as often is a manager asked again for what it may show late: also one that publishes no lag may have
/// some.
const PATIENCE: usize = 4;

const NEVER_WRITTEN: &str = "what was never written is told as if it were there";

const NOTHING_WRITTEN: &str =
    "asked of a name that is free, since nothing could be written; answered as it should be";

const REFUSED: &str = "refused for a name that is free: the right is missing, or it is given by what a secret bears, \
                       and a free name bears nothing";

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
    /// Those that the manager may have from here.
    may_be_there: Vec<Put>,
}

/// A secret that was sent to the manager.
struct Put {
    coordinate: Coordinate,
    /// The manager answered each time that it does not take it.
    refused: bool,
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
    /// It did, as far as could be seen; this is what could not.
    WorksSoFar(&'static str),
    /// It was not tried, for this reason.
    NotTried(&'static str),
    /// It failed.
    Failed(Error),
}

impl StepOutcome {
    /// Whether the manager did not do what it was asked for.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// A test secret that may be in the manager still, and why that is not known or not so.
#[derive(Debug)]
pub struct Left {
    /// The secret.
    pub coordinate: Coordinate,
    /// What kept it from being deleted.
    pub error: Error,
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
        let nobody = Uuid::nil();
        let base = documents.fresh_base(Scope::Workspace, nobody);
        let text = format!("A test of Cloakroom's, {}.", documents.randomness.uuid());
        let value = SecretValue::from(text);
        let id = self.backend.id().clone();
        let kind = ValueKind::Text;
        let new = NewSecret::new(String::new(), id, base, kind, value, WorkspaceId(nobody));
        let mut new = vec![new];
        documents.intend_unnoted(&mut new, &ring).await?;
        let expires = self.backend.capabilities().native_expiry != NativeExpiry::Absent;
        let request = documents.request(&new[0], &ring, &identity, expires);
        self.secrets.append(&mut new);
        self.requests.push(request);
        Ok(())
    }

    /// Tries one operation after the other and hands each over as it ends. With `keep` the secret
    /// is left as it was written; otherwise it is deleted at last. Who may not write is still told what
    /// of the rest can be seen without a secret.
    pub async fn run(&mut self, keep: bool, mut on_step: impl FnMut(Step)) {
        let mut tried = |operation, outcome: StepOutcome| {
            let works = !outcome.is_failure();
            on_step(Step { operation, outcome });
            works
        };
        let put = self.put_last().await;
        let goes_on = put.as_ref().err().is_none_or(lacks_a_right);
        if !tried(Operation::Put, outcome(put)) {
            if goes_on {
                tried(Operation::Get, self.get_nothing().await);
                tried(Operation::Describe, self.describe_nothing().await);
                tried(Operation::List, told(self.list_nothing().await));
            }
            return;
        }
        tried(Operation::Get, outcome(self.get(keep).await));
        tried(Operation::Describe, outcome(self.describe_all().await));
        tried(Operation::List, told(self.list().await));
        if keep {
            return;
        }
        if self.requests[0].native_expiry.is_some() {
            tried(Operation::LiftExpiry, outcome(self.lift_expiry().await));
        }
        if let Some(recovery) = self.backend.capabilities().recovery {
            let window = DeleteMode::Recoverable(recovery.shortest);
            let deleted = self.delete(self.coordinate(), window).await;
            if tried(Operation::Delete, outcome(deleted)) {
                tried(Operation::Restore, outcome(self.restore().await));
            }
        } else {
            let reason = "this manager has no recovery";
            tried(Operation::Delete, StepOutcome::NotTried(reason));
        }
        let deleted = self.delete_all().await;
        if deleted.is_ok() {
            self.may_be_there.clear();
        }
        let deleted = match outcome(deleted) {
            StepOutcome::Works if !self.deletes_for_good() => {
                StepOutcome::NotTried("this manager deletes nothing for good at once")
            }
            outcome => outcome,
        };
        tried(Operation::DeleteFinally, deleted);
    }

    /// Leaves the secret to live as long as those of a check do.
    pub async fn keep(self) -> Result<()> {
        let store = &self.documents.store;
        store
            .confirm_ephemeral(self.backend.id(), self.coordinate())
            .await
    }

    /// Deletes what may be left and expires the rows, so that the reconciler looks once more. An
    /// error names each that may be left until then.
    pub async fn clean_up(self) -> Result<(), Vec<Left>> {
        let mut left = Vec::new();
        for put in &self.may_be_there {
            if let Err(error) = self.delete_as_far_as_allowed(put).await {
                let coordinate = put.coordinate.clone();
                left.push(Left { coordinate, error });
            }
        }
        self.documents.give_up(&self.secrets).await;
        if left.is_empty() { Ok(()) } else { Err(left) }
    }

    /// Who may not delete for good may still delete recoverably: then nobody can read what is left.
    async fn delete_as_far_as_allowed(&self, put: &Put) -> Result<()> {
        let last = self.last_mode();
        let deleted = self.delete(&put.coordinate, last).await;
        if deleted.is_err() && put.refused && self.is_absent(&put.coordinate).await {
            return Ok(());
        }
        if let (Err(_), DeleteMode::Final, Some(recovery)) =
            (&deleted, last, self.backend.capabilities().recovery)
        {
            // The error told is that of the right that is missing.
            let window = DeleteMode::Recoverable(recovery.shortest);
            let _ = self.delete(&put.coordinate, window).await;
        }
        deleted
    }

    /// Whether nothing says that a secret is there whose put was refused: also who may not look is believed
    /// the refusal, and no answer is none.
    async fn is_absent(&self, coordinate: &Coordinate) -> bool {
        let policy = &self.documents.settings.put;
        let described = policy.run("describe the secret", || self.backend.describe(coordinate));
        described
            .await
            .is_err_and(|error| error.is_missing() || error.kind() == ErrorKind::Denied)
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
        // Known before the answer: whoever is stopped meanwhile cleans it up.
        self.may_be_there.push(Put {
            coordinate: request.mark.coordinate.clone(),
            refused: false,
        });
        let doubtful = AtomicBool::new(false);
        let put = policy.run("put the secret", || async {
            let put = self.backend.put(request).await;
            if !put.as_ref().is_err_and(|it| it.kind() == ErrorKind::Denied) {
                doubtful.store(true, Ordering::Relaxed);
            }
            put
        });
        let put = put.await.map(drop);
        match (&put, self.may_be_there.last_mut()) {
            // Somebody else has the name: an earlier try of this very put would have been met there.
            (Err(error), _) if taken(error) => {
                self.may_be_there.pop();
            }
            (Err(error), Some(last)) => {
                let denied = error.kind() == ErrorKind::Denied;
                last.refused = denied && !doubtful.load(Ordering::Relaxed);
            }
            _ => {}
        }
        put
    }

    /// What nobody wrote cannot be read, alone or with others, and who may read is told just that.
    async fn get_nothing(&self) -> StepOutcome {
        let policy = &self.documents.settings.put;
        let read = policy.run("read a secret", || self.backend.get(&self.absent));
        let alone = self.of_nothing(read.await);
        if alone.is_failure() {
            return alone;
        }
        let another = self.documents.fresh_base(Scope::Workspace, Uuid::nil());
        let several = [self.absent.clone(), another];
        let read = policy.run("read secrets", || async {
            let answers = self.backend.get_many(&several).await.into_iter();
            let telling =
                answers.reduce(|one, next| if is_told_missing(&one) { next } else { one });
            telling.unwrap_or_else(|| Err(self.wrong(NEVER_WRITTEN)))
        });
        self.of_nothing(read.await)
    }

    async fn describe_nothing(&self) -> StepOutcome {
        let policy = &self.documents.settings.put;
        let described = policy.run("describe a secret", || self.backend.describe(&self.absent));
        self.of_nothing(described.await)
    }

    fn of_nothing<T>(&self, answer: Result<T>) -> StepOutcome {
        match answer {
            Err(missing) if missing.is_missing() && missing.is_after_refusal() => {
                let denied = Error::new(ErrorKind::Denied, missing.operation(), REFUSED);
                StepOutcome::Failed(denied.with_backend(self.backend.id()).with_source(missing))
            }
            Err(missing) if missing.is_missing() => StepOutcome::WorksSoFar(NOTHING_WRITTEN),
            Err(error) => StepOutcome::Failed(error),
            Ok(_) => StepOutcome::Failed(self.wrong(NEVER_WRITTEN)),
        }
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
        let absent = [self.absent.clone()];
        self.written().chain(absent).collect()
    }

    fn written(&self) -> impl Iterator<Item = Coordinate> {
        self.may_be_there.iter().map(|it| it.coordinate.clone())
    }

    /// The answers to [`Probe::all_and_absent`] without the last, which has to be that it is missing.
    fn told_apart<T>(&self, mut answers: Vec<Result<T>>) -> Result<Vec<T>> {
        match answers.pop() {
            Some(Err(missing)) if missing.is_missing() => {}
            Some(Err(error)) => return Err(error),
            _ => return Err(self.wrong(NEVER_WRITTEN)),
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
    async fn list(&self) -> Result<Option<&'static str>> {
        let lags = !self.backend.capabilities().listing_lag.is_zero();
        let found = self.eventually(|| self.listed(), |it| *it != Found::Nowhere);
        match found.await? {
            Found::There => Ok(None),
            Found::NotYet => Ok(Some("not seen on its first pages; there are many")),
            Found::Nowhere if lags => Ok(Some("the secret is not seen yet: this listing lags")),
            Found::Nowhere => Err(self.wrong(
                "the listing was read to its end and the secret just written is not in it: it is a \
                 listing of another place, or something before the manager filters it; the reconciler \
                 would never see what is left there",
            )),
        }
    }

    async fn list_nothing(&self) -> Result<Option<&'static str>> {
        self.listed().await?;
        Ok(Some("there was nothing of its own to look for"))
    }

    async fn listed(&self) -> Result<Found> {
        let policy = &self.documents.settings.put;
        let mut next = None;
        for _ in 0..MOST_PAGES {
            let listed = policy.run("list the secrets", || self.backend.list(next.as_ref()));
            let page = listed.await?;
            let is_it = |it: &Description| it.coordinate == *self.coordinate();
            if page.secrets.iter().any(is_it) {
                return Ok(Found::There);
            }
            next = page.next;
            if next.is_none() {
                return Ok(Found::Nowhere);
            }
        }
        Ok(Found::NotYet)
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

    /// An answer alone is no deletion: something before the manager may have given it.
    async fn delete(&self, coordinate: &Coordinate, mode: DeleteMode) -> Result<()> {
        let policy = &self.documents.settings.put;
        let deleted = policy.run("delete the secret", || {
            self.backend.delete(coordinate, mode, None)
        });
        deleted.await?;
        self.ensure_deleted(std::slice::from_ref(coordinate), mode)
            .await
    }

    /// One alone, and the rest with one that was never there, if that is so.
    async fn delete_all(&self) -> Result<()> {
        let mode = self.last_mode();
        let mut left: Vec<_> = self.written().collect();
        if left.len() > 1 {
            self.delete(&left.remove(1), mode).await?;
        }
        let policy = &self.documents.settings.put;
        let described = policy.run("describe a secret", || self.backend.describe(&self.absent));
        if described.await.is_err_and(|error| error.is_missing()) {
            left.push(self.absent.clone());
        }
        let deleted = policy.run("delete the secrets", || async {
            let deleted = self.backend.delete_many(&left, mode).await;
            deleted.into_iter().collect::<Result<Vec<_>>>()
        });
        deleted.await?;
        self.ensure_deleted(&left, mode).await
    }

    async fn ensure_deleted(&self, coordinates: &[Coordinate], mode: DeleteMode) -> Result<()> {
        let look = || async {
            let described = self.backend.describe_many(coordinates).await;
            let mut gone = described.into_iter().map(|it| is_deleted(mode, it));
            gone.try_fold(true, |all, it| Ok(all && it?))
        };
        let first = coordinates.first().unwrap_or(self.coordinate());
        match self.eventually(look, |gone| *gone).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self
                .wrong(
                    "the manager answered that it deleted a secret, and the secret is still there: \
                     something before the manager may answer in its stead",
                )
                .with_coordinate(first)),
            Err(error) => Err(Error::new(
                ErrorKind::Unavailable,
                "look at what was deleted",
                "the manager answered that it deleted a secret; whether it did cannot be seen",
            )
            .with_backend(self.backend.id())
            .with_coordinate(first)
            .with_source(error)),
        }
    }

    /// What is seen as soon as it is so, or at last.
    async fn eventually<T, F>(&self, look: impl Fn() -> F, is_so: impl Fn(&T) -> bool) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let policy = self.documents.settings.put;
        let patience = RetryPolicy {
            retries: policy.retries * PATIENCE,
            ..policy
        };
        let seen = patience.run("look again", || async {
            let seen = look().await?;
            if is_so(&seen) {
                return Ok(seen);
            }
            Err(Error::new(
                ErrorKind::Unavailable,
                "look again",
                "it is not so yet",
            ))
        });
        match seen.await {
            Ok(seen) => Ok(seen),
            Err(_) => look().await,
        }
    }

    fn wrong(&self, message: &'static str) -> Error {
        Error::new(ErrorKind::Corrupt, "try the backend out", message)
            .with_backend(self.backend.id())
            .with_coordinate(self.coordinate())
    }
}

/// What a listing shows of the test secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    There,
    /// Not on the first pages.
    NotYet,
    /// On none of its pages.
    Nowhere,
}

fn is_deleted(mode: DeleteMode, described: Result<Description>) -> Result<bool> {
    match described {
        Err(error) if error.is_missing() => Ok(true),
        Err(error) => Err(error),
        Ok(it) => Ok(mode != DeleteMode::Final && it.state.is_waiting()),
    }
}

/// Whether the action that was asked for, and no other, says that nothing is there.
fn is_told_missing<T>(answer: &Result<T>) -> bool {
    let missing = answer.as_ref().err().filter(|it| it.is_missing());
    missing.is_some_and(|it| !it.is_after_refusal())
}

/// Whether something else may be allowed.
fn lacks_a_right(error: &Error) -> bool {
    error.kind() == ErrorKind::Denied && !error.is_of_credentials()
}

fn outcome(done: Result<()>) -> StepOutcome {
    done.map_or_else(StepOutcome::Failed, |()| StepOutcome::Works)
}

fn told(done: Result<Option<&'static str>>) -> StepOutcome {
    match done {
        Ok(None) => StepOutcome::Works,
        Ok(Some(unseen)) => StepOutcome::WorksSoFar(unseen),
        Err(error) => StepOutcome::Failed(error),
    }
}
