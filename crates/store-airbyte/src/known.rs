//! What Airbyte's own tables mean. One that is missing, or has other columns than expected, loses
//! its meaning and nothing else: it is read like any other table.

use cloakroom_core::platform::MentionKind;

use crate::catalog::{Catalog, Column, Table};
use crate::failure::invalid;

/// What is said about a row beside its text, as expressions over `t`.
pub(crate) struct About {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) workspace: String,
    pub(crate) tombstone: String,
    /// The version of the connector's definition, whose spec its configuration has to meet.
    pub(crate) version: String,
    /// The definition itself.
    pub(crate) definition: String,
}

/// What a name in a column means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is in use.
    Plain,
    /// It is in use, and a node around it says where the secret is.
    Document,
    /// Likewise, and the spec of the connector's kind says what has to be secret.
    Configuration,
    /// In use unless it is the coordinate that its row is about.
    Index,
    /// The value of a secret: what only looks a little like a name may be part of it.
    Payload,
}

/// Tables that say what is in use: a deployment that left one out would lose its secrets.
const ESSENTIAL: &[&str] = &[
    "actor",
    "actor_oauth_parameter",
    "connection",
    "connection_template",
    "connector_builder_project",
    "secret_config",
    "secret_persistence_config",
    "secret_reference",
    "secret_storage",
    "workspace",
];

/// Tables of what once was: leaving one out loses nothing that Airbyte goes by, but for running a job of before
/// again.
const HISTORY: &[&str] = &[
    "attempts",
    "connection_timeline_event",
    "jobs",
    "normalization_summaries",
    "stream_stats",
    "stream_statuses",
    "sync_stats",
];

/// Tables that are read for what they say, and need not hold a text.
const SPEAKING: &[&str] = &[
    "actor",
    "actor_definition",
    "actor_definition_version",
    "organization",
    "scoped_configuration",
    "secret_config",
    "secret_persistence_config",
    "secret_reference",
    "secret_storage",
    "workspace",
];

/// Whether what its rows say decides what other tables mean.
pub(crate) fn is_speaking(schema: &str, table: &Table) -> bool {
    table.schema == schema && SPEAKING.contains(&table.name.as_str())
}

pub(crate) fn is_history(schema: &str, table: &Table) -> bool {
    table.schema == schema && HISTORY.contains(&table.name.as_str())
}

pub(crate) fn kind(schema: &str, table: &Table) -> MentionKind {
    if table.schema != schema {
        return MentionKind::Other;
    }
    match table.name.as_str() {
        "actor" => MentionKind::Connector,
        "connection" | "connection_template" => MentionKind::Connection,
        "actor_oauth_parameter" => MentionKind::OauthParameter,
        "workspace" => MentionKind::Workspace,
        "connector_builder_project" => MentionKind::Builder,
        "secret_storage" => MentionKind::Storage,
        _ => MentionKind::Other,
    }
}

/// What a reference of this scope is of.
pub(crate) fn kind_of_scope(scope: &str) -> MentionKind {
    match scope {
        "actor" => MentionKind::Connector,
        "secret_storage" => MentionKind::Storage,
        "actor_oauth_parameter" => MentionKind::OauthParameter,
        "connection_template" => MentionKind::Connection,
        _ => MentionKind::Other,
    }
}

pub(crate) fn is_essential(schema: &str, of: &str, table: &str) -> bool {
    of == schema && ESSENTIAL.contains(&table)
}

/// What else helps with a table that may be left out.
pub(crate) fn or_leave_out(schema: &str, table: &Table) -> &'static str {
    if is_essential(schema, &table.schema, &table.name) {
        ""
    } else {
        ", or leave the table out if nothing in it names a secret"
    }
}

/// Names of tables as the configuration writes them, with their schema.
pub(crate) fn left_out(schema: &str, names: &[String]) -> cloakroom_core::Result<Vec<String>> {
    names
        .iter()
        .map(|name| {
            let (of, table) = name.split_once('.').unwrap_or((schema, name));
            if is_essential(schema, of, table) {
                return Err(invalid(format!(
                    "{name} cannot be left out: it says which secrets are in use"
                )));
            }
            Ok(format!("{of}.{table}"))
        })
        .collect()
}

/// The coordinate that a row of an index is about: `secret_config`, where references tell which of
/// them are in use, and `secrets`, the built-in store.
pub(crate) fn index_column<'t>(
    catalog: &Catalog,
    schema: &str,
    table: &'t Table,
) -> Option<&'t Column> {
    if is_built_in_store(schema, table) {
        return table.column("coordinate");
    }
    if is_config(schema, table) && has_references(catalog, schema) {
        return table.column("external_coordinate");
    }
    None
}

/// Whether it is the table that lists every coordinate.
pub(crate) fn is_config(schema: &str, table: &Table) -> bool {
    table.schema == schema && table.name == "secret_config"
}

