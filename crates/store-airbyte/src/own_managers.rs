//! Workspaces and organisations with a secrets manager of their own, as older releases note it: in
//! `secret_persistence_config`, and not with the secret.

use std::collections::HashMap;

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::coordinates::Reading as Named;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::copy::{self, Read, Reader, Row};
use crate::find::Finder;

/// The row that says where the secrets of a workspace or organisation are.
#[derive(Default)]
pub(crate) struct OwnManagers(HashMap<Uuid, Uuid>);

impl OwnManagers {
    /// The storage of a secret that the index does not know, by its owner and by whose row mentions it.
    pub(crate) fn storage_of(
        &self,
        finder: &Finder,
        name: &str,
        workspace: Option<Uuid>,
    ) -> Option<Uuid> {
        if self.0.is_empty() {
            return None;
        }
        let owner = match finder.grammar().read(name) {
            Named::Managed(it) => Some(it.owner()),
            _ => None,
        };
        let mut whose = [owner, workspace].into_iter().flatten();
        whose.find_map(|it| self.0.get(&it).copied())
    }
}

/// Reads which these are; `None` where the database does not have them so.
pub(crate) async fn read(
    connection: &mut PgConnection,
    catalog: &Catalog,
    schema: &str,
) -> Result<(OwnManagers, Option<Read>)> {
    let mut reader = OwnManagersReader(OwnManagers::default());
    let outcome = match select(catalog, schema) {
        Some(sql) => Some(copy::read(connection, &sql, &mut reader).await?),
        None => None,
    };
    Ok((reader.0, outcome))
}

/// A workspace's own row goes before its organisation's.
fn select(catalog: &Catalog, schema: &str) -> Option<String> {
    let configs = catalog
        .table(schema, "secret_persistence_config")
        .filter(|it| it.offers(&["id", "scope_id"]))?;
    let own = format!("SELECT c.scope_id, c.id FROM {} c", configs.quoted);
    let workspaces = catalog
        .table(schema, "workspace")
        .filter(|it| it.offers(&["id", "organization_id"]));
    Some(match workspaces {
        Some(workspaces) => format!(
            "SELECT w.id, c.id FROM {} w JOIN {} c ON c.scope_id = w.organization_id UNION ALL {own}",
            workspaces.quoted, configs.quoted
        ),
        None => own,
    })
}

struct OwnManagersReader(OwnManagers);

#[async_trait]
impl Reader for OwnManagersReader {
    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        if let (Some(scope), Some(id)) = (row.uuid(0), row.uuid(1)) {
            self.0.0.insert(scope, id);
        }
        Ok(())
    }
}
