//! Reading a JSON Schema into an arena of schemas, each with what it says about places below.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::invalid;
use super::keywords::{
    CONTENT, DEPENDENT, OTHER_ELEMENTS, OTHER_MEMBERS, REFERENCES, SINGLES, applies, holds_a_mark,
    holds_a_mark_beside, is_unread, malformed, meant, tells_a_schema,
};
use super::kinds::Kinds;
use super::pattern::Pattern;
use super::reach::unreached;
use super::references::{Names, resource_of};
use crate::config::marks::{COMPOSITES, CONNECTION, is_marked};
use crate::config::pointer::push_escaped;
use crate::error::Result;

/// The most schemas that all references of a spec together may mean, each counted as often as it is meant.
/// Real specs have a few hundred.
const MAX_TARGETS: usize = 200_000;

/// How much of a spec has to be as it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// What cannot be what its author means is refused: secrets would stay in clear.
    New,
    /// What an earlier version took is taken, as that version read it: the document is written already.
    Stored,
}

/// Index of a schema in the arena.
pub(super) type SchemaId = u32;

/// All schemas that can be reached from the first one.
#[derive(Default)]
pub(super) struct Arena {
    pub(super) schemas: Vec<Schema>,
    pub(super) patterns: Vec<Pattern>,
}

/// What one schema says.
#[derive(Default)]
pub(super) struct Schema {
    /// This place holds a secret.
    pub(super) secret: bool,
    /// What its `type` names, where it has one.
    pub(super) types: Option<Kinds>,
    /// What the values are that it lists.
    pub(super) listed: Kinds,
    /// The kinds of values in which it leads to a mark below, [`Schema::in_place`] left out.
    pub(super) leads_in: Kinds,
    /// Schemas that may apply to the same place.
    pub(super) beside: Vec<SchemaId>,
    /// References to further ones.
    pub(super) references: Vec<Reference>,
    pub(super) properties: HashMap<String, SchemaId>,
    /// By index into [`Arena::patterns`].
    pub(super) patterns: Vec<(usize, SchemaId)>,
    /// For members that neither `properties` nor `patterns` names.
    pub(super) other_members: Vec<SchemaId>,
    pub(super) tuples: Vec<Vec<SchemaId>>,
    /// For elements behind any of the tuples.
    pub(super) other_elements: Vec<SchemaId>,
    /// For every element.
    pub(super) elements: Vec<SchemaId>,
}

/// A reference, and every schema that it may mean.
pub(super) struct Reference {
    /// Where it stands.
    pub(super) pointer: String,
    pub(super) targets: Vec<SchemaId>,
}

impl Schema {
    /// Whether nothing at this place or below follows from it, [`Schema::in_place`] left out.
    pub(super) fn is_inert(&self) -> bool {
        !self.secret && !self.describes_members() && !self.describes_elements()
    }

    pub(super) fn describes_members(&self) -> bool {
        !self.properties.is_empty() || !self.patterns.is_empty() || !self.other_members.is_empty()
    }

    pub(super) fn describes_elements(&self) -> bool {
        self.tuples.iter().any(|tuple| !tuple.is_empty())
            || !self.other_elements.is_empty()
            || !self.elements.is_empty()
    }

    /// Whether it says more than `true` does.
    pub(super) fn says_anything(&self) -> bool {
        !self.is_inert() || self.types.is_some() || self.in_place().next().is_some()
    }

    /// The kinds of values it has in mind, [`Schema::in_place`] left out.
    pub(super) fn kinds(&self) -> Kinds {
        let named = self.types.unwrap_or_else(|| {
            let of = |described, kind| if described { kind } else { Kinds::NONE };
            of(self.describes_members(), Kinds::OBJECT)
                | of(self.describes_elements(), Kinds::ARRAY)
                | self.listed
        });
        named.without(unreached(self.leads_in))
    }

    /// Every schema for a member.
    pub(super) fn of_members(&self) -> impl Iterator<Item = SchemaId> {
        let patterns = self.patterns.iter().map(|(_, id)| id);
        let named = self.properties.values().chain(patterns);
        named.chain(&self.other_members).copied()
    }

    /// Every schema for an element.
    pub(super) fn of_elements(&self) -> impl Iterator<Item = SchemaId> {
        let in_tuples = self.tuples.iter().flatten();
        let others = self.elements.iter().chain(&self.other_elements);
        in_tuples.chain(others).copied()
    }

