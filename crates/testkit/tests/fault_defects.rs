//! The fault laws have teeth: each of these defects breaks the law that is named beside it.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    dead_code,
    reason = "a test that cannot go on fails, and its modules are shared by two test programs"
)]

#[path = "shelf/backend.rs"]
mod backend;
#[path = "shelf/client.rs"]
mod client;
#[path = "shelf/server.rs"]
mod server;
#[path = "shelf/suite.rs"]
mod suite;
#[path = "shelf/wire.rs"]
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind,
    ListPage, PageToken, Precondition, PutOutcome, PutRequest, Result, SecretBackend, StoredSecret,
};
use cloakroom_testkit::canary::MARKER;
use cloakroom_testkit::conformance::Subject;
use cloakroom_testkit::faults::{FaultSubject, Refusal, Requests, fault_laws};
use cloakroom_testkit::proxy::{Answer, Proxy, Upstream};
use tokio::task::JoinSet;

use backend::{CAPABILITIES, ShelfBackend};
use client::Client;
use server::TOKEN;
use suite::{Namespace, connect, settings};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    UnavailableIsMissing,
    DeniedIsMissing,
    ThrottledIsUnavailable,
    ForgetsRetryAfter,
    InventsRetryAfter,
    RetriesByItself,
    HasNoTimeout,
    ShowsTheValue,
    FailedPutIsCreated,
    FailedPutIsTaken,
    FailedComparisonIsConflict,
    PutLeavesScraps,
    FailedBatchIsMissing,
    FailedPageIsTheLast,
    FailedNextPageIsTheLast,
    OldPageIsInvalid,
    FailedDeletionIsDone,
    FailedDeletionIsGone,
    RepeatedDeletionFails,
    FailedRestoreIsDone,
    FailedLiftIsDone,
    GoesPastTheProxy,
    AsksTwice,
    LastWriterWins,
    FollowsRedirects,
    HidesRedirects,
}

use Defect::{
    AsksTwice, DeniedIsMissing, FailedBatchIsMissing, FailedComparisonIsConflict,
    FailedDeletionIsDone, FailedDeletionIsGone, FailedLiftIsDone, FailedNextPageIsTheLast,
    FailedPageIsTheLast, FailedPutIsCreated, FailedPutIsTaken, FailedRestoreIsDone,
    FollowsRedirects, ForgetsRetryAfter, GoesPastTheProxy, HasNoTimeout, HidesRedirects,
    InventsRetryAfter, LastWriterWins, OldPageIsInvalid, PutLeavesScraps, RepeatedDeletionFails,
    RetriesByItself, ShowsTheValue, ThrottledIsUnavailable, UnavailableIsMissing,
};

