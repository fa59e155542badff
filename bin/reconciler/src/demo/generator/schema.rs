//! Reading a JSON Schema: the facets that hold at one place, `$ref`, and where secrets are.

use cloakroom_core::config::marks::is_marked;
use cloakroom_core::config::push_escaped;
use serde_json::{Map, Value};

/// How often one `$ref` is followed within itself.
const OFTEN: usize = 2;

/// How many facets one place may have; a schema that exceeds it refers to itself without end.
const MOST_FACETS: usize = 256;

/// One schema among those that hold at a place, and the way there.
#[derive(Clone)]
pub(super) struct Facet<'s> {
    /// Its keywords.
    pub(super) schema: &'s Map<String, Value>,
    /// The keywords and indices followed from the root, `$ref` included, as a JSON Pointer.
    pub(super) path: String,
    /// The references followed on the way.
    pub(super) refs: Vec<&'s str>,
}

/// Which alternative is taken at a choice.
pub(super) trait Chooser {
    /// One of the `count` alternatives at `path`.
    fn choose(&self, path: &str, count: usize) -> usize;
}

impl<'s> Facet<'s> {
    /// The facet a keyword of this one holds, if that is a schema.
    pub(super) fn child(&self, way: &str, schema: &'s Value) -> Option<Self> {
        Some(Self {
            schema: schema.as_object()?,
            path: format!("{}{way}", self.path),
            refs: self.refs.clone(),
        })
    }

    /// Whether its `$ref` was followed as often as it may be.
    pub(super) fn exhausted(&self) -> bool {
        self.schema
            .get("$ref")
            .and_then(Value::as_str)
            .is_some_and(|to| self.refs.iter().filter(|followed| **followed == to).count() >= OFTEN)
    }

    /// What its `$ref` leads to.
    pub(super) fn referred(&self, root: &'s Value) -> Option<Self> {
        let to = self.schema.get("$ref")?.as_str()?;
        if self.exhausted() {
            return None;
        }
        let target = root.pointer(to.strip_prefix('#')?)?;
        let mut facet = self.child("/$ref", target)?;
        facet.refs.push(to);
        Some(facet)
    }

    /// Whether what is here is a secret.
    pub(super) fn secret(&self) -> bool {
        is_marked(self.schema)
    }
}

/// Every facet that holds where `facet` does, one alternative of each choice; general ones first.
pub(super) fn facets<'s>(
    root: &'s Value,
    facet: Facet<'s>,
    chooser: &dyn Chooser,
) -> Vec<Facet<'s>> {
    let mut found = Vec::new();
    let mut left = vec![facet];
    while let Some(facet) = left.pop() {
        if found.len() >= MOST_FACETS {
            break;
        }
        left.extend(chosen_condition(&facet, chooser));
        for keyword in ["anyOf", "oneOf"] {
            left.extend(chosen_alternative(&facet, keyword, chooser));
        }
        if let Some(Value::Array(all)) = facet.schema.get("allOf") {
            let each = all.iter().enumerate().rev();
            left.extend(
                each.filter_map(|(index, all)| facet.child(&format!("/allOf/{index}"), all)),
            );
        }
        left.extend(facet.referred(root));
        found.push(facet);
    }
    found
}

fn chosen_alternative<'s>(
    facet: &Facet<'s>,
    keyword: &str,
    chooser: &dyn Chooser,
) -> Option<Facet<'s>> {
    let alternatives = facet
        .schema
        .get(keyword)?
        .as_array()
        .filter(|all| !all.is_empty())?;
    let way = format!("/{keyword}");
    let index = chooser.choose(&format!("{}{way}", facet.path), alternatives.len());
    facet.child(&format!("{way}/{index}"), alternatives.get(index)?)
}

/// `if` with `then`, or `else`: the alternatives 0 and 1 of the keyword `if`.
fn chosen_condition<'s>(facet: &Facet<'s>, chooser: &dyn Chooser) -> Vec<Facet<'s>> {
    let Some(condition) = facet.schema.get("if") else {
        return Vec::new();
    };
    let otherwise = facet
        .schema
        .get("else")
        .and_then(|schema| facet.child("/if/1", schema));
    let met = chooser.choose(
        &format!("{}/if", facet.path),
        1 + usize::from(otherwise.is_some()),
    ) == 0;
    if !met {
        return otherwise.into_iter().collect();
    }
    let then = facet
        .schema
        .get("then")
        .and_then(|schema| facet.child("/if/0", schema));
    facet
        .child("/if", condition)
        .into_iter()
        .chain(then)
        .collect()
}

/// The last facet's word on `keyword`: the most specific.
pub(super) fn word<'s>(facets: &[Facet<'s>], keyword: &str) -> Option<&'s Value> {
    facets
        .iter()
        .rev()
        .find_map(|facet| facet.schema.get(keyword))
}

/// One token of a JSON Pointer.
pub(super) fn escaped(token: &str) -> String {
    let mut escaped = String::with_capacity(token.len());
    push_escaped(&mut escaped, token);
    escaped
}
