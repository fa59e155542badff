//! The proxy on a real server: each fault does what it says, a seed replays, nothing secret stays.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use cloakroom_testkit::canary::MARKER;
use cloakroom_testkit::proxy::{Answer, Fault, Proxy, Rates, Rule, Service, Upstream};
use cloakroom_testkit::{Canaries, SeededRandomness};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const BODY: &str = "ten bytes.";

/// A server that counts what it was asked.
struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let router = Router::new()
            .fallback(reply)
            .with_state((Arc::clone(&asked), url.clone()));
        let serving = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            asked,
            serving,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn proxy(&self) -> Proxy {
        Proxy::start(Upstream::new(&self.url).unwrap())
            .await
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn reply(
    State((asked, url)): State<(Arc<AtomicUsize>, String)>,
    request: Request,
) -> Response {
    asked.fetch_add(1, Ordering::SeqCst);
    let host = request.headers().get("host").unwrap().to_str().unwrap();
    let host = [("x-host", host.to_owned())];
    match request.uri().path() {
        "/empty" => (axum::http::StatusCode::NO_CONTENT, host).into_response(),
        "/link" => (host, format!("{url}/next")).into_response(),
        _ => (host, BODY).into_response(),
    }
}

/// What came back on a connection of its own, and how it ended.
struct Reply {
    text: String,
    end: io::Result<()>,
}

impl Reply {
    fn status(&self) -> Option<u16> {
        self.text.split(' ').nth(1)?.parse().ok()
    }

    fn body(&self) -> &str {
        self.text
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.text.lines();
        lines
            .filter_map(|it| it.split_once(": "))
            .find(|(it, _)| *it == name)
            .map(|(_, it)| it)
    }
}

async fn ask(proxy: &Proxy, path: &str) -> Reply {
    let stream = TcpStream::connect(("127.0.0.1", proxy.port()))
        .await
        .unwrap();
    exchange(stream, "GET", path, "").await
}

async fn exchange(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    method: &str,
    path: &str,
    body: &str,
) -> Reply {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: client\r\nauthorization: Bearer {body}\r\n\
         x-amz-target: secretsmanager.Get\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await.map(|_| ());
    Reply {
        text: String::from_utf8(bytes).unwrap(),
        end,
    }
}

#[tokio::test]
async fn without_a_fault_nothing_is_changed() {
    let server = Server::start().await;
    let proxy = server.proxy().await;
    let reply = ask(&proxy, "/a?b=c").await;
    assert_eq!((reply.status(), reply.body()), (Some(200), BODY));
    assert!(
        server.url.ends_with(reply.header("x-host").unwrap()),
        "the server has its own host"
    );
    let [record] = &proxy.records()[..] else {
        panic!()
    };
    assert_eq!(record.to_string(), "GET /a secretsmanager.Get → 200");
    assert_eq!(proxy.faults(), 0);
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    for (fault, acts) in [
        (Fault::Refuse, false),
        (Fault::Reset, true),
        (Fault::Truncate, true),
        (Fault::LoseAnswer, true),
    ] {
        for path in ["/full", "/empty"] {
            let server = Server::start().await;
            let proxy = server.proxy().await;
            proxy.add(Rule::new(fault.clone()).first(1));
            let reply = ask(&proxy, path).await;
            assert_eq!(server.asked(), usize::from(acts), "{fault:?} {path}");
            let reset = matches!(fault, Fault::Refuse | Fault::Reset);
            let end = reply.end.as_ref().err().map(io::Error::kind);
            assert_eq!(
                end,
                reset.then_some(ErrorKind::ConnectionReset),
                "{fault:?} {path}"
            );
            if matches!(fault, Fault::Truncate) && path == "/full" {
                assert_eq!(reply.header("content-length"), Some("10"));
                assert_eq!(reply.body(), &BODY[..5]);
            } else if !reset {
                assert_eq!(reply.text, "", "{fault:?} {path}");
            }
            assert_eq!(proxy.faults(), 1);
            let reply = ask(&proxy, "/full").await;
            assert_eq!(
                (reply.status(), reply.body()),
                (Some(200), BODY),
                "it has passed"
            );
        }
    }
}

#[tokio::test]
async fn an_answer_in_the_servers_stead_is_whole() {
    let server = Server::start().await;
    let proxy = server.proxy().await;
    let answer = Answer::json(429, "{\"error\":1}").with_retry_after(Duration::from_secs(7));
    proxy.add(Rule::new(Fault::Answer(answer)));
    let reply = ask(&proxy, "/full").await;
    assert_eq!((reply.status(), reply.body()), (Some(429), "{\"error\":1}"));
    assert_eq!(reply.header("retry-after"), Some("7"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(server.asked(), 0);
    assert_eq!(proxy.records()[0].fault.as_deref(), Some("429"));
}

/// Whoever goes there has what was asked for: a backend that follows cannot fail for another reason.
#[tokio::test]
async fn a_redirect_leads_to_the_server_and_who_follows_is_counted() {
    let server = Server::start().await;
    let proxy = server.proxy().await;
    proxy.add(Rule::new(Fault::Redirect));
    let mut statuses = Vec::new();
    for (followed, path) in ["/full?a=b&c", "/full", "/full", "/full", "/full"]
        .into_iter()
        .enumerate()
    {
        let reply = ask(&proxy, path).await;
        statuses.push(reply.status().unwrap());
        assert_eq!((server.asked(), proxy.followed()), (followed, followed));
        let location = reply.header("location").unwrap();
        assert!(location.contains(MARKER) && reply.body().contains(MARKER));
        let there = location.strip_prefix(&proxy.url()).unwrap();
        let reply = ask(&proxy, there).await;
        assert_eq!((reply.status(), reply.body()), (Some(200), BODY));
    }
    assert_eq!(statuses, [301, 302, 303, 307, 308]);
    assert_eq!((proxy.followed(), proxy.count(), proxy.faults()), (5, 5, 5));
    assert_eq!(proxy.records()[0].fault.as_deref(), Some("redirect"));
}

#[tokio::test]
async fn a_delayed_answer_is_held_back_although_the_server_has_acted() {
    let server = Server::start().await;
    let proxy = server.proxy().await;
    proxy.add(Rule::new(Fault::Delay(Duration::from_hours(1))).first(1));
    tokio::select! {
        reply = ask(&proxy, "/full") => panic!("answered: {}", reply.text),
        () = async {
            while server.asked() == 0 {
                tokio::task::yield_now().await;
            }
            proxy.settled().await;
        } => {}
    }
    assert_eq!(proxy.records()[0].status, None);
}

#[tokio::test]
async fn a_closed_proxy_refuses_and_ends_what_there_is_and_opens_again() {
    let server = Server::start().await;
    let proxy = server.proxy().await;
    let address = ("127.0.0.1", proxy.port());
    let mut idle = TcpStream::connect(address).await.unwrap();
    assert_eq!(ask(&proxy, "/full").await.status(), Some(200));
    proxy.close().await;
    assert_eq!(idle.read(&mut [0]).await.unwrap_or_default(), 0);
    for _ in 0..3 {
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    proxy.open().await.unwrap();
    proxy.open().await.unwrap();
    assert_eq!(ask(&proxy, "/full").await.status(), Some(200));
}

#[tokio::test]
async fn it_stops_when_it_is_dropped() {
    let server = Server::start().await;
    let proxy = server.proxy().await;
    let address = ("127.0.0.1", proxy.port());
    let mut idle = TcpStream::connect(address).await.unwrap();
    drop(proxy);
    assert_eq!(idle.read(&mut [0]).await.unwrap_or_default(), 0);
    assert_eq!(
        TcpStream::connect(address).await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
}

#[tokio::test]
async fn a_rule_counts_what_fits_it() {
    let server = Server::start().await;
    let proxy = server.proxy().await;
    let fault = |status| Fault::Answer(Answer::json(status, ""));
    proxy.add(Rule::new(fault(501)).matching(|it| it.path == "/b").at(1));
    proxy.add(
        Rule::new(fault(502))
            .matching(|it| it.query == "page=2")
            .first(1),
    );
    proxy.add(Rule::new(fault(503)).matching(|it| it.aws_operation().is_none()));
    let mut told = Vec::new();
    for path in ["/b", "/a", "/b", "/b", "/a?page=2", "/a?page=2"] {
        told.push(ask(&proxy, path).await.status().unwrap());
    }
    assert_eq!(told, [200, 200, 501, 200, 502, 200]);
    proxy.add(Rule::new(fault(504)));
    proxy.calm();
    assert_eq!(ask(&proxy, "/a").await.status(), Some(200));
}

#[tokio::test]
async fn a_seed_replays() {
    let server = Server::start().await;
    let story = async |seed| {
        let proxy = server.proxy().await;
        proxy.storm(
            seed,
            Rates::each(0.2, [Fault::Refuse, Fault::LoseAnswer, Fault::Truncate]),
        );
        for number in 0..40 {
            ask(&proxy, &format!("/{number}")).await;
        }
        let records = proxy.records();
        let faults = records.iter().filter(|it| it.fault.is_some()).count();
        assert!((10..35).contains(&faults), "{faults} faults");
        records
    };
    assert_eq!(story(1).await, story(1).await);
    assert_ne!(story(1).await, story(2).await);
}

#[tokio::test]
async fn nothing_secret_is_recorded() {
    let server = Server::start().await;
    let proxy = server.proxy().await;
    let mut canaries = Canaries::new(&SeededRandomness::new(1));
    let secret = canaries.next();
    let secret = secret.expose_text().unwrap();
    let stream = TcpStream::connect(("127.0.0.1", proxy.port()))
        .await
        .unwrap();
    let reply = exchange(stream, "POST", &format!("/login?token={secret}"), secret).await;
    assert_eq!(reply.status(), Some(200));
    let told = format!("{:?}", proxy.records());
    assert!(canaries.search(told.as_bytes()).is_empty(), "{told}");
    assert!(told.contains("/login"));
}

#[tokio::test]
async fn links_lead_through_the_proxy_where_that_is_asked_for() {
    let server = Server::start().await;
    let upstream = Upstream::new(&server.url).unwrap();
    let plain = Proxy::start(upstream.clone()).await.unwrap();
    assert_eq!(
        ask(&plain, "/link").await.body(),
        format!("{}/next", server.url)
    );
    let upstream = upstream.rewriting_links().keeping_host();
    let proxy = Proxy::start(upstream).await.unwrap();
    let reply = ask(&proxy, "/link").await;
    assert_eq!(reply.body(), format!("{}/next", proxy.url()));
    assert_eq!(reply.header("x-host"), Some("client"));
}

/// One proxy before another: the outer speaks HTTPS to its client, the inner one to its server.
#[tokio::test]
async fn https_is_spoken_to_clients_and_to_servers() {
    let server = Server::start().await;
    let upstream = Upstream::new(&server.url).unwrap().serving_https();
    let https = Proxy::start(upstream).await.unwrap();
    assert!(https.url().starts_with("https://127.0.0.1:"));
    assert!(
        https
            .certificate()
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    let outer = Proxy::start(Upstream::new(&https.url()).unwrap())
        .await
        .unwrap();
    assert_eq!(outer.certificate(), None);
    assert_eq!(ask(&outer, "/full").await.body(), BODY);
    https.add(Rule::new(Fault::Reset).first(1));
    assert_eq!(
        ask(&outer, "/full").await.text,
        "",
        "the outer one has no answer to give"
    );
    assert_eq!(ask(&outer, "/full").await.body(), BODY);
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn a_server_that_is_not_there_gives_no_answer() {
    let proxy = {
        let server = Server::start().await;
        server.proxy().await
    };
    let reply = ask(&proxy, "/full").await;
    assert_eq!(reply.text, "");
    assert_eq!(proxy.faults(), 0);
}

#[test]
fn an_upstream_is_a_host_and_a_port() {
    for right in [
        "http://127.0.0.1:1",
        "https://vault.localhost:8443/",
        "http://[::1]:80",
    ] {
        assert!(Upstream::new(right).is_ok(), "{right}");
    }
    for wrong in [
        "",
        "127.0.0.1:1",
        "ftp://a",
        "http://a/v1",
        "http://u:p@a",
        "http://",
    ] {
        assert!(Upstream::new(wrong).is_err(), "{wrong}");
    }
}

/// What stands in for a host leads to that host alone, and is not spoken to but through HTTPS.
#[tokio::test]
async fn a_stand_in_leads_to_no_other_host() {
    let say = |_: &_| Answer::json(200, "{}");
    let service = Service::start_as(&["host.example"], say).await.unwrap();
    assert!(service.certificate().unwrap().starts_with("-----BEGIN"));
    for (line, told) in [
        ("CONNECT host.example:443", "HTTP/1.1 200 OK"),
        ("CONNECT host.example:80", "HTTP/1.1 403 Forbidden"),
        ("CONNECT other.example:443", "HTTP/1.1 403 Forbidden"),
        ("GET http://host.example/", ""),
    ] {
        let mut stream = TcpStream::connect(service.host()).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\nHost: host.example\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer.lines().next().unwrap_or_default(), told, "{line}");
    }
    assert_eq!(service.seen(), Vec::<String>::new());
}
