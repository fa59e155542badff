//! Ids and numbers that follow from a seed, each for itself, in any order.

use uuid::Uuid;

/// What an id is of: two kinds never share one.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Organization,
    Workspace,
    Connector,
    Connection,
    Definition,
    SpecVersion,
    Secret,
    Version,
    Config,
    Reference,
    Unused,
    Catalog,
    Builder,
    Oauth,
}

/// A random-looking UUID of version 4.
pub(super) fn uuid(seed: u64, kind: Kind, index: u64) -> Uuid {
    let high = number(seed, kind, index);
    let low = scrambled(high ^ index);
    uuid::Builder::from_random_bytes(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
        .into_uuid()
}

/// A random-looking number.
pub(super) fn number(seed: u64, kind: Kind, index: u64) -> u64 {
    scrambled(scrambled(seed ^ ((kind as u64) << 48)).wrapping_add(index))
}

/// The finishing step of the generator known as SplitMix64.
fn scrambled(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
