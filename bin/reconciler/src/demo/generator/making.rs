//! One configuration being made: which value stands at a place, and arrays.

use serde_json::{Value, json};

use super::branches::Branch;
use super::dice::Dice;
use super::schema::{Chooser, Facet, word};
use super::{Source, number, schema, text};

/// Nesting beyond which only empty objects and arrays are made.
pub(super) const DEEPEST: usize = 48;

/// One configuration being made.
pub(super) struct Making<'s> {
    pub(super) root: &'s Value,
    pub(super) branch: Option<&'s Branch>,
    pub(super) source: Source<'s>,
}

impl Chooser for Making<'_> {
    fn choose(&self, path: &str, count: usize) -> usize {
        self.branch
            .and_then(|branch| branch.alternative_at(path))
            .unwrap_or_else(|| self.source.dice.below(count))
    }
}

impl<'s> Making<'s> {
    pub(super) fn dice(&self) -> &Dice<'s> {
        &self.source.dice
    }

    pub(super) fn wanted(&self, facets: &[Facet<'_>]) -> bool {
        let wanted = |branch: &Branch| facets.iter().any(|facet| branch.leads_over(&facet.path));
        self.branch.is_some_and(wanted)
    }

    /// The value at a place where all of `facets` hold. `within` says that it is part of a secret.
    pub(super) fn value(
        &self,
        facets: Vec<Facet<'s>>,
        name: &str,
        within: bool,
        depth: usize,
    ) -> Value {
        if depth > DEEPEST || facets.iter().any(Facet::exhausted) {
            return json!({});
        }
        let facets: Vec<Facet<'s>> = facets
            .into_iter()
            .flat_map(|facet| schema::facets(self.root, facet, self))
            .collect();
        let secret = within || facets.iter().any(Facet::secret);
        if let Some(only) = word(&facets, "const") {
            return only.clone();
        }
        if let Some(Value::Array(allowed)) = word(&facets, "enum") {
            return self.dice().pick(allowed).cloned().unwrap_or(Value::Null);
        }
        match self.kind(&facets) {
            "object" => self.object(&facets, secret, depth),
            "array" => self.array(&facets, name, secret, depth),
            "integer" => number::integer(&facets, secret, self.dice()),
            "number" => number::number(&facets, self.dice()),
            "boolean" => Value::Bool(self.dice().chance(50)),
            "null" => Value::Null,
            _ if secret => text::secret(&facets, name, self.source.serial, self.dice()).into(),
            _ => text::plain(&facets, name, self.source.serial, self.dice()).into(),
        }
    }

    fn kind(&self, facets: &[Facet<'s>]) -> &'s str {
        match word(facets, "type") {
            Some(Value::String(kind)) => kind,
            Some(Value::Array(kinds)) => {
                let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
                let real: Vec<&str> = kinds
                    .iter()
                    .copied()
                    .filter(|kind| *kind != "null")
                    .collect();
                let from =
                    if real.is_empty() || (kinds.len() > real.len() && self.dice().chance(10)) {
                        &kinds
                    } else {
                        &real
                    };
                self.dice().pick(from).copied().unwrap_or("string")
            }
            _ => {
                let has = |keywords: &[&str]| {
                    keywords
                        .iter()
                        .any(|keyword| word(facets, keyword).is_some())
                };
                if has(&[
                    "properties",
                    "additionalProperties",
                    "patternProperties",
                    "required",
                ]) {
                    "object"
                } else if has(&["items", "prefixItems"]) {
                    "array"
                } else if has(&["minimum", "maximum", "multipleOf"]) {
                    "number"
                } else {
                    "string"
                }
            }
        }
    }

    fn array(&self, facets: &[Facet<'s>], name: &str, secret: bool, depth: usize) -> Value {
        let mut items = Vec::new();
        let tuple = ["prefixItems", "items"]
            .into_iter()
            .find(|keyword| word(facets, keyword).is_some_and(Value::is_array));
        if let Some(keyword) = tuple {
            let facet = facets
                .iter()
                .rev()
                .find(|facet| facet.schema.contains_key(keyword));
            let schemas = word(facets, keyword)
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            for (index, schema) in schemas.enumerate() {
                let child =
                    facet.and_then(|facet| facet.child(&format!("/{keyword}/{index}"), schema));
                items.push(self.value(child.into_iter().collect(), name, secret, depth + 1));
            }
            return Value::Array(items);
        }
        let children: Vec<Facet<'s>> = facets
            .iter()
            .filter_map(|facet| facet.child("/items", facet.schema.get("items")?))
            .collect();
        let bound = |keyword| {
            word(facets, keyword)
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok())
        };
        let least = bound("minItems")
            .unwrap_or(0)
            .min(100)
            .max(usize::from(self.wanted(&children)));
        let most = bound("maxItems").unwrap_or(3).max(least);
        let chance = self.dice().below(4);
        let count = if children.iter().any(Facet::exhausted) {
            least
        } else {
            chance.clamp(least, most)
        };
        let unique = word(facets, "uniqueItems").and_then(Value::as_bool) == Some(true);
        for _ in 0..count {
            let item = self.value(children.clone(), name, secret, depth + 1);
            if !(unique && items.contains(&item)) {
                items.push(item);
            }
        }
        Value::Array(items)
    }
}
