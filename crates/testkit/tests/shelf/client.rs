//! The one file that talks to the Shelf: requests out, codes and bodies back.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::{CredentialSource, Error, ErrorKind, Redirect, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// Where the Shelf is and who asks.
#[derive(Clone)]
pub struct ShelfSettings {
    /// Host and port.
    pub address: String,
    /// Read before every request, so that a rotated one needs no restart.
    pub token: Arc<dyn CredentialSource>,
    /// After which a request is given up as `Unavailable`.
    pub timeout: Duration,
}

pub struct Client {
    settings: ShelfSettings,
}

/// An answer with its status; nothing in it has been believed yet.
pub struct Reply {
    pub status: StatusCode,
    body: Bytes,
}

impl Reply {
    /// The body as the Shelf writes it. One that was cut, or is something else, is no answer.
    pub fn read<T: DeserializeOwned>(&self, operation: &'static str) -> Result<T> {
        // The cause is left out: it may quote what it could not read.
        serde_json::from_slice(&self.body)
            .map_err(|_| unavailable(operation, "the answer cannot be read"))
    }
}

impl Client {
    pub fn new(settings: ShelfSettings) -> Self {
        Self { settings }
    }

    /// Asks once. Every status that says something about a secret is a reply; what says something
    /// about the request or the server is an error.
    pub async fn ask(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Reply> {
        let body = body.map(serde_json::to_vec).transpose();
        let body = body.map_err(|_| Error::new(ErrorKind::Invalid, operation, "no JSON"))?;
        let request = self.request(operation, method, path, body.unwrap_or_default())?;
        let exchange = tokio::time::timeout(self.settings.timeout, self.exchange(request));
        let (status, headers, body) = match exchange.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(lost)) => {
                return Err(unavailable(operation, "no answer").with_source(lost));
            }
            Err(_) => return Err(unavailable(operation, "no answer in time")),
        };
        let location = headers.get(LOCATION).and_then(|it| it.to_str().ok());
        if let Some(redirect) = Redirect::of(status.as_u16(), location) {
            let told = redirect.told_by(&self.settings.address);
            return Err(Error::new(ErrorKind::Unavailable, operation, told));
        }
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::new(
                ErrorKind::Denied,
                operation,
                "the token does not allow it; check its permissions",
            )),
            StatusCode::TOO_MANY_REQUESTS => {
                let error = Error::new(ErrorKind::Throttled, operation, "too many requests");
                Err(match retry_after(&headers) {
                    Some(after) => error.with_retry_after(after),
                    None => error,
                })
            }
            status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
                Err(unavailable(operation, "the Shelf failed"))
            }
            StatusCode::GONE => Err(unavailable(operation, "the page has expired; list again")),
            status => Ok(Reply { status, body }),
        }
    }

    fn request(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Request<Full<Bytes>>> {
        let invalid = |what| Error::new(ErrorKind::Invalid, operation, what);
        let token = self.settings.token.read()?;
        let token = token
            .expose_text()
            .ok_or_else(|| invalid("the token is no text"))?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| invalid("the token cannot be sent"))?;
        bearer.set_sensitive(true);
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.settings.address)
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, bearer)
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| invalid("the path cannot be sent"))
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> std::io::Result<(StatusCode, HeaderMap, Bytes)> {
        let stream = TcpStream::connect(&self.settings.address).await?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(std::io::Error::other)?;
        let asked = async move {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            Ok::<_, hyper::Error>((
                parts.status,
                parts.headers,
                body.collect().await?.to_bytes(),
            ))
        };
        let (answer, _) = tokio::join!(asked, connection);
        answer.map_err(std::io::Error::other)
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

pub fn unavailable(operation: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, message)
}
