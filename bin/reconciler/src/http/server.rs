//! The server: few connections, small requests, short waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::places::{Place, Places};
use super::seated::Seated;

/// A request's head may have this many bytes.
const MOST_HEAD_BYTES: usize = 16 * 1024;

/// How long after the end has come a client may take to end its request.
const PARTING: Duration = Duration::from_secs(1);

/// What a client may take up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long one request may take, and how long its head may take to arrive.
    pub timeout: Duration,
    /// Connections at once; one more takes the place of one that asks for nothing.
    pub connections: usize,
}

/// Takes the address, or says who might have it.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another program is listening there; stop it, or choose another address with \
                 --listen or http.listen (port 0 takes any free one)"
            }
            std::io::ErrorKind::AddrNotAvailable => "this machine has no such address",
            std::io::ErrorKind::PermissionDenied => {
                "ports below 1024 need a privilege; choose a higher one"
            }
            _ => "the address cannot be taken",
        };
        anyhow::Error::new(error).context(format!("listen on {address}: {hint}"))
    })
}

/// Serves until `stop`; then lets requests under way finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let places = Places::new(limits.connections);
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let place = tokio::select! {
                    () = stop.cancelled() => break,
                    place = places.take() => place,
                };
                let stop = stop.clone();
                connections.spawn(serve_connection(
                    stream,
                    place,
                    router.clone(),
                    limits,
                    stop,
                ));
            }
            Err(error) => {
                // Out of file descriptors, or a client that left at once: neither is for ever.
                tracing::warn!(error = %error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    let parting = tokio::time::timeout(PARTING, connections.wait()).await;
    if parting.is_err() {
        places.dismiss_silent();
    }
    if tokio::time::timeout(limits.timeout, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!("requests still under way are cut off");
    }
    Ok(())
}

async fn serve_connection(
    stream: TcpStream,
    place: Arc<Place>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let routes = TowerToHyperService::new(router);
    let answers = service_fn(|request| {
        let answering = place.answer();
        let answer = routes.call(request);
        async move {
            let _answering = answering;
            answer.await
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.timeout)
        .max_buf_size(MOST_HEAD_BYTES)
        .serve_connection(TokioIo::new(Seated::new(stream, place.clone())), answers);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = place.lost() => {
            tracing::debug!("a silent connection made way for another");
            return;
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = &mut connection => served,
                () = place.lost() => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(error = %error, "a connection ended early");
    }
}
