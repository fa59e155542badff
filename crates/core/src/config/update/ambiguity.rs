//! Whether a mask under an array can only stand for one secret.

use std::collections::{HashMap, HashSet};
use std::hash::RandomState;

use serde_json::Value;

use super::collect::Found;
use super::content::{Contents, contents};
use super::previous::{Place, Stored, element};
use super::resemblance::Resemblance;
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
    /// For each array the elements that let a secret go, by index.
    going: HashMap<&'a str, Vec<usize>>,
    before: Contents,
    after: Contents,
    lengths: HashMap<&'a str, Lengths>,
    /// Whether an element of an array is found at another index than before.
    shuffled: HashMap<&'a str, bool>,
    resemblances: HashMap<&'a str, Resemblance>,
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
        let mut going: HashMap<_, Vec<usize>> = HashMap::new();
        let kept: HashSet<usize> = keeps.iter().flatten().copied().collect();
        for (index, (held, place)) in stored.held.iter().zip(&stored.places).enumerate() {
            for (array, scope) in arrays(&held.pointer, place) {
                *lost.entry((array, scope)).or_insert(0) += 1;
                if !kept.contains(&index) {
                    let element = element(array, &held.pointer);
                    going.entry(array).or_default().extend(element);
                }
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
            going,
            before: stored
                .blob
                .map(|blob| contents(spec, blob, &hasher))
                .unwrap_or_default(),
            after: contents(spec, config, &hasher),
            lengths: HashMap::new(),
            shuffled: HashMap::new(),
            resemblances: HashMap::new(),
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
        if self.seems_moved(array, &found.pointer) {
            return false;
        }
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

    /// Whether the element around the mask is another than before, and anything says that it is not the same one
    /// edited: its index says nothing then.
    fn seems_moved(&mut self, array: &'a str, pointer: &str) -> bool {
        let Some(index) = element(array, pointer) else {
            return true;
        };
        let (Some(before), Some(after)) = (self.before.get(array), self.after.get(array)) else {
            return true;
        };
        let (Some(was), Some(is)) = (before.elements.get(index), after.elements.get(index)) else {
            return true;
        };
        was != is
            && (before.set.contains(is)
                || after.set.contains(was)
                || self.is_shuffled(array)
                || self.another_goes(array, index)
                || self.is_of_another(array, index))
    }

    fn is_shuffled(&mut self, array: &'a str) -> bool {
        let (before, after) = (&self.before, &self.after);
        *self.shuffled.entry(array).or_insert_with(|| {
            let (Some(before), Some(after)) = (before.get(array), after.get(array)) else {
                return true;
            };
            let both = before.elements.iter().zip(&after.elements);
            let stands_elsewhere = |(was, is): (&u64, &u64)| {
                was != is && (before.set.contains(is) || after.set.contains(was))
            };
            both.into_iter().any(stands_elsewhere)
        })
    }

    /// Whether another element that changed lets a secret go: the mask may be meant for that one.
    fn another_goes(&self, array: &str, index: usize) -> bool {
        let (Some(before), Some(after)) = (self.before.get(array), self.after.get(array)) else {
            return true;
        };
        let stayed = |at: usize| {
            let was = before.elements.get(at);
            was.is_some() && was == after.elements.get(at)
        };
        let going = self.going.get(array).into_iter().flatten();
        going.copied().any(|at| at != index && !stayed(at))
    }

    fn is_of_another(&mut self, array: &'a str, index: usize) -> bool {
        let elements = |value: Option<&'a Value>| value.and_then(Value::as_array);
        let Some(element) = elements(lookup(self.config, array)).and_then(|it| it.get(index))
        else {
            return true;
        };
        let stored = self.stored;
        let resemblance = self.resemblances.entry(array).or_insert_with(|| {
            elements(stored.value(array))
                .map_or_else(Resemblance::default, |it| Resemblance::of(it))
        });
        resemblance.is_of_another(index, element)
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