/// Whether `secret_reference` tells which rows of `secret_config` are in use.
pub(crate) fn has_references(catalog: &Catalog, schema: &str) -> bool {
    let offers = |table, columns: &[&str]| {
        catalog
            .table(schema, table)
            .is_some_and(|it| it.offers(columns))
    };
    offers("secret_config", &["id", "external_coordinate"])
        && offers(
            "secret_reference",
            &["id", "secret_config_id", "scope_type", "scope_id"],
        )
}

pub(crate) fn role(schema: &str, table: &Table, column: &Column, is_index: bool) -> Role {
    if is_index {
        let payload = is_built_in_store(schema, table) && column.name == "payload";
        return if payload { Role::Payload } else { Role::Index };
    }
    match (kind(schema, table), column.name.as_str()) {
        (MentionKind::Connector | MentionKind::OauthParameter, "configuration") => {
            Role::Configuration
        }
        (MentionKind::Other | MentionKind::Index, _) => Role::Plain,
        _ => Role::Document,
    }
}

/// Values of secrets need not be readable: they are not what mentions a secret.
pub(crate) fn spare_payload(schema: &str, table: &mut Table) {
    if !is_built_in_store(schema, table) {
        return;
    }
    for column in &mut table.columns {
        if column.name == "payload" && !column.readable {
            column.reading = None;
        }
    }
}

/// Any other application may have a table of this name.
fn is_built_in_store(schema: &str, table: &Table) -> bool {
    table.schema == schema
        && table.name == "secrets"
        && table.column("coordinate").is_some()
        && table.column("payload").is_some()
}

pub(crate) fn about(catalog: &Catalog, schema: &str, table: &Table) -> About {
    let column = |name: &str, kind: &str| {
        table
            .column(name)
            .filter(|it| it.readable && it.builtin.as_deref() == Some(kind))
            .map(|it| format!("t.{}", it.quoted))
    };
    let id = column("id", "uuid");
    let kind = kind(schema, table);
    let workspace = match kind {
        MentionKind::Workspace => id.clone(),
        MentionKind::Connection if table.offers(&["source_id"]) => {
            of_actor(catalog, schema, "workspace_id", "t.source_id")
        }
        _ => column("workspace_id", "uuid"),
    };
    let tombstone = match kind {
        MentionKind::Connection if table.offers(&["status"]) => {
            Some("coalesce(t.status::text = 'deprecated', false)".to_owned())
        }
        _ => column("tombstone", "bool").map(|it| format!("coalesce({it}, false)")),
    };
    let has_a_spec = matches!(kind, MentionKind::Connector | MentionKind::OauthParameter);
    let of_a_spec = |text: Option<String>| text.filter(|_| has_a_spec);
    let version = of_a_spec(version(catalog, schema, table));
    let definition = of_a_spec(column("actor_definition_id", "uuid"));
    let null = || "NULL::uuid".to_owned();
    About {
        id: id.unwrap_or_else(null),
        title: title(table).unwrap_or_else(|| "NULL::text".to_owned()),
        workspace: workspace.unwrap_or_else(null),
        tombstone: tombstone.unwrap_or_else(|| "false".to_owned()),
        version: version.unwrap_or_else(null),
        definition: definition.unwrap_or_else(null),
    }
}

/// What an operator calls the row; long enough to recognise it.
fn title(table: &Table) -> Option<String> {
    table
        .column("name")
        .filter(|it| it.readable && it.reading.is_some())
        .map(|_| "left(t.name::text, 200)".to_owned())
}

fn of_actor(catalog: &Catalog, schema: &str, column: &str, id: &str) -> Option<String> {
    let actor = catalog.table(schema, "actor")?;
    actor.offers(&["id", column]).then(|| {
        format!(
            "(SELECT a.{column} FROM {} a WHERE a.id = {id})",
            actor.quoted
        )
    })
}

/// The version of its definition that a row `t` of `actor` or of OAuth parameters has: its own, or the
/// definition's, or the definition where that has no versions.
pub(crate) fn version(catalog: &Catalog, schema: &str, actor: &Table) -> Option<String> {
    let own = actor
        .offers(&["default_version_id"])
        .then(|| "t.default_version_id".to_owned());
    let definition = catalog
        .table(schema, "actor_definition")
        .filter(|it| it.offers(&["id", "default_version_id"]))
        .filter(|_| actor.offers(&["actor_definition_id"]))
        .map(|it| {
            format!(
                "(SELECT d.default_version_id FROM {} d WHERE d.id = t.actor_definition_id)",
                it.quoted
            )
        });
    match (own, definition) {
        (Some(own), Some(definition)) => Some(format!("coalesce({own}, {definition})")),
        (None, None) => definitions_with_specs(catalog, schema)
            .filter(|_| actor.offers(&["actor_definition_id"]))
            .map(|_| "t.actor_definition_id".to_owned()),
        (own, definition) => own.or(definition),
    }
}

/// Where older releases keep the specs: a definition has but one version.
pub(crate) fn definitions_with_specs<'c>(catalog: &'c Catalog, schema: &str) -> Option<&'c Table> {
    catalog
        .table(schema, "actor_definition")
        .filter(|it| it.offers(&["id", "spec"]))
}
