//! The tables whose rows hold secrets, and where in a row's JSON each entity's fields begin.

use cloakroom_core::SecretJson;
use cloakroom_core::config::push_escaped;
use cloakroom_core::platform::MentionKind;
use serde_json::Value;

use crate::ids::{Base, Ids};

/// The connection to the server, which pipelines and automations share.
pub(crate) const SERVER: &str = "openMetadataServerConnection";

/// A table of entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EntityTable {
    /// `…service_entity`, with the type of its services.
    Services(String),
    /// `user_entity`: bots are users.
    Users,
    /// `ingestion_pipeline_entity`
    Pipelines,
    /// `automations_workflow`
    Workflows,
}

impl EntityTable {
    /// What a table of this name has, in a deployment's own schema.
    pub(crate) fn of(table: &str) -> Option<Self> {
        match table {
            "dbservice_entity" => Some(Self::Services("database".to_owned())),
            "user_entity" => Some(Self::Users),
            "ingestion_pipeline_entity" => Some(Self::Pipelines),
            "automations_workflow" => Some(Self::Workflows),
            _ => table
                .strip_suffix("_service_entity")
                .map(|kind| Self::Services(kind.to_owned())),
        }
    }

    /// What a mention in this table is of.
    pub(crate) fn kind(&self) -> MentionKind {
        match self {
            Self::Services(_) => MentionKind::Service,
            Self::Users => MentionKind::Bot,
            Self::Pipelines => MentionKind::Pipeline,
            Self::Workflows => MentionKind::Workflow,
        }
    }

    /// The keys that lead to where field paths begin.
    fn root(&self) -> &'static [&'static str] {
        match self {
            Self::Services(_) => &["connection", "config"],
            Self::Users => &["authenticationMechanism"],
            Self::Pipelines | Self::Workflows => &[],
        }
    }

    fn base<'a>(&'a self, name: &'a str) -> Base<'a> {
        match self {
            Self::Services(kind) => Base::Service { kind, name },
            Self::Users => Base::Bot(name),
            Self::Pipelines => Base::Pipeline(name),
            Self::Workflows => Base::Workflow(name),
        }
    }

    /// The id that a field's secret is given; `None` where the field is not below the root.
    pub(crate) fn id(&self, ids: &Ids, name: &str, path: &[&str]) -> Option<String> {
        if matches!(self, Self::Pipelines | Self::Workflows)
            && let Some(rest) = path.strip_prefix(&[SERVER])
        {
            return Some(ids.build(Base::ServerConnection, rest));
        }
        let path = path.strip_prefix(self.root())?;
        Some(ids.build(self.base(name), path))
    }

    /// Whether a secret may be looked for at this path by its name.
    pub(crate) fn is_watched(&self, path: &[&str]) -> bool {
        let starts: &[&str] = match self {
            Self::Services(_) => &["connection"],
            Self::Users => &["authenticationMechanism"],
            Self::Pipelines => &["sourceConfig", SERVER],
            Self::Workflows => &["request", SERVER],
        };
        path.first().is_some_and(|first| starts.contains(first))
    }
}

/// The keys of a row below which one of OpenMetadata's other tables keeps secrets, in a deployment's own schema; none of them
/// stands for all.
pub(crate) fn settings_of(table: &str) -> Option<&'static [&'static str]> {
    match table {
        "event_subscription_entity" => Some(&["destinations", "subscriptionConfig"]),
        "installed_apps" => Some(&["appConfiguration", "privateConfiguration", SERVER]),
        "openmetadata_settings" => Some(&[]),
        _ => None,
    }
}

/// What an entity says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) row: Option<uuid::Uuid>,
    /// The name that ids are built from.
    pub(crate) name: Option<String>,
    /// What a person calls it.
    pub(crate) title: Option<String>,
    pub(crate) deleted: bool,
    /// Whether it says that it runs somewhere.
    pub(crate) deployed: bool,
}

impl About {
    pub(crate) fn of(entity: &SecretJson) -> Self {
        let entity = entity.expose();
        let text = |key: &str| entity.get(key).and_then(Value::as_str);
        let is_true = |key: &str| entity.get(key).and_then(Value::as_bool) == Some(true);
        let name = text("name");
        Self {
            row: text("id").and_then(|id| id.parse().ok()),
            name: name.map(str::to_owned),
            title: text("fullyQualifiedName")
                .or(name)
                .map(|it| it.chars().take(200).collect()),
            deleted: is_true("deleted"),
            deployed: is_true("deployed"),
        }
    }
}

/// A text in an entity, and the way there.
pub(crate) struct Leaf<'e> {
    pub(crate) path: &'e [&'e str],
    pub(crate) pointer: &'e str,
    /// Whether the way leads through a list: ids know none.
    pub(crate) in_list: bool,
    pub(crate) text: &'e str,
}

/// Goes to every text of an entity, numbers and booleans left out.
pub(crate) fn each_text(entity: &SecretJson, mut each: impl FnMut(&Leaf<'_>)) {
    let mut walk = Walk {
        path: Vec::new(),
        pointer: String::new(),
        lists: 0,
        each: &mut each,
    };
    walk.value(entity.expose());
}

struct Walk<'e, 'f> {
    path: Vec<&'e str>,
    pointer: String,
    lists: u32,
    each: &'f mut dyn FnMut(&Leaf<'_>),
}

impl<'e> Walk<'e, '_> {
    /// What was parsed is nested 128 levels at most, so this ends.
    fn value(&mut self, value: &'e Value) {
        let length = self.pointer.len();
        match value {
            Value::String(text) => (self.each)(&Leaf {
                path: &self.path,
                pointer: &self.pointer,
                in_list: self.lists > 0,
                text,
            }),
            Value::Object(members) => {
                for (key, member) in members {
                    self.pointer.push('/');
                    push_escaped(&mut self.pointer, key);
                    self.path.push(key);
                    self.value(member);
                    self.path.pop();
                    self.pointer.truncate(length);
                }
            }
            Value::Array(items) => {
                self.lists += 1;
                for (index, item) in items.iter().enumerate() {
                    self.pointer.push('/');
                    self.pointer.push_str(&index.to_string());
                    self.value(item);
                    self.pointer.truncate(length);
                }
                self.lists -= 1;
            }
            _ => {}
        }
    }
}
