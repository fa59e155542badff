//! A double of Azure Key Vault and of Entra ID's login, over HTTP on a loopback port.
//!
//! No server that speaks the protocol comes from a package registry this project can use: Lowkey
//! Vault's application is not on Maven Central, and the Go modules with an emulator are not served
//! by the module proxy. What this one does follows the REST reference (API version 7.6) and answers
//! that the service was recorded to give in the SDKs' own tests.

mod vault;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use cloakroom_core::{Clock as _, Randomness as _, SystemRandomness};
use cloakroom_testkit::ManualClock;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use vault::{Answer, Call};
pub(crate) use vault::{Ids, Vault, refused};

pub(crate) const TENANT: &str = "double-tenant";
/// What a secret must be for each client; tests may change it. Both are marked.
pub(crate) const CLIENT_SECRET: &str = "canary-7f3a9c1e2b: the double's client secret";
pub(crate) const FEDERATED_TOKEN: &str = "canary-7f3a9c1e2b: the double's federated token";

/// What a client may do, unless a test says otherwise.
pub(crate) const EVERY_RIGHT: [&str; 7] =
    ["get", "list", "set", "update", "delete", "recover", "purge"];

/// A right as roles call it.
pub(crate) fn action(right: &str) -> String {
    let action = match right {
        "get" => "getSecret/action",
        "list" => "readMetadata/action",
        "set" => "setSecret/action",
        "update" => "update/action",
        "delete" => "delete",
        "recover" => "recover/action",
        "purge" => "purge/action",
        _ => panic!("there is no right {right}"),
    };
    format!("Microsoft.KeyVault/vaults/secrets/{action}")
}

/// A vault that runs until it is dropped.
pub(crate) struct Double {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    clock: ManualClock,
    vault: Mutex<Vault>,
    entra: Mutex<Entra>,
    /// The requests to the vault by clients that are logged in.
    log: Mutex<Vec<String>>,
    scripted: Mutex<VecDeque<Scripted>>,
    turns: Mutex<Option<mpsc::UnboundedSender<Ticket>>>,
}

struct Entra {
    secret: String,
    /// By token, who it was given to.
    tokens: BTreeMap<String, String>,
    rights: BTreeMap<String, Vec<String>>,
    /// Clients that are let in no more.
    expired: BTreeSet<String>,
    logins: usize,
}

/// An answer that is given instead of the vault's own.
pub(crate) struct Scripted {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// A request that waits for its turn.
pub(crate) struct Ticket {
    pub(crate) client: String,
    /// What is asked, as the vault's permissions are called.
    pub(crate) kind: &'static str,
    pub(crate) go: oneshot::Sender<()>,
    /// Ends when the vault has acted.
    pub(crate) acted: oneshot::Receiver<()>,
}

impl Double {
    pub(crate) async fn start(clock: ManualClock) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            clock,
            vault: Mutex::new(Vault::new(address.to_string())),
            entra: Mutex::new(Entra {
                secret: CLIENT_SECRET.to_owned(),
                tokens: BTreeMap::new(),
                rights: BTreeMap::new(),
                expired: BTreeSet::new(),
                logins: 0,
            }),
            log: Mutex::default(),
            scripted: Mutex::default(),
            turns: Mutex::default(),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            address,
            shared,
            server,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn vault(&self) -> MutexGuard<'_, Vault> {
        self.shared.vault.lock().unwrap()
    }

    pub(crate) fn clock(&self) -> &ManualClock {
        &self.shared.clock
    }

    /// What the vault was asked since the last time.
    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.log.lock().unwrap())
    }

    pub(crate) fn logins(&self) -> usize {
        self.shared.entra.lock().unwrap().logins
    }

    /// Every login needs this secret from now on, and no token given before is taken any more.
    pub(crate) fn rotate(&self, secret: &str) {
        let mut entra = self.shared.entra.lock().unwrap();
        secret.clone_into(&mut entra.secret);
        entra.tokens.clear();
    }

    /// From now on neither the tokens nor the credential of this client are good for anything.
    pub(crate) fn expire(&self, client: &str) {
        let mut entra = self.shared.entra.lock().unwrap();
        entra.tokens.retain(|_, of| of != client);
        entra.expired.insert(client.to_owned());
    }

    /// A token of a client that somebody else has logged in.
    pub(crate) fn token_of(&self, client: &str) -> String {
        let token = SystemRandomness.uuid().to_string();
        let mut entra = self.shared.entra.lock().unwrap();
        entra.tokens.insert(token.clone(), client.to_owned());
        token
    }

    pub(crate) fn grant(&self, client: &str, rights: &[&str]) {
        let rights = rights.iter().map(|right| (*right).to_owned()).collect();
        let mut entra = self.shared.entra.lock().unwrap();
        entra.rights.insert(client.to_owned(), rights);
    }

    pub(crate) fn script(&self, answer: Scripted) {
        self.shared.scripted.lock().unwrap().push_back(answer);
    }

    /// From now on every request waits until its ticket lets it go.
    pub(crate) fn take_turns(&self) -> mpsc::UnboundedReceiver<Ticket> {
        let (send, receive) = mpsc::unbounded_channel();
        *self.shared.turns.lock().unwrap() = Some(send);
        receive
    }

    pub(crate) fn end_turns(&self) {
        *self.shared.turns.lock().unwrap() = None;
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path: Vec<&str> = uri.path().split('/').filter(|it| !it.is_empty()).collect();
    if let [TENANT, "oauth2", "v2.0", "token"] = path[..] {
        return respond(login(&shared, &body));
    }
    let Some(client) = client(&shared, &headers) else {
        return challenge(&shared);
    };
    let kind = kind_of(method.as_str(), &path);
    let done = wait_for_turn(&shared, &client, kind).await;
    shared.log.lock().unwrap().push(kind.to_owned());
    let scripted = shared.scripted.lock().unwrap().pop_front();
    if let Some(scripted) = scripted {
        let mut response = Response::builder().status(scripted.status);
        for (name, text) in scripted.headers {
            response = response.header(name, text);
        }
        return response.body(scripted.body.into()).unwrap();
    }
    if let Some(refusal) = refusal(&shared, &client, kind) {
        return respond(refusal);
    }
    let call = Call {
        method: method.as_str(),
        path: &path,
        query: &query(&uri),
        body: &serde_json::from_slice(&body).unwrap_or(Value::Null),
        now: shared.clock.now(),
    };
    let answer = {
        let mut vault = shared.vault.lock().unwrap();
        // Links lead to where the client found the vault: a proxy may stand between.
        if let Some(host) = headers.get("host").and_then(|host| host.to_str().ok()) {
            host.clone_into(&mut vault.host);
        }
        vault.answer(&call)
    };
    drop(done);
    respond(answer)
}

