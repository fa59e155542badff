//! The server behind the proxy.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::rt::{Read, Write};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::kept::Kept;
use super::tls;

/// Where requests go, and how they are changed on the way.
///
/// Whatever the host's name is, it is looked for on the loopback interface: several managers tell
/// their vaults apart by host names that no resolver knows.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub(super) is_https: bool,
    pub(super) address: SocketAddr,
    pub(super) host: String,
    authority: String,
    origin: String,
    serves_https: bool,
    keeps_host: bool,
    rewrites_links: bool,
}

impl Upstream {
    /// A server's URL: http or https, a host, a port. A path is refused, as the backend's own URL
    /// has it.
    ///
    /// # Errors
    /// Something else than that.
    pub fn new(url: &str) -> io::Result<Self> {
        let refuse = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        let uri: Uri = url.parse().map_err(|_| refuse("this is no URL"))?;
        let is_https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refuse("the server's URL begins with http or https")),
        };
        let authority = uri.authority().ok_or_else(|| refuse("no host is named"))?;
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") {
            return Err(refuse(
                "the server's URL is a host and a port, nothing else",
            ));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let loopback = if host.contains(':') {
            IpAddr::from(Ipv6Addr::LOCALHOST)
        } else {
            IpAddr::from(Ipv4Addr::LOCALHOST)
        };
        let port = authority.port_u16();
        let port = port.unwrap_or(if is_https { 443 } else { 80 });
        Ok(Self {
            is_https,
            address: (loopback, port).into(),
            host,
            authority: authority.to_string(),
            origin: url.trim_end_matches('/').to_owned(),
            serves_https: false,
            keeps_host: false,
            rewrites_links: false,
        })
    }

    /// Clients are spoken to in HTTPS, with a certificate made for this proxy.
    pub fn serving_https(mut self) -> Self {
        self.serves_https = true;
        self
    }

    /// The server is told the host that the client named, not its own.
    pub fn keeping_host(mut self) -> Self {
        self.keeps_host = true;
        self
    }

    /// Where an answer holds the server's own URL (the next page of a listing), the proxy's stands
    /// instead. Answers are then asked for uncompressed.
    pub fn rewriting_links(mut self) -> Self {
        self.rewrites_links = true;
        self
    }

    /// A connection of its own to the server, past every proxy.
    pub fn keep(&self) -> Kept {
        Kept::new(self.clone())
    }

    pub(super) fn serves_https(&self) -> bool {
        self.serves_https
    }

    /// Sends a request on and reads the whole answer.
    pub(super) async fn send(
        &self,
        parts: Parts,
        body: Bytes,
        proxy: &str,
    ) -> io::Result<Response<Bytes>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let request = self.request(parts, body)?;
        let answer = if self.is_https {
            let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
            let stream = tls::client()?.connect(name, stream).await?;
            exchange(TokioIo::new(stream), request).await?
        } else {
            exchange(TokioIo::new(stream), request).await?
        };
        Ok(if self.rewrites_links {
            self.rewrite(answer, proxy)
        } else {
            answer
        })
    }

    fn request(&self, parts: Parts, body: Bytes) -> io::Result<Request<Full<Bytes>>> {
        let path = parts.uri.path_and_query();
        let mut request = Request::builder()
            .method(parts.method)
            .uri(path.map_or("/", |path| path.as_str()))
            .body(Full::new(body))
            .map_err(io::Error::other)?;
        let headers = request.headers_mut();
        *headers = end_to_end(parts.headers);
        if !self.keeps_host {
            let host = HeaderValue::from_str(&self.authority).map_err(io::Error::other)?;
            headers.insert(HOST, host);
        }
        if self.rewrites_links {
            headers.remove(ACCEPT_ENCODING);
        }
        Ok(request)
    }

    fn rewrite(&self, answer: Response<Bytes>, proxy: &str) -> Response<Bytes> {
        let (mut parts, body) = answer.into_parts();
        for value in parts.headers.values_mut() {
            let text = value.to_str().unwrap_or_default();
            if text.contains(&self.origin)
                && let Ok(changed) = HeaderValue::from_str(&text.replace(&self.origin, proxy))
            {
                *value = changed;
            }
        }
        let body = match std::str::from_utf8(&body) {
            Ok(text) if text.contains(&self.origin) => text.replace(&self.origin, proxy).into(),
            _ => body,
        };
        Response::from_parts(parts, body)
    }
}

async fn exchange<I>(io: I, request: Request<Full<Bytes>>) -> io::Result<Response<Bytes>>
where
    I: Read + Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
    // The connection ends when the sender goes, so the sender goes with its answer.
    let asked = async move {
        let answer = sender.send_request(request).await?;
        let (mut parts, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        parts.headers = end_to_end(parts.headers);
        Ok::<_, hyper::Error>(Response::from_parts(parts, body))
    };
    let (answer, _) = tokio::join!(asked, connection);
    answer.map_err(io::Error::other)
}

/// The headers that are not about one connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [
        "connection",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
        headers.remove(name);
    }
    headers.remove(CONTENT_LENGTH);
    headers
}
