//! The Shelf as a backend.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_core::budget::RequestClass;
use cloakroom_core::capabilities::{Calls, Sent};
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind,
    ListPage, PageToken, Precondition, PutOutcome, PutRequest, Result, SecretBackend, SecretState,
    SecretValue, StoredSecret,
};
use cloakroom_testkit::MemoryBackend;
use hyper::{Method, StatusCode};

use crate::client::{Client, Reply, ShelfSettings, unavailable};
use crate::wire::{Deleted, Got, Item, One, Page, Put};

/// What the Shelf can do. Nothing here is asked of the server: it is known beforehand.
pub const CAPABILITIES: Capabilities = Capabilities {
    put_batch: 1,
    get_batch: 5,
    describe_batch: 1,
    delete_batch: 1,
    calls: Calls {
        get_many: &[Sent::batched(RequestClass::Read, 5)],
        ..Calls::ONE
    },
    ..MemoryBackend::CAPABILITIES
};

const NOTHING: Option<&()> = None;

pub struct ShelfBackend {
    id: BackendId,
    manager: String,
    client: Client,
}

impl ShelfBackend {
    pub fn new(id: BackendId, settings: ShelfSettings) -> Self {
        Self {
            id,
            manager: format!("shelf at {}", settings.address),
            client: Client::new(settings),
        }
    }

    /// What a status that is no success means for one secret.
    fn refusal(&self, operation: &'static str, at: &Coordinate, status: StatusCode) -> Error {
        let (kind, message) = match status {
            StatusCode::NOT_FOUND => (ErrorKind::Missing, "not there"),
            StatusCode::CONFLICT => (ErrorKind::Conflict, "the name is taken, or has changed"),
            StatusCode::LOCKED => (
                ErrorKind::ScheduledForDeletion,
                "it waits for its deletion; restore it first",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => (ErrorKind::TooLarge, "more than 64 KiB"),
            StatusCode::NOT_IMPLEMENTED => (ErrorKind::Unsupported, "the Shelf cannot do that"),
            StatusCode::BAD_REQUEST => (ErrorKind::Invalid, "the Shelf does not understand"),
            StatusCode::FORBIDDEN => (ErrorKind::Denied, "the token does not allow it"),
            // Whatever else there is, nothing is known about the secret.
            _ => (ErrorKind::Unavailable, "an answer of another kind"),
        };
        Error::new(kind, operation, message)
            .with_backend(&self.id)
            .with_coordinate(at)
    }

    async fn read(&self, operation: &'static str, coordinate: &Coordinate) -> Result<StoredSecret> {
        let path = format!("/secrets/{coordinate}");
        let reply = self
            .client
            .ask(operation, Method::GET, &path, NOTHING)
            .await?;
        match reply.status {
            StatusCode::OK => stored(operation, reply.read(operation)?),
            status => Err(self.refusal(operation, coordinate, status)),
        }
    }

    async fn done(&self, operation: &'static str, path: &str, at: &Coordinate) -> Result<()> {
        let reply = self
            .client
            .ask(operation, Method::POST, path, NOTHING)
            .await?;
        match reply.status {
            StatusCode::NO_CONTENT => Ok(()),
            status => Err(self.refusal(operation, at, status)),
        }
    }
}

#[async_trait]
impl SecretBackend for ShelfBackend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn manager(&self) -> &str {
        &self.manager
    }

    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        let PutRequest { mark, value, .. } = request;
        let put = Put {
            value: STANDARD.encode(value.expose()),
            mark: Some(mark.clone()),
            expiry: request.native_expiry.map(|wait| wait.as_secs()),
        };
        let path = format!("/secrets/{}", mark.coordinate);
        let reply = self
            .client
            .ask("put", Method::PUT, &path, Some(&put))
            .await?;
        match reply.status {
            StatusCode::CREATED => Ok(PutOutcome::Created),
            // Perhaps by an earlier try of this very put, whose answer was lost.
            StatusCode::CONFLICT => {
                let taken = self.read("put", &mark.coordinate).await?;
                if taken.value == *value && taken.mark.as_ref() == Some(mark) {
                    return Ok(PutOutcome::AlreadyThere);
                }
                Err(self.refusal("put", &mark.coordinate, reply.status))
            }
            status => Err(self.refusal("put", &mark.coordinate, status)),
        }
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        self.read("get", coordinate).await
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let mut answers = Vec::with_capacity(coordinates.len());
        for batch in coordinates.chunks(CAPABILITIES.get_batch) {
            match self.read_batch(batch).await {
                Ok(read) => answers.extend(read),
                // Nothing is known about any of them.
                Err(error) => answers.extend(batch.iter().map(|at| Err(again(&error, at)))),
            }
        }
        answers
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        let path = format!("/descriptions/{coordinate}");
        let reply = self
            .client
            .ask("describe", Method::GET, &path, NOTHING)
            .await?;
        match reply.status {
            StatusCode::OK => Ok(description(reply.read("describe")?)),
            status => Err(self.refusal("describe", coordinate, status)),
        }
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        let path = match page {
            Some(token) => format!("/descriptions?after={}", token.0),
            None => "/descriptions".to_owned(),
        };
        let reply = self.client.ask("list", Method::GET, &path, NOTHING).await?;
        if reply.status != StatusCode::OK {
            return Err(unavailable("list", "the Shelf does not list"));
        }
        let page: Page = reply.read("list")?;
        Ok(ListPage {
            secrets: page.items.into_iter().map(description).collect(),
            next: page.next.map(|next| PageToken(next.into())),
        })
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let mut path = format!("/secrets/{coordinate}?");
        if let DeleteMode::Recoverable(window) = mode {
            path = format!("{path}window={}&", window.as_secs());
        }
        if let Some(Precondition(revision)) = precondition {
            path = format!("{path}revision={revision}");
        }
        let reply = self
            .client
            .ask("delete", Method::DELETE, &path, NOTHING)
            .await?;
        match reply.status {
            StatusCode::OK => {
                // Read in any case: a 200 that is not the Shelf's own has deleted nothing.
                let Deleted { due } = reply.read("delete")?;
                Ok(match mode {
                    DeleteMode::Final => Deletion::Deleted,
                    DeleteMode::Recoverable(_) => Deletion::Scheduled { due },
                })
            }
            StatusCode::NOT_FOUND => Ok(Deletion::AlreadyGone),
            status => Err(self.refusal("delete", coordinate, status)),
        }
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        let path = format!("/restored/{coordinate}");
        self.done("restore", &path, coordinate).await
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        let path = format!("/lasting/{coordinate}");
        self.done("lift the expiry of", &path, coordinate).await
    }
}

