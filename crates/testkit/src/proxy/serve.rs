//! Connections of clients, and each request's way through the proxy.

use std::io;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::body::Payload;
use super::fault::{Answer, Fault};
use super::redirect;
use super::script::Seen;
use super::socket::{Ending, Socket};

/// Serves until it is dropped, and every connection with it.
pub(super) async fn connections(
    shared: Arc<Shared>,
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
) {
    let mut connections = JoinSet::new();
    loop {
        // A connection that went before it was taken is its client's business.
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(connection(Arc::clone(&shared), stream, acceptor.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
    let ending = Ending::default();
    // Only a matter of speed.
    let _ = stream.set_nodelay(true);
    let socket = Socket::new(stream, ending.clone());
    let service = service_fn(move |request| answer(Arc::clone(&shared), ending.clone(), request));
    // Faults end connections with an error; that is what they are for.
    match acceptor {
        None => {
            let io = TokioIo::new(socket);
            let _ = http1::Builder::new().serve_connection(io, service).await;
        }
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(socket).await {
                let io = TokioIo::new(stream);
                let _ = http1::Builder::new().serve_connection(io, service).await;
            }
        }
    }
}

/// An error ends the connection without an answer.
async fn answer(
    shared: Arc<Shared>,
    ending: Ending,
    request: Request<Incoming>,
) -> io::Result<Response<Payload>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if let Some(parts) = redirect::followed(&parts) {
        shared.script().follow();
        return Ok(shared.forward(parts, body).await?.map(Payload::whole));
    }
    let (number, fault) = shared.script().take(&Seen {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
    });
    let told = |response: Response<Payload>| {
        let status = response.status().as_u16();
        shared.script().answered(number, status);
        Ok(response)
    };
    match fault {
        None => told(shared.forward(parts, body).await?.map(Payload::whole)),
        Some(Fault::Delay(wait)) => {
            let answer = shared.forward(parts, body).await?;
            tokio::time::sleep(wait).await;
            told(answer.map(Payload::whole))
        }
        Some(Fault::Hold(gate)) => {
            gate.pass().await;
            told(shared.forward(parts, body).await?.map(Payload::whole))
        }
        Some(Fault::Refuse) => {
            ending.reset();
            Err(gone())
        }
        Some(Fault::LoseAnswer) => {
            shared.forward(parts, body).await?;
            Err(gone())
        }
        Some(Fault::Answer(answer)) => told(answer.response()?),
        Some(Fault::Redirect) => told(redirect::answer(&shared.origin, &parts, number).response()?),
        Some(fault) => {
            let answer = shared.forward(parts, body).await?;
            if fault == Fault::Reset {
                ending.reset();
            }
            if answer.body().is_empty() {
                return Err(gone());
            }
            told(answer.map(|body| Payload::cut(&body)))
        }
    }
}

impl Shared {
    /// Sends a request on to its end, also where the client does not wait for it: a server acts on
    /// what it was sent, whoever has gone since.
    async fn forward(self: &Arc<Self>, parts: Parts, body: Bytes) -> io::Result<Response<Bytes>> {
        let shared = Arc::clone(self);
        self.under_way.send_modify(|count| *count += 1);
        let asked = tokio::spawn(async move {
            let answer = shared.upstream.send(parts, body, &shared.origin).await;
            shared.under_way.send_modify(|count| *count -= 1);
            answer
        });
        asked.await.map_err(io::Error::other)?
    }
}

impl Answer {
    pub(super) fn response(self) -> io::Result<Response<Payload>> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response
            .body(Payload::whole(self.body.into()))
            .map_err(io::Error::other)
    }
}

fn gone() -> io::Error {
    io::Error::other("fault: no answer")
}
