//! Splitting, masking and hydrating any document: no panic, nothing left in clear, nothing lost.
//!
//! The first line is the spec, the rest the document; a first line of one digit chooses a spec from
//! those below.
#![no_main]

use cloakroom_core::config::{
    Action, CompiledSpec, Held, Options, Previous, Revealed, array_digest, clear_text, hydrate,
    mask, parse_document, parse_json, update,
};
use cloakroom_core::keys::Key;
use cloakroom_core::{
    BackendId, Coordinate, Digest, Grammar, KeyRing, Scope, SecretJson, SecretValue, ValueKind,
    Version,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use uuid::Uuid;

const SPECS: [&str; 4] = [
    r#"{"type":"object","properties":{"a":{"airbyte_secret":true},"b":{"type":"string"}}}"#,
    r#"{"properties":{"l":{"items":{"properties":{"k":{"airbyte_secret":true}}}}}}"#,
    r#"{"additionalProperties":{"oneOf":[{"format":"password"},{"properties":{"x":{"airbyte_secret":true}}}]}}"#,
    r##"{"properties":{"t":{"$ref":"#/$defs/n"}},"$defs":{"n":{"properties":{"s":{"airbyte_secret":true},"n":{"$ref":"#/$defs/n"}}}}}"##,
];

/// What a document's array digests are bound to.
const DOCUMENT: &str = "8b0b2f0c-5f0a-4a8e-9a51-2b9f5f6a7d10";

fuzz_target!(|text: &[u8]| {
    let Some(end) = text.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let (first, rest) = (&text[..end], &text[end + 1..]);
    let chosen = match first {
        [digit @ b'0'..=b'3'] => SPECS[usize::from(digit - b'0')].as_bytes(),
        written => written,
    };
    let Ok(spec) = parse_json("read the spec", chosen) else {
        return;
    };
    let Ok(spec) = CompiledSpec::compile(&spec) else {
        return;
    };
    let Ok(document) = parse_document(rest) else {
        return;
    };
    put_twice(&spec, document.expose());
});

fn put_twice(spec: &CompiledSpec, document: &Value) {
    let ring = KeyRing::new(vec![Key::derive([7; 32])]).expect("one key");
    let options = Options {
        allow_external: true,
        ..Options::default()
    };
    let again = || SecretJson::new(document.clone());
    let Ok(first) = update(spec, again(), None, &ring, DOCUMENT, &options) else {
        return;
    };
    let (mut coordinates, mut held, mut revealed) = (Vec::new(), Vec::new(), Vec::new());
    for (index, field) in first.fields.iter().enumerate() {
        let Action::New { value, kind } = &field.action else {
            assert!(matches!(field.action, Action::External { .. }));
            continue;
        };
        let coordinate = coordinate(index);
        let array = field.array_scope.as_deref();
        held.push(Held {
            pointer: field.pointer.clone(),
            backend: backend(),
            coordinate: coordinate.clone(),
            kind: *kind,
            digest: Digest::of(ring.current(), coordinate.base(), *kind, value),
            array_digest: array
                .map(|scope| array_digest(ring.current(), DOCUMENT, scope, *kind, value)),
            damage: None,
            damaged: false,
        });
        revealed.push(reveal(&field.pointer, *kind, value));
        coordinates.push(coordinate);
    }
    let blob = first.into_blob(&coordinates).expect("one for each field");
    let clear = clear_text(spec, &blob).expect("it was read once");
    assert!(clear.is_empty(), "in clear: {clear:?}");
    mask(
        spec,
        blob.clone(),
        held.iter().map(|it| it.pointer.as_str()),
    )
    .expect("no deeper");
    let whole = hydrate(blob.clone(), revealed).expect("each reference leads to its node");
    assert!(whole.expose() == document, "hydrated to something else");

    let previous = Previous {
        blob: &blob,
        held: &held,
        spec: None,
    };
    let second = update(spec, again(), Some(previous), &ring, DOCUMENT, &options)
        .expect("what was taken once is taken again");
    assert!(second.unreferenced.is_empty());
    for field in &second.fields {
        let kept = matches!(field.action, Action::Keep { .. } | Action::External { .. });
        assert!(kept, "{} was not kept", field.pointer);
    }
}

fn coordinate(index: usize) -> Coordinate {
    let secret = Uuid::from_u128(index as u128);
    Grammar::default().managed(Scope::Workspace, Uuid::nil(), secret, Version::FIRST)
}

fn backend() -> BackendId {
    "fuzz".parse().expect("a backend's name")
}

fn reveal(pointer: &str, kind: ValueKind, value: &SecretValue) -> Revealed {
    Revealed {
        pointer: pointer.to_owned(),
        kind,
        value: value.clone(),
    }
}
