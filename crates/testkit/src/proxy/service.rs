//! A server that answers as it was told to, in the stead of what a login asks: a machine's metadata
//! service, an exchange of tokens.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::body::Payload;
use super::fault::Answer;

/// One request, whole. It may hold a credential, so it is for the answering alone.
pub struct Asked {
    /// GET, PUT and so on.
    pub method: String,
    /// The host and port in the request's line, where a client takes this for its proxy.
    pub authority: Option<String>,
    /// The path, without the query.
    pub path: String,
    /// The query without its question mark, empty where there is none.
    pub query: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as text, what is no text left out.
    pub body: String,
}

impl Asked {
    /// A header's value, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

type Say = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// A running service; it stops when it is dropped.
pub struct Service {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Service {
    /// Starts on a free port of the loopback interface. `say` has the answer to each request.
    ///
    /// # Errors
    /// No port.
    pub async fn start(say: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let seen = Arc::default();
        let (kept, say): (_, Say) = (Arc::clone(&seen), Arc::new(say));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&say), Arc::clone(&kept)));
            }
        });
        Ok(Self {
            address,
            seen,
            serving,
        })
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Method and path of every request so far, in the order they came.
    pub fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(stream: TcpStream, say: Say, seen: Arc<Mutex<Vec<String>>>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&say), Arc::clone(&seen)));
    // A client that goes away in the middle has its own reasons.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    say: Say,
    seen: Arc<Mutex<Vec<String>>>,
) -> io::Result<Response<Payload>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let asked = Asked {
        method: parts.method.to_string(),
        authority: parts.uri.authority().map(ToString::to_string),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let line = format!("{} {}", asked.method, asked.path);
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(line);
    say(&asked).response()
}
