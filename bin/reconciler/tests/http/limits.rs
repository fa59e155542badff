//! What a client may not do.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use crate::asking::{NEVER, TOKEN, ask, raw, with_token};
use crate::common::{Deployment, Served};

fn served() -> (Deployment, Served) {
    let deployment = with_token(NEVER);
    let served = deployment.serve(&[]);
    (deployment, served)
}

/// It goes on answering, and ends as it should.
fn well(served: Served) {
    assert_eq!(ask(&served, "GET", "/healthz", None).code, 200);
    assert_eq!(served.terminate().0, Some(0));
}

pub fn a_large_head_is_refused() {
    let (_deployment, served) = served();
    let long = "x".repeat(64 * 1024);
    let one = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: {long}\r\n\r\n");
    assert_eq!(raw(&served, one.as_bytes()).code, 431);
    let path = format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let code = raw(&served, path.as_bytes()).code;
    assert!(code == 414 || code == 431, "{code}");
    let many = "X-Many: y\r\n".repeat(5_000);
    let many = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    assert_eq!(raw(&served, many.as_bytes()).code, 431);
    well(served);
}

/// What is asked for in a body is not asked for: a dry run there would be a real one.
pub fn a_body_is_refused() {
    let (_deployment, served) = served();
    for body in ["dry_run=true", "{\"dry_run\": true}", "x"] {
        for path in ["/jobs/expire-orphans/run", "/jobs/clean/run", "/status"] {
            let length = body.len();
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 Authorization: Bearer {TOKEN}\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            let answer = raw(&served, request.as_bytes());
            assert_eq!(answer.code, 413, "{path}, {body}: {answer:?}");
            assert!(answer.body.contains("?dry_run=true"), "{answer:?}");
        }
    }
    let runs = served.status()["jobs"].clone();
    let ran = runs.as_array().unwrap().iter().find(|job| job["runs"] != 0);
    assert_eq!(ran, None);
    well(served);
}

pub fn a_large_body_is_refused() {
    let (_deployment, served) = served();
    for length in ["1025", "100000000", "99999999999999999999999"] {
        let request = format!(
            "POST /jobs/verify-blobs/run HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Bearer {TOKEN}\r\nContent-Length: {length}\r\n\r\nxyz"
        );
        let code = raw(&served, request.as_bytes()).code;
        assert!(code == 413 || code == 400, "{length}: {code}");
    }
    // One that does not say how long it is, however short, and whether or not it ever ends.
    let chunk = format!("8000\r\n{}\r\n", "z".repeat(0x8000));
    for body in [
        chunk.repeat(64),
        chunk,
        "0\r\n\r\n".to_owned(),
        String::new(),
    ] {
        for path in ["/jobs/verify-blobs/run", "/jobs/nothing/run", "/healthz"] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
                 Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
            );
            let answer = raw(&served, request.as_bytes());
            assert_eq!(answer.code, 411, "{path}, {} bytes", body.len());
            assert!(answer.body.contains("Content-Length: 0"), "{answer:?}");
        }
    }
    let runs = served.status()["jobs"].clone();
    let ran = runs.as_array().unwrap().iter().find(|job| job["runs"] != 0);
    assert_eq!(ran, None);
    well(served);
}

/// Nothing ends by itself while this runs: the server gives nobody up for being slow.
const PATIENT: &str = "http: {timeout: 10m, connections: 4}";

pub fn silent_clients_keep_no_probe_waiting() {
    let deployment = Deployment::with(&format!("{PATIENT}\n{NEVER}"));
    let served = deployment.serve(&[]);
    let half = [
        "",
        "GET /healthz HTTP/1.1\r\nHost:",
        "POST /jobs/verify-blobs/run HTTP/1.1\r\nHost: localhost\r\n",
        "G",
    ];
    let mut silent: Vec<TcpStream> = half.map(|begun| connect(&served, begun)).into();
    for path in ["/healthz", "/readyz", "/metrics", "/healthz"] {
        assert_eq!(ask(&served, "GET", path, None).code, 200, "{path}");
    }
    // One made way, and the place went from one probe to the next.
    let mut first = silent.remove(0);
    assert_eq!(first.read(&mut [0]).unwrap_or_default(), 0);
    for stream in &mut silent {
        stream.set_nonblocking(true).unwrap();
        let kind = stream.read(&mut [0]).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::WouldBlock);
    }
    well(served);
}

pub fn clients_that_do_not_read_keep_no_probe_waiting() {
    let deployment = Deployment::with(&format!("{PATIENT}\n{NEVER}"));
    let served = deployment.serve(&[]);
    // More than the buffers on the way take.
    let asked = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2_000);
    let deaf: Vec<TcpStream> = (0..4).map(|_| connect(&served, &asked)).collect();
    assert_eq!(ask(&served, "GET", "/healthz", None).code, 200);
    drop(deaf);
    well(served);
}

fn connect(served: &Served, begun: &str) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.write_all(begun.as_bytes()).unwrap();
    stream
}

pub fn nonsense_is_refused() {
    let (_deployment, served) = served();
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header: y\r\n\r\n",
    ] {
        let code = raw(&served, nonsense).code;
        assert!((400..=505).contains(&code), "{code}");
    }
    well(served);
}

pub fn methods_and_paths() {
    let (_deployment, served) = served();
    for path in [
        "/",
        "/style.css",
        "/metrics",
        "/healthz",
        "/readyz",
        "/status",
    ] {
        assert_eq!(ask(&served, "GET", path, None).code, 200, "{path}");
        let head = ask(&served, "HEAD", path, None);
        assert_eq!((head.code, head.body.len()), (200, 0), "{path}");
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            assert_eq!(
                ask(&served, method, path, None).code,
                405,
                "{method} {path}"
            );
        }
    }
    for path in [
        "/nothing",
        "/jobs",
        "/jobs/",
        "/jobs/verify-blobs",
        "/../etc/passwd",
        "//status",
    ] {
        let answer = ask(&served, "GET", path, None);
        assert_eq!(answer.code, 404, "{path}");
        assert!(answer.body.contains("/metrics"), "{answer:?}");
    }
    well(served);
}

pub fn browsers_are_told_to_do_nothing_else() {
    let (_deployment, served) = served();
    for path in ["/", "/style.css", "/status", "/metrics", "/nothing"] {
        let answer = ask(&served, "GET", path, None);
        for header in [
            "content-security-policy: default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(
                answer.has_header(header),
                "{path}, {header}: {}",
                answer.head
            );
        }
    }
    well(served);
}
