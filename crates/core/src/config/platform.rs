//! Documents that a platform wrote: what their nodes say of where each secret is.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::bounds::{self, MAX_STORED_DEPTH};
use super::node;
use super::pointer::{Pointer, shown};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::ValueKind;

const OPERATION: &str = "read the nodes of a platform's document";

/// Where a secret is that is named and nothing more, as older releases wrote.
const DEFAULT_STORAGE: Uuid = Uuid::nil();

/// A node in a document that a platform wrote. Members that are not known here are left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformNode {
    /// Where in the document.
    pub pointer: String,
    /// The name of the secret in its manager (`_secret`), not necessarily a coordinate.
    pub name: Option<String>,
    /// The row of the platform's that knows the name (`_secret_reference_id`).
    pub reference: Option<Uuid>,
    /// The storage that the secret is in (`_secret_storage_id`).
    pub storage: Option<Uuid>,
    /// How the value was written: text, unless Cloakroom wrote the node and says otherwise. Airbyte
    /// reads every value as text.
    pub kind: ValueKind,
}

/// What a platform's row says of the secret it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its name in its manager.
    pub name: String,
    /// The storage it is in.
    pub storage: Uuid,
}

/// A secret of a document, to be asked for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Where in the document.
    pub pointer: String,
    /// Its name in the manager.
    pub name: String,
    /// How the value was written.
    pub kind: ValueKind,
}

/// The nodes of a document, in its order. A node that names nothing, or an id that is none, is
/// `Corrupt` with the pointer.
pub fn platform_nodes(blob: &Value) -> Result<Vec<PlatformNode>> {
    bounds::check(OPERATION, blob, MAX_STORED_DEPTH)?;
    let mut found = Vec::new();
    node::each(blob, &mut Pointer::default(), &mut |members, pointer| {
        found.push(read(members, pointer)?);
        Ok(())
    })?;
    Ok(found)
}

fn read(members: &Map<String, Value>, pointer: &str) -> Result<PlatformNode> {
    let texts = [
        node::member(members, node::COORDINATE),
        node::member(members, node::REFERENCE_ID),
        node::member(members, node::STORAGE_ID),
    ];
    let [name, reference, storage] = texts.map(|member| match member {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(corrupt(pointer, "a node whose name or id is no text")),
    });
    let id = |text: Option<&str>| {
        text.map(str::parse::<Uuid>)
            .transpose()
            .map_err(|_| corrupt(pointer, "a node whose id is no UUID"))
    };
    let node = PlatformNode {
        pointer: pointer.to_owned(),
        name: name?.filter(|name| !name.is_empty()).map(str::to_owned),
        reference: id(reference?)?,
        storage: id(storage?)?,
        kind: kind(members, pointer)?,
    };
    if node.name.is_none() && node.reference.is_none() {
        return Err(corrupt(pointer, "a node that names no secret"));
    }
    Ok(node)
}

fn kind(members: &Map<String, Value>, pointer: &str) -> Result<ValueKind> {
    let Some(written) = node::member(members, node::TYPE) else {
        return Ok(ValueKind::Text);
    };
    [ValueKind::Text, ValueKind::Json]
        .into_iter()
        .find(|kind| *written == *kind.as_str())
        .ok_or_else(|| corrupt(pointer, "a node whose value is of an unknown type"))
}

/// Where each secret is, in one storage: `registered` gives what the platform's row with an id says.
/// What is named and nothing more is in the default storage, whose id is nil.
///
/// The first node that cannot be located is an error that names its pointer; nothing may be asked
/// for then. `Unsupported`: the secret is in another storage, and the same name in this one would be
/// another secret. `Corrupt`: the row is not there, or is about another secret than the node.
///
/// ```
/// use cloakroom_core::config::{Registered, Revealed, hydrate, locate, platform_nodes};
/// use serde_json::json;
/// use uuid::Uuid;
///
/// let ours = Uuid::nil();
/// let blob = json!({"host": "h", "token": {"_secret_reference_id": Uuid::from_u128(7)}});
/// let row = |id| {
///     (id == Uuid::from_u128(7)).then(|| Registered { name: "airbyte_x_v1".into(), storage: ours })
/// };
/// let located = locate(&platform_nodes(&blob)?, ours, row)?;
/// assert_eq!(located[0].name, "airbyte_x_v1");
///
/// let revealed = located.into_iter().map(|it| Revealed {
///     pointer: it.pointer,
///     kind: it.kind,
///     value: "hunter2".to_owned().into(),
/// });
/// assert_eq!(hydrate(blob, revealed)?.expose()["token"], "hunter2");
/// # Ok::<(), cloakroom_core::Error>(())
/// ```
pub fn locate(
    nodes: &[PlatformNode],
    storage: Uuid,
    registered: impl Fn(Uuid) -> Option<Registered>,
) -> Result<Vec<Located>> {
    let elsewhere = |node: &PlatformNode, other: Uuid| {
        let message = format!("its secret is in storage {other}, and {storage} is the one asked");
        Error::new(ErrorKind::Unsupported, OPERATION, message).with_coordinate(shown(&node.pointer))
    };
    let name_of = |node: &PlatformNode| {
        if let Some(other) = node.storage.filter(|it| *it != storage) {
            return Err(elsewhere(node, other));
        }
        let Some(reference) = node.reference else {
            return match node.storage {
                None if storage != DEFAULT_STORAGE => Err(elsewhere(node, DEFAULT_STORAGE)),
                _ => Ok(node.name.clone().unwrap_or_default()),
            };
        };
        let row = registered(reference)
            .ok_or_else(|| corrupt(&node.pointer, "it refers to a row that is not there"))?;
        if row.storage != storage {
            return Err(elsewhere(node, row.storage));
        }
        if node.name.as_ref().is_some_and(|name| *name != row.name) {
            let message = "it names one secret and refers to the row of another";
            return Err(corrupt(&node.pointer, message));
        }
        Ok(row.name)
    };
    nodes
        .iter()
        .map(|node| {
            Ok(Located {
                pointer: node.pointer.clone(),
                name: name_of(node)?,
                kind: node.kind,
            })
        })
        .collect()
}

fn corrupt(pointer: &str, message: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, OPERATION, message).with_coordinate(shown(pointer))
}
