//! Which version of its definition a connector runs, where it is pinned to one: `scoped_configuration`.

use std::collections::{BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use cloakroom_core::Result;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::catalog::{Catalog, Table};
use crate::copy::{self, Read, Reader, Row};

/// The pins kept in memory, at about 150 bytes each.
const MOST: usize = 200_000;

/// The pins of connectors, workspaces and organisations to versions.
#[derive(Default)]
pub(crate) struct Pins {
    by_place: HashMap<Place, Pin>,
    /// Every version that anything is pinned to, by definition.
    versions: HashMap<Uuid, BTreeSet<Uuid>>,
    /// The organisations of workspaces, of those organisations that have a pin.
    organizations: HashMap<Uuid, Uuid>,
    /// Definitions that an organisation has a pin of, where the database does not say whose workspaces are whose.
    of_unknown_workspaces: HashSet<Uuid>,
    /// Whether there were more than are kept.
    overflowed: bool,
}

/// Who is pinned, and of which definition.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    scope: Scope,
    id: Uuid,
    definition: Uuid,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Scope {
    Actor,
    Workspace,
    Organization,
}

/// What one is pinned to.
enum Pin {
    To(Uuid),
    /// To no version, or to several.
    Unclear,
}

/// Whose version it is about.
#[derive(Clone, Copy)]
pub(crate) struct Pinned {
    pub(crate) actor: Option<Uuid>,
    pub(crate) workspace: Option<Uuid>,
    pub(crate) definition: Option<Uuid>,
}

/// The versions that one may run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) any_of: Vec<Uuid>,
    /// Whether it may be yet another one.
    pub(crate) unclear: bool,
}

impl Pins {
    /// The version of a connector: that of the narrowest pin, or else `usual`. `is_known` says of which ones the
    /// spec could be read. Where it cannot be told, all that may be meant.
    pub(crate) fn of_connector(
        &self,
        whose: Pinned,
        usual: Option<Uuid>,
        is_known: impl Fn(Uuid) -> bool,
    ) -> Versions {
        let mut versions = Versions::default();
        for pin in self.narrowest_first(whose) {
            match pin {
                Pin::To(version) if is_known(*version) => {
                    versions.any_of.push(*version);
                    if !versions.unclear && !self.overflowed {
                        return versions;
                    }
                }
                Pin::To(_) | Pin::Unclear => versions.unclear = true,
            }
        }
        let is_left_open = whose
            .definition
            .is_some_and(|it| self.of_unknown_workspaces.contains(&it));
        if versions.unclear || self.overflowed || is_left_open {
            versions.any_of.extend(self.all_of(whose.definition));
        }
        versions.any_of.extend(usual);
        versions
    }

    /// Every version that an instance's own parameters for a definition may go to.
    pub(crate) fn of_parameters(&self, definition: Option<Uuid>, usual: Option<Uuid>) -> Vec<Uuid> {
        self.all_of(definition).chain(usual).collect()
    }

    fn all_of(&self, definition: Option<Uuid>) -> impl Iterator<Item = Uuid> {
        let all = definition.and_then(|it| self.versions.get(&it));
        all.into_iter().flatten().copied()
    }

    fn narrowest_first(&self, whose: Pinned) -> impl Iterator<Item = &Pin> {
        let organization = whose.workspace.and_then(|it| self.organizations.get(&it));
        let places = [
            (Scope::Actor, whose.actor),
            (Scope::Workspace, whose.workspace),
            (Scope::Organization, organization.copied()),
        ];
        places.into_iter().filter_map(move |(scope, id)| {
            let (id, definition) = (id?, whose.definition?);
            self.by_place.get(&Place {
                scope,
                id,
                definition,
            })
        })
    }

    fn definitions_of(&self, scope: Scope) -> HashSet<Uuid> {
        let places = self.by_place.keys().filter(|it| it.scope == scope);
        places.map(|it| it.definition).collect()
    }

    fn add(&mut self, place: Place, version: Option<Uuid>) {
        let of_definition = self.versions.entry(place.definition).or_default();
        of_definition.extend(version);
        if self.by_place.len() >= MOST {
            self.overflowed = true;
            return;
        }
        let pin = version.map_or(Pin::Unclear, Pin::To);
        let is_another =
            |known: &Pin| !matches!((known, version), (Pin::To(known), Some(it)) if *known == it);
        let known = self.by_place.entry(place);
        known
            .and_modify(|known| {
                if is_another(known) {
                    *known = Pin::Unclear;
                }
            })
            .or_insert(pin);
    }
}

/// Reads them all; nothing where the database has no such table.
pub(crate) async fn read(
    connection: &mut PgConnection,
    catalog: &Catalog,
    schema: &str,
) -> Result<(Pins, Option<Read>)> {
    let Some(table) = table(catalog, schema) else {
        return Ok((Pins::default(), None));
    };
    let mut reader = PinReader(Pins::default());
    let sql = format!(
        "SELECT lower(p.scope_type::text), p.scope_id, p.resource_id, {VERSION} FROM {} p WHERE {IS_PIN}",
        table.quoted
    );
    let outcome = copy::read(connection, &sql, &mut reader).await?;
    let mut pins = reader.0;
    let of_organizations = pins.definitions_of(Scope::Organization);
    if !matches!(outcome, Read::Whole) || of_organizations.is_empty() {
        return Ok((pins, Some(outcome)));
    }
    let workspaces = catalog
        .table(schema, "workspace")
        .filter(|it| it.offers(&["id", "organization_id"]));
    let Some(workspaces) = workspaces else {
        pins.of_unknown_workspaces = of_organizations;
        return Ok((pins, Some(outcome)));
    };
    let sql = format!(
        "SELECT w.id, w.organization_id FROM {} w WHERE w.organization_id IN (SELECT p.scope_id FROM {} p \
         WHERE lower(p.scope_type::text) = 'organization' AND {IS_PIN})",
        workspaces.quoted, table.quoted
    );
    let mut reader = WorkspaceReader(pins);
    let outcome = copy::read(connection, &sql, &mut reader).await?;
    Ok((reader.0, Some(outcome)))
}

