//! Reading any spec: never a panic, the same plan each time, and no secret field that a walk misses.
#![no_main]

use cloakroom_core::config::{CompiledSpec, MASK, clear_text, mask, parse_json};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|text: &[u8]| {
    let Ok(json) = parse_json("read the spec", text) else {
        return;
    };
    let Ok(spec) = CompiledSpec::compile(&json) else {
        return;
    };
    let fields = spec.secret_fields();
    assert!(fields.is_sorted());
    let again = CompiledSpec::compile(&json).expect("it was read once");
    assert_eq!(again.secret_fields(), fields);
    for field in &fields {
        if let Some(document) = document_with(field) {
            let clear = clear_text(&spec, &document).expect("a small document");
            assert!(!clear.is_empty(), "{field} in {document}");
            let masked = mask(&spec, document, []).expect("a small document");
            assert!(masked.to_string().contains(MASK), "{field}");
            assert!(!masked.to_string().contains(SECRET), "{field}");
        }
    }
});

/// No key can look like it.
const SECRET: &str = "canary-value";

/// The smallest document with something at that field; `None` where a key is more than plain, since
/// it may then stand for a pattern or an index as well.
fn document_with(field: &str) -> Option<Value> {
    let keys: Vec<&str> = field.strip_prefix('/')?.split('/').collect();
    let plain = |key: &&str| !key.is_empty() && key.bytes().all(|it| it.is_ascii_alphabetic());
    if keys.len() > 20 || !keys.iter().all(plain) {
        return None;
    }
    let around = |inner, key: &&str| json!({ *key: inner });
    Some(keys.iter().rev().fold(SECRET.into(), around))
}
