//! Configurations that fit a JSON Schema, every secret text in them marked so that a leak can be
//! searched for.

mod branches;
mod dice;
mod edit;
mod making;
mod number;
mod object;
mod pattern;
mod schema;
mod text;

use serde_json::{Value, json};

pub use branches::Branch;
pub use dice::Dice;
pub use edit::{change_plain, change_secrets, leave_masked};
pub use text::{CANARY, Serial};

use making::Making;
use schema::Facet;

/// Makes configurations that fit one schema.
#[derive(Clone, Debug)]
pub struct Generator {
    root: Value,
    branches: Vec<Branch>,
}

/// What one configuration is made from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Decides what is left to chance.
    pub dice: Dice<'a>,
    /// Numbers the texts.
    pub serial: &'a Serial,
}

impl Generator {
    /// Takes a schema, or a connector's whole spec file with the schema inside.
    pub fn new(spec: &Value) -> Self {
        let root = spec.get("connectionSpecification").unwrap_or(spec).clone();
        let branches = branches::of(&root);
        Self { root, branches }
    }

    /// Every alternative of every `oneOf`, `anyOf` and `if`.
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// A configuration whose alternatives are left to chance.
    pub fn any(&self, source: Source<'_>) -> Value {
        self.make(None, source)
    }

    /// A configuration that takes `branch`, and whatever leads to it.
    pub fn on(&self, branch: &Branch, source: Source<'_>) -> Value {
        self.make(Some(branch), source)
    }

    fn make(&self, branch: Option<&Branch>, source: Source<'_>) -> Value {
        let Some(schema) = self.root.as_object() else {
            return json!({});
        };
        let start = Facet {
            schema,
            path: String::new(),
            refs: Vec::new(),
        };
        Making {
            root: &self.root,
            branch,
            source,
        }
        .value(vec![start], "", false, 0)
    }
}

#[cfg(test)]
mod tests;