async fn wait_for_turn(
    shared: &Shared,
    client: &str,
    kind: &'static str,
) -> Option<oneshot::Sender<()>> {
    let turns = shared.turns.lock().unwrap().clone()?;
    let (go, gone) = oneshot::channel();
    let (done, acted) = oneshot::channel();
    let ticket = Ticket {
        client: client.to_owned(),
        kind,
        go,
        acted,
    };
    if turns.send(ticket).is_ok() {
        let _ = gone.await;
    }
    Some(done)
}

/// What is done, as the vault's permissions are called.
fn kind_of(method: &str, path: &[&str]) -> &'static str {
    match (method, path) {
        ("GET", ["secrets" | "deletedsecrets"] | ["secrets", _, "versions"]) => "list",
        ("GET", _) => "get",
        ("DELETE", ["secrets", _]) => "delete",
        ("DELETE", _) => "purge",
        ("POST", _) => "recover",
        ("PATCH", _) => "update",
        _ => "set",
    }
}

fn refusal(shared: &Shared, client: &str, right: &str) -> Option<Answer> {
    let entra = shared.entra.lock().unwrap();
    let rights = entra.rights.get(client)?;
    if rights.iter().any(|it| it == right) {
        return None;
    }
    let (status, mut body) = refused(403, "Forbidden", Some("ForbiddenByRbac"));
    let action = action(right);
    body["error"]["message"] =
        format!("Caller is not authorized.\r\nAction: '{action}'\r\n").into();
    Some((status, body))
}

fn client(shared: &Shared, headers: &HeaderMap) -> Option<String> {
    let token = headers.get("authorization")?.to_str().ok()?;
    let entra = shared.entra.lock().unwrap();
    entra.tokens.get(token.strip_prefix("Bearer ")?).cloned()
}

fn challenge(shared: &Shared) -> Response {
    let host = &shared.vault.lock().unwrap().host;
    let text = format!(
        "Bearer authorization=\"https://{host}/{TENANT}\", resource=\"https://vault.azure.net\""
    );
    let (status, body) = refused(401, "Unauthorized", None);
    let mut response = respond((status, body));
    let headers = response.headers_mut();
    headers.insert("www-authenticate", text.parse().unwrap());
    response
}

/// Entra's answer to a login.
fn login(shared: &Shared, body: &[u8]) -> Answer {
    let form = pairs(std::str::from_utf8(body).unwrap());
    let mut entra = shared.entra.lock().unwrap();
    entra.logins += 1;
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    let assertion = field("client_assertion");
    let right = if assertion.is_empty() {
        field("client_secret") == entra.secret
    } else {
        assertion == FEDERATED_TOKEN
    };
    let right = right && !entra.expired.contains(&field("client_id"));
    if !right || field("scope") != "https://vault.azure.net/.default" {
        let body = json!({
            "error": "invalid_client",
            "error_description": "AADSTS7000215: Invalid client secret provided.",
            "error_codes": [7_000_215],
        });
        return (401, body);
    }
    let token = SystemRandomness.uuid().to_string();
    entra.tokens.insert(token.clone(), field("client_id"));
    (
        200,
        json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": token }),
    )
}

fn query(uri: &Uri) -> BTreeMap<String, String> {
    pairs(uri.query().unwrap_or_default())
}

pub(crate) fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, text)| (decoded(name), decoded(text)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut left = text.bytes();
    while let Some(byte) = left.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [left.next().unwrap(), left.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

fn respond((status, body): Answer) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    if body.is_null() {
        return status.into_response();
    }
    (status, axum::Json(body)).into_response()
}
