//! The walk over a new configuration: finds what its secret fields hold and takes values out.

use serde_json::{Map, Value};

use super::previous::{Place, Stored, Walked};
use super::strays::Stray;
use super::take::take;
use super::unmarked::Unmarked;
use super::{Options, refused};
use crate::config::mask::is_mask;
use crate::config::node;
use crate::config::spec::{CompiledSpec, Position};
use crate::coordinates::Coordinate;
use crate::error::Result;
use crate::secret::{SecretValue, ValueKind};

/// A field that holds a secret or stands for one.
pub(super) struct Found {
    pub(super) pointer: String,
    pub(super) place: Place,
    pub(super) content: Content,
}

/// What a field holds.
pub(super) enum Content {
    /// A mask: whatever was there.
    Mask,
    /// A node the document holds, by index.
    Node(usize),
    /// A value, taken out of the document.
    Value(SecretValue, ValueKind),
    /// The name of an external secret.
    External(String),
}

/// What the walk found.
#[derive(Default)]
pub(super) struct Collected {
    /// Every such field, in the order of the document.
    pub(super) found: Vec<Found>,
    /// Masks at places where nothing is secret, which stay in the document as the texts they are.
    pub(super) strays: Vec<Stray>,
    /// The recorded secrets that the spec does not find, by index into what was held.
    pub(super) unmarked: Vec<usize>,
}

/// Walks over a configuration and takes the values out of it.
pub(super) fn collect(
    spec: &CompiledSpec,
    config: &mut Value,
    stored: &Stored<'_>,
    options: &Options,
) -> Result<Collected> {
    let mut collector = Collector {
        spec,
        stored,
        options,
        unmarked: Unmarked::of(spec, stored),
        walked: Walked::default(),
        collected: Collected::default(),
    };
    collector.visit(config, &spec.start())?;
    collector.collected.unmarked = collector.unmarked.seen(stored);
    Ok(collector.collected)
}

struct Collector<'a> {
    spec: &'a CompiledSpec,
    stored: &'a Stored<'a>,
    options: &'a Options,
    unmarked: Unmarked<'a>,
    walked: Walked,
    collected: Collected,
}

