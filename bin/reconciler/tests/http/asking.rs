//! Requests as bytes, so that nothing in between puts them right.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::common::{Deployment, PATIENCE, Served};

/// Every job far away, so that only what a test asks for runs.
pub const NEVER: &str = "jobs: {jitter: 0s, expire-orphans: {cron: '0 0 29 2 *'}, \
    delete-superseded: {cron: '0 0 29 2 *'}, verify-blobs: {cron: '0 0 29 2 *'}}";

pub const TOKEN: &str = "swordfish-42-of-the-operator";

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn has_header(&self, line: &str) -> bool {
        let mut lines = self.head.lines();
        lines.any(|other| other.to_lowercase().starts_with(&line.to_lowercase()))
    }
}

/// Sends bytes and reads until the server closes.
pub fn raw(served: &Served, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server that has heard enough closes while it is still being talked to.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        code: code.unwrap_or_else(|| panic!("no answer: {answer:?}")),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

pub fn ask(served: &Served, method: &str, path: &str, token: Option<&str>) -> Answer {
    let token = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}\r\n");
    raw(served, request.as_bytes())
}

pub fn metric(served: &Served, series: &str) -> Option<f64> {
    let (_, text) = served.get("/metrics");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

/// A deployment whose operator bears [`TOKEN`].
pub fn with_token(more: &str) -> Deployment {
    let deployment = Deployment::with(&format!("http: {{token_file: token}}\n{more}"));
    deployment.write_for_owner("token", &format!("{TOKEN}\n"));
    deployment
}

pub fn job<'a>(status: &'a Value, name: &str) -> &'a Value {
    let jobs = status["jobs"].as_array().unwrap();
    jobs.iter().find(|job| job["job"] == name).unwrap()
}
