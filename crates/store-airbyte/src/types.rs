//! Which types can hold a name, and how their values are best read.

use std::collections::HashMap;

use cloakroom_core::Result;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use crate::failure;

/// How a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Text, sent as it is; its length costs nothing to ask for.
    Text,
    /// `json`, sent as its text.
    Json,
    /// `jsonb`, sent as its text behind one byte.
    Jsonb,
    /// `bytea`, sent as it is.
    Bytes,
    /// An array of these, sent as its elements with their lengths.
    Elements,
    /// Anything else, by the text the server makes of it.
    Converted,
}

impl Reading {
    /// Whether its length is known without fetching it.
    pub(crate) fn has_cheap_length(self) -> bool {
        matches!(self, Self::Text | Self::Bytes)
    }

    /// A field's text, where it is one.
    pub(crate) fn text(self, field: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Text | Self::Json | Self::Converted => Some(field),
            Self::Jsonb => field.split_first().map(|(_, text)| text),
            Self::Bytes | Self::Elements => None,
        }
    }
}

/// Every type of the database.
pub(crate) struct Types {
    by_id: HashMap<i64, Type>,
}

struct Type {
    name: String,
    builtin: bool,
    kind: String,
    category: String,
    base: i64,
    element: i64,
}

/// Built-in types of no telling category that hold ids and places in the log.
const WITHOUT_TEXT: &[&str] = &[
    "uuid",
    "macaddr",
    "macaddr8",
    "pg_lsn",
    "tid",
    "xid",
    "xid8",
    "cid",
    "pg_snapshot",
    "txid_snapshot",
    "char",
];

/// Boolean, date, geometric, network, number, range, span of time, bits: none holds a letter.
const CATEGORIES_WITHOUT_TEXT: &str = "BDGINRTV";

impl Types {
    pub(crate) async fn load(connection: &mut PgConnection) -> Result<Self> {
        let rows = sqlx::query(
            "SELECT t.oid::bigint, t.typname::text, n.nspname = 'pg_catalog', t.typtype::text, \
             t.typcategory::text, t.typbasetype::bigint, t.typelem::bigint \
             FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace",
        )
        .fetch_all(connection)
        .await
        .map_err(failure::error)?;
        let mut by_id = HashMap::with_capacity(rows.len());
        for row in rows {
            let it = Type {
                name: row.try_get(1).map_err(failure::error)?,
                builtin: row.try_get(2).map_err(failure::error)?,
                kind: row.try_get(3).map_err(failure::error)?,
                category: row.try_get(4).map_err(failure::error)?,
                base: row.try_get(5).map_err(failure::error)?,
                element: row.try_get(6).map_err(failure::error)?,
            };
            by_id.insert(row.try_get(0).map_err(failure::error)?, it);
        }
        Ok(Self { by_id })
    }

    /// How a column of this type is read; `None` where it cannot hold a name. What is not known is
    /// read: a type that is left out by mistake would lose the secrets in it.
    pub(crate) fn reading(&self, id: i64) -> Option<Reading> {
        let Some(it) = self.by_id.get(&id) else {
            return Some(Reading::Converted);
        };
        match it.kind.as_str() {
            // Their labels are part of the schema, which no save changes, and too short for a name that is made
            // today.
            "e" => return None,
            "d" => return self.reading(it.base),
            _ => {}
        }
        if it.category == "A" && it.element != 0 {
            return self.reading(it.element).map(|element| match element {
                Reading::Converted => Reading::Converted,
                _ if self.is_builtin(it.element) => Reading::Elements,
                _ => Reading::Converted,
            });
        }
        if !it.builtin {
            return Some(Reading::Converted);
        }
        match it.name.as_str() {
            "text" | "varchar" | "bpchar" => Some(Reading::Text),
            "json" => Some(Reading::Json),
            "jsonb" => Some(Reading::Jsonb),
            "bytea" => Some(Reading::Bytes),
            name if WITHOUT_TEXT.contains(&name) => None,
            _ if CATEGORIES_WITHOUT_TEXT.contains(&it.category) => None,
            _ => Some(Reading::Converted),
        }
    }

    /// The name of a built-in type.
    pub(crate) fn builtin_name(&self, id: i64) -> Option<&str> {
        self.by_id
            .get(&id)
            .filter(|it| it.builtin)
            .map(|it| it.name.as_str())
    }

    fn is_builtin(&self, id: i64) -> bool {
        self.by_id.get(&id).is_some_and(|it| it.builtin)
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::Grammar;
    use cloakroom_core::coordinates::{Scope, Version};
    use uuid::Uuid;

    /// What a label of PostgreSQL has at most.
    const LONGEST_LABEL: usize = 63;

    #[test]
    fn no_name_that_airbyte_makes_is_a_label() {
        let grammar = Grammar::new("a_").unwrap();
        for scope in Scope::ALL {
            let (nil, version) = (Uuid::nil(), Version::new(1).unwrap());
            let shortest = grammar.managed(scope, nil, nil, version);
            assert!(shortest.base().len() > LONGEST_LABEL, "{shortest}");
        }
    }
}
