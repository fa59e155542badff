//! The specs that connectors have, compiled once for each version.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::config::{
    CompiledSpec, EXTERNAL_PREFIX, MAX_TEXT, clear_text, marks, parse_json,
};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::copy::{self, Read, Reader, Row};
use crate::documents;
use crate::known;
use crate::narrow::narrowed;
use crate::oauth::Credentials;
use crate::pins;

/// Versions kept compiled; a deployment uses a few hundred.
const MOST: usize = 4000;

/// By version of a definition; what cannot be read is not in it.
pub(crate) type Specs = HashMap<Uuid, Spec>;

/// How deep a spec is looked into for what a configuration contradicts.
const DEPTH: usize = 32;

/// What a connector's configuration has to be like.
pub(crate) struct Spec {
    compiled: CompiledSpec,
    text: Value,
    credentials: Credentials,
}

/// A place that holds a secret in clear, and what says that it is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Clear {
    pub(crate) pointer: String,
    pub(crate) by: SaidBy,
}

/// What says of a place that a secret is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SaidBy {
    /// The spec marks the field.
    Mark,
    /// The spec's part for OAuth names it.
    OauthPart,
    /// Its own name, among the parameters of OAuth.
    Name,
}

impl Spec {
    /// Where a connector's configuration holds a secret in clear.
    pub(crate) fn clear_text(&self, document: &Value) -> Result<Vec<Clear>> {
        let mut found = self.marked(document)?;
        add(&mut found, SaidBy::OauthPart, |tell| {
            self.credentials.in_configuration(document, tell);
        });
        Ok(found)
    }

    /// Where parameters of OAuth do.
    pub(crate) fn clear_parameters(&self, document: &Value) -> Result<Vec<Clear>> {
        let mut found = self.clear_text(document)?;
        add(&mut found, SaidBy::Name, |tell| {
            self.credentials.in_parameters(document, tell);
        });
        Ok(found)
    }

    fn marked(&self, document: &Value) -> Result<Vec<Clear>> {
        let mut found = clear_text(&self.compiled, document)?;
        if !found.is_empty()
            && let Ok(narrow) = CompiledSpec::compile(&narrowed(&self.text, document, DEPTH))
        {
            found = clear_text(&narrow, document)?;
        }
        found.retain(|it| {
            let value = document.pointer(it);
            !value.is_some_and(|it| is_a_users_own(it) || is_a_node_of_nothing(it))
        });
        let by = SaidBy::Mark;
        Ok(found
            .into_iter()
            .map(|pointer| Clear { pointer, by })
            .collect())
    }
}

/// Where parameters of OAuth hold a secret in clear, as far as their names tell it without a spec.
pub(crate) fn clear_by_name(document: &Value) -> Vec<Clear> {
    let mut found = Vec::new();
    add(&mut found, SaidBy::Name, |tell| {
        Credentials::default().in_parameters(document, tell);
    });
    found
}

