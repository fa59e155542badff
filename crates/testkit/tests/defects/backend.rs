//! A manager in memory that can have any one of the defects.

use std::collections::HashSet;

use async_trait::async_trait;
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind,
    ListPage, Operation, PageToken, Precondition, PutOutcome, PutRequest, Result, SecretBackend,
    SecretValue, StoredSecret,
};
use cloakroom_testkit::MemoryBackend;
use cloakroom_testkit::conformance::Permission;

use crate::Defect::{
    self, DeleteCutsTheWindow, DeleteIgnoresThePrecondition, DeleteIsAlwaysFinal,
    DeleteManyDeletesOne, DeleteOfTheMissingFails, DeleteTakesTheNextVersion,
    DescribeManyDropsTheMissing, DescribeShowsTheValue, GetFoldsCase, GetIgnoresWaiting,
    GetManyAnswersOnce, GetManyIsUnordered, GetSaysUnavailable, LiftIsEmpty, ListIsUnordered,
    ListLeavesOutTheWaiting, ListPagesByNumber, ListRepeatsTheLast, ListShowsTheUnmarked,
    MisledOverwrite, MisledSeeNothing, NamesTooLittle, PutChecksFirst, PutCutsAtTheLimit,
    PutForgetsTheExpiry, PutKeepsTheOldMark, PutLosesTheMark, PutManyStopsAtAConflict,
    PutOfTheSameConflicts, PutOverwrites, PutRestores, PutTakesAnothersSecretForOurs, PutTrims,
    RestoreIsEmpty, RestoreOfTheMissingSucceeds, WithoutDeletingAllIsGone,
    WithoutListingNothingIsListed, WithoutReadingAllIsMissing,
};

/// A manager in memory with one defect; the misled one refuses.
pub(crate) struct Defective {
    pub(crate) inner: MemoryBackend,
    pub(crate) defect: Defect,
    pub(crate) misled: bool,
    pub(crate) lacks: Vec<Permission>,
}

impl Defective {
    /// Refuses what the credentials do not allow.
    fn allow(&self, permission: Permission) -> Result<()> {
        if self.misled || self.lacks.contains(&permission) {
            return self.refuse();
        }
        Ok(())
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn refuse<T>(&self) -> Result<T> {
        let kind = if self.is(MisledSeeNothing) {
            ErrorKind::Missing
        } else {
            ErrorKind::Denied
        };
        Err(Error::new(kind, "test", "not you"))
    }
}

/// A permission as the backend names it.
pub(crate) fn name_of(permission: Permission) -> &'static str {
    match permission {
        Permission::Put => "put",
        Permission::Read => "read",
        Permission::Describe => "describe",
        Permission::List => "list",
        Permission::Delete => "delete",
        Permission::Restore => "restore",
    }
}

#[async_trait]
impl SecretBackend for Defective {
    fn id(&self) -> &BackendId {
        self.inner.id()
    }