    /// Every schema that may apply to the same place.
    pub(super) fn in_place(&self) -> impl Iterator<Item = SchemaId> {
        let targets = self.references.iter().flat_map(|it| &it.targets);
        self.beside.iter().chain(targets).copied()
    }
}

/// Finds the schema in a connector's spec file or message; any other object is itself the schema.
pub(super) fn connection_specification(
    spec: &Value,
    strictness: Strictness,
) -> Result<(&Value, String)> {
    let mut pointer = String::new();
    let mut value = spec;
    let message = spec.get("type").and_then(Value::as_str) == Some("SPEC");
    if let Some(inner) = spec.get("spec").filter(|_| message) {
        pointer.push_str("/spec");
        value = inner;
    }
    let mut held = CONNECTION
        .iter()
        .filter_map(|key| Some((*key, value.get(key)?)));
    let Some((key, inner)) = held.next() else {
        if message {
            return Err(invalid(
                &pointer,
                "the spec file has no connectionSpecification",
            ));
        }
        return Ok((spec, String::new()));
    };
    // One of the two would be ignored, and with it the secrets it marks.
    if strictness == Strictness::New && held.next().is_some() {
        return Err(invalid(&pointer, "a spec file that holds two schemas"));
    }
    if value
        .as_object()
        .is_some_and(|members| members.keys().any(|key| applies(key)))
    {
        return Err(invalid(
            &pointer,
            "both a schema and a spec file that holds one",
        ));
    }
    pointer.push('/');
    pointer.push_str(key);
    Ok((inner, pointer))
}

/// Reads the schema that stands at `pointer` of its spec.
pub(super) fn read(schema: &Value, pointer: String, strictness: Strictness) -> Result<Arena> {
    if strictness == Strictness::New && is_something_else(schema) {
        return Err(invalid(
            &pointer,
            "it is not a JSON Schema: it has none of its keywords; is it the configuration itself?",
        ));
    }
    let mut reader = Reader {
        names: Names::of(schema),
        arena: Arena::default(),
        known: HashMap::new(),
        left: Vec::new(),
        pattern_ids: HashMap::new(),
        targets: MAX_TARGETS,
        unread: Vec::new(),
        strictness,
    };
    reader.schema(schema, pointer, schema);
    while let Some(job) = reader.left.pop() {
        let read = reader.read(&job)?;
        reader.arena.schemas[job.id as usize] = read;
    }
    reader.refuse_unread()?;
    Ok(reader.arena)
}

struct Reader<'s> {
    names: Names<'s>,
    arena: Arena,
    /// By the address of the schema within the spec, which names it as long as the spec is borrowed.
    known: HashMap<*const Value, SchemaId>,
    left: Vec<Job<'s>>,
    pattern_ids: HashMap<&'s str, usize>,
    /// How many more schemas references may mean.
    targets: usize,
    /// What marks something under keywords that are not read, and where it stands.
    unread: Vec<(String, &'s Value)>,
    strictness: Strictness,
}

/// A schema still to be read.
struct Job<'s> {
    id: SchemaId,
    value: &'s Value,
    pointer: String,
    /// What local references in it are relative to.
    resource: &'s Value,
}

impl<'s> Reader<'s> {
    fn schema(&mut self, value: &'s Value, pointer: String, resource: &'s Value) -> SchemaId {
        let next = u32::try_from(self.arena.schemas.len()).unwrap_or(SchemaId::MAX);
        let id = *self.known.entry(std::ptr::from_ref(value)).or_insert(next);
        if id == next {
            self.arena.schemas.push(Schema::default());
            self.left.push(Job {
                id,
                value,
                pointer,
                resource,
            });
        }
        id
    }

