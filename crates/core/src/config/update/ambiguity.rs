//! Whether a mask under an array can only stand for one secret.

use std::collections::{HashMap, HashSet};
use std::hash::RandomState;

use serde_json::Value;

use super::collect::Found;
use super::content::{BLANK, Contents, contents};
use super::previous::{Place, Stored};
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
    /// For each array how many elements it had at least, by what is recorded of them.
    recorded: HashMap<&'a str, usize>,
    before: Contents,
    after: Contents,
    lengths: HashMap<&'a str, Lengths>,
}

#[derive(Clone, Copy)]
struct Lengths {
    before: Option<usize>,
    /// By what is recorded; more than `before` where somebody cut elements off.
    recorded: usize,
    after: Option<usize>,
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
        let mut recorded = HashMap::new();
        for (held, place) in stored.held.iter().zip(&stored.places) {
            for array in arrays(&held.pointer, place) {
                *lost.entry(array).or_insert(0) += 1;
                let number = element(array.0, &held.pointer).map_or(0, |index| index + 1);
                let most = recorded.entry(array.0).or_insert(0);
                *most = number.max(*most);
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
            recorded,
            before: stored
                .blob
                .map(|blob| contents(spec, blob, &hasher))
                .unwrap_or_default(),
            after: contents(spec, config, &hasher),
            lengths: HashMap::new(),
        }
    }

    /// Whether the mask at `found` can only stand for what it would keep; `None` where no
    /// secret was held.
    pub(super) fn is_settled(&mut self, found: &'a Found, kept: Option<usize>) -> bool {
        arrays(&found.pointer, &found.place).all(|(array, scope)| {
            let Lengths {
                before: Some(before),
                recorded,
                after: Some(after),
            } = self.lengths(array)
            else {
                return false;
            };
            let appended = || {
                // Only held secrets are counted, so nothing is known of the others.
                let all_stayed = self.lost.get(&(array, scope)).is_none_or(|lost| *lost == 0);
                before < after && kept.is_some() && all_stayed
            };
            // Elements that were cut off come back at the places that are recorded for them.
            let brought_back = || before < after && after <= recorded;
            !self.moved.contains(array)
                && !self.stored.is_misplaced(array)
                && (before == after || brought_back() || appended())
                && !self.seems_moved(array, &found.pointer)
        })
    }

    fn lengths(&mut self, array: &'a str) -> Lengths {
        let length = |value: Option<&Value>| value.and_then(Value::as_array).map(Vec::len);
        *self.lengths.entry(array).or_insert_with(|| Lengths {
            before: length(self.stored.value(array)),
            recorded: self.recorded.get(array).copied().unwrap_or(0),
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
        let is_recorded = || self.recorded.get(array).is_some_and(|most| index < *most);
        match (before.elements.get(index), after.elements.get(index)) {
            (Some(was), Some(is)) => {
                was != is && (before.set.contains(is) || after.set.contains(was))
            }
            // What the element held beside its secret is not known any more.
            (None, Some(is)) if is_recorded() => *is != BLANK && before.set.contains(is),
            _ => true,
        }
    }
}

/// The arrays around a place by their pointers, each with the scope of the place.
fn arrays<'a>(pointer: &'a str, place: &'a Place) -> impl Iterator<Item = (&'a str, &'a str)> {
    let scope = place.scope.as_deref().unwrap_or_default();
    place.arrays_of(pointer).map(move |array| (array, scope))
}

/// The index in an array that a pointer leads through.
fn element(array: &str, pointer: &str) -> Option<usize> {
    pointer[array.len() + 1..].split('/').next()?.parse().ok()
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
