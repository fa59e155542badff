//! What OAuth keeps in a configuration: where a connector's spec says that it is, and what it is called. The schema
//! of the configuration need not mark it, and need not know it where it stands.

use std::collections::{BTreeSet, HashSet};

use cloakroom_core::config::{CompiledSpec, marks, push_escaped};
use serde_json::{Map, Value};

use crate::documents;

/// Credentials of OAuth, as a spec tells them.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    /// Places in a connector's configuration, from its top.
    places: BTreeSet<Vec<String>>,
    /// What secret fields are called, in the parts for OAuth and anywhere else.
    secret: HashSet<String>,
    /// Fields of which the spec says that they are none.
    open: HashSet<String>,
}

/// A field that the spec's part for OAuth names.
struct Field {
    /// Where it stands in the connector's configuration.
    path: Vec<String>,
    /// What OAuth calls it, and an instance's own parameters.
    name: String,
    /// Whether its own schema says that it is secret; `None` where it says nothing.
    says: Option<bool>,
}

/// The parts that describe what goes into a configuration; another one says how tokens are asked for.
const PARTS: [&str; 4] = [
    "completeoauthoutputspecification",
    "completeoauthserverinputspecification",
    "completeoauthserveroutputspecification",
    "oauthuserinputfromconnectorconfigspecification",
];

/// Lists of places, as older specs have them.
const LISTS: [&str; 2] = ["oauthflowinitparameters", "oauthflowoutputparameters"];

impl Credentials {
    /// `schema` is that of the configuration, `compiled` what was made of it.
    pub(crate) fn of(spec: &Value, schema: &Value, compiled: &CompiledSpec) -> Self {
        let mut told = Self::default();
        for pointer in compiled.secret_fields() {
            let last = pointer.rsplit('/').next().unwrap_or_default();
            told.secret
                .insert(last.replace("~1", "/").replace("~0", "~"));
        }
        for field in fields(spec) {
            told.take(field, schema);
        }
        told
    }

    fn take(&mut self, field: Field, schema: &Value) {
        let Field { path, name, says } = field;
        let flat = vec![name.clone()];
        let said = [says, said_at(schema, &path), said_at(schema, &flat)];
        let is_secret = match (said.contains(&Some(true)), said.contains(&Some(false))) {
            (true, _) => true,
            (false, says_no) => {
                !says_no && (is_secret(&name) || path.last().is_some_and(|it| is_secret(it)))
            }
        };
        if is_secret {
            // What an instance's own parameters put in stands flat, wherever the field has its place.
            self.places.extend([path, flat]);
            self.secret.insert(name);
        } else {
            self.open.insert(name);
        }
    }

    /// Tells the values that stand where a connector's configuration has its credentials.
    pub(crate) fn in_configuration<'v>(
        &self,
        document: &'v Value,
        found: &mut dyn FnMut(String, &'v Value),
    ) {
        for place in &self.places {
            let mut pointer = String::new();
            let mut at = Some(document);
            for step in place {
                pointer.push('/');
                push_escaped(&mut pointer, step);
                at = at.and_then(|it| it.get(step));
            }
            if let Some(value) = at {
                let place = Some(pointer.len());
                leaves(value, &mut pointer, &|_| true, place, found);
            }
        }
    }

    /// Tells the values of an instance's or a workspace's own parameters that are secret by their names. All that
    /// is in them is for OAuth.
    pub(crate) fn in_parameters<'v>(
        &self,
        document: &'v Value,
        found: &mut dyn FnMut(String, &'v Value),
    ) {
        let named = |name: &str| {
            self.secret.contains(name) || (!self.open.contains(name) && is_secret(name))
        };
        leaves(document, &mut String::new(), &named, None, found);
    }
}

/// Every value that is no list and no object but a node, where it or what it is in is secret: by the pointer, of
/// which so much is told, to what is secret as a whole. A key in that may be the secret itself.
fn leaves<'v>(
    value: &'v Value,
    pointer: &mut String,
    is_secret: &dyn Fn(&str) -> bool,
    place: Option<usize>,
    found: &mut dyn FnMut(String, &'v Value),
) {
    let length = pointer.len();
    match value {
        Value::Object(members) if !documents::is_like_a_node(members) => {
            for (key, member) in members {
                pointer.push('/');
                push_escaped(pointer, key);
                let place = place.or_else(|| is_secret(key).then_some(pointer.len()));
                leaves(member, pointer, is_secret, place, found);
                pointer.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&index.to_string());
                leaves(item, pointer, is_secret, place, found);
                pointer.truncate(length);
            }
        }
        Value::Bool(_) => {}
        leaf => {
            if let Some(place) = place {
                found(pointer[..place].to_owned(), leaf);
            }
        }
    }
}

fn fields(spec: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    let Some(spec) = spec.as_object() else {
        return found;
    };
    let advanced = member(spec, "advancedauth").and_then(Value::as_object);
    for holder in [Some(spec), advanced].into_iter().flatten() {
        let parts = member(holder, "oauthconfigspecification").and_then(Value::as_object);
        let parts = parts.into_iter().flatten();
        for (_, part) in parts.filter(|(key, _)| PARTS.contains(&&*plain(key))) {
            described(part, &[], &mut found);
        }
    }
    let older = member(spec, "authspecification").and_then(Value::as_object);
    let older = older.and_then(|it| member(it, "oauth2specification"));
    if let Some(Value::Object(older)) = older {
        listed(older, &mut found);
    }
    found
}