    fn manager(&self) -> &str {
        self.inner.manager()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn permissions(&self, operation: Operation) -> &'static [&'static str] {
        match operation {
            Operation::Get if self.is(NamesTooLittle) => &["describe"],
            Operation::Put => &["put"],
            Operation::Get => &["read"],
            Operation::Describe => &["describe"],
            Operation::List => &["list"],
            Operation::Delete | Operation::DeleteFinally => &["delete"],
            Operation::Restore => &["restore"],
            Operation::LiftExpiry => &[],
        }
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        let PutRequest { mark, value, .. } = request;
        let write = |value: SecretValue| {
            self.inner
                .write_past(&mark.coordinate, value, Some(mark.clone()));
            Ok(PutOutcome::Created)
        };
        match self.defect {
            MisledOverwrite if self.misled => return write(value.clone()),
            _ if self.misled || self.lacks.contains(&Permission::Put) => return self.refuse(),
            PutKeepsTheOldMark => {
                if let Ok(there) = self.inner.get(&mark.coordinate).await {
                    self.inner
                        .write_past(&mark.coordinate, value.clone(), there.mark);
                    return Ok(PutOutcome::Created);
                }
            }
            PutOverwrites => return write(value.clone()),
            PutChecksFirst => {
                let free = self.inner.describe(&mark.coordinate).await.is_err();
                tokio::task::yield_now().await;
                if free {
                    return write(value.clone());
                }
            }
            PutTrims => {
                let trimmed = value.expose_text().map(|text| text.trim().to_owned());
                let value = trimmed.map_or_else(|| value.clone(), SecretValue::from);
                return write(value);
            }
            PutCutsAtTheLimit if value.len() > self.capabilities().most_bytes => {
                return write(SecretValue::new(value.expose()[1..].to_vec()));
            }
            PutLosesTheMark => {
                self.inner.write_past(&mark.coordinate, value.clone(), None);
                return Ok(PutOutcome::Created);
            }
            PutForgetsTheExpiry => {
                let request = PutRequest {
                    native_expiry: None,
                    ..request.clone()
                };
                return self.inner.put(&request).await;
            }
            PutRestores => self
                .inner
                .restore(&mark.coordinate)
                .await
                .unwrap_or_default(),
            PutTakesAnothersSecretForOurs => {
                if let Ok(there) = self.inner.get(&mark.coordinate).await
                    && there.value == *value
                {
                    return Ok(PutOutcome::AlreadyThere);
                }
            }
            _ => {}
        }
        match self.inner.put(request).await {
            Ok(PutOutcome::AlreadyThere) if self.is(PutOfTheSameConflicts) => {
                Err(Error::new(ErrorKind::Conflict, "test", "taken"))
            }
            outcome => outcome,
        }
    }

    async fn put_many(&self, requests: &[PutRequest]) -> Vec<Result<PutOutcome>> {
        let mut answers = Vec::new();
        for request in requests {
            let answer = self.put(request).await;
            let stops = answer.is_err() && self.is(PutManyStopsAtAConflict);
            answers.push(answer);
            if stops {
                break;
            }
        }
        answers
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        if self.is(WithoutReadingAllIsMissing) && self.lacks.contains(&Permission::Read) {
            return Err(Error::new(ErrorKind::Missing, "test", "not there"));
        }
        self.allow(Permission::Read)?;
        let answer = self.inner.get(coordinate).await;
        match (self.defect, answer) {
            (GetFoldsCase, Err(error)) if error.is_missing() => {
                let folded = coordinate.as_str().to_lowercase();
                self.inner
                    .get(&Coordinate::from_stored(&folded).unwrap())
                    .await
            }
            (GetFoldsCase, Ok(_)) => {
                let folded = coordinate.as_str().to_lowercase();
                self.inner
                    .get(&Coordinate::from_stored(&folded).unwrap())
                    .await
            }
            (GetSaysUnavailable, Err(_)) => {
                Err(Error::new(ErrorKind::Unavailable, "test", "perhaps"))
            }
            (GetIgnoresWaiting, Err(error)) if error.kind() == ErrorKind::ScheduledForDeletion => {
                Ok(StoredSecret {
                    value: SecretValue::new(Vec::new()),
                    mark: None,
                })
            }
            (_, answer) => answer,
        }
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let mut answers = Vec::new();
        for coordinate in coordinates {
            answers.push(self.get(coordinate).await);
        }
        if self.is(GetManyIsUnordered) {
            answers.reverse();
        }
        if self.is(GetManyAnswersOnce) {
            answers.truncate(coordinates.iter().collect::<HashSet<_>>().len());
        }
        answers
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        self.allow(Permission::Describe)?;
        let mut described = self.inner.describe(coordinate).await?;
        if self.is(DescribeShowsTheValue) {
            let value = self.inner.get(coordinate).await?.value;
            described.precondition = value.expose_text().map(|text| Precondition(text.into()));
        }
        Ok(described)
    }

