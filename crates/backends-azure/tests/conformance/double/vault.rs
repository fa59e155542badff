//! What a vault does with its secrets, written from the service's REST reference and from what it has
//! been recorded to answer.

use std::collections::BTreeMap;

use cloakroom_core::{Randomness as _, SystemRandomness, Timestamp};
use serde_json::{Map, Value, json};

const DAY: i64 = 24 * 60 * 60;
const MOST_TAGS: usize = 15;
const LARGEST_PAGE: usize = 25;

/// Status and body of an answer.
pub(crate) type Answer = (u16, Value);

/// One vault. Names are kept in lower case: case does not count in them.
pub(crate) struct Vault {
    pub(crate) host: String,
    pub(crate) retention_days: i64,
    pub(crate) purge_protection: bool,
    /// How many looks it takes until a deletion or a recovery shows.
    pub(crate) lag: u32,
    pub(crate) ids: Ids,
    secrets: BTreeMap<String, Secret>,
}

/// How the ids of versions come, one after the other. The service promises nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    Random,
    /// Each greater than all before, from this number on.
    Rising(u128),
    /// Each smaller than all before, from this number on.
    Falling(u128),
}

impl Ids {
    fn next(&mut self) -> String {
        let number = match self {
            Self::Random => SystemRandomness.uuid().as_u128(),
            Self::Rising(next) => {
                *next += 1;
                *next
            }
            Self::Falling(next) => {
                *next -= 1;
                *next
            }
        };
        format!("{number:032x}")
    }
}

#[derive(Clone)]
struct Secret {
    versions: Vec<Version>,
    deleted: Option<(i64, i64)>,
    unsettled: u32,
}

#[derive(Clone)]
struct Version {
    id: String,
    value: String,
    content_type: Option<Value>,
    tags: Map<String, Value>,
    enabled: bool,
    expires: Option<i64>,
    not_before: Option<i64>,
    created: i64,
    updated: i64,
}

/// A request as far as a vault is concerned.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a BTreeMap<String, String>,
    pub(crate) body: &'a Value,
    pub(crate) now: Timestamp,
}

impl Vault {
    pub(crate) fn new(host: String) -> Self {
        Self {
            host,
            retention_days: 90,
            purge_protection: false,
            lag: 0,
            ids: Ids::Random,
            secrets: BTreeMap::new(),
        }
    }

    pub(crate) fn answer(&mut self, call: &Call<'_>) -> Answer {
        let now = call.now.as_second();
        self.secrets
            .retain(|_, secret| secret.deleted.is_none_or(|(_, purge)| purge > now));
        match (call.method, call.path) {
            ("GET", ["secrets"]) => self.list(call, false),
            ("GET", ["deletedsecrets"]) => self.list(call, true),
            ("GET", ["secrets", name, "versions"]) => self.versions(call, name),
            ("GET", ["secrets", name]) => self.get(name, None),
            ("GET", ["secrets", name, id]) => self.get(name, Some(id)),
            ("PUT", ["secrets", name]) => self.set(name, call.body, now),
            ("PATCH", ["secrets", name, id]) => self.update(name, id, call.body, now),
            ("DELETE", ["secrets", name]) => self.delete(name, now),
            ("GET", ["deletedsecrets", name]) => self.get_deleted(name),
            ("DELETE", ["deletedsecrets", name]) => self.purge(name),
            ("POST", ["deletedsecrets", name, "recover"]) => self.recover(name),
            _ => refused(405, "MethodNotAllowed", None),
        }
    }

    /// A secret as somebody else's program would set it.
    pub(crate) fn write_past(&mut self, name: &str, value: &str, now: Timestamp) {
        let (status, _) = self.set(name, &json!({ "value": value }), now.as_second());
        assert_eq!(status, 200);
    }

    /// The same with an expiry.
    pub(crate) fn write_expiring_past(&mut self, name: &str, value: &str, now: Timestamp) {
        let expires = now.as_second() + 2 * 60 * 60;
        let body = json!({ "value": value, "attributes": { "exp": expires } });
        let (status, _) = self.set(name, &body, now.as_second());
        assert_eq!(status, 200);
    }