impl ShelfBackend {
    async fn read_batch(&self, batch: &[Coordinate]) -> Result<Vec<Result<StoredSecret>>> {
        let names = Some(&batch);
        let reply: Reply = self
            .client
            .ask("get", Method::POST, "/batch", names)
            .await?;
        let ones: Vec<One> = reply.read("get")?;
        if ones.len() != batch.len() {
            return Err(unavailable("get", "not as many answers as questions"));
        }
        let answers = ones.into_iter().zip(batch).map(|(one, at)| match one.got {
            Some(got) => stored("get", got),
            None => Err(self.refusal(
                "get",
                at,
                StatusCode::from_u16(one.status).unwrap_or(StatusCode::BAD_GATEWAY),
            )),
        });
        Ok(answers.collect())
    }
}

/// The error of a whole call as one answer's.
fn again(error: &Error, at: &Coordinate) -> Error {
    let message = error.message().to_owned();
    let one = Error::new(error.kind(), error.operation(), message).with_coordinate(at);
    match error.retry_after() {
        Some(after) => one.with_retry_after(after),
        None => one,
    }
}

fn stored(operation: &'static str, got: Got) -> Result<StoredSecret> {
    let value = STANDARD.decode(got.value);
    let value = value.map_err(|_| Error::new(ErrorKind::Corrupt, operation, "no base64"))?;
    Ok(StoredSecret {
        value: SecretValue::new(value),
        mark: got.mark,
    })
}

fn description(item: Item) -> Description {
    Description {
        state: match item {
            Item {
                waiting: true, due, ..
            } => SecretState::ScheduledForDeletion { due },
            Item { disabled: true, .. } => SecretState::Disabled,
            _ => SecretState::Enabled,
        },
        coordinate: item.coordinate,
        mark: item.mark,
        native_expiry: item.expiry,
        created: item.created,
        changed: item.changed,
        accessed: None,
        precondition: item.revision.map(|it| Precondition(it.into())),
    }
}
