//! What a coordinate is called in Kubernetes.

use cloakroom_core::Coordinate;
use cloakroom_core::capabilities::{Characters, CoordinateName, NameRules, NameShape};
use sha2::{Digest, Sha256};

/// The names of Secrets: DNS subdomains, as Kubernetes' page on object names has them.
pub(crate) const NAMES: NameRules = NameRules {
    characters: Characters::small_letters_digits_and("-."),
    longest: 253,
    shape: NameShape::Subdomain,
    reserved: &[],
    case_counts: true,
    respelled: &[],
    coordinate: CoordinateName::InTheMark,
};
/// As much of a coordinate as a hashed name repeats for the reader: together with the hash it is
/// still a name.
const HINT: usize = 150;

/// The name of the Secret that holds `coordinate`.
///
/// Coordinates as Cloakroom writes them, in lower case, keep every character but `_`, which becomes
/// `.`. Any other (upper case, two joints in a row, more than 253 bytes) is named by its SHA-256
/// behind what can be spelled of it. No two coordinates share a name: the first kind ends with `.v`
/// and a number, the second never does.
///
/// ```
/// use cloakroom_backends_kubernetes::name_of;
/// use cloakroom_core::Coordinate;
///
/// let coordinate = Coordinate::from_stored("airbyte_my-db_password_v3").unwrap();
/// assert_eq!(name_of(&coordinate), "airbyte.my-db.password.v3");
/// let shouted = Coordinate::from_stored("airbyte_PASSWORD_v3").unwrap();
/// assert!(name_of(&shouted).starts_with("airbyte-password-v3.sha256-"));
/// ```
pub fn name_of(coordinate: &Coordinate) -> String {
    let text = coordinate.as_str();
    let dotted = text.replace('_', ".");
    if NAMES.check(&dotted).is_ok() {
        return dotted;
    }
    let hash = hex::encode(Sha256::digest(text.as_bytes()));
    match hint(text) {
        hint if hint.is_empty() => format!("sha256-{hash}"),
        hint => format!("{hint}.sha256-{hash}"),
    }
}

/// The text of the coordinate that has this name, unless the name is a hash.
pub(crate) fn respelled(name: &str) -> String {
    name.replace('.', "_")
}

fn hint(text: &str) -> String {
    let lower = text.to_ascii_lowercase().replace('_', "-");
    // Only ASCII stands in a coordinate, so any cut is between characters.
    let cut = &lower[..lower.len().min(HINT)];
    cut.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use cloakroom_testkit::conformance::names::hard;
    use proptest::prelude::*;

    use super::*;

    fn named(text: &str) -> String {
        name_of(&Coordinate::from_stored(text).unwrap())
    }

    /// The rule the API server holds names against.
    fn is_subdomain(name: &str) -> bool {
        let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_label = |label: &str| {
            let bytes = label.as_bytes();
            bytes.first().is_some_and(inner)
                && bytes.last().is_some_and(inner)
                && bytes.iter().all(|byte| inner(byte) || *byte == b'-')
        };
        name.len() <= 253 && name.split('.').all(is_label)
    }

    #[test]
    fn the_usual_shape_stays_readable() {
        let id = "0d4a6f0c-9f7e-4a11-8d0c-8f1b2f3c4d5e";
        assert_eq!(
            named(&format!("airbyte_workspace_{id}_secret_{id}_v12")),
            format!("airbyte.workspace.{id}.secret.{id}.v12")
        );
    }

    #[test]
    fn the_hard_ones_are_named_apart() {
        let mut names = HashMap::new();
        for coordinate in hard() {
            let name = name_of(&coordinate);
            assert!(is_subdomain(&name), "{coordinate}: {name}");
            if let Some(other) = names.insert(name.clone(), coordinate.clone()) {
                panic!("{coordinate} and {other} are both {name}");
            }
        }
    }

    #[test]
    fn a_name_is_never_another_coordinates_hash() {
        let hashed = named("x_A_v1");
        let (_, hash) = hashed.rsplit_once('.').unwrap();
        // The readable name that comes nearest.
        let near = named(&format!("x-a-v1_{hash}_v1"));
        assert_ne!(near, hashed);
        assert_eq!(near.rsplit_once('.').unwrap().1, "v1");
    }

    proptest! {
        #[test]
        fn every_coordinate_has_a_name_of_its_own(
            one in "[a-zA-Z0-9_-]{1,12}|[a-c_-]{1,6}|[a-zA-Z0-9_-]{240,252}",
            other in "[a-zA-Z0-9_-]{1,12}|[a-c_-]{1,6}|[a-zA-Z0-9_-]{240,252}",
            versions in (1_u8..20, 1_u8..20),
        ) {
            let read = |body: &str, version: u8| Coordinate::from_stored(&format!("{body}_v{version}"));
            let (Ok(one), Ok(other)) = (read(&one, versions.0), read(&other, versions.1)) else {
                return Ok(());
            };
            for coordinate in [&one, &other] {
                prop_assert!(is_subdomain(&name_of(coordinate)), "{}", name_of(coordinate));
                prop_assert_eq!(NAMES.check(&name_of(coordinate)), Ok(()));
            }
            prop_assert_eq!(name_of(&one) == name_of(&other), one == other);
        }

        #[test]
        fn the_rules_are_the_servers(name in "[a-cA0.-]{0,8}|[a-c.-]{250,256}") {
            prop_assert_eq!(NAMES.check(&name).is_ok(), is_subdomain(&name));
        }

        /// What differs in nothing but case and joints is where a mapping goes wrong.
        #[test]
        fn respelled_coordinates_are_apart(body in "[aA_-]{1,8}", spelling in "[aA_-]{1,8}") {
            let read = |body: &str| Coordinate::from_stored(&format!("x_{body}_v1"));
            if let (Ok(one), Ok(other)) = (read(&body), read(&spelling)) {
                prop_assert_eq!(name_of(&one) == name_of(&other), one == other);
            }
        }
    }
}
