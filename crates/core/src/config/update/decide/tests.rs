//! How much work a decision takes, counted in digests: time would depend on the machine.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::config::{
    Action, CompiledSpec, Held, Options, Previous, Update, array_digest, mask, update,
};
use crate::coordinates::Coordinate;
use crate::digest::Digest;
use crate::keys::{Key, KeyRing};
use crate::secret::SecretJson;

thread_local! {
    static DIGESTS: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn count(digest: Digest) -> Digest {
    DIGESTS.set(DIGESTS.get() + 1);
    digest
}

const COUNT: usize = 20_000;

struct Stored {
    spec: CompiledSpec,
    keys: KeyRing,
    blob: Value,
    held: Vec<Held>,
}

impl Stored {
    fn new(value: impl Fn(usize) -> String) -> Self {
        let spec = json!({"properties": {"t": {"items": {"airbyte_secret": true}}}});
        let spec = CompiledSpec::compile(&spec).unwrap();
        let keys = KeyRing::new(vec![Key::derive([7; 32])]).unwrap();
        let tokens: Vec<_> = (0..COUNT).map(value).collect();
        let config = SecretJson::new(json!({"t": tokens}));
        let first = update(&spec, config, None, &keys, "d", &Options::default()).unwrap();
        let coordinate =
            |index| Coordinate::from_stored(&format!("airbyte_secret{index}_v1")).unwrap();
        let coordinates: Vec<_> = (0..COUNT).map(coordinate).collect();
        let key = keys.current();
        let held = first
            .fields
            .iter()
            .zip(&coordinates)
            .map(|(field, coordinate)| {
                let Action::New { value, kind } = &field.action else {
                    panic!("not new")
                };
                let scope = field.array_scope.as_deref().unwrap();
                Held {
                    pointer: field.pointer.clone(),
                    backend: "main".parse().unwrap(),
                    coordinate: coordinate.clone(),
                    kind: *kind,
                    digest: Digest::of(key, coordinate.base(), *kind, value),
                    array_digest: Some(array_digest(key, "d", scope, *kind, value)),
                    damage: None,
                    damaged: false,
                }
            });
        let held = held.collect();
        let blob = first.into_blob(&coordinates).unwrap();
        Self {
            spec,
            keys,
            blob,
            held,
        }
    }

    fn put(&self, config: Value) -> (Update, usize) {
        DIGESTS.set(0);
        let previous = Previous {
            blob: &self.blob,
            held: &self.held,
            spec: None,
        };
        let config = SecretJson::new(config);
        let put = update(
            &self.spec,
            config,
            Some(previous),
            &self.keys,
            "d",
            &Options::default(),
        )
        .unwrap();
        (put, DIGESTS.get())
    }
}

fn kept(update: &Update) -> usize {
    update
        .fields
        .iter()
        .filter(|field| matches!(field.action, Action::Keep { .. }))
        .count()
}

#[test]
fn an_array_reversed_takes_linear_work() {
    let stored = Stored::new(|index| format!("token-number-{index}"));
    let reversed: Vec<_> = (0..COUNT)
        .rev()
        .map(|index| format!("token-number-{index}"))
        .collect();
    let (put, digests) = stored.put(json!({"t": reversed}));
    assert_eq!(kept(&put), COUNT);
    assert!(put.unreferenced.is_empty());
    assert!(digests <= 3 * COUNT, "{digests}");
}

#[test]
fn equal_values_take_linear_work() {
    let stored = Stored::new(|_| "the-same-token".to_owned());
    let mut tokens = vec!["another-token"; COUNT];
    tokens[COUNT / 2..].fill("the-same-token");
    let (put, digests) = stored.put(json!({"t": tokens}));
    assert_eq!(kept(&put), COUNT / 2);
    assert!(digests <= 3 * COUNT, "{digests}");
}

#[test]
fn masks_take_no_digests() {
    let stored = Stored::new(|index| format!("token-number-{index}"));
    let masked = mask(&stored.spec, stored.blob.clone(), []).unwrap();
    let (put, digests) = stored.put(masked);
    assert_eq!((kept(&put), digests), (COUNT, 0));
}
