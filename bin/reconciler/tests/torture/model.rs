//! What every document may hold, by what its writers were told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cloakroom_testkit::SeededRandomness;
use serde_json::{Value, json};

use super::deployment::WORKSPACES;

/// Two secrets, and an array of secrets.
pub(crate) const SPEC: &str = r#"{
    "type": "object",
    "properties": {
        "host": {"type": "string"},
        "password": {"type": "string", "airbyte_secret": true},
        "token": {"type": "string", "airbyte_secret": true},
        "peers": {"type": "array", "items": {"type": "object", "properties": {
            "name": {"type": "string"}, "key": {"type": "string", "airbyte_secret": true}
        }}}
    }
}"#;

/// How long what a killed writer had sent may take to be carried out.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// One try of writing a document.
pub(crate) struct Attempt {
    pub(crate) config: Value,
    /// What the writer was told; `None` where it was told nothing, or that it had failed.
    pub(crate) revision: Option<i64>,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
}

/// What is known of one document.
#[derive(Default)]
pub(crate) struct Document {
    attempts: Vec<Attempt>,
    /// A removal was tried.
    pub(crate) perhaps_removed: bool,
    /// A removal was told to be done.
    pub(crate) removed: bool,
}

/// What is known of all.
pub(crate) struct Model {
    marker: String,
    values: u64,
    pub(crate) documents: BTreeMap<String, Document>,
    /// Configurations of new documents whose writer was never told an id.
    nameless: Vec<Value>,
}

impl Model {
    /// Every secret value begins with `marker`.
    pub(crate) fn new(marker: &str) -> Self {
        Self {
            marker: marker.to_owned(),
            values: 0,
            documents: BTreeMap::new(),
            nameless: Vec::new(),
        }
    }

    /// A value that was never used.
    fn value(&mut self) -> Value {
        self.values += 1;
        format!("{}-{}", self.marker, self.values).into()
    }

    /// A configuration of new values.
    pub(crate) fn new_config(&mut self, random: &SeededRandomness) -> Value {
        let peers: Vec<Value> = (0..random.below(4))
            .map(|number| json!({"name": format!("peer {number}"), "key": self.value()}))
            .collect();
        json!({
            "host": "db.example.com", "password": self.value(), "token": self.value(),
            "peers": peers,
        })
    }

    /// A document that is not known to be removed, and one of its configurations with some values
    /// changed.
    pub(crate) fn changed(&mut self, random: &SeededRandomness) -> Option<(String, Value)> {
        let id = self.some(random)?;
        let last = self.documents.get(&id)?.attempts.last()?;
        let mut config = last.config.clone();
        for name in ["password", "token"] {
            if random.happens(0.5) {
                config[name] = self.value();
            }
        }
        let mut peers = config["peers"].as_array().cloned().unwrap_or_default();
        if random.happens(0.3) {
            peers.reverse();
        }
        if random.happens(0.3) {
            peers.pop();
        }
        if peers.len() < 5 && random.happens(0.5) {
            peers.push(json!({"name": format!("peer {}", self.values), "key": self.value()}));
        }
        config["peers"] = peers.into();
        Some((id, config))
    }

    /// A document that is not known to be removed.
    pub(crate) fn some(&self, random: &SeededRandomness) -> Option<String> {
        let there: Vec<&String> = self.living().map(|(id, _)| id).collect();
        random.choose(&there).map(|id| (*id).clone())
    }

    /// How many documents there are.
    pub(crate) fn count(&self) -> usize {
        self.living().count()
    }

    fn living(&self) -> impl Iterator<Item = (&String, &Document)> {
        self.documents
            .iter()
            .filter(|(_, document)| !document.removed)
    }

    /// A writer is through, or was killed.
    pub(crate) fn written(&mut self, id: Option<String>, attempt: Attempt) {
        match id {
            Some(id) => self.documents.entry(id).or_default().attempts.push(attempt),
            None => self.nameless.push(attempt.config),
        }
    }

    /// What is wrong with a document as it was found: its revision and content, or that it is not
    /// there.
    pub(crate) fn judge(&self, id: &str, found: Option<(i64, &Value)>) -> Option<String> {
        let Some(document) = self.documents.get(id) else {
            let (_, content) = found?;
            let known = self.nameless.contains(content);
            return (!known).then(|| format!("document {id}: nobody wrote what it holds"));
        };
        document
            .judge(found)
            .map(|wrong| format!("document {id}: {wrong}"))
    }
}

impl Document {
    fn judge(&self, found: Option<(i64, &Value)>) -> Option<String> {
        let Some((revision, content)) = found else {
            return (!self.perhaps_removed).then(|| "it is gone and nobody removed it".to_owned());
        };
        if self.removed {
            return Some("it was removed and is there".to_owned());
        }
        let told = self.attempts.iter().filter(|it| it.revision.is_some());
        let last = told.max_by_key(|it| it.revision)?;
        if last.config == *content && last.revision == Some(revision) {
            return None;
        }
        let by_an_unheard = self.attempts.iter().any(|it| {
            it.revision.is_none() && it.config == *content && it.ended + LAST_WORDS >= last.began
        });
        let later = last.revision.is_some_and(|told| revision > told);
        (!(by_an_unheard && later)).then(|| {
            format!(
                "revision {revision} does not hold what its last writer wrote (told: {:?})",
                last.revision
            )
        })
    }
}

/// Where a new document goes.
pub(crate) fn workspace(random: &SeededRandomness) -> &'static str {
    if random.happens(0.5) {
        WORKSPACES[0]
    } else {
        WORKSPACES[1]
    }
}
