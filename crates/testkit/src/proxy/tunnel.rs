//! The way to a host of a fixed name: a client that takes a service for its proxy is led to the service
//! itself, which speaks HTTPS as that host.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::tls::Certificate;

/// Where clients speak HTTPS.
const PORT: &str = "443";

/// The hosts a service stands in for.
pub(super) struct StandIn {
    hosts: Vec<String>,
    certificate: Certificate,
    acceptor: TlsAcceptor,
}

impl StandIn {
    pub(super) fn new(hosts: &[&str]) -> io::Result<Self> {
        let certificate = Certificate::of(hosts)?;
        Ok(Self {
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            acceptor: TlsAcceptor::from(certificate.server()?),
            certificate,
        })
    }

    pub(super) fn pem(&self) -> &str {
        self.certificate.pem()
    }

    /// Opens the way that a client asks for; gives the host and what is said to it. There is no way to
    /// any other host.
    pub(super) async fn open(
        &self,
        mut stream: TcpStream,
    ) -> io::Result<(String, TlsStream<TcpStream>)> {
        let wanted = wanted(&mut stream).await?;
        let host = wanted
            .strip_suffix(PORT)
            .and_then(|it| it.strip_suffix(':'));
        let Some(host) = host.filter(|host| self.hosts.iter().any(|it| it == host)) else {
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await?;
            return Err(io::Error::other("there is no way to that host"));
        };
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        let stream = self.acceptor.accept(stream).await?;
        Ok((host.to_owned(), stream))
    }
}

/// Host and port. A client says nothing more before it was answered, so nothing is read too far.
async fn wanted(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = BufReader::new(stream).lines();
    let first = head.next_line().await?.unwrap_or_default();
    while head.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let wanted = first.strip_prefix("CONNECT ");
    let wanted = wanted.and_then(|rest| rest.split(' ').next());
    wanted
        .map(str::to_owned)
        .ok_or_else(|| io::Error::other("a client of a proxy begins with CONNECT"))
}
