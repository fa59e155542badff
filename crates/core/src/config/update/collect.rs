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
                } else if secret && !text.is_empty() {
                    self.take(value)?;
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
        let pointer = self.walked.pointer.as_str();
        self.held_here().is_some_and(stays)
            || scope.is_some_and(|it| self.unmarked.has_scope(it))
            || self
                .unmarked
                .has_below_another_shape(pointer, value, self.stored)
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

    fn external<'t>(&self, name: &'t str) -> Result<&'t str> {
        let pointer = self.walked.pointer.as_str();
        external(name, pointer, self.options).map(|()| name)
    }

    /// Nothing within a secret is interpreted. But where the document holds secrets there, because
    /// the spec used to mark those, a mask or node among them means the secret and not itself.
    fn refuse_references_within(&mut self, value: &Value) -> Result<()> {
        if self.stored.held.is_empty() {
            return Ok(());
        }
        let refers = match value {
            Value::String(text) => is_mask(text),
            Value::Object(members) => node::is_node(members),
            _ => false,
        };
        if refers && self.stored.holds(self.walked.pointer.as_str()) {
            return Err(refused(
                self.walked.pointer.as_str(),
                "the spec makes a secret of everything around it now; send the value",
            ));
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

/// Whether an external secret of that name may be referred to. A name of ours never is: whoever
/// names it would read somebody's secret.
pub(super) fn external(name: &str, pointer: &str, options: &Options) -> Result<()> {
    let managed = || Coordinate::from_stored(name).is_ok_and(|it| it.is_managed());
    if options.grammar.read(name).is_ours() || managed() {
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