    async fn describe_many(&self, coordinates: &[Coordinate]) -> Vec<Result<Description>> {
        let mut answers = Vec::new();
        for coordinate in coordinates {
            answers.push(self.describe(coordinate).await);
        }
        let drops = self.is(DescribeManyDropsTheMissing);
        answers
            .into_iter()
            .filter(|answer| answer.is_ok() || !drops)
            .collect()
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        if self.is(WithoutListingNothingIsListed) && self.lacks.contains(&Permission::List) {
            return Ok(ListPage::default());
        }
        self.allow(Permission::List)?;
        if self.is(ListShowsTheUnmarked) {
            let described = self.inner.describe_many(&self.inner.names()).await;
            let secrets = described.into_iter().collect::<Result<_>>()?;
            return Ok(ListPage {
                secrets,
                next: None,
            });
        }
        if self.is(ListPagesByNumber) {
            let mut all = self.inner.names();
            let begin = page.map_or(0, |token| token.0.parse().unwrap());
            all.drain(..usize::min(begin, all.len()));
            let more = all.len() > 50;
            all.truncate(50);
            let described = self.inner.describe_many(&all).await;
            let secrets = described.into_iter().collect::<Result<_>>()?;
            let next = more.then(|| PageToken((begin + 50).to_string().into()));
            return Ok(ListPage { secrets, next });
        }
        let mut listed = self.inner.list(page).await?;
        if let (true, Some(PageToken(last))) = (self.is(ListRepeatsTheLast), page) {
            let last = Coordinate::from_stored(last).unwrap();
            listed.secrets.extend(self.inner.describe(&last).await);
        }
        if self.is(ListLeavesOutTheWaiting) {
            listed
                .secrets
                .retain(|it| it.state == cloakroom_core::SecretState::Enabled);
        }
        if self.is(ListIsUnordered) {
            listed
                .secrets
                .sort_by(|one, other| one.coordinate.cmp(&other.coordinate));
        }
        Ok(listed)
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        if self.is(WithoutDeletingAllIsGone) && self.lacks.contains(&Permission::Delete) {
            return Ok(Deletion::AlreadyGone);
        }
        self.allow(Permission::Delete)?;
        if self.is(DeleteTakesTheNextVersion) {
            self.inner.remove_past(&coordinate.next_version().unwrap());
        }
        let longest = self.capabilities().recovery.unwrap().longest;
        let precondition = precondition.filter(|_| !self.is(DeleteIgnoresThePrecondition));
        let mode = match mode {
            DeleteMode::Recoverable(_) if self.is(DeleteIsAlwaysFinal) => DeleteMode::Final,
            DeleteMode::Recoverable(window) if self.is(DeleteCutsTheWindow) => {
                DeleteMode::Recoverable(window.min(longest))
            }
            mode => mode,
        };
        match self.inner.delete(coordinate, mode, precondition).await? {
            Deletion::AlreadyGone if self.is(DeleteOfTheMissingFails) => {
                Err(Error::new(ErrorKind::Missing, "test", "not there"))
            }
            Deletion::Deleted if self.is(DeleteIsAlwaysFinal) => {
                Ok(Deletion::Scheduled { due: None })
            }
            deletion => Ok(deletion),
        }
    }

    async fn delete_many(
        &self,
        coordinates: &[Coordinate],
        mode: DeleteMode,
    ) -> Vec<Result<Deletion>> {
        let mut answers = Vec::new();
        for (at, coordinate) in coordinates.iter().enumerate() {
            answers.push(if at > 0 && self.is(DeleteManyDeletesOne) {
                Ok(Deletion::Deleted)
            } else {
                self.delete(coordinate, mode, None).await
            });
        }
        answers
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        self.allow(Permission::Restore)?;
        match self.defect {
            RestoreIsEmpty => Ok(()),
            RestoreOfTheMissingSucceeds => {
                let _ = self.inner.restore(coordinate).await;
                Ok(())
            }
            _ => self.inner.restore(coordinate).await,
        }
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        if self.is(LiftIsEmpty) {
            return Ok(());
        }
        self.inner.lift_expiry(coordinate).await
    }
}