/// What selects every version that anything is pinned to.
pub(crate) fn versions(catalog: &Catalog, schema: &str) -> Option<String> {
    let table = table(catalog, schema)?;
    Some(format!(
        "SELECT {VERSION} FROM {} p WHERE {IS_PIN}",
        table.quoted
    ))
}

const IS_PIN: &str =
    "p.key::text = 'connector_version' AND lower(p.resource_type::text) = 'actor_definition'";

/// The id as which the value reads, or NULL.
const VERSION: &str = "CASE WHEN p.value::text ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' \
     THEN p.value::text::uuid END";

fn table<'c>(catalog: &'c Catalog, schema: &str) -> Option<&'c Table> {
    let table = catalog.table(schema, "scoped_configuration")?;
    let columns = [
        "key",
        "resource_type",
        "resource_id",
        "scope_type",
        "scope_id",
        "value",
    ];
    let is_id = |name| {
        table
            .column(name)
            .is_some_and(|it| it.builtin.as_deref() == Some("uuid"))
    };
    (table.offers(&columns) && is_id("resource_id") && is_id("scope_id")).then_some(table)
}

struct PinReader(Pins);

#[async_trait]
impl Reader for PinReader {
    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        let scope = match row.text(0) {
            Some("actor") => Scope::Actor,
            Some("workspace") => Scope::Workspace,
            Some("organization") => Scope::Organization,
            _ => return Ok(()),
        };
        if let (Some(id), Some(definition)) = (row.uuid(1), row.uuid(2)) {
            self.0.add(
                Place {
                    scope,
                    id,
                    definition,
                },
                row.uuid(3),
            );
        }
        Ok(())
    }
}

struct WorkspaceReader(Pins);

#[async_trait]
impl Reader for WorkspaceReader {
    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        if let (Some(workspace), Some(organization)) = (row.uuid(0), row.uuid(1)) {
            self.0.organizations.insert(workspace, organization);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFINITION: Uuid = Uuid::from_u128(1);
    const USUAL: Uuid = Uuid::from_u128(10);
    const WHOSE: Pinned = Pinned {
        actor: Some(Uuid::from_u128(2)),
        workspace: Some(Uuid::from_u128(3)),
        definition: Some(DEFINITION),
    };
    const ORGANIZATION: Uuid = Uuid::from_u128(4);

    fn version(number: u128) -> Uuid {
        Uuid::from_u128(10 + number)
    }

    fn pins(all: &[(Scope, Option<Uuid>)]) -> Pins {
        let mut pins = Pins::default();
        pins.organizations.insert(Uuid::from_u128(3), ORGANIZATION);
        for (scope, to) in all {
            let id = match scope {
                Scope::Actor => 2,
                Scope::Workspace => 3,
                Scope::Organization => 4,
            };
            let place = Place {
                scope: *scope,
                id: Uuid::from_u128(id),
                definition: DEFINITION,
            };
            pins.add(place, *to);
        }
        pins
    }

    fn told(pins: &Pins) -> (BTreeSet<Uuid>, bool) {
        let told = pins.of_connector(WHOSE, Some(USUAL), |it| it != version(9));
        (told.any_of.into_iter().collect(), told.unclear)
    }

    #[test]
    fn the_narrowest_pin_wins() {
        let [actor, workspace, organization] = [
            (Scope::Actor, Some(version(1))),
            (Scope::Workspace, Some(version(2))),
            (Scope::Organization, Some(version(3))),
        ];
        for (all, expected) in [
            (vec![], USUAL),
            (vec![organization], version(3)),
            (vec![organization, workspace], version(2)),
            (vec![workspace, organization, actor], version(1)),
            (vec![actor, actor], version(1)),
        ] {
            assert_eq!(told(&pins(&all)), ([expected].into(), false));
        }
        let another = Pinned {
            definition: Some(Uuid::from_u128(99)),
            ..WHOSE
        };
        let told = pins(&[actor]).of_connector(another, Some(USUAL), |_| true);
        assert_eq!(told.any_of, [USUAL]);
    }

    #[test]
    fn where_it_cannot_be_told_it_is_any_that_may_be_meant() {
        let workspace = (Scope::Workspace, Some(version(2)));
        // To no version, to one whose spec nobody has, and to two at once.
        for unclear in [
            vec![(Scope::Actor, None)],
            vec![(Scope::Actor, Some(version(9)))],
            vec![
                (Scope::Actor, Some(version(1))),
                (Scope::Actor, Some(version(4))),
            ],
        ] {
            let mut expected: BTreeSet<Uuid> = unclear.iter().filter_map(|it| it.1).collect();
            expected.extend([version(2), USUAL]);
            let all = [unclear, vec![workspace]].concat();
            assert_eq!(told(&pins(&all)), (expected, true));
        }
    }
}