    /// What somebody who asks for the name alone is given; `None` where that is refused.
    pub(crate) fn read_past(&mut self, name: &str) -> Option<String> {
        let (status, body) = self.get(name, None);
        (status == 200).then(|| body["value"].as_str().unwrap_or_default().to_owned())
    }

    /// Every value that any version of the name may be read for.
    pub(crate) fn readable(&self, name: &str) -> Vec<String> {
        let versions = self.secrets.get(name).map(|secret| &secret.versions[..]);
        let enabled = versions.unwrap_or_default().iter().filter(|it| it.enabled);
        enabled.map(|version| version.value.clone()).collect()
    }

    pub(crate) fn disable_past(&mut self, name: &str) {
        let versions = &mut self.secrets.get_mut(name).unwrap().versions;
        versions.last_mut().unwrap().enabled = false;
    }

    /// Takes a tag off every version.
    pub(crate) fn untag_past(&mut self, name: &str, tag: &str) {
        for version in &mut self.secrets.get_mut(name).unwrap().versions {
            version.tags.remove(tag).unwrap();
        }
    }

    /// Deletes and purges.
    pub(crate) fn remove_past(&mut self, name: &str) {
        self.secrets.remove(name).unwrap();
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.secrets.keys().cloned().collect()
    }

    /// The tags of every version, and whether it is enabled.
    pub(crate) fn tags(&self, name: &str) -> Vec<(Map<String, Value>, bool)> {
        let versions = &self.secrets[name].versions;
        let tags = versions.iter().map(|it| (it.tags.clone(), it.enabled));
        tags.collect()
    }

    fn get(&mut self, name: &str, id: Option<&str>) -> Answer {
        let Some(secret) = self.living(name) else {
            return missing();
        };
        let versions = secret.versions.clone();
        let version = match id.filter(|id| !id.is_empty()) {
            None => versions.last(),
            Some(id) => versions.iter().find(|version| version.id == id),
        };
        match version {
            None => missing(),
            Some(version) if !version.enabled => refused(403, "Forbidden", Some("SecretDisabled")),
            Some(version) => {
                let mut body = self.bundle(name, version, true);
                body["value"] = version.value.clone().into();
                (200, body)
            }
        }
    }

    fn set(&mut self, name: &str, body: &Value, now: i64) -> Answer {
        let allowed = |char: char| char.is_ascii_alphanumeric() || char == '-';
        if name.is_empty() || name.len() > 127 || !name.chars().all(allowed) {
            return refused(400, "BadParameter", None);
        }
        let key = name.to_lowercase();
        if let Some(secret) = self.secrets.get(&key) {
            if secret.unsettled > 0 {
                return refused(409, "Conflict", Some("ObjectIsBeingDeleted"));
            }
            if secret.deleted.is_some() {
                return refused(409, "Conflict", Some("ObjectIsDeletedButRecoverable"));
            }
        }
        let Some(value) = body["value"].as_str().filter(|it| it.len() <= 25_600) else {
            return refused(400, "BadParameter", None);
        };
        let tags = body["tags"].as_object().cloned().unwrap_or_default();
        if !tags_allowed(&tags) {
            return refused(400, "BadParameter", None);
        }
        let attributes = &body["attributes"];
        let version = Version {
            id: self.ids.next(),
            value: value.to_owned(),
            content_type: body.get("contentType").cloned(),
            tags,
            enabled: attributes["enabled"].as_bool().unwrap_or(true),
            expires: attributes["exp"].as_i64(),
            not_before: attributes["nbf"].as_i64(),
            created: now,
            updated: now,
        };
        let secret = self.secrets.entry(key).or_insert(Secret {
            versions: Vec::new(),
            deleted: None,
            unsettled: 0,
        });
        secret.versions.push(version);
        self.get_even_disabled(name)
    }

