//! The specs that connectors have, compiled once for each version.

use std::collections::HashMap;

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::config::{CompiledSpec, MAX_TEXT, parse_json};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::copy::{self, Read, Reader, Row};
use crate::known;

/// Versions kept compiled; a deployment uses a few hundred.
const MOST: usize = 4000;

/// By version of a definition; what cannot be read is not in it.
pub(crate) type Specs = HashMap<Uuid, CompiledSpec>;

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
    let actor = catalog.table(schema, "actor")?;
    let version = known::version(catalog, schema, actor)?;
    let versions = catalog
        .table(schema, "actor_definition_version")
        .filter(|it| it.offers(&["id", "spec"]))?;
    Some(format!(
        "SELECT v.id, CASE WHEN pg_column_size(v.spec) <= {MAX_TEXT} THEN v.spec::text END FROM {} v \
         WHERE v.id IN (SELECT {version} FROM {} t)",
        versions.quoted, actor.quoted
    ))
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

fn compiled(text: &[u8]) -> Option<CompiledSpec> {
    let spec = parse_json("read the spec", text).ok()?;
    CompiledSpec::compile(spec.get("connectionSpecification")?).ok()
}
