//! The names that coordinates have in a vault.
//!
//! A vault's names are 1 to 127 of letters, digits and dashes, in which case does not count. What
//! Airbyte usually writes is named as Airbyte names it, with `-` for `_`; every other coordinate by
//! its hash, so that no two share a name.

use std::fmt::Write as _;

use cloakroom_core::Coordinate;
use cloakroom_core::capabilities::{Characters, CoordinateName, NameRules, NameShape};
use sha2::{Digest as _, Sha256};

/// The names of secrets, as Microsoft's page on objects of a vault has them.
pub(crate) const NAMES: NameRules = NameRules {
    characters: Characters::letters_digits_and("-"),
    longest: 127,
    shape: NameShape::Plain,
    reserved: &[],
    case_counts: false,
    respelled: &[('_', '-')],
    coordinate: CoordinateName::InTheMark,
};

/// `<uuid>_secret_<uuid>`, where dashes belong to the ids.
const IDS: usize = 36 + "_secret_".len() + 36;
/// Of a hashed coordinate's text, for the person who meets it in the portal.
const READABLE: usize = 40;

/// The name of the secret that holds `coordinate`, under a prefix of a vault's own letters: at most 127 letters,
/// digits and dashes, lower case throughout. No two coordinates share one.
pub fn name_of(prefix: &str, coordinate: &Coordinate) -> String {
    plain(coordinate)
        .filter(|plain| prefix.len() + plain.len() <= NAMES.longest)
        .map_or_else(
            || format!("{prefix}{}", hashed(coordinate)),
            |plain| format!("{prefix}{plain}"),
        )
}

/// `None` where dashes for underscores would lose something: a dash outside of the ids, upper case,
/// or no ids at all.
fn plain(coordinate: &Coordinate) -> Option<String> {
    let text = coordinate.as_str();
    if !coordinate.is_managed() || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let base = coordinate.base();
    let before_ids = base.get(..base.len().checked_sub(IDS)?)?;
    (!before_ids.contains('-')).then(|| text.replace('_', "-"))
}

/// Never like a plain one, whose last part is a `v` and a number.
fn hashed(coordinate: &Coordinate) -> String {
    let text = coordinate.as_str();
    let mut name: String = text
        .chars()
        .take(READABLE)
        .map(|char| match char.to_ascii_lowercase() {
            '_' => '-',
            other => other,
        })
        .collect();
    name.push('-');
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use cloakroom_core::coordinates::MAX_LENGTH;
    use proptest::prelude::*;

    use super::*;
    use crate::settings::LONGEST_PREFIX;

    const IDS: &str =
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6_secret_0191d3f0-0000-7000-8000-0000000000ff";

    fn coordinate(text: &str) -> Coordinate {
        Coordinate::from_stored(text).unwrap()
    }

    /// The coordinate a plain name came from: what shows that there is only one.
    fn unplain(name: &str) -> Option<String> {
        let (base, version) = name.rsplit_once("-v")?;
        let (before, ids) = base.split_at(base.len().checked_sub(super::IDS)?);
        let (owner, secret) = (&ids[..36], &ids[44..]);
        (&ids[36..44] == "-secret-").then(|| {
            format!(
                "{}{owner}_secret_{secret}_v{version}",
                before.replace('-', "_")
            )
        })
    }

    #[test]
    fn what_airbyte_writes_has_airbytes_name() {
        let name = name_of("", &coordinate(&format!("airbyte_workspace_{IDS}_v12")));
        assert_eq!(
            name,
            format!("airbyte_workspace_{IDS}_v12").replace('_', "-")
        );
        let name = name_of("team-", &coordinate("airbyte_old_v2"));
        assert!(name.starts_with("team-airbyte-old-v2-"), "{name}");
        assert_eq!(name.len(), "team-airbyte-old-v2-".len() + 64);
    }

    #[test]
    fn hard_coordinates_have_names_of_their_own() {
        let mut seen = HashMap::new();
        let mut hard = cloakroom_testkit::conformance::names::hard();
        for text in [
            format!("airbyte_workspace_{IDS}_v1"),
            format!("airbyte-workspace_{IDS}_v1"),
            format!("Airbyte_workspace_{IDS}_v1"),
            format!("x_rsm_ORGANIZATION_{IDS}_v1"),
            format!("x_rsm_organization_{IDS}_v1"),
            format!("airbyte_storage_organization{IDS}_v1"),
        ] {
            hard.push(coordinate(&text));
        }
        for coordinate in hard {
            let name = name_of("p-", &coordinate);
            if let Some(other) = seen.insert(name.clone(), coordinate.clone()) {
                panic!("{other} and {coordinate} are both {name}");
            }
        }
    }

    fn coordinates() -> impl Strategy<Value = Coordinate> {
        let body = "[A-Ba-b0_-]{1,8}";
        let managed = (
            body,
            "(workspace_|organization_|rsm_ORGANIZATION_|storage_organization)",
        )
            .prop_map(|(prefix, scope)| format!("{prefix}_{scope}{IDS}"));
        let long = proptest::string::string_regex("[a-zA-Z0-9_-]{1,240}");
        prop_oneof![
            body.prop_map(String::from),
            managed,
            long.expect("a valid expression"),
        ]
        .prop_flat_map(|base| (Just(base), 0_u32..12))
        .prop_filter_map("a coordinate", |(base, version)| {
            Coordinate::from_stored(&format!("{base}_v{version}")).ok()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn no_two_coordinates_share_a_name(one in coordinates(), other in coordinates()) {
            prop_assert_eq!(name_of("p-", &one) == name_of("p-", &other), one == other);
        }

        #[test]
        fn every_coordinate_has_a_name(one in coordinates()) {
            prop_assert!(one.as_str().len() <= MAX_LENGTH);
            for prefix in [String::new(), "p".repeat(LONGEST_PREFIX)] {
                let name = name_of(&prefix, &one);
                prop_assert_eq!(NAMES.check(&name), Ok(()), "{}", name);
                prop_assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()), "{}", name);
            }
        }

        #[test]
        fn a_plain_name_can_be_read_back(one in coordinates()) {
            if let Some(plain) = plain(&one) {
                let text = unplain(&plain);
                prop_assert_eq!(text.as_deref(), Some(one.as_str()));
            }
        }
    }
}
