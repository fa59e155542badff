//! A real browser, led through its pipe: no port, no driver.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::common::PATIENCE;

/// The browser, where there is one.
pub fn program() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join("chromium"))
        .find(|program| program.is_file())
}

/// One tab of a browser of its own.
pub struct Browser {
    child: Child,
    orders: ChildStdin,
    answers: Receiver<Value>,
    asked: u64,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub fn start(program: &Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // It takes orders from descriptor 3 and answers on 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 1>/dev/null 2>&1"])
            .arg(program)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--no-first-run",
                "--disable-extensions",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let spoken = BufReader::new(child.stdout.take().unwrap());
        let (tell, answers) = channel();
        std::thread::spawn(move || {
            for message in spoken.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).unwrap();
                if tell.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            orders,
            answers,
            asked: 0,
            session: String::new(),
            _profile: profile,
        };
        let tab = browser.order("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": tab["targetId"], "flatten": true});
        let attached = browser.order("Target.attachToTarget", &attach);
        attached["sessionId"]
            .as_str()
            .unwrap()
            .clone_into(&mut browser.session);
        browser.order("Page.enable", &json!({}));
        browser
    }

    /// Opens a page on a screen of this size.
    pub fn open(&mut self, url: &str, width: u32, height: u32, dark: bool) {
        let phone = width < 600;
        let screen = json!({
            "width": width, "height": height, "deviceScaleFactor": if phone { 2 } else { 1 },
            "mobile": phone,
        });
        self.order("Emulation.setDeviceMetricsOverride", &screen);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.order("Emulation.setEmulatedMedia", &media);
        self.order("Page.navigate", &json!({"url": url}));
        while self.next()["method"] != "Page.loadEventFired" {}
    }

    /// What an expression is worth in the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true});
        let answer = self.order("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// A picture of the whole page (PNG).
    pub fn picture(&mut self) -> Vec<u8> {
        use base64::Engine as _;
        let asked = json!({"format": "png", "captureBeyondViewport": true});
        let answer = self.order("Page.captureScreenshot", &asked);
        let text = answer["data"].as_str().unwrap();
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap()
    }

    fn order(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let mut order = json!({"id": self.asked, "method": method, "params": params});
        if !self.session.is_empty() {
            order["sessionId"] = self.session.clone().into();
        }
        let mut bytes = serde_json::to_vec(&order).unwrap();
        bytes.push(0);
        self.orders.write_all(&bytes).unwrap();
        loop {
            let mut answer = self.next();
            if answer["id"] == self.asked {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    fn next(&mut self) -> Value {
        self.answers
            .recv_timeout(PATIENCE)
            .expect("the browser answers")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
