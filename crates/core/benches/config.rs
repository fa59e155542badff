//! Splitting, hydrating and masking a configuration of real size: 2 KB with 6 secrets. Each is
//! meant to take 10 µs at most, with the spec compiled.
#![allow(clippy::unwrap_used, reason = "nothing is measured without it")]

use std::hint::black_box;

use cloakroom_core::config::{
    Action, CompiledSpec, Held, Options, Previous, Revealed, array_digest, clear_text, hydrate,
    mask, parse_document, update,
};
use cloakroom_core::keys::Key;
use cloakroom_core::{BackendId, Coordinate, Digest, KeyRing, SecretJson};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};

fn spec() -> Value {
    let secret = json!({"type": "string", "airbyte_secret": true});
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "required": ["host", "database"],
        "properties": {
            "host": text, "port": {"type": "integer"}, "database": text, "username": text,
            "password": secret, "jdbc_url_params": text, "schemas": {"items": text},
            "ssl_mode": {"oneOf": [
                {"properties": {"mode": {"const": "disable"}}},
                {"properties": {"mode": {"const": "verify"}, "ca": secret, "client_key": secret}}
            ]},
            "tunnel_method": {"oneOf": [
                {"properties": {"tunnel_method": {"const": "NO_TUNNEL"}}},
                {"properties": {"tunnel_host": text, "tunnel_user": text, "ssh_key": secret}},
                {"properties": {"tunnel_host": text, "tunnel_user_password": secret}}
            ]},
            "replicas": {"items": {"properties": {"host": text, "password": secret}}},
            "streams": {"items": {"properties": {
                "name": text, "cursor": text, "columns": {"items": text}
            }}}
        }
    })
}

fn config() -> Value {
    let streams: Vec<_> = (0..8)
        .map(|index| {
            json!({
                "name": format!("public.orders_of_the_region_{index}"),
                "cursor": "updated_at",
                "columns": ["id", "customer_id", "updated_at", "amount"]
            })
        })
        .collect();
    json!({
        "host": "db.internal.example.com", "port": 5432, "database": "warehouse",
        "username": "reader", "password": "correct-horse-battery-staple",
        "jdbc_url_params": "connectTimeout=20", "schemas": ["public", "sales"],
        "ssl_mode": {
            "mode": "verify",
            "ca": format!("-----BEGIN CERTIFICATE-----\n{}\n-----END", "MIIB".repeat(60)),
            "client_key": format!("-----BEGIN KEY-----\n{}\n-----END", "MIIE".repeat(60))
        },
        "tunnel_method": {
            "tunnel_method": "SSH_KEY_AUTH", "tunnel_host": "bastion.example.com",
            "tunnel_user": "tunnel", "ssh_key": "-----BEGIN OPENSSH-----\nabc\n-----END"
        },
        "replicas": [
            {"host": "replica-0.example.com", "password": "replica-password-0"},
            {"host": "replica-1.example.com", "password": "replica-password-1"}
        ],
        "streams": streams
    })
}

fn bench(criterion: &mut Criterion) {
    let spec = CompiledSpec::compile(&spec()).unwrap();
    let config = config();
    let text = config.to_string();
    assert!((1_800..2_600).contains(&text.len()), "{}", text.len());
    let keys = KeyRing::new(vec![Key::derive([7; 32])]).unwrap();
    let options = Options::default();
    let split = |config: Value, previous| {
        update(
            &spec,
            SecretJson::new(config),
            previous,
            &keys,
            "document",
            &options,
        )
        .unwrap()
    };

    let first = split(config.clone(), None);
    assert_eq!(first.fields.len(), 6);
    let coordinates: Vec<_> = (0..6)
        .map(|index| {
            Coordinate::from_stored(&format!(
                "airbyte_workspace_024eaa40-75ae-4014-941d-b9e938c3a363\
             _secret_5675437d-ea6b-4f9a-9a0c-d7606600484{index}_v1"
            ))
            .unwrap()
        })
        .collect();
    let (mut held, mut values) = (Vec::new(), Vec::new());
    for (field, coordinate) in first.fields.iter().zip(&coordinates) {
        let Action::New { value, kind } = &field.action else {
            panic!("not new")
        };
        let key = keys.current();
        held.push(Held {
            pointer: field.pointer.clone(),
            backend: "main".parse::<BackendId>().unwrap(),
            coordinate: coordinate.clone(),
            kind: *kind,
            digest: Digest::of(key, coordinate.base(), *kind, value),
            array_digest: field
                .array_scope
                .as_deref()
                .map(|scope| array_digest(key, "document", scope, *kind, value)),
            damage: None,
            damaged: false,
        });
        values.push((field.pointer.clone(), *kind, value.clone()));
    }
    let blob = first.into_blob(&coordinates).unwrap();
    let masked = mask(&spec, blob.clone(), []).unwrap();
    let pointers: Vec<_> = held.iter().map(|held| held.pointer.as_str()).collect();
    let previous = Previous {
        blob: &blob,
        held: &held,
        spec: None,
    };

    // What is dropped is dropped outside of the measured time only where the caller would keep it.
    criterion.bench_function("split", |bencher| {
        bencher.iter_batched(
            || config.clone(),
            |config| split(config, None).into_blob(&coordinates).unwrap(),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("hydrate", |bencher| {
        let revealed = || {
            values
                .iter()
                .map(|(pointer, kind, value)| Revealed {
                    pointer: pointer.clone(),
                    kind: *kind,
                    value: value.clone(),
                })
                .collect::<Vec<_>>()
        };
        bencher.iter_batched(
            || (blob.clone(), revealed()),
            |(blob, revealed)| hydrate(blob, revealed).unwrap(),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("mask", |bencher| {
        bencher.iter_batched(
            || blob.clone(),
            |blob| mask(&spec, blob, pointers.iter().copied()).unwrap(),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("put the same again", |bencher| {
        bencher.iter_batched(
            || config.clone(),
            |config| {
                split(config, Some(previous))
                    .into_blob(&coordinates)
                    .unwrap()
            },
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("put the masked form", |bencher| {
        bencher.iter_batched(
            || masked.clone(),
            |config| {
                split(config, Some(previous))
                    .into_blob(&coordinates)
                    .unwrap()
            },
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("clear text", |bencher| {
        bencher.iter(|| clear_text(&spec, black_box(&blob)).unwrap());
    });
    criterion.bench_function("parse", |bencher| {
        bencher.iter(|| parse_document(black_box(text.as_bytes())).unwrap());
    });
    criterion.bench_function("compile", |bencher| {
        let spec = self::spec();
        bencher.iter(|| CompiledSpec::compile(black_box(&spec)).unwrap());
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
