//! A proxy between a backend and its server that lets requests go wrong.
//!
//! It is a real HTTP/1.1 server on the loopback interface: a backend gets its URL in place of the
//! server's, and what goes wrong does so on the wire, below the manager's SDK. Which request meets
//! which [`Fault`] is said by [`Rule`]s, or drawn at [`Rates`] by a seed that replays. Every request
//! is recorded without what could be secret in it: no body, no query, no header but the one that
//! names an AWS operation.
//!
//! It reaches servers on the loopback interface only, whose certificates it does not check, and it
//! stops when it is dropped.

mod body;
mod fault;
mod gate;
mod kept;
mod redirect;
mod script;
mod serve;
mod service;
mod socket;
mod tls;
mod tunnel;
mod upstream;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub use fault::{Answer, Fault, Rates};
pub use gate::Gate;
pub use kept::Kept;
pub use script::{Record, Rule, Seen};
pub use service::{Asked, Service};
pub use upstream::Upstream;

use script::Script;
use tls::Certificate;

/// A running proxy.
///
/// ```
/// use cloakroom_testkit::proxy::{Answer, Fault, Proxy, Rule, Upstream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let proxy = Proxy::start(Upstream::new("http://127.0.0.1:8200")?).await?;
/// let lost = Rule::new(Fault::LoseAnswer).matching(|seen| seen.method == "PUT").at(2);
/// proxy.add(lost);
/// assert!(proxy.url().starts_with("http://127.0.0.1:"));
/// assert!(proxy.records().is_empty());
/// # Ok(())
/// # }
/// ```
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Holds the port while nobody listens on it, so that no other process can take it.
    _port: TcpSocket,
    listening: AsyncMutex<Option<JoinHandle<()>>>,
}

/// What every connection works with.
struct Shared {
    upstream: Upstream,
    /// How clients reach the proxy: scheme, host and port.
    origin: String,
    certificate: Option<Certificate>,
    script: Mutex<Script>,
    /// How many requests the server has that it has not answered.
    under_way: watch::Sender<usize>,
}

impl Proxy {
    /// Starts on a free port of the loopback interface.
    ///
    /// # Errors
    /// No port, or no certificate where clients are to be spoken to in HTTPS.
    #[expect(clippy::unused_async, reason = "it says that a runtime is needed")]
    pub async fn start(upstream: Upstream) -> io::Result<Self> {
        let first = bind(0)?;
        let address = first.local_addr()?;
        let port = bind(address.port())?;
        let certificate = upstream.serves_https().then(Certificate::new).transpose()?;
        let scheme = if certificate.is_some() {
            "https"
        } else {
            "http"
        };
        let shared = Arc::new(Shared {
            upstream,
            origin: format!("{scheme}://{address}"),
            certificate,
            script: Mutex::default(),
            under_way: watch::Sender::new(0),
        });
        let listening = shared.listen(first)?;
        Ok(Self {
            shared,
            address,
            _port: port,
            listening: AsyncMutex::new(Some(listening)),
        })
    }

    /// What a backend is given in place of the server's URL, without a slash at the end.
    pub fn url(&self) -> String {
        self.shared.origin.clone()
    }

    /// The port, for a backend that needs a host name of its own in the URL.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The certificate clients have to trust, in PEM; `None` where they are spoken to in HTTP.
    pub fn certificate(&self) -> Option<String> {
        let certificate = self.shared.certificate.as_ref();
        certificate.map(|certificate| certificate.pem().to_owned())
    }

    /// Adds a rule after those there are. The first that fits a request decides.
    pub fn add(&self, rule: Rule) {
        self.script().add(rule);
    }

    /// From now on requests that no rule fits meet faults at these rates, drawn from the seed by
    /// the request's number since this call.
    pub fn storm(&self, seed: u64, rates: Rates) {
        self.script().storm(seed, rates);
    }

    /// No more faults: rules and rates are forgotten, records stay.
    pub fn calm(&self) {
        self.script().calm();
    }

    /// From now on every connection is refused, and those there are end.
    pub async fn close(&self) {
        if let Some(listening) = self.listening.lock().await.take() {
            listening.abort();
            // Dropped, with its connections, once it has been waited for.
            let _ = listening.await;
        }
    }

    /// Takes connections again after [`Proxy::close`].
    ///
    /// # Errors
    /// The port cannot be listened on.
    pub async fn open(&self) -> io::Result<()> {
        let mut listening = self.listening.lock().await;
        if listening.is_none() {
            *listening = Some(self.shared.listen(bind(self.address.port())?)?);
        }
        Ok(())
    }

    /// Returns when the server has answered all it was asked, also what nobody waits for any more.
    pub async fn settled(&self) {
        // The sender is ours, so this cannot fail.
        let _ = self
            .shared
            .under_way
            .subscribe()
            .wait_for(|count| *count == 0)
            .await;
    }

    /// Every request so far, in the order in which they came.
    pub fn records(&self) -> Vec<Record> {
        self.script().records().to_vec()
    }

    /// How many requests there were so far.
    pub fn count(&self) -> usize {
        self.script().records().len()
    }

    /// How many of them met a fault.
    pub fn faults(&self) -> usize {
        let script = self.script();
        let faulty = script.records().iter().filter(|it| it.fault.is_some());
        faulty.count()
    }

    /// How many requests came by way of a [`Fault::Redirect`]. They are not among the others.
    pub fn followed(&self) -> usize {
        self.script().followed()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.get_mut().take() {
            listening.abort();
        }
    }
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        // Every change is one assignment; a panic elsewhere leaves none half done.
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(self: &Arc<Self>, socket: TcpSocket) -> io::Result<JoinHandle<()>> {
        let listener: TcpListener = socket.listen(128)?;
        let acceptor = match &self.certificate {
            Some(certificate) => Some(TlsAcceptor::from(certificate.server()?)),
            None => None,
        };
        let serving = serve::connections(Arc::clone(self), listener, acceptor);
        Ok(tokio::spawn(serving))
    }
}

/// A socket on a port of the loopback interface that another of ours may have too: one holds the
/// port, one listens.
fn bind(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}