    fn read(&mut self, job: &Job<'s>) -> Result<Schema> {
        let members = match job.value {
            Value::Bool(_) => return Ok(Schema::default()),
            Value::Object(members) => members,
            _ => return Err(invalid(&job.pointer, "a schema is an object or a boolean")),
        };
        let types = self.types(job, members)?;
        if self.strictness == Strictness::New {
            refuse_malformed(job, members)?;
            refuse_misspelt(job, members)?;
            let unread = members.iter().filter(|(key, value)| is_unread(key, value));
            let unread = unread.map(|(key, value)| (below(&job.pointer, key), value));
            self.unread.extend(unread);
        }
        let job = &Job {
            resource: resource_of(job.value, job.resource),
            pointer: job.pointer.clone(),
            ..*job
        };
        let mut schema = Schema {
            secret: is_marked(members) || has_a_mark_in_its_text(members),
            types,
            listed: Kinds::of_listed(members),
            ..Schema::default()
        };
        self.read_beside(job, members, &mut schema)?;
        self.read_members(job, members, &mut schema)?;
        self.read_elements(job, members, &mut schema);
        self.read_tuples(job, members, &mut schema)?;
        Ok(schema)
    }

    /// What references lead to is read, wherever it stands.
    fn refuse_unread(&self) -> Result<()> {
        let is_read = |value: &Value| self.known.contains_key(&std::ptr::from_ref(value));
        let mut unread = self.unread.iter();
        match unread.find(|(_, value)| holds_a_mark_beside(value, &is_read)) {
            None => Ok(()),
            Some((pointer, _)) => Err(invalid(
                pointer,
                "something is marked as secret under a keyword that is not read here, so that its fields would stay \
                 in clear; write it with those of JSON Schema, drafts 4 to 2020-12 (`allOf`, `$ref`, `properties`, …), \
                 and definitions under `$defs`, or under a key that begins with `x-`",
            )),
        }
    }

    fn types(&self, job: &Job<'s>, members: &Map<String, Value>) -> Result<Option<Kinds>> {
        let Some(types) = members.get("type") else {
            return Ok(None);
        };
        let kinds = Kinds::of_type(types);
        if kinds.is_none() && self.strictness == Strictness::New {
            return Err(invalid(
                &below(&job.pointer, "type"),
                "a type is null, boolean, integer, number, string, array or object, or a list of these",
            ));
        }
        Ok(kinds)
    }

    fn read_beside(
        &mut self,
        job: &Job<'s>,
        members: &'s Map<String, Value>,
        schema: &mut Schema,
    ) -> Result<()> {
        for keyword in COMPOSITES {
            schema.beside.extend(self.list(job, members, keyword)?);
        }
        for keyword in SINGLES {
            schema.beside.extend(self.single(job, members, keyword));
        }
        for keyword in DEPENDENT {
            for (key, value) in object(job, members, keyword)? {
                // A list of keys demands members and says nothing about them.
                if !(keyword == "dependencies" && value.is_array()) {
                    let pointer = below(&below(&job.pointer, keyword), key);
                    schema
                        .beside
                        .push(self.schema(value, pointer, job.resource));
                }
            }
        }
        for keyword in REFERENCES {
            if let Some(reference) = members.get(keyword) {
                let pointer = below(&job.pointer, keyword);
                let reference = reference
                    .as_str()
                    .ok_or_else(|| invalid(&pointer, "a reference is a text"))?;
                let targets = self
                    .names
                    .resolve(reference, job.resource)
                    .map_err(|message| invalid(&pointer, message))?;
                self.targets = self.targets.checked_sub(targets.len()).ok_or_else(|| {
                    invalid(&pointer, "the references of this spec may mean too many schemas; give each name once")
                })?;
                let targets = targets
                    .into_iter()
                    .map(|target| self.schema(target.schema, pointer.clone(), target.resource))
                    .collect();
                schema.references.push(Reference { pointer, targets });
            }
        }
        Ok(())
    }

    fn read_members(
        &mut self,
        job: &Job<'s>,
        members: &'s Map<String, Value>,
        schema: &mut Schema,
    ) -> Result<()> {
        for (key, value) in object(job, members, "properties")? {
            let pointer = below(&below(&job.pointer, "properties"), key);
            let id = self.schema(value, pointer, job.resource);
            schema.properties.insert(key.clone(), id);
        }
        for (pattern, value) in object(job, members, "patternProperties")? {
            let pointer = below(&below(&job.pointer, "patternProperties"), pattern);
            let pattern = self.pattern(pattern, &pointer)?;
            let id = self.schema(value, pointer, job.resource);
            schema.patterns.push((pattern, id));
        }
        for keyword in OTHER_MEMBERS {
            schema
                .other_members
                .extend(self.single(job, members, keyword));
        }
        Ok(())
    }

