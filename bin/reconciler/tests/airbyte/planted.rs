//! What is planted beside a generated database, and what a report has to make of it.

use cloakroom_core::coordinates::{Grammar, Scope, Version};
use cloakroom_testkit::airbyte::{Deployment, Field};
use uuid::Uuid;

use crate::managers::Kind;

/// Names in the manager, and the counts that follow from them.
#[derive(Debug, Default)]
pub struct Planted {
    pub names: Vec<String>,
    pub in_use: u64,
    pub tombstoned: u64,
    pub superseded: u64,
    pub ahead: u64,
    pub orphaned: u64,
    /// Of checks, which live two hours.
    pub young: u64,
    pub stranger: u64,
    pub unrelated: u64,
    pub dangling: u64,
    pub index_without_secret: u64,
}

/// Of these connectors one secret each is gone from the manager.
const DANGLING: [u32; 2] = [20, 21];

/// Of this one the first secret is there under a name without version, where older releases wrote so.
const BARE: u32 = 3;

pub fn plant(deployment: &Deployment, kind: Kind) -> Planted {
    let mut planted = Planted::default();
    for index in 0..deployment.connectors() {
        for field in Field::ALL {
            let bare = kind == Kind::Aws && index == BARE && field == Field::Password;
            of_connector(deployment, index, field, bare, &mut planted);
        }
    }
    let owner = deployment.workspaces().next().unwrap();
    for n in 0..37 {
        planted.names.push(name(owner, 1_000 + n, 1));
        planted.orphaned += 1;
    }
    // As older releases named secrets on AWS.
    for n in 0..3 {
        let named = name(owner, 1_500 + n, 1);
        planted.names.push(named.trim_end_matches("_v1").to_owned());
        planted.orphaned += 1;
    }
    for n in 0..25 {
        planted.names.push(name(Uuid::nil(), 2_000 + n, 1));
        planted.young += 1;
    }
    for n in 0..11 {
        planted
            .names
            .push(name(Uuid::from_u128(0xBAD), 3_000 + n, 1));
        planted.stranger += 1;
    }
    for n in 0..4 {
        planted.names.push(format!("team-secret-{n}"));
        planted.unrelated += 1;
    }
    planted.index_without_secret = deployment.only_in_the_index().count() as u64;
    planted
}

fn of_connector(
    deployment: &Deployment,
    index: u32,
    field: Field,
    bare: bool,
    planted: &mut Planted,
) {
    let secret = deployment.planted(index, field);
    let coordinate = secret.coordinate;
    if DANGLING.contains(&index) && field == Field::TunnelKey {
        planted.dangling += 1;
        return;
    }
    planted.names.push(if bare {
        coordinate.base().to_owned()
    } else {
        coordinate.as_str().to_owned()
    });
    if secret.tombstone {
        planted.tombstoned += 1;
    } else {
        planted.in_use += 1;
    }
    let version = coordinate.version().get();
    let mut other = |version: i64| {
        let version = Version::new(version).unwrap();
        let name = coordinate.with_version(version).unwrap();
        planted.names.push(name.as_str().to_owned());
    };
    if index.is_multiple_of(10) && version > 1 {
        other(version - 1);
        planted.superseded += 1;
    }
    if index % 50 == 1 && field == Field::ReplicaToken {
        other(version + 1);
        planted.ahead += 1;
    }
}

fn name(owner: Uuid, secret: u128, version: i64) -> String {
    let version = Version::new(version).unwrap();
    let secret = Uuid::from_u128(secret);
    let coordinate = Grammar::default().managed(Scope::Workspace, owner, secret, version);
    coordinate.as_str().to_owned()
}
