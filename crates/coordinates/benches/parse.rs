//! How many coordinates a second one core reads, beside a straightforward peer.
#![allow(
    missing_docs,
    reason = "criterion's macros write undocumented functions"
)]

use std::hint::black_box;

use cloakroom_coordinates::{Coordinate, Grammar, Reading};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use uuid::Uuid;

const MANAGED: &str = "airbyte_workspace_024eaa40-75ae-4014-941d-b9e938c3a363_secret_5675437d-ea6b-4f9a-9a0c-d76066004841_v2";
const LEGACY: &str = "airbyte_oldSecretFullCoordinate_v2";
const EXTERNAL: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:airbyte_foo_v1";

/// What one would write first: splits, and the parsers of the libraries.
fn naive(text: &str) -> Option<(&str, Uuid, Uuid, i64)> {
    let (base, number) = text.strip_prefix("airbyte_")?.rsplit_once("_v")?;
    let version: i64 = number.parse().ok()?;
    let (left, secret) = base.split_once("_secret_")?;
    let (scope, owner) = left.rsplit_once('_')?;
    let (owner_id, secret_id) = (Uuid::parse_str(owner).ok()?, Uuid::parse_str(secret).ok()?);
    let canonical = version > 0
        && version.to_string() == number
        && owner_id.to_string() == owner
        && secret_id.to_string() == secret;
    canonical.then_some((scope, owner_id, secret_id, version))
}

fn parse(c: &mut Criterion) {
    let grammar = Grammar::default();
    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Elements(1));
    group.bench_function("managed", |b| {
        b.iter(|| grammar.read(black_box(MANAGED)));
    });
    group.bench_function("managed, with both ids", |b| {
        b.iter(|| match grammar.read(black_box(MANAGED)) {
            Reading::Managed(it) => Some((it.scope(), it.owner(), it.secret(), it.version())),
            _ => None,
        });
    });
    group.bench_function("managed, naive peer", |b| {
        b.iter(|| naive(black_box(MANAGED)));
    });
    group.bench_function("legacy", |b| {
        b.iter(|| grammar.read(black_box(LEGACY)));
    });
    group.bench_function("external", |b| {
        b.iter(|| grammar.read(black_box(EXTERNAL)));
    });
    group.bench_function("managed, owned", |b| {
        b.iter(|| grammar.coordinate(black_box(MANAGED)));
    });
    group.bench_function("managed, from stored", |b| {
        b.iter(|| Coordinate::from_stored(black_box(MANAGED)));
    });
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
