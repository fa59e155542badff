//! Objects: named members, members that only a pattern or nothing names, and whole-object secrets.

use serde_json::{Map, Value, json};

use super::making::{DEEPEST, Making};
use super::schema::{Facet, escaped};
use super::{pattern, text};

impl<'s> Making<'s> {
    pub(super) fn object(&self, facets: &[Facet<'s>], secret: bool, depth: usize) -> Value {
        let mut members = Map::new();
        for (name, schemas) in properties(facets) {
            if self.includes(facets, &name, &schemas, depth) {
                let value = if self.left_blank(facets, &name, &schemas) {
                    Value::String(String::new())
                } else {
                    self.value(schemas, &name, secret, depth + 1)
                };
                members.insert(name, value);
            }
        }
        self.other_members(facets, secret, depth, &mut members);
        for name in required(facets) {
            if !members.contains_key(name) {
                let text = text::plain(&[], name, self.source.serial, self.dice());
                members.insert(name.to_owned(), text.into());
            }
        }
        if secret && members.is_empty() {
            return self.service_account();
        }
        Value::Object(members)
    }

    fn includes(
        &self,
        facets: &[Facet<'s>],
        name: &str,
        schemas: &[Facet<'s>],
        depth: usize,
    ) -> bool {
        let told = |keyword| {
            schemas
                .iter()
                .any(|facet| facet.schema.contains_key(keyword))
        };
        if required(facets).any(|required| required == name)
            || self.wanted(schemas)
            || told("const")
        {
            return true;
        }
        depth < DEEPEST && !schemas.iter().any(Facet::exhausted) && self.dice().chance(55)
    }

    /// Forms send an empty text for a secret that nobody filled in.
    fn left_blank(&self, facets: &[Facet<'s>], name: &str, schemas: &[Facet<'s>]) -> bool {
        let plain_text = schemas.iter().all(|facet| {
            facet.schema.get("type").and_then(Value::as_str) == Some("string")
                && !["pattern", "minLength", "const", "enum"]
                    .iter()
                    .any(|word| facet.schema.contains_key(*word))
        });
        plain_text
            && schemas.iter().any(Facet::secret)
            && !required(facets).any(|required| required == name)
            && self.dice().chance(4)
    }

    /// Members that no property names: up to three for each schema that allows them.
    fn other_members(
        &self,
        facets: &[Facet<'s>],
        secret: bool,
        depth: usize,
        members: &mut Map<String, Value>,
    ) {
        for facet in facets {
            let patterns = facet
                .schema
                .get("patternProperties")
                .and_then(Value::as_object);
            for (pattern, schema) in patterns.into_iter().flatten() {
                let way = format!("/patternProperties/{}", escaped(pattern));
                for _ in 0..self.count(facet.child(&way, schema)) {
                    let named = pattern::sample(pattern, self.dice());
                    if let (Some(name), Some(child)) = (named, facet.child(&way, schema)) {
                        let value = self.value(vec![child], &name, secret, depth + 1);
                        members.insert(name, value);
                    }
                }
            }
            let Some(schema) = facet
                .schema
                .get("additionalProperties")
                .filter(|schema| schema.is_object())
            else {
                continue;
            };
            for index in 0..self.count(facet.child("/additionalProperties", schema)) {
                // Names that trip up whoever builds paths by hand.
                let names = ["X-Sample-Key", "a.b", "c/d~e", "Ключ"];
                let name = names[(index + self.dice().below(2)) % names.len()].to_owned();
                if let Some(child) = facet.child("/additionalProperties", schema) {
                    let value = self.value(vec![child], &name, secret, depth + 1);
                    members.entry(name).or_insert(value);
                }
            }
        }
    }

    fn count(&self, facet: Option<Facet<'s>>) -> usize {
        let Some(facet) = facet.filter(|facet| !facet.exhausted()) else {
            return 0;
        };
        self.dice().below(4).max(usize::from(self.wanted(&[facet])))
    }

    /// An object as a cloud's console gives it out, for a secret whose members no schema names.
    fn service_account(&self) -> Value {
        let key = text::secret(&[], "private_key", self.source.serial, self.dice());
        let number = self.source.serial.next();
        json!({
            "type": "service_account",
            "project": format!("project-{number}"),
            "private_key": key,
            "scopes": ["read", "write"],
            "limits": { "requests": self.dice().between(1, 1_000), "strict": true, "note": null },
        })
    }
}

/// The schemas of each named property, in the order the properties are first named.
fn properties<'s>(facets: &[Facet<'s>]) -> Vec<(String, Vec<Facet<'s>>)> {
    let mut found: Vec<(String, Vec<Facet<'s>>)> = Vec::new();
    for facet in facets {
        let named = facet.schema.get("properties").and_then(Value::as_object);
        for (name, schema) in named.into_iter().flatten() {
            let Some(child) = facet.child(&format!("/properties/{}", escaped(name)), schema) else {
                continue;
            };
            match found.iter_mut().find(|(known, _)| known == name) {
                Some((_, schemas)) => schemas.push(child),
                None => found.push((name.clone(), vec![child])),
            }
        }
    }
    found
}

fn required<'a, 's>(facets: &'a [Facet<'s>]) -> impl Iterator<Item = &'s str> + 'a {
    let lists = facets
        .iter()
        .filter_map(|facet| facet.schema.get("required").and_then(Value::as_array));
    lists.flatten().filter_map(Value::as_str)
}