    fn read_elements(
        &mut self,
        job: &Job<'s>,
        members: &'s Map<String, Value>,
        schema: &mut Schema,
    ) {
        for keyword in OTHER_ELEMENTS {
            schema
                .other_elements
                .extend(self.single(job, members, keyword));
        }
        schema
            .elements
            .extend(self.single(job, members, "contains"));
    }

    fn read_tuples(
        &mut self,
        job: &Job<'s>,
        members: &'s Map<String, Value>,
        schema: &mut Schema,
    ) -> Result<()> {
        let mut tuples = vec!["prefixItems"];
        if members.get("items").is_some_and(Value::is_array) {
            tuples.push("items");
        } else {
            schema
                .other_elements
                .extend(self.single(job, members, "items"));
        }
        for keyword in tuples {
            if members.contains_key(keyword) {
                schema.tuples.push(self.list(job, members, keyword)?);
            }
        }
        Ok(())
    }

    fn single(
        &mut self,
        job: &Job<'s>,
        members: &'s Map<String, Value>,
        keyword: &str,
    ) -> Option<SchemaId> {
        let value = members.get(keyword)?;
        Some(self.schema(value, below(&job.pointer, keyword), job.resource))
    }

    fn list(
        &mut self,
        job: &Job<'s>,
        members: &'s Map<String, Value>,
        keyword: &str,
    ) -> Result<Vec<SchemaId>> {
        let pointer = below(&job.pointer, keyword);
        let items = match members.get(keyword) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(invalid(&pointer, "expected a list of schemas")),
        };
        let schemas = items
            .iter()
            .enumerate()
            .map(|(index, value)| self.schema(value, format!("{pointer}/{index}"), job.resource));
        Ok(schemas.collect())
    }

    fn pattern(&mut self, pattern: &'s str, pointer: &str) -> Result<usize> {
        if let Some(id) = self.pattern_ids.get(pattern) {
            return Ok(*id);
        }
        let compiled = match Pattern::read(pattern) {
            // An earlier version could read it: what it says is still a secret, and perhaps more is.
            Err(_) if self.strictness == Strictness::Stored => Pattern::perhaps(),
            read => read.map_err(|error| {
                invalid(pointer, "not a pattern that can be read").with_source(error)
            })?,
        };
        let id = self.arena.patterns.len();
        self.arena.patterns.push(compiled);
        self.pattern_ids.insert(pattern, id);
        Ok(id)
    }
}

/// Whether a text holds JSON with a secret in it: only the whole of it can be taken out.
fn has_a_mark_in_its_text(members: &Map<String, Value>) -> bool {
    members.get(CONTENT).is_some_and(holds_a_mark)
}

fn refuse_malformed(job: &Job<'_>, members: &Map<String, Value>) -> Result<()> {
    malformed(members).map_or(Ok(()), |(keyword, message)| {
        Err(invalid(&below(&job.pointer, keyword), message))
    })
}

fn refuse_misspelt(job: &Job<'_>, members: &Map<String, Value>) -> Result<()> {
    let mut each = members.iter();
    match each.find_map(|(key, value)| Some((key, meant(key, value)?))) {
        None => Ok(()),
        Some((written, meant)) => {
            let message = format!("no keyword of JSON Schema; `{meant}` is spelled so");
            Err(invalid(&below(&job.pointer, written), message))
        }
    }
}

/// Whether an object is no schema at all, such as the configuration given in its place: read as a
/// schema it would mark nothing secret.
fn is_something_else(schema: &Value) -> bool {
    schema.as_object().is_some_and(|members| {
        !members.is_empty() && !members.keys().any(|key| tells_a_schema(key))
    })
}

fn object<'s>(
    job: &Job<'s>,
    members: &'s Map<String, Value>,
    keyword: &str,
) -> Result<impl Iterator<Item = (&'s String, &'s Value)>> {
    match members.get(keyword) {
        None => Ok(None.into_iter().flatten()),
        Some(Value::Object(members)) => Ok(Some(members).into_iter().flatten()),
        Some(_) => Err(invalid(
            &below(&job.pointer, keyword),
            "expected an object of schemas",
        )),
    }
}

fn below(pointer: &str, key: &str) -> String {
    let mut below = String::with_capacity(pointer.len() + key.len() + 1);
    below.push_str(pointer);
    below.push('/');
    push_escaped(&mut below, key);
    below
}
