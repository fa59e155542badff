//! The Shelf: a small secrets manager over HTTP that keeps what it has in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_core::{
    Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind, PageToken, Precondition,
    PutOutcome, PutRequest, SecretBackend as _, SecretState, SecretValue, StoredSecret,
};
use cloakroom_testkit::{ManualClock, MemoryBackend};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::wire::{Deleted, Got, Item, One, Page, Put};

/// The one credential that may do everything.
pub const TOKEN: &str = "shelf-token";

pub struct Server {
    pub memory: MemoryBackend,
    pub clock: ManualClock,
    pub url: String,
    serving: JoinHandle<()>,
}

impl Server {
    pub async fn start() -> Self {
        let clock = ManualClock::default();
        let id = "shelf".parse().unwrap();
        let memory = MemoryBackend::new(id, Arc::new(clock.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = router(memory.clone());
        let serving = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self {
            memory,
            clock,
            url,
            serving,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn router(memory: MemoryBackend) -> Router {
    Router::new()
        .route("/secrets/{name}", put(create).get(read).delete(delete))
        .route("/batch", post(read_many))
        .route("/descriptions/{name}", get(describe))
        .route("/descriptions", get(list))
        .route("/restored/{name}", post(restore))
        .route("/lasting/{name}", post(lift))
        .with_state(memory)
        .layer(middleware::from_fn(authorize))
}

/// `shelf-token` may do everything, `shelf-token-not-put` everything but that;
/// `shelf-token-expired` was good once.
async fn authorize(request: Request, next: Next) -> Response {
    let header = request.headers().get("authorization");
    let token = header.and_then(|it| it.to_str().ok()?.strip_prefix("Bearer "));
    if token.is_some_and(|token| token.ends_with("-expired")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let allowed = match token.and_then(|token| token.strip_prefix(TOKEN)) {
        Some("") => true,
        Some(rest) => rest
            .strip_prefix("-not-")
            .is_some_and(|it| !needs(&request, it)),
        None => false,
    };
    if allowed {
        next.run(request).await
    } else {
        StatusCode::FORBIDDEN.into_response()
    }
}

fn needs(request: &Request, permission: &str) -> bool {
    let (method, path) = (request.method().as_str(), request.uri().path());
    permission
        == match (method, path.split('/').nth(1).unwrap_or_default()) {
            ("PUT", _) => "put",
            ("DELETE", _) => "delete",
            ("POST", "restored") => "restore",
            ("GET", "descriptions") if path == "/descriptions" => "list",
            ("GET", "descriptions") => "describe",
            _ => "read",
        }
}

type Reply = Result<Response, Refused>;

struct Refused(StatusCode);

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(status(error.kind()))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Missing => StatusCode::NOT_FOUND,
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::ScheduledForDeletion => StatusCode::LOCKED,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::BAD_REQUEST,
    }
}

type Memory = State<MemoryBackend>;

/// 201 where the name was free, 409 where it was not, whatever it holds.
async fn create(memory: Memory, Path(name): Path<Coordinate>, Json(put): Json<Put>) -> Reply {
    let value = SecretValue::new(STANDARD.decode(put.value).unwrap());
    let Some(mark) = put.mark else {
        memory.write_past(&name, value, None);
        return Ok(StatusCode::CREATED.into_response());
    };
    let native_expiry = put.expiry.map(Duration::from_secs);
    let request = PutRequest {
        mark,
        value,
        native_expiry,
    };
    Ok(match memory.put(&request).await? {
        PutOutcome::Created => StatusCode::CREATED,
        PutOutcome::AlreadyThere => StatusCode::CONFLICT,
    }
    .into_response())
}

async fn read(memory: Memory, Path(name): Path<Coordinate>) -> Reply {
    Ok(Json(got(&memory.get(&name).await?)).into_response())
}

async fn read_many(memory: Memory, Json(names): Json<Vec<Coordinate>>) -> Reply {
    let mut ones = Vec::new();
    for answer in memory.get_many(&names).await {
        ones.push(match answer {
            Ok(stored) => One {
                status: 200,
                got: Some(got(&stored)),
            },
            Err(error) => One {
                status: status(error.kind()).as_u16(),
                got: None,
            },
        });
    }
    Ok(Json(ones).into_response())
}

async fn describe(memory: Memory, Path(name): Path<Coordinate>) -> Reply {
    Ok(Json(item(memory.describe(&name).await?)).into_response())
}

async fn list(memory: Memory, Query(query): Query<HashMap<String, String>>) -> Reply {
    let after = query.get("after").map(|it| PageToken(it.as_str().into()));
    let page = memory.list(after.as_ref()).await?;
    Ok(Json(Page {
        items: page.secrets.into_iter().map(item).collect(),
        next: page.next.map(|token| token.0.to_string()),
    })
    .into_response())
}

async fn delete(
    memory: Memory,
    Path(name): Path<Coordinate>,
    Query(query): Query<HashMap<String, String>>,
) -> Reply {
    let window = query.get("window").map(|it| it.parse().unwrap());
    let mode = match window {
        Some(seconds) => DeleteMode::Recoverable(Duration::from_secs(seconds)),
        None => DeleteMode::Final,
    };
    let revision = query
        .get("revision")
        .map(|it| Precondition(it.as_str().into()));
    let due = match memory.delete(&name, mode, revision.as_ref()).await? {
        Deletion::Deleted => None,
        Deletion::Scheduled { due } => due,
        Deletion::AlreadyGone => return Err(Refused(StatusCode::NOT_FOUND)),
    };
    Ok(Json(Deleted { due }).into_response())
}

async fn restore(memory: Memory, Path(name): Path<Coordinate>) -> Reply {
    memory.restore(&name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn lift(memory: Memory, Path(name): Path<Coordinate>) -> Reply {
    memory.lift_expiry(&name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn got(stored: &StoredSecret) -> Got {
    Got {
        value: STANDARD.encode(stored.value.expose()),
        mark: stored.mark.clone(),
    }
}

fn item(it: Description) -> Item {
    let (waiting, due) = match it.state {
        SecretState::ScheduledForDeletion { due } => (true, due),
        _ => (false, None),
    };
    Item {
        disabled: it.state == SecretState::Disabled,
        waiting,
        due,
        coordinate: it.coordinate,
        mark: it.mark,
        expiry: it.native_expiry,
        created: it.created,
        changed: it.changed,
        revision: it.precondition.map(|it| it.0.to_string()),
    }
}