impl Collector<'_> {
    fn visit(&mut self, value: &mut Value, position: &Position) -> Result<()> {
        let position = &*self.spec.meet(position, value);
        if !value.is_null() && self.unmarked.is_in_parts(&self.walked) {
            return Err(refused(self.walked.pointer.as_str(), IN_PARTS));
        }
        let secret = position.is_secret() || self.stays_secret(value);
        match value {
            Value::Null => Ok(()),
            Value::Object(members) if node::is_node(members) => {
                let held = self.own_node(members)?;
                *value = Value::Null;
                self.add(Content::Node(held));
                Ok(())
            }
            Value::String(text) => {
                if let Some(name) = node::external_name(text) {
                    let name = self.external(name)?.to_owned();
                    self.add(Content::External(name));
                } else if is_mask(text) {
                    if secret || self.held_here().is_some() {
                        *value = Value::Null;
                        self.add(Content::Mask);
                    } else {
                        let stray = Stray::new(&self.walked, text);
                        self.collected.strays.push(stray);
                    }
                } else if !text.is_empty() {
                    if secret {
                        self.take(value)?;
                    }
                } else if !position.is_secret() && self.is_unmarked_here() {
                    return Err(refused(self.walked.pointer.as_str(), EMPTIED));
                }
                Ok(())
            }
            _ if secret => {
                self.refuse_references_within(value)?;
                self.take(value)
            }
            Value::Object(members) => {
                for (key, member) in members {
                    let below = self.spec.member(position, key);
                    let mark = self.walked.push_key(key);
                    self.visit(member, &below)?;
                    self.walked.pop_to(&mark);
                }
                Ok(())
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let below = self.spec.element(position, index);
                    let mark = self.walked.push_index(index);
                    self.visit(item, &below)?;
                    self.walked.pop_to(&mark);
                }
                Ok(())
            }
            Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    fn add(&mut self, content: Content) {
        self.collected.found.push(Found {
            pointer: self.walked.pointer.as_str().to_owned(),
            place: self.walked.place(),
            content,
        });
    }

    fn take(&mut self, value: &mut Value) -> Result<()> {
        let (value, kind) = take(value)?;
        self.add(Content::Value(value, kind));
        Ok(())
    }

    fn held_here(&self) -> Option<usize> {
        let pointer = self.walked.pointer.as_str();
        self.stored.at(pointer, self.walked.scope())
    }

    fn is_unmarked_here(&self) -> bool {
        !self.unmarked.is_empty() && self.held_here().is_some_and(|held| self.unmarked.has(held))
    }

    /// Whether a value is secret because a secret of this document is recorded at its place, though the
    /// spec does not find it any more. Not what came to stand in place of a lost node: put back as it was
    /// read it says nothing, and is refused with the loss.
    fn stays_secret(&self, value: &Value) -> bool {
        if self.unmarked.is_empty() {
            return false;
        }
        let stays = |held| {
            let stood = || self.stored.value(self.walked.pointer.as_str());
            self.unmarked.has(held) && (self.stored.has_node(held) || stood() != Some(value))
        };
        let scope = self.walked.scope();
        self.held_here().is_some_and(stays)
            || scope.is_some_and(|it| self.unmarked.has_scope(it))
            || self
                .unmarked
                .has_below_another_shape(&self.walked, value, self.stored)
    }

    /// A node is taken only where this document holds its coordinate: at this place, or elsewhere
    /// in the same array.
    fn own_node(&self, members: &Map<String, Value>) -> Result<usize> {
        let pointer = self.walked.pointer.as_str();
        let held = self.stored.named_by(members);
        let stored = held.and_then(|held| self.stored.nodes[held]);
        // A platform may have written more into its nodes than is known here.
        if !stored.is_some_and(|stored| node::is_part_of(members, stored)) {
            if node::has_others_beside(members) {
                return Err(refused(
                    pointer,
                    "this looks like a secret's node and has other members beside; \
                     send the value, or the node as it was read",
                ));
            }
            if !node::is_well_formed(members) {
                return Err(refused(
                    pointer,
                    "this looks like a secret's node, whose members are texts, and one of them is \
                     none; send the value, or the node as it was read",
                ));
            }
        }
        let Some(held) = held else {
            return Err(refused(
                pointer,
                "a coordinate that this document does not hold; send the value",
            ));
        };
        if !node::has_ids_of(members, stored) {
            return Err(refused(
                pointer,
                "the node's ids are not those of this secret",
            ));
        }
        let scope = self.stored.places[held].scope.as_deref();
        let here = self.stored.at(pointer, self.walked.scope()) == Some(held);
        if here || scope.is_some() && scope == self.walked.scope() {
            return Ok(held);
        }
        Err(refused(
            pointer,
            "the node of another field; send the value, so that no secret is moved unseen",
        ))
    }

    fn is_ours(&self, name: &str) -> bool {
        is_ours(name, self.options)
    }

    fn external<'t>(&self, name: &'t str) -> Result<&'t str> {
        let pointer = self.walked.pointer.as_str();
        external(name, pointer, self.options).map(|()| name)
    }

    /// Nothing within a secret is interpreted, and what stands for a secret is none: taken for a value it would
    /// replace the secret, or lead a reader to another.
    fn refuse_references_within(&mut self, value: &Value) -> Result<()> {
        let pointer = self.walked.pointer.as_str();
        match value {
            Value::String(text) if is_mask(text) => {
                return Err(refused(
                    pointer,
                    "a mask within a secret, which is one as a whole; send the whole value",
                ));
            }
            Value::String(text) if node::external_name(text).is_some_and(|it| self.is_ours(it)) => {
                return Err(refused(pointer, OURS_WITHIN));
            }
            Value::Object(members) if node::is_node(members) => {
                let ours = node::coordinate(members).is_some_and(|it| self.is_ours(it));
                if ours || self.stored.holds(pointer) {
                    return Err(refused(pointer, OURS_WITHIN));
                }
            }
            _ => {}
        }
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    let mark = self.walked.push_key(key);
                    self.refuse_references_within(member)?;
                    self.walked.pop_to(&mark);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let mark = self.walked.push_index(index);
                    self.refuse_references_within(item)?;
                    self.walked.pop_to(&mark);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Kept, it would be forgotten with the next put that this was a secret as a whole.
const IN_PARTS: &str = "a secret as a whole until now, of which this spec marks parts; put the document without it \
                        once, and then with it, or give a spec that marks all of it";

/// Filled in again later it would not be known any more.
const EMPTIED: &str = "emptied, and this spec does not mark it as the secret that it was; leave the field out to let \
                       the secret go, or give the spec that marks it";

const OURS_WITHIN: &str =
    "the coordinate of a secret within a secret, which is one as a whole; send the whole value";

fn is_ours(name: &str, options: &Options) -> bool {
    let managed = || Coordinate::from_stored(name).is_ok_and(|it| it.is_managed());
    options.grammar.read(name).is_ours() || managed()
}

/// Whether an external secret of that name may be referred to. A name of ours never is: whoever
/// names it would read somebody's secret.
pub(super) fn external(name: &str, pointer: &str, options: &Options) -> Result<()> {
    if is_ours(name, options) {
        return Err(refused(
            pointer,
            "names a secret that is not an external one; send the value",
        ));
    }
    if !options.allow_external {
        return Err(refused(
            pointer,
            "references to external secrets are not allowed here",
        ));
    }
    if name.is_empty() {
        return Err(refused(
            pointer,
            "a reference to an external secret without its name",
        ));
    }
    Ok(())
}
