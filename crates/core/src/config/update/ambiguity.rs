//! Whether a mask under an array can only stand for one secret.

use std::collections::{HashMap, HashSet};
use std::hash::RandomState;

use serde_json::Value;

use super::collect::Found;
use super::content::{Contents, contents};
use super::previous::{Place, Stored, element};
use crate::config::pointer::lookup;
use crate::config::spec::CompiledSpec;

/// What is known of how arrays changed. A mask stands for what was at its own index, and that is
/// certain only where no element can have moved.
pub(super) struct Ambiguity<'a> {
    config: &'a Value,
    stored: &'a Stored<'a>,
    /// Arrays out of which or within which a coordinate moved to another index, by pointer.
    moved: HashSet<&'a str>,
    /// For each array and scope how many secrets it held less how many stayed in place.
    lost: HashMap<(&'a str, &'a str), usize>,
    before: Contents,
    after: Contents,
    lengths: HashMap<&'a str, Lengths>,
}

#[derive(Clone, Copy)]
struct Lengths {
    before: Option<usize>,
    /// By what is recorded; more than `before` where elements are gone from the stored document.
    recorded: usize,
    after: Option<usize>,
}

/// Why a mask is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Elements may have moved.
    Moved,
    /// The element is gone from the stored document, and with it who stood there.
    Gone,
    /// The node is gone from the stored document: who stands there need not be whose secret it is.
    Lost,
}

impl<'a> Ambiguity<'a> {
    pub(super) fn new(
        spec: &CompiledSpec,
        config: &'a Value,
        found: &'a [Found],
        keeps: &[Option<usize>],
        stored: &'a Stored<'a>,
    ) -> Self {
        let hasher = RandomState::new();
        let mut moved = HashSet::new();
        let mut lost = HashMap::new();
        for (held, place) in stored.held.iter().zip(&stored.places) {
            for array in arrays(&held.pointer, place) {
                *lost.entry(array).or_insert(0) += 1;
            }
        }
        for (found, kept) in found.iter().zip(keeps) {
            let Some(held) = kept.map(|kept| &stored.held[kept]) else {
                continue;
            };
            if held.pointer != found.pointer {
                moved.extend(where_parted(found, &held.pointer));
                continue;
            }
            for array in arrays(&found.pointer, &found.place) {
                if let Some(count) = lost.get_mut(&array) {
                    *count -= 1;
                }
            }
        }
        Self {
            config,
            stored,
            moved,
            lost,
            before: stored
                .blob
                .map(|blob| contents(spec, blob, &hasher))
                .unwrap_or_default(),
            after: contents(spec, config, &hasher),
            lengths: HashMap::new(),
        }
    }

    /// Why the mask at `found` may stand for something else than what it would keep, where it may. `kept`
    /// is `None` where no secret was held.
    pub(super) fn doubt(&mut self, found: &'a Found, kept: Option<usize>) -> Option<Doubt> {
        arrays(&found.pointer, &found.place).find_map(|(array, scope)| {
            if self.is_gone(array, &found.pointer) {
                return Some(Doubt::Gone);
            }
            if kept.is_some_and(|held| !self.stored.has_node(held)) {
                return Some(Doubt::Lost);
            }
            (!self.is_settled_in(array, scope, found, kept)).then_some(Doubt::Moved)
        })
    }

    fn is_settled_in(
        &mut self,
        array: &'a str,
        scope: &'a str,
        found: &Found,
        kept: Option<usize>,
    ) -> bool {
        let Lengths {
            before: Some(before),
            recorded,
            after: Some(after),
        } = self.lengths(array)
        else {
            return false;
        };
        let is_cut = before < recorded;
        let appended = || {
            // Only held secrets are counted, so nothing is known of the others.
            let all_stayed = self.lost.get(&(array, scope)).is_none_or(|lost| *lost == 0);
            before < after && kept.is_some() && all_stayed
        };
        // Something is said about elements that are gone, at the places recorded for them.
        let said_again = || is_cut && before < after && after <= recorded;
        // The elements that are left need not be the first ones.
        let is_left = || {
            self.is_same(array, &found.pointer) && kept.is_none_or(|it| self.stored.is_named(it))
        };
        !self.moved.contains(array)
            && !self.stored.is_misplaced(array)
            && (before == after || said_again() || appended())
            && !self.seems_moved(array, &found.pointer)
            && (!is_cut || is_left())
    }

    /// Whether the element that a pointer leads through is gone from the stored document.
    fn is_gone(&mut self, array: &'a str, pointer: &str) -> bool {
        let Lengths {
            before, recorded, ..
        } = self.lengths(array);
        let index = element(array, pointer);
        !self.stored.is_misplaced(array)
            && index.is_some_and(|index| {
                before.is_some_and(|before| before <= index) && index < recorded
            })
    }

    fn lengths(&mut self, array: &'a str) -> Lengths {
        let length = |value: Option<&Value>| value.and_then(Value::as_array).map(Vec::len);
        *self.lengths.entry(array).or_insert_with(|| Lengths {
            before: length(self.stored.value(array)),
            recorded: self.stored.recorded(array),
            after: length(lookup(self.config, array)),
        })
    }

    /// Whether the element around the mask is another than before, and one of the two is found at
    /// another index: then it moved and its index says nothing. (An element that is only edited is
    /// found nowhere else.)
    fn seems_moved(&self, array: &str, pointer: &str) -> bool {
        let Some(index) = element(array, pointer) else {
            return true;
        };
        let (Some(before), Some(after)) = (self.before.get(array), self.after.get(array)) else {
            return true;
        };
        let (Some(was), Some(is)) = (before.elements.get(index), after.elements.get(index)) else {
            return true;
        };
        was != is && (before.set.contains(is) || after.set.contains(was))
    }

    /// Whether the element around the mask holds what it held.
    fn is_same(&self, array: &str, pointer: &str) -> bool {
        let held = |contents: &Contents| {
            let elements = &contents.get(array)?.elements;
            elements.get(element(array, pointer)?).copied()
        };
        held(&self.before).is_some_and(|was| held(&self.after) == Some(was))
    }
}

/// The arrays around a place by their pointers, each with the scope of the place.
fn arrays<'a>(pointer: &'a str, place: &'a Place) -> impl Iterator<Item = (&'a str, &'a str)> {
    let scope = place.scope.as_deref().unwrap_or_default();
    place.arrays_of(pointer).map(move |array| (array, scope))
}

/// The outermost array in which a field and where its secret came from are different elements.
fn where_parted<'a>(found: &'a Found, from: &str) -> Option<&'a str> {
    let element = |pointer: &str, array: usize| {
        let end = pointer[array + 1..].find('/');
        end.map_or(pointer.len(), |end| array + 1 + end)
    };
    let parted = found.place.arrays.iter().find(|array| {
        let end = element(&found.pointer, **array);
        from.get(..end) != Some(&found.pointer[..end])
            || !matches!(from.as_bytes().get(end), None | Some(b'/'))
    });
    parted.map(|array| &found.pointer[..*array])
}
