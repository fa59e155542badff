//! Writers and a reader: the real command line, killed or frozen in the middle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom_core::Randomness as _;
use cloakroom_testkit::SeededRandomness;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::deployment::Deployment;
use super::drawing::{below, between};
use super::model::{self, Attempt};
use super::process::{self, Ended, Fate};

/// How often a command is killed, and how often frozen instead.
const KILLED: f64 = 0.25;
const FROZEN: f64 = 0.01;

/// One writer.
struct Writer {
    deployment: Arc<Deployment>,
    random: SeededRandomness,
    /// About how long a put takes, so that kills fall into it and not behind.
    usual: Duration,
}

/// Writes one thing after the other until told to stop.
pub(crate) async fn write(
    deployment: Arc<Deployment>,
    random: SeededRandomness,
    stop: CancellationToken,
    documents: usize,
) {
    let mut writer = Writer {
        deployment,
        random,
        usual: Duration::from_millis(300),
    };
    while !stop.is_cancelled() {
        let enough = writer.deployment.model().count() >= documents;
        match writer.random.below(100) {
            _ if !enough => writer.put_new().await,
            0..10 => writer.put_ephemeral().await,
            10..18 => writer.remove().await,
            _ => writer.put_again().await,
        }
    }
}

impl Writer {
    async fn put_new(&mut self) {
        let config = self.deployment.model().new_config(&self.random);
        let workspace = model::workspace(&self.random);
        let arguments = ["--spec", "spec.json", "--workspace", workspace];
        self.put(None, &arguments, config).await;
    }

    async fn put_again(&mut self) {
        let changed = self.deployment.model().changed(&self.random);
        if let Some((id, config)) = changed {
            let arguments = ["--id", &id];
            self.put(Some(id.clone()), &arguments, config).await;
        }
    }

    async fn put(&mut self, id: Option<String>, arguments: &[&str], config: Value) {
        let all = [&["document", "put", "--output", "json", "-"], arguments].concat();
        let began = Instant::now();
        let Some(done) = self.run("writer", &all, &config).await else {
            return;
        };
        let told: Option<Value> = serde_json::from_slice(&done.stdout).ok();
        let revision = told.as_ref().and_then(|told| told["revision"].as_i64());
        let new = told
            .as_ref()
            .and_then(|told| told["id"].as_str().map(str::to_owned));
        let ended = Instant::now();
        if done.code == Some(0) {
            self.usual = (self.usual * 7 + (ended - began)) / 8;
        }
        let tally = &self.deployment.tally;
        tally.count(if revision.is_some() {
            "puts acknowledged"
        } else {
            "puts without an answer"
        });
        let attempt = Attempt {
            config,
            revision,
            began,
            ended,
        };
        self.deployment.model().written(id.or(new), attempt);
    }

    async fn put_ephemeral(&mut self) {
        let config = self.deployment.model().new_config(&self.random);
        let arguments = ["ephemeral", "put", "--spec", "spec.json", "-"];
        if self
            .run("ephemeral writer", &arguments, &config)
            .await
            .is_some()
        {
            self.deployment.tally.count("ephemeral puts");
        }
    }

    async fn remove(&mut self) {
        let id = self.deployment.model().some(&self.random);
        let Some(id) = id else { return };
        if let Some(document) = self.deployment.model().documents.get_mut(&id) {
            document.perhaps_removed = true;
        }
        let arguments = ["document", "remove", &id, "--output", "json"];
        let done = self.run("remover", &arguments, &Value::Null).await;
        let told = done.is_some_and(|done| serde_json::from_slice::<Value>(&done.stdout).is_ok());
        self.deployment.tally.count(if told {
            "removals acknowledged"
        } else {
            "removals without an answer"
        });
        if told && let Some(document) = self.deployment.model().documents.get_mut(&id) {
            document.removed = true;
        }
    }

    /// Runs a command that may be killed or frozen on the way.
    async fn run(&self, who: &str, arguments: &[&str], input: &Value) -> Option<Ended> {
        let into_it = below(&self.random, self.usual.mul_f64(1.2));
        let fate = match self.random.fraction() {
            share if share < FROZEN => Fate::Frozen(into_it, between(&self.random, 13_000, 18_000)),
            share if share < FROZEN + KILLED => Fate::Killed(into_it),
            _ => Fate::Unharmed,
        };
        let input = input.to_string();
        match self.deployment.run(arguments, input.as_bytes(), fate).await {
            Ok(ended) => {
                match fate {
                    Fate::Killed(_) if ended.code.is_none() => self.deployment.tally.killed(who),
                    Fate::Frozen(..) => self.deployment.tally.count(format!("frozen: {who}")),
                    _ => {}
                }
                Some(ended)
            }
            Err(error) => {
                self.deployment.tally.problem(format!("{who}: {error:#}"));
                None
            }
        }
    }
}

/// Reads documents all the time: what is in use must never be missing.
pub(crate) async fn read(
    deployment: Arc<Deployment>,
    random: SeededRandomness,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let id = deployment.model().some(&random);
        if let Some(id) = id {
            let once = hydrate_fails_as_missing(&deployment, &id).await;
            if once && hydrate_fails_as_missing(&deployment, &id).await {
                let known = deployment.model();
                let document = known.documents.get(&id);
                if document.is_some_and(|document| !document.perhaps_removed) {
                    deployment
                        .tally
                        .problem(format!("document {id}: a secret in use is missing"));
                }
            }
        }
        tokio::time::sleep(between(&random, 50, 300)).await;
    }
}

async fn hydrate_fails_as_missing(deployment: &Deployment, id: &str) -> bool {
    let log = deployment.folder().join("seen/reader.log");
    let _ = std::fs::remove_file(&log);
    let arguments = ["document", "hydrate", id, "--reveal", "--output", "json"];
    let command = deployment.command(&arguments);
    let Ok(ended) = process::run(command, b"", &log, Fate::Unharmed, process::PATIENCE).await
    else {
        return false;
    };
    deployment.tally.count(if ended.code == Some(0) {
        "hydrated"
    } else {
        "could not be hydrated"
    });
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let kind = said.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some(line["error"]["kind"].as_str()?.to_owned())
    });
    kind.is_some_and(|kind| kind == "missing")
}