const CAUGHT_BY: &[(Defect, &[&str])] = &[
    (
        UnavailableIsMissing,
        &[
            "get_503",
            "get_refuse",
            "get_delay",
            "describe_reset",
            "all_storm_1",
        ],
    ),
    (DeniedIsMissing, &["get_403", "describe_403"]),
    (ThrottledIsUnavailable, &["get_429", "put_429", "list_429"]),
    (
        ForgetsRetryAfter,
        &["get_429_retry_after", "delete_429_retry_after"],
    ),
    (InventsRetryAfter, &["get_429"]),
    (RetriesByItself, &["get_503", "get_lost_answer", "get_500"]),
    (HasNoTimeout, &["get_delay"]),
    (ShowsTheValue, &["put_500"]),
    (
        FailedPutIsCreated,
        &["put_503", "put_refuse", "put_200_of_another", "all_storm_1"],
    ),
    (
        FailedPutIsTaken,
        &["put_lost_answer", "put_truncate", "put_reset"],
    ),
    (
        FailedComparisonIsConflict,
        &["put_again_503", "put_again_truncate"],
    ),
    (PutLeavesScraps, &["put_503", "put_lost_answer"]),
    (FailedBatchIsMissing, &["get_many_500", "get_many_reset"]),
    (
        FailedPageIsTheLast,
        &["list_503", "list_lost_answer", "all_storm_1"],
    ),
    (
        FailedNextPageIsTheLast,
        &["list_next_page", "list_expired_page"],
    ),
    (OldPageIsInvalid, &["list_expired_page"]),
    (
        FailedDeletionIsDone,
        &[
            "delete_500",
            "delete_200_of_another",
            "delete_recoverable_500",
            "all_storm_2",
        ],
    ),
    (
        FailedDeletionIsGone,
        &["delete_refuse", "delete_recoverable_lost_answer"],
    ),
    (RepeatedDeletionFails, &["delete_lost_answer"]),
    (
        FailedRestoreIsDone,
        &["restore_503", "restore_403", "restore_200_of_another"],
    ),
    (FailedLiftIsDone, &["lift_expiry_503"]),
    (GoesPastTheProxy, &["get_503"]),
    (AsksTwice, &["get_requests"]),
    (LastWriterWins, &["put_meets_other_bytes"]),
    (FollowsRedirects, &["get_redirect"]),
    (HidesRedirects, &["describe_redirect"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_defect_breaks_its_laws() {
    let mut tried = JoinSet::new();
    for (defect, names) in CAUGHT_BY {
        for name in *names {
            tried.spawn(async move {
                let subject = Defective::new(*defect).await;
                let law = fault_laws().into_iter().find(|law| law.name() == *name);
                (*defect, *name, law.unwrap().check(&subject).await)
            });
        }
    }
    while let Some(tried) = tried.join_next().await {
        let (defect, name, verdict) = tried.unwrap();
        let Err(broken) = verdict else {
            panic!("{defect:?} does not break {name}");
        };
        // Read with --nocapture: each is broken for its own reason.
        println!("{defect:?} breaks {name}: {broken}");
        let told = broken.to_string();
        assert!(!told.contains(MARKER), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_defect_the_same_laws_hold() {
    let mut names: Vec<&str> = CAUGHT_BY
        .iter()
        .flat_map(|(_, names)| *names)
        .copied()
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let law = fault_laws().into_iter().find(|law| law.name() == name);
        let verdict = law
            .unwrap()
            .check(&Defective::new(Defect::None).await)
            .await;
        assert!(verdict.is_ok(), "{name}: {}", verdict.unwrap_err());
    }
}

/// The Shelf, whose backends have a defect on their way through the proxy.
struct Defective {
    shelf: Namespace,
    defect: Defect,
}

impl Defective {
    async fn new(defect: Defect) -> Self {
        Self {
            shelf: Namespace::new().await,
            defect,
        }
    }
}

impl Subject for Defective {
    fn backend(&self) -> Arc<dyn SecretBackend> {
        self.shelf.backend()
    }

    fn several_pages(&self) -> usize {
        60
    }
}

#[async_trait]
impl FaultSubject for Defective {
    fn upstream(&self) -> Result<Upstream> {
        self.shelf.upstream()
    }

    async fn through(&self, proxy: &Proxy, timeout: Duration) -> Result<Arc<dyn SecretBackend>> {
        let timeout = match self.defect {
            HasNoTimeout => Duration::from_hours(1),
            _ => timeout,
        };
        let url = match self.defect {
            GoesPastTheProxy => self.shelf.server.url.clone(),
            _ => proxy.url(),
        };
        Ok(Arc::new(Through {
            inner: connect(&url, TOKEN, timeout),
            client: Client::new(settings(&url, TOKEN, timeout)),
            defect: self.defect,
        }))
    }

    fn answer(&self, refusal: Refusal) -> Answer {
        self.shelf.answer(refusal)
    }

    fn requests(&self) -> Requests {
        self.shelf.requests()
    }

    async fn count(&self) -> Result<Option<usize>> {
        self.shelf.count().await
    }
}

/// A backend that misreads what went wrong.
struct Through {
    inner: ShelfBackend,
    /// For what the backend itself would never send.
    client: Client,
    defect: Defect,
}

impl Through {
    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn misread(&self, error: Error) -> Error {
        let as_kind = |kind| Error::new(kind, "test", "misread");
        match (self.defect, error.kind()) {
            (UnavailableIsMissing, ErrorKind::Unavailable)
            | (DeniedIsMissing, ErrorKind::Denied) => as_kind(ErrorKind::Missing),
            (ThrottledIsUnavailable, ErrorKind::Throttled) => as_kind(ErrorKind::Unavailable),
            (ForgetsRetryAfter, ErrorKind::Throttled) => as_kind(ErrorKind::Throttled),
            (InventsRetryAfter, ErrorKind::Throttled) => error.with_retry_after(Duration::ZERO),
            (HidesRedirects, kind) => as_kind(kind),
            _ => error,
        }
    }
}

#[async_trait]
impl SecretBackend for Through {
    fn id(&self) -> &BackendId {
        self.inner.id()
    }

    fn manager(&self) -> &str {
        self.inner.manager()
    }

    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        let scraps = request.mark.coordinate.next_version().unwrap();
        if self.is(PutLeavesScraps) {
            let path = format!("/secrets/{scraps}");
            let put = wire::Put {
                value: String::new(),
                mark: None,
                expiry: None,
            };
            let sent = self
                .client
                .ask("put", hyper::Method::PUT, &path, Some(&put));
            sent.await.map_err(|error| self.misread(error))?;
        }
        if self.is(LastWriterWins) {
            let name = &request.mark.coordinate;
            self.inner.delete(name, DeleteMode::Final, None).await?;
        }
        let outcome = self.inner.put(request).await;
        if self.is(PutLeavesScraps) && outcome.is_ok() {
            self.inner.delete(&scraps, DeleteMode::Final, None).await?;
        }
        match outcome {
            Err(error) if error.is_retryable() && self.is(FailedPutIsCreated) => {
                Ok(PutOutcome::Created)
            }
            Err(error) if error.is_retryable() && self.is(FailedComparisonIsConflict) => {
                Err(Error::new(ErrorKind::Conflict, "test", "taken"))
            }
            Err(error) if self.is(ShowsTheValue) => {
                let value = request.value.expose_text().unwrap().to_owned();
                Err(Error::new(error.kind(), "test", value))
            }
            Ok(PutOutcome::AlreadyThere) if self.is(FailedPutIsTaken) => {
                Err(Error::new(ErrorKind::Conflict, "test", "taken"))
            }
            outcome => outcome.map_err(|error| self.misread(error)),
        }
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        if self.is(AsksTwice) {
            self.inner.describe(coordinate).await?;
        }
        for _ in 0..2 {
            match self.inner.get(coordinate).await {
                Err(error) if error.message().contains("redirect") && self.is(FollowsRedirects) => {
                    let path = format!("/secrets/{coordinate}?followed=");
                    let sent = self
                        .client
                        .ask("get", hyper::Method::GET, &path, None::<&()>);
                    sent.await?;
                    return Err(error);
                }
                Err(error) if error.is_retryable() && self.is(RetriesByItself) => {}
                answer => return answer.map_err(|error| self.misread(error)),
            }
        }
        self.inner.get(coordinate).await
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let answers = self.inner.get_many(coordinates).await.into_iter();
        let answers = answers.map(|answer| match answer {
            Err(_) if self.is(FailedBatchIsMissing) => {
                Err(Error::new(ErrorKind::Missing, "test", "not in the answer"))
            }
            answer => answer,
        });
        answers.collect()
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        let described = self.inner.describe(coordinate).await;
        described.map_err(|error| self.misread(error))
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        match self.inner.list(page).await {
            Err(_) if self.is(FailedPageIsTheLast) => Ok(ListPage::default()),
            Err(_) if self.is(FailedNextPageIsTheLast) && page.is_some() => Ok(ListPage::default()),
            Err(error) if self.is(OldPageIsInvalid) && page.is_some() => Err(Error::new(
                ErrorKind::Invalid,
                error.operation(),
                error.message().to_owned(),
            )),
            listed => listed.map_err(|error| self.misread(error)),
        }
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        match self.inner.delete(coordinate, mode, precondition).await {
            Err(_) if self.is(FailedDeletionIsDone) => Ok(match mode {
                DeleteMode::Final => Deletion::Deleted,
                DeleteMode::Recoverable(_) => Deletion::Scheduled { due: None },
            }),
            Err(_) if self.is(FailedDeletionIsGone) => Ok(Deletion::AlreadyGone),
            Ok(Deletion::AlreadyGone) if self.is(RepeatedDeletionFails) => {
                Err(Error::new(ErrorKind::Missing, "test", "not there"))
            }
            deletion => deletion.map_err(|error| self.misread(error)),
        }
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        match self.inner.restore(coordinate).await {
            Err(_) if self.is(FailedRestoreIsDone) => Ok(()),
            restored => restored,
        }
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        match self.inner.lift_expiry(coordinate).await {
            Err(_) if self.is(FailedLiftIsDone) => Ok(()),
            lifted => lifted,
        }
    }
}