/// The fields that a schema describes, in fields too.
fn described(schema: &Value, above: &[String], found: &mut Vec<Field>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (key, property) in properties.into_iter().flatten() {
        let path = property
            .as_object()
            .and_then(|it| member(it, "pathinconnectorconfig"));
        let path = path.map(steps).filter(|it| !it.is_empty());
        let path = path.unwrap_or_else(|| [above, std::slice::from_ref(key)].concat());
        if property.get("properties").is_some() {
            described(property, &path, found);
            continue;
        }
        found.push(Field {
            path,
            name: key.clone(),
            says: says(property),
        });
    }
}

/// The fields that lists of places name.
fn listed(older: &Map<String, Value>, found: &mut Vec<Field>) {
    let root = member(older, "rootobject").map(steps).unwrap_or_default();
    // Which alternative of a schema it is; a configuration has no such level.
    let root: Vec<String> = root
        .into_iter()
        .filter(|it| it.parse::<u32>().is_err())
        .collect();
    let lists = LISTS
        .into_iter()
        .filter_map(|name| member(older, name)?.as_array());
    for place in lists.flatten() {
        let path = [root.clone(), steps(place)].concat();
        if let Some(name) = path.last().filter(|_| path.len() > root.len()) {
            let name = name.clone();
            found.push(Field {
                path,
                name,
                says: None,
            });
        }
    }
}

/// The keys that lead to a place.
fn steps(path: &Value) -> Vec<String> {
    let step = |it: &Value| match it {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match path {
        Value::Array(path) => path.iter().filter_map(step).collect(),
        one => step(one).into_iter().collect(),
    }
}

/// A member whose name is this one but for its letters' size and its `_`: databases have both ways.
fn member<'v>(members: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    members
        .iter()
        .find(|(key, _)| plain(key) == name)
        .map(|(_, value)| value)
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|it| it.to_ascii_lowercase())
        .collect()
}

/// What a schema says of a place below it, whichever of its alternatives is meant.
fn said_at(schema: &Value, path: &[String]) -> Option<bool> {
    let Some((step, rest)) = path.split_first() else {
        return says(schema);
    };
    let alternatives = marks::COMPOSITES
        .into_iter()
        .filter_map(|it| schema.get(it)?.as_array());
    let mut said: Vec<Option<bool>> = alternatives.flatten().map(|it| said_at(it, path)).collect();
    said.extend(
        schema
            .get("properties")
            .and_then(|it| it.get(step))
            .map(|it| said_at(it, rest)),
    );
    let says_no = said.contains(&Some(false)).then_some(false);
    said.contains(&Some(true)).then_some(true).or(says_no)
}

fn says(schema: &Value) -> Option<bool> {
    let schema = schema.as_object()?;
    if marks::is_marked(schema) {
        return Some(true);
    }
    schema.contains_key(marks::MARK).then_some(false)
}

/// What the last word of a name says.
const SECRETS: [&str; 6] = [
    "secret",
    "token",
    "password",
    "passwd",
    "passphrase",
    "assertion",
];

/// What says with `key` that it is one to keep.
const OF_KEYS: [&str; 5] = ["access", "api", "private", "secret", "signing"];

/// Whether a credential of OAuth of this name is a secret; a client's id is none, nor when a token expires.
fn is_secret(name: &str) -> bool {
    let words = words(name);
    let mut words = words.iter().rev().map(|it| it.trim_end_matches('s'));
    let Some(last) = words.next() else {
        return false;
    };
    let of_key = |key: &str| {
        OF_KEYS
            .iter()
            .any(|it| key.ends_with(it.trim_end_matches('s')))
    };
    match last.strip_suffix("key") {
        Some("") => words.next().is_some_and(of_key),
        Some(kind) => of_key(kind),
        None => SECRETS.iter().any(|it| last.ends_with(it)),
    }
}

/// In small letters, of `client_secret`, `client-secret` and `clientSecret` alike.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for letter in name.chars() {
        let begins = !letter.is_ascii_alphabetic() || (was_small && letter.is_ascii_uppercase());
        if begins && words.last().is_some_and(|it| !it.is_empty()) {
            words.push(String::new());
        }
        if letter.is_ascii_alphabetic()
            && let Some(word) = words.last_mut()
        {
            word.push(letter.to_ascii_lowercase());
        }
        was_small = letter.is_ascii_lowercase();
    }
    words.retain(|it| !it.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_whether_it_is_a_secret() {
        for name in [
            "client_secret",
            "clientSecret",
            "CLIENT_SECRET",
            "clientsecret",
            "refresh_token",
            "access_token",
            "accessToken",
            "developer-token",
            "token",
            "tokens",
            "id_token",
            "password",
            "api_key",
            "apikey",
            "privateKey",
            "access_key",
            "client_secret_1",
            "client_assertion",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "client_id",
            "clientId",
            "token_expiry_date",
            "token_type",
            "token_url",
            "expires_in",
            "instance_url",
            "realm_id",
            "subdomain",
            "scope",
            "credentials",
            "primary_key",
            "key",
            "",
            "_",
            "auth_type",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
