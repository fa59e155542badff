//! A section of somebody else's configuration, whose keys are taken one by one: what is left at the
//! end was not understood.

use anyhow::{Context, bail};
use serde_json::{Map, Value};
use zeroize::Zeroize;

use super::Notes;
use crate::yaml_bounds;

/// The most bytes such a file may have.
const MOST_BYTES: usize = 1024 * 1024;

/// The key under which YAML names sections whose members count as the section's own.
const MERGE: &str = "<<";

/// One section. What it holds may be secret: it is never shown, and overwritten when dropped.
pub(super) struct Source {
    /// Where it stands, for errors and remarks.
    place: String,
    members: Map<String, Value>,
}

impl Source {
    /// Reads a whole file, YAML or JSON.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        if text.len() > MOST_BYTES {
            bail!("it is larger than {MOST_BYTES} bytes");
        }
        yaml_bounds::check(text)?;
        // The parser's message may repeat a value; where it stopped is enough.
        let mut value: Value = serde_yaml_ng::from_str(text).map_err(|error| {
            let place = error.location().map_or_else(String::new, |place| {
                format!(", line {} column {}", place.line(), place.column())
            });
            anyhow::anyhow!("it is neither YAML nor JSON{place}")
        })?;
        merge(&mut value);
        match value {
            Value::Object(members) => Ok(Self {
                place: String::new(),
                members,
            }),
            Value::Null => bail!("it is empty"),
            _ => bail!("it is not a section with keys"),
        }
    }

    /// The same of a file that may have nothing in it.
    pub(super) fn read_if_any(text: &str) -> anyhow::Result<Self> {
        let without_mark = text.trim_start_matches('\u{feff}');
        let mut lines = without_mark.lines().map(str::trim);
        if lines.all(|line| line.is_empty() || line.starts_with('#')) {
            return Self::read("{}");
        }
        Self::read(text)
    }

    /// Has each text say what it is rewritten to.
    pub(super) fn rewrite(&mut self, with: &dyn Fn(&str) -> Option<String>) {
        self.members.values_mut().for_each(|it| rewrite(it, with));
    }

    /// The section under `key`, taken out; an empty one where there is none.
    pub(super) fn section(&mut self, key: &str) -> anyhow::Result<Self> {
        let place = self.at(key);
        match self.members.remove(key) {
            None | Some(Value::Null) => Ok(Self {
                place,
                members: Map::new(),
            }),
            Some(Value::Object(members)) => Ok(Self { place, members }),
            Some(_) => bail!("`{place}` should be a section"),
        }
    }

    /// Whether there is a section under `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.members.get(key).is_some_and(|it| !it.is_null())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A text that is no secret, taken out; numbers and booleans read as text. An empty one is none.
    pub(super) fn text(&mut self, key: &str) -> anyhow::Result<Option<String>> {
        let text = match self.members.remove(key) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(other @ (Value::Number(_) | Value::Bool(_))) => Some(other.to_string()),
            Some(_) => bail!("`{}` should be text", self.at(key)),
        };
        Ok(text.filter(|text| !text.trim().is_empty()))
    }

    /// A text that has to be there.
    pub(super) fn required(&mut self, key: &str) -> anyhow::Result<String> {
        let text = self.text(key)?;
        text.with_context(|| format!("`{}` is missing", self.at(key)))
    }

    /// An address that has to be there. One with a user or a query in it may hold a credential, which is
    /// not repeated.
    pub(super) fn address(&mut self, key: &str) -> anyhow::Result<String> {
        let address = self.required(key)?;
        if address.contains(['@', '?', '#']) {
            bail!(
                "`{}` is more than scheme, host and path: a user, a password or a query does not \
                 belong into an address",
                self.at(key)
            );
        }
        Ok(address)
    }

    /// Takes a list of `{key: …, value: …}` out.
    pub(super) fn tags(&mut self, key: &str) -> anyhow::Result<Vec<(String, String)>> {
        let place = self.at(key);
        let wrong = || format!("`{place}` should be a list of key and value");
        match self.members.remove(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| {
                    let Value::Object(members) = item else {
                        bail!(wrong())
                    };
                    let mut item = Self {
                        place: place.clone(),
                        members,
                    };
                    Ok((
                        item.required("key")?,
                        item.text("value")?.unwrap_or_default(),
                    ))
                })
                .collect(),
            Some(Value::Object(members)) => members
                .into_iter()
                .map(|(key, value)| match value {
                    Value::String(text) => Ok((key, text)),
                    Value::Number(_) | Value::Bool(_) => Ok((key, value.to_string())),
                    _ => bail!(wrong()),
                })
                .collect(),
            Some(_) => bail!(wrong()),
        }
    }

    /// Texts under `key`, one or a list of them, taken out; whatever else stands there is left.
    pub(super) fn words(&mut self, key: &str) -> Vec<String> {
        match self.members.remove(key) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) => items
                .into_iter()
                .filter_map(|item| item.as_str().map(ToOwned::to_owned))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether a secret stands under `key`; it is overwritten, never given out.
    pub(super) fn has_secret(&mut self, key: &str) -> bool {
        match self.members.remove(key) {
            Some(Value::String(mut text)) => {
                let there = !text.is_empty();
                text.zeroize();
                there
            }
            None | Some(Value::Null) => false,
            Some(mut other) => {
                wipe(&mut other);
                true
            }
        }
    }

    /// Whether anything but blanks stands under `key`; it is overwritten, never given out.
    pub(super) fn has_something(&mut self, key: &str) -> bool {
        let Some(mut value) = self.members.remove(key) else {
            return false;
        };
        let there = !is_blank(&value);
        wipe(&mut value);
        there
    }

    /// Names what is left, none of which was understood.
    pub(super) fn finish(self, notes: &mut Notes) {
        let mut left: Vec<String> = self.members.keys().map(|key| self.at(key)).collect();
        left.sort_unstable();
        for key in left {
            notes.remark(format!(
                "`{key}` is not carried over: an import knows no such setting"
            ));
        }
    }

    fn at(&self, key: &str) -> String {
        if self.place.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.place)
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        for (_, value) in &mut self.members {
            wipe(value);
        }
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(is_blank),
        Value::Object(members) => members.values().all(is_blank),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Puts the members of what `<<` names beside the others, as Helm and Airbyte read it: what is written out comes
/// first, then the sections of a list in their order.
fn merge(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(merge),
        Value::Object(members) => {
            members.values_mut().for_each(merge);
            let merged = match members.remove(MERGE) {
                Some(Value::Array(sections)) => sections,
                Some(section) => vec![section],
                None => Vec::new(),
            };
            for section in merged {
                match section {
                    Value::Object(more) => merge_into(members, more),
                    // Nothing can be merged from it, so that it is named with what is left.
                    other => {
                        members.insert(MERGE.to_owned(), other);
                    }
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn merge_into(members: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, mut value) in more {
        if members.contains_key(&key) {
            wipe(&mut value);
        } else {
            members.insert(key, value);
        }
    }
}

fn rewrite(value: &mut Value, with: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(mut other) = with(text) {
                std::mem::swap(text, &mut other);
                other.zeroize();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|it| rewrite(it, with)),
        Value::Object(members) => members.values_mut().for_each(|it| rewrite(it, with)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.iter_mut().for_each(|(_, value)| wipe(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