    fn get_even_disabled(&self, name: &str) -> Answer {
        let versions = &self.secrets[&name.to_lowercase()].versions;
        let version = versions.last().unwrap();
        let mut body = self.bundle(name, version, true);
        body["value"] = version.value.clone().into();
        (200, body)
    }

    fn update(&mut self, name: &str, id: &str, body: &Value, now: i64) -> Answer {
        let found = self
            .living(name)
            .and_then(|secret| secret.versions.iter_mut().find(|version| version.id == id));
        let Some(version) = found else {
            return missing();
        };
        let attributes = &body["attributes"];
        if let Some(enabled) = attributes["enabled"].as_bool() {
            version.enabled = enabled;
        }
        // What is null stays as it is: an expiry, once set, cannot be taken off a version.
        version.expires = attributes["exp"].as_i64().or(version.expires);
        version.not_before = attributes["nbf"].as_i64().or(version.not_before);
        if let Some(tags) = body["tags"].as_object() {
            if !tags_allowed(tags) {
                return refused(400, "BadParameter", None);
            }
            version.tags.clone_from(tags);
        }
        version.updated = now;
        let version = version.clone();
        (200, self.bundle(name, &version, true))
    }

    fn delete(&mut self, name: &str, now: i64) -> Answer {
        let (days, lag) = (self.retention_days, self.lag);
        let Some(secret) = self.living(name) else {
            return missing();
        };
        secret.deleted = Some((now, now + days * DAY));
        secret.unsettled = lag;
        let secret = secret.clone();
        (200, self.deleted_bundle(name, &secret, true))
    }

    fn get_deleted(&mut self, name: &str) -> Answer {
        match self.settled(name).map(|secret| secret.clone()) {
            Some(secret) if secret.deleted.is_some() => {
                if secret
                    .versions
                    .last()
                    .is_some_and(|version| !version.enabled)
                {
                    return refused(403, "Forbidden", Some("SecretDisabled"));
                }
                (200, self.deleted_bundle(name, &secret, true))
            }
            _ => missing(),
        }
    }

    fn purge(&mut self, name: &str) -> Answer {
        match self.settling(name) {
            Some(true) => refused(409, "Conflict", Some("ObjectIsBeingDeleted")),
            Some(false) if self.purge_protection => refused(403, "Forbidden", None),
            Some(false) => {
                self.secrets.remove(&name.to_lowercase());
                (204, Value::Null)
            }
            None => missing(),
        }
    }

    fn recover(&mut self, name: &str) -> Answer {
        match self.settling(name) {
            Some(true) => refused(409, "Conflict", Some("ObjectIsBeingDeleted")),
            Some(false) => {
                let lag = self.lag;
                let secret = self.secrets.get_mut(&name.to_lowercase()).unwrap();
                secret.deleted = None;
                secret.unsettled = lag;
                let version = secret.versions.last().unwrap().clone();
                (200, self.bundle(name, &version, true))
            }
            None => missing(),
        }
    }

    fn versions(&mut self, call: &Call<'_>, name: &str) -> Answer {
        let versions = self.living(name).map(|secret| secret.versions.clone());
        let mut versions = versions.unwrap_or_default();
        versions.sort_by(|one, other| one.id.cmp(&other.id));
        let items = versions
            .iter()
            .map(|version| (version.id.clone(), self.bundle(name, version, true)));
        let items: Vec<_> = items.collect();
        self.page(call, items)
    }

    fn list(&mut self, call: &Call<'_>, deleted: bool) -> Answer {
        let names: Vec<String> = self.secrets.keys().cloned().collect();
        let mut items = Vec::new();
        for name in names {
            let Some(secret) = self.settled(&name).map(|secret| secret.clone()) else {
                continue;
            };
            match secret.deleted {
                Some(_) if deleted => {
                    items.push((name.clone(), self.deleted_bundle(&name, &secret, false)));
                }
                None if !deleted => {
                    let version = secret.versions.last().unwrap();
                    items.push((name.clone(), self.bundle(&name, version, false)));
                }
                _ => {}
            }
        }
        self.page(call, items)
    }