/// Adds what is told and in clear, where it is not in what was found before.
fn add<'v>(
    found: &mut Vec<Clear>,
    by: SaidBy,
    tell: impl FnOnce(&mut dyn FnMut(String, &'v Value)),
) {
    let mut known: HashSet<String> = found.iter().map(|it| it.pointer.clone()).collect();
    tell(&mut |pointer, value| {
        let ends = pointer.match_indices('/').map(|(at, _)| at);
        let is_within = ends
            .chain([pointer.len()])
            .any(|end| known.contains(&pointer[..end]));
        if !is_within && is_in_clear(value) {
            known.insert(pointer.clone());
            found.push(Clear { pointer, by });
        }
    });
}

/// The spec of a document that is a secret as a whole.
static ONE_SECRET: LazyLock<Option<CompiledSpec>> =
    LazyLock::new(|| CompiledSpec::compile(&json!({marks::MARK: true})).ok());

/// Whether this, at the place of a secret, is one in clear.
fn is_in_clear(value: &Value) -> bool {
    let told = ONE_SECRET.as_ref().map(|it| clear_text(it, value));
    let is_told = matches!(told, Some(Ok(places)) if !places.is_empty());
    is_told && !is_a_users_own(value) && !is_a_node_of_nothing(value)
}

/// A user's own secret may be named as the platform names its own.
fn is_a_users_own(value: &Value) -> bool {
    let name = value
        .as_str()
        .and_then(|it| it.strip_prefix(EXTERNAL_PREFIX));
    name.is_some_and(|it| !it.trim().is_empty())
}

/// What the platform leaves where there was no secret.
fn is_a_node_of_nothing(value: &Value) -> bool {
    let is_nothing =
        |(key, value): (&String, &Value)| documents::MEMBERS.contains(&&**key) && value.is_null();
    value
        .as_object()
        .is_some_and(|members| !members.is_empty() && members.iter().all(is_nothing))
}

/// Reads the specs of the versions that connectors have; `None` where the database does not have
/// them where they are looked for.
pub(crate) async fn read(
    connection: &mut PgConnection,
    catalog: &Catalog,
    schema: &str,
) -> Result<(Specs, Option<Read>)> {
    let mut reader = SpecReader(Specs::new());
    let outcome = match select(catalog, schema) {
        Some(sql) => Some(copy::read(connection, &sql, &mut reader).await?),
        None => None,
    };
    Ok((reader.0, outcome))
}

fn select(catalog: &Catalog, schema: &str) -> Option<String> {
    let of = |table: &str| {
        let table = catalog.table(schema, table)?;
        let version = known::version(catalog, schema, table)?;
        Some(format!("SELECT {version} FROM {} t", table.quoted))
    };
    let wanted: Vec<String> = ["actor", "actor_oauth_parameter"]
        .into_iter()
        .filter_map(of)
        .chain(pins::versions(catalog, schema))
        .collect();
    let versions = catalog
        .table(schema, "actor_definition_version")
        .filter(|it| it.offers(&["id", "spec"]));
    let tables = [versions, known::definitions_with_specs(catalog, schema)];
    let specs: Vec<String> = tables
        .into_iter()
        .flatten()
        .filter(|_| !wanted.is_empty())
        .map(|it| {
            format!(
                "SELECT v.id, CASE WHEN pg_column_size(v.spec) <= {MAX_TEXT} THEN v.spec::text END FROM {} v \
                 WHERE v.id IN ({})",
                it.quoted,
                wanted.join(" UNION ")
            )
        })
        .collect();
    (!specs.is_empty()).then(|| specs.join(" UNION ALL "))
}

struct SpecReader(Specs);

#[async_trait]
impl Reader for SpecReader {
    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        if let (Some(id), Some(text)) = (row.uuid(0), row.field(1))
            && self.0.len() < MOST
            && let Some(spec) = compiled(text)
        {
            self.0.insert(id, spec);
        }
        Ok(())
    }
}

fn compiled(text: &[u8]) -> Option<Spec> {
    let mut spec = parse_json("read the spec", text).ok()?;
    let text = spec.get_mut("connectionSpecification")?.take();
    let compiled = CompiledSpec::compile(&text).ok()?;
    let credentials = Credentials::of(&spec, &text, &compiled);
    Some(Spec {
        compiled,
        text,
        credentials,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_nothing_holds_no_text() {
        let spec = json!({"connectionSpecification": {"type": "object", "properties": {
            "password": {"type": "string", "airbyte_secret": true}
        }}});
        let spec = compiled(spec.to_string().as_bytes()).unwrap();
        let told = |password: Value| {
            let found = spec.clear_text(&json!({"password": password})).unwrap();
            let pointers: Vec<String> = found.into_iter().map(|it| it.pointer).collect();
            pointers
        };
        for nothing in [
            json!({"_secret": null, "_secret_reference_id": null}),
            json!({"_secret": null}),
            json!({"_secret_storage_id": null}),
        ] {
            assert_eq!(told(nothing), [""; 0]);
        }
        for text in [
            json!({"_secret": null, "password": "p"}),
            json!({"password": null}),
            json!({"_secret": "p", "_secret_reference_id": null}),
            json!({}),
        ] {
            assert_eq!(told(text), ["/password"]);
        }
    }
}
