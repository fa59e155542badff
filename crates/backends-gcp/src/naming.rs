//! Coordinates as ids of secrets, and back.

use cloakroom_core::Coordinate;
use cloakroom_core::capabilities::{Characters, CoordinateName, NameRules, NameShape};

/// The most bytes of a prefix: it leaves room for 155 of a coordinate.
pub(crate) const LONGEST_PREFIX: usize = 100;
/// The ids of secrets, as the reference of `CreateSecret` has them.
pub(crate) const NAMES: NameRules = NameRules {
    characters: Characters::letters_digits_and("-_"),
    longest: 255,
    shape: NameShape::Plain,
    reserved: &[],
    case_counts: true,
    respelled: &[],
    coordinate: CoordinateName::Itself,
};

/// The id of a coordinate's secret: every coordinate spells one, since both are of `[A-Za-z0-9_-]`
/// and both are told apart by case. `None` where it would be too long.
pub(crate) fn id_of(prefix: &str, coordinate: &Coordinate) -> Option<String> {
    let id = format!("{prefix}{coordinate}");
    (id.len() <= NAMES.longest).then_some(id)
}

/// The coordinate of an id; `None` for a name that is none of ours.
pub(crate) fn coordinate_of(prefix: &str, id: &str) -> Option<Coordinate> {
    Coordinate::from_stored(id.strip_prefix(prefix)?).ok()
}

/// What a platform calls the secret of an id.
pub(crate) fn name_of<'a>(prefix: &str, id: &'a str) -> Option<&'a str> {
    id.strip_prefix(prefix).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_maps_there_and_back(
            prefix in "[A-Za-z0-9_-]{0,100}",
            one in "[A-Za-z0-9_-]{1,8}_v[1-9][0-9]{0,3}|[A-Za-z0-9_-]{140,149}_v[1-9][0-9]{0,3}",
            other in "[A-Za-z0-9_-]{1,6}_v[1-9]",
        ) {
            let coordinates = [one, other].map(|text| Coordinate::from_stored(&text).unwrap());
            let ids = coordinates.each_ref().map(|it| id_of(&prefix, it).unwrap());
            for (id, coordinate) in ids.iter().zip(&coordinates) {
                prop_assert_eq!(NAMES.check(id), Ok(()));
                let back = coordinate_of(&prefix, id);
                prop_assert_eq!(back.as_ref(), Some(coordinate));
            }
            prop_assert_eq!(ids[0] == ids[1], coordinates[0] == coordinates[1]);
        }
    }

    #[test]
    fn what_does_not_fit_is_not_cut() {
        let longest = Coordinate::from_stored(&format!("{}_v1", "a".repeat(252))).unwrap();
        assert!(id_of("", &longest).is_some());
        assert!(id_of("p", &longest).is_none());
    }

    #[test]
    fn others_names_are_none_of_ours() {
        assert!(coordinate_of("p-", "a_v1").is_none());
        assert!(coordinate_of("", "database-password").is_none());
    }
}