    fn page(&self, call: &Call<'_>, items: Vec<(String, Value)>) -> Answer {
        let most = call.query.get("maxresults").map(|text| text.parse());
        let Ok(most @ 1..=LARGEST_PAGE) = most.unwrap_or(Ok(LARGEST_PAGE)) else {
            return refused(400, "BadParameter", None);
        };
        let after = call.query.get("$skiptoken").cloned().unwrap_or_default();
        let mut left = items.into_iter().filter(|(key, _)| *key > after).peekable();
        let mut value = Vec::new();
        let mut last = String::new();
        while value.len() < most
            && let Some((key, item)) = left.next()
        {
            value.push(item);
            last = key;
        }
        let (host, path) = (&self.host, call.path.join("/"));
        let next = left.peek().is_some().then(|| {
            format!("https://{host}/{path}?api-version=7.6&$skiptoken={last}&maxresults={most}")
        });
        (200, json!({ "value": value, "nextLink": next }))
    }

    fn bundle(&self, name: &str, version: &Version, with_version: bool) -> Value {
        let host = &self.host;
        let mut id = format!("https://{host}/secrets/{name}");
        if with_version {
            id = format!("{id}/{}", version.id);
        }
        let level = match (self.retention_days, self.purge_protection) {
            (90, false) => "Recoverable+Purgeable",
            (90, true) => "Recoverable",
            (_, false) => "CustomizedRecoverable+Purgeable",
            (_, true) => "CustomizedRecoverable",
        };
        let mut attributes = json!({
            "enabled": version.enabled,
            "created": version.created,
            "updated": version.updated,
            "recoveryLevel": level,
            "recoverableDays": self.retention_days,
        });
        for (field, time) in [("exp", version.expires), ("nbf", version.not_before)] {
            if let Some(time) = time {
                attributes[field] = time.into();
            }
        }
        let mut body = json!({ "id": id, "attributes": attributes, "tags": version.tags });
        if let Some(content_type) = &version.content_type {
            body["contentType"] = content_type.clone();
        }
        body
    }

    fn deleted_bundle(&self, name: &str, secret: &Secret, with_version: bool) -> Value {
        let mut body = self.bundle(name, secret.versions.last().unwrap(), with_version);
        let (deleted, purge) = secret.deleted.unwrap();
        body["recoveryId"] = format!("https://{}/deletedsecrets/{name}", self.host).into();
        body["deletedDate"] = deleted.into();
        body["scheduledPurgeDate"] = purge.into();
        body
    }

    fn living(&mut self, name: &str) -> Option<&mut Secret> {
        self.settled(name).filter(|secret| secret.deleted.is_none())
    }

    /// Nothing while a deletion or recovery is under way; each look brings it on.
    fn settled(&mut self, name: &str) -> Option<&mut Secret> {
        let secret = self.secrets.get_mut(&name.to_lowercase())?;
        if secret.unsettled > 0 {
            secret.unsettled -= 1;
            return None;
        }
        Some(secret)
    }

    /// Whether the deletion of what waits is still under way.
    fn settling(&mut self, name: &str) -> Option<bool> {
        let secret = self.secrets.get_mut(&name.to_lowercase())?;
        secret.deleted?;
        let settling = secret.unsettled > 0;
        secret.unsettled = secret.unsettled.saturating_sub(1);
        Some(settling)
    }
}

pub(crate) fn refused(status: u16, code: &str, inner: Option<&str>) -> Answer {
    let mut error = json!({ "code": code, "message": "Recorded words vary; nobody reads them." });
    if let Some(inner) = inner {
        error["innererror"] = json!({ "code": inner });
    }
    (status, json!({ "error": error }))
}

fn missing() -> Answer {
    refused(404, "SecretNotFound", None)
}

fn tags_allowed(tags: &Map<String, Value>) -> bool {
    let length = |text: &str| text.chars().count() <= 256;
    tags.len() <= MOST_TAGS
        && tags
            .iter()
            .all(|(name, text)| length(name) && text.as_str().is_some_and(length))
}
