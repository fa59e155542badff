//! A server that answers as it was told to, in the stead of what a login asks: a machine's metadata
//! service, an exchange of tokens.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::body::Payload;
use super::fault::Answer;
use super::tunnel::StandIn;

/// One request, whole. It may hold a credential, so it is for the answering alone.
pub struct Asked {
    /// GET, PUT and so on.
    pub method: String,
    /// The host, with a port where it was told, that a client asks for which takes this for its proxy.
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
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// What every connection works with.
struct Shared {
    say: Say,
    seen: Mutex<Vec<String>>,
    stand_in: Option<StandIn>,
}

impl Service {
    /// Starts on a free port of the loopback interface. `say` has the answer to each request.
    ///
    /// # Errors
    /// No port.
    pub async fn start(say: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        Self::begin(Arc::new(say), None).await
    }

    /// The same in the stead of the hosts of these names, for a client that takes it for its proxy and
    /// trusts [`Service::certificate`]. It leads to no other host.
    ///
    /// # Errors
    /// No port, or no certificate.
    pub async fn start_as(
        hosts: &[&str],
        say: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::begin(Arc::new(say), Some(StandIn::new(hosts)?)).await
    }

    async fn begin(say: Say, stand_in: Option<StandIn>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            say,
            seen: Mutex::default(),
            stand_in,
        });
        let every = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&every).serve(stream));
            }
        });
        Ok(Self {
            address,
            shared,
            serving,
        })
    }

    /// What a client has to trust, in PEM; `None` where it is spoken to in HTTP.
    pub fn certificate(&self) -> Option<&str> {
        self.shared.stand_in.as_ref().map(StandIn::pem)
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
        self.shared.seen().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Vec<String>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        match &self.stand_in {
            None => self.converse(stream, None).await,
            // Whoever asks for another host or does not trust the certificate is told so by that.
            Some(stand_in) => {
                if let Ok((host, stream)) = stand_in.open(stream).await {
                    self.converse(stream, Some(host)).await;
                }
            }
        }
    }

    async fn converse(&self, stream: impl AsyncRead + AsyncWrite + Unpin, host: Option<String>) {
        let service = service_fn(|request| self.answer(request, host.clone()));
        // A client that goes away in the middle has its own reasons.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        host: Option<String>,
    ) -> io::Result<Response<Payload>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let asked = Asked {
            method: parts.method.to_string(),
            authority: host.or_else(|| parts.uri.authority().map(ToString::to_string)),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        self.seen().push(format!("{} {}", asked.method, asked.path));
        (self.say)(&asked).response()
    }
}
