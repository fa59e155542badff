//! A connection to a server that is kept, for requests that are sent as they are.

use std::io;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::tls;
use super::upstream::Upstream;

/// Sends one request after the other, on one connection as long as the server keeps it.
pub struct Kept {
    upstream: Upstream,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Kept {
    pub(super) fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            sender: None,
        }
    }

    /// Sends a request and reads its whole answer; gives the status.
    ///
    /// # Errors
    /// No connection, or no whole answer.
    pub async fn send(&mut self, request: Request<Bytes>) -> io::Result<u16> {
        let sender = self.connected().await?;
        let answer = sender.send_request(request.map(Full::new)).await;
        let answer = answer.map_err(io::Error::other)?;
        let status = answer.status().as_u16();
        answer.collect().await.map_err(io::Error::other)?;
        Ok(status)
    }

    async fn connected(&mut self) -> io::Result<&mut SendRequest<Full<Bytes>>> {
        let mut kept = self.sender.take();
        if let Some(sender) = &mut kept
            && sender.ready().await.is_err()
        {
            // The server has closed it after its answer, as it may.
            kept = None;
        }
        let sender = match kept {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        Ok(self.sender.insert(sender))
    }

    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let Upstream {
            is_https,
            address,
            host,
            ..
        } = &self.upstream;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        if !is_https {
            return served(TokioIo::new(stream)).await;
        }
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        let stream = tls::client()?.connect(name, stream).await?;
        served(TokioIo::new(stream)).await
    }
}

/// A connection that lives as long as its sender.
async fn served<I>(io: I) -> io::Result<SendRequest<Full<Bytes>>>
where
    I: Read + Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
    // What ends it is told to whoever sends.
    tokio::spawn(connection);
    Ok(sender)
}
