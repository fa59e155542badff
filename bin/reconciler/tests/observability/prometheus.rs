//! The Prometheus that `cargo xtask servers` started, asked over its HTTP API.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use crate::common::PATIENCE;

pub(crate) const URL: &str = "CLOAKROOM_TEST_PROMETHEUS_URL";
const TARGETS: &str = "CLOAKROOM_TEST_PROMETHEUS_TARGETS";

pub(crate) struct Prometheus {
    address: SocketAddr,
    targets: PathBuf,
}

/// A program that is scraped; no longer when dropped.
pub(crate) struct Target {
    file: PathBuf,
    pub(crate) instance: String,
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Prometheus {
    pub(crate) fn from_environment() -> Option<Self> {
        let url = std::env::var(URL).ok()?;
        Some(Self {
            address: url.strip_prefix("http://")?.parse().ok()?,
            targets: std::env::var_os(TARGETS)?.into(),
        })
    }

    /// Reads the rules again: they may have changed since the server started.
    pub(crate) fn reload(&self) {
        let (code, said) = self.request("POST", "/-/reload");
        assert_eq!(code, 200, "{said}");
    }

    /// Lets a program be scraped.
    pub(crate) fn scrape(&self, address: SocketAddr) -> Target {
        let instance = address.to_string();
        let file = self.targets.join(format!("{}.json", address.port()));
        // Written aside, so that half a file is never read.
        let aside = file.with_extension("new");
        std::fs::write(&aside, json!([{"targets": [instance]}]).to_string()).unwrap();
        std::fs::rename(&aside, &file).unwrap();
        Target { file, instance }
    }

    /// What an expression gives now.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let (code, body) = self.request(
            "GET",
            &format!("/api/v1/query?query={}", encoded(expression)),
        );
        let answer: Value =
            serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        if code != 200 || answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        match answer["data"]["resultType"].as_str() {
            Some("vector") => Ok(answer["data"]["result"].as_array().unwrap().clone()),
            other => Err(format!("it gives a {other:?}")),
        }
    }

    /// Asks again and again until the expression gives something.
    pub(crate) fn wait_for(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.query(expression);
            if found.as_ref().is_ok_and(|series| !series.is_empty()) {
                return;
            }
            assert!(Instant::now() < deadline, "{expression}: {found:?}");
            std::thread::yield_now();
        }
    }

    /// The rules as the server evaluates them.
    pub(crate) fn rules(&self) -> Vec<Value> {
        let (code, body) = self.request("GET", "/api/v1/rules");
        assert_eq!(code, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap();
        groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap().clone())
            .collect()
    }

    fn request(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // In HTTP/1.0 the end of the answer is the end of the connection.
        let request =
            format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, body.to_owned())
    }
}

fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").unwrap();
        }
    }
    encoded
}
