//! The requests that one operation makes, taken down on their way to the server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use cloakroom_testkit::proxy::{Proxy, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::targets::Target;
use crate::{Operation, Work};

/// To one who wants nothing of it but that.
const SUCCESS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\n\r\n{}";

/// One request as it was sent.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// The requests of one operation, after one that was not looked at: logging in and connecting are
/// no part of it.
pub(crate) async fn requests(
    target: &Target,
    operation: Operation,
    work: &Work,
) -> Result<Vec<Request>> {
    // The proxy speaks plain HTTP to this side, whatever the server speaks.
    let upstream = Upstream::new(&target.url)?;
    // The host is part of what is signed.
    let upstream = if target.signs {
        upstream.keeping_host()
    } else {
        upstream
    };
    let proxy = Proxy::start(upstream).await?;
    let recorder = Recorder::start(Some(proxy.port())).await?;
    let backend = target.connect(&recorder.url).await?;
    work.once(&*backend, operation).await?;
    let warm = recorder.sent().len();
    work.once(&*backend, operation).await?;
    recorder.requests(warm)
}

/// As many puts of one request each, signed and never sent to the server.
pub(crate) async fn unsent_puts(
    target: &Target,
    work: &Work,
    count: usize,
) -> Result<Vec<Request>> {
    let recorder = Recorder::start(None).await?;
    let backend = target.connect(&recorder.url).await?;
    for _ in 0..count {
        work.once(&*backend, Operation::Put).await?;
    }
    recorder.requests(0)
}

/// Takes requests down, and hands them on where there is somebody.
struct Recorder {
    url: String,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
    taking: JoinHandle<()>,
}

impl Recorder {
    async fn start(to: Option<u16>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let sent = Arc::new(Mutex::new(Vec::new()));
        let taking = tokio::spawn(take_down(listener, to, sent.clone()));
        Ok(Self { url, sent, taking })
    }

    fn sent(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn requests(&self, from: usize) -> Result<Vec<Request>> {
        self.sent()[from..].iter().map(|text| read(text)).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.taking.abort();
    }
}

/// Hands every connection on and keeps what the client sent, request by request. Where there is
/// nobody to hand it on to, each request is told that it succeeded.
async fn take_down(listener: TcpListener, to: Option<u16>, sent: Arc<Mutex<Vec<Vec<u8>>>>) {
    while let Ok((client, _)) = listener.accept().await {
        let sent = sent.clone();
        tokio::spawn(async move {
            match to {
                Some(port) => hand_on(client, port, &sent).await,
                None => succeed(client, &sent).await,
            }
        });
    }
}

async fn hand_on(client: TcpStream, port: u16, sent: &Mutex<Vec<Vec<u8>>>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let (mut open, mut part) = (Vec::new(), vec![0; 64 * 1024]);
    while let Ok(count) = from_client.read(&mut part).await {
        if count == 0 || to_server.write_all(&part[..count]).await.is_err() {
            break;
        }
        open.extend_from_slice(&part[..count]);
        keep(&mut open, sent);
    }
}

async fn succeed(mut client: TcpStream, sent: &Mutex<Vec<Vec<u8>>>) {
    let (mut open, mut part) = (Vec::new(), vec![0; 64 * 1024]);
    while let Ok(count) = client.read(&mut part).await {
        open.extend_from_slice(&part[..count]);
        let told = SUCCESS.repeat(keep(&mut open, sent));
        if count == 0 || client.write_all(told.as_bytes()).await.is_err() {
            break;
        }
    }
}

/// Keeps the requests that are whole and says how many they were.
fn keep(open: &mut Vec<u8>, sent: &Mutex<Vec<Vec<u8>>>) -> usize {
    let mut kept = 0;
    while let Some(length) = whole(open) {
        let rest = open.split_off(length);
        let request = std::mem::replace(open, rest);
        let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.push(request);
        kept += 1;
    }
    kept
}

/// How many bytes the first request has, once it is whole.
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse().ok())
        .unwrap_or(0);
    (bytes.len() >= head + length).then_some(head + length)
}

fn read(bytes: &[u8]) -> Result<Request> {
    let text = std::str::from_utf8(bytes).context("a request is not text")?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .context("a request has no end")?;
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (
        first.next().unwrap_or_default(),
        first.next().unwrap_or_default(),
    );
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| {
            !["content-length", "connection"].contains(&name.to_lowercase().as_str())
        })
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Ok(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body: body.to_owned(),
    })
}
