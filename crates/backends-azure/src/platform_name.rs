//! The names that a platform's secrets have in a vault, and what of them can be turned back.
//!
//! Airbyte writes `-` for each `_`, and case does not count in a vault. So a name says where its
//! underscores were only where its shape does: scope, owner, `secret`, id and version each at its
//! place.

use cloakroom_core::Scope;
use cloakroom_core::coordinates::DEFAULT_PREFIX;

use crate::name::NAMES;

const UUID: usize = 36;
const BETWEEN: &str = "-secret-";

/// The name in the vault of what a platform calls `name`; `None` where no secret can have it.
pub(crate) fn in_vault(prefix: &str, name: &str) -> Option<String> {
    NAMES.written(prefix, name).ok()
}

/// What a platform calls the secret of this name in the vault; `None` for one outside of the prefix.
pub(crate) fn in_listing(prefix: &str, written: &str) -> Option<String> {
    let as_it_is = || {
        let name = written.strip_prefix(prefix)?;
        (!name.is_empty()).then(|| name.to_owned())
    };
    of_airbyte(prefix, written).or_else(as_it_is)
}

/// What Airbyte calls the secret of this name in the vault, with its version or without; `None`
/// where the shape does not tell.
fn of_airbyte(prefix: &str, written: &str) -> Option<String> {
    let text = written.strip_prefix(prefix)?;
    let (base, version) = match text.rsplit_once("-v") {
        Some((base, digits)) => (base, format!("_v{}", number(digits)?)),
        None => (text, String::new()),
    };
    let (rest, secret) = base.split_at_checked(base.len().checked_sub(UUID)?)?;
    let rest = rest.strip_suffix(BETWEEN)?;
    let (scope, owner) = rest.split_at_checked(rest.len().checked_sub(UUID)?)?;
    if !is_uuid(owner) || !is_uuid(secret) {
        return None;
    }
    let scope = Scope::ALL
        .iter()
        .map(|scope| format!("{DEFAULT_PREFIX}{}", scope.as_written()))
        .find(|it| in_vault("", it).as_deref() == Some(scope))?;
    Some(format!("{scope}{owner}_secret_{secret}{version}"))
}

/// A version as it is always written.
fn number(digits: &str) -> Option<i64> {
    let number = digits.parse().ok().filter(|number| *number > 0)?;
    (i64::to_string(&number) == digits).then_some(number)
}

fn is_uuid(text: &str) -> bool {
    let right = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    };
    text.len() == UUID && text.bytes().enumerate().all(right)
}

#[cfg(test)]
mod tests {
    use cloakroom_core::Grammar;
    use cloakroom_core::coordinates::Version;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const IDS: &str =
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6-secret-0191d3f0-0000-7000-8000-0000000000ff";

    #[test]
    fn other_shapes_are_left_as_they_are() {
        for foreign in [
            "",
            "airbyte",
            "airbyte-v1",
            "airbyte-oldsecretfullcoordinate-v2",
            &format!("{IDS}-v1"),
            &format!("airbyte-{IDS}-v1"),
            &format!("airbyte-team-{IDS}-v1"),
            &format!("airbyte-workspace{IDS}-v1"),
            &format!("airbyte-workspace-{IDS}-v0"),
            &format!("airbyte-workspace-{IDS}-v01"),
            &format!("airbyte-workspace-{IDS}-v+1"),
            &format!("airbyte-workspace-{IDS}-v"),
            &format!("airbyte-workspace-{IDS}-v1-v1"),
            &format!("airbyte-workspace-{IDS}-v9223372036854775808"),
            &format!("airbyte-workspace-{}-v1", IDS.replace("11d0", "11g0")),
            &format!(
                "airbyte-workspace-{}-v1",
                IDS.replace("-secret-", "-secrets-")
            ),
            &format!("ä{IDS}-v1"),
            "openmetadataprod-database-mysql-test-authtype-password",
        ] {
            assert_eq!(of_airbyte("", foreign), None, "{foreign}");
        }
        let known = format!("airbyte-workspace-{IDS}-v1");
        assert!(of_airbyte("", &known).is_some());
        assert_eq!(of_airbyte("team-", &known), None);
        assert_eq!(in_listing("", &known), of_airbyte("", &known));
        assert_eq!(in_listing("team-", &known), None);
        let other = "openmetadataprod-database-mysql-test-authtype-password";
        assert_eq!(in_listing("", other).as_deref(), Some(other));
        assert_eq!(in_listing(other, other), None);
    }

    #[test]
    fn what_a_vault_would_refuse_has_no_name() {
        for name in ["", "a b", "a/b", "ä", "a.b", &"x".repeat(128)] {
            assert_eq!(in_vault("", name), None, "{name}");
        }
        assert_eq!(in_vault("", &"x".repeat(127)).unwrap().len(), 127);
        assert_eq!(in_vault("p-", &"x".repeat(126)), None);
        assert_eq!(in_vault("p-", "a_B-c").as_deref(), Some("p-a-b-c"));
    }

    proptest! {
        #[test]
        fn whatever_airbyte_writes_comes_back(
            at in 0..Scope::ALL.len(),
            owner in any::<u128>(),
            secret in any::<u128>(),
            version in 1_i64..1_000_000,
            prefix in "[a-z0-9-]{0,10}",
        ) {
            let (owner, secret) = (Uuid::from_u128(owner), Uuid::from_u128(secret));
            let version = Version::new(version).unwrap();
            let coordinate = Grammar::default().managed(Scope::ALL[at], owner, secret, version);
            for name in [coordinate.as_str(), coordinate.base()] {
                let written = in_vault(&prefix, name).unwrap();
                let back = of_airbyte(&prefix, &written);
                prop_assert_eq!(back.as_deref(), Some(name));
            }
        }
    }
}
