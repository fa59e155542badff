//! The mark as labels and annotations.

use std::collections::BTreeMap;

use cloakroom_core::{Coordinate, Mark, Result};

use crate::names::{name_of, respelled};

/// Labels or annotations.
pub(crate) type Pairs = BTreeMap<String, String>;

/// What every key of ours begins with.
pub(crate) const PREFIX: &str = "cloakroom/";
/// The label of what is listed: its value is the store's id. It is the only place the id has, so
/// that a listing and a description cannot disagree about whose a secret is.
pub(crate) const STORE: &str = "cloakroom/store";
/// The annotation that tells which secret it is.
const COORDINATE: &str = "cloakroom/coordinate";
/// The label by which people and tools see who looks after a Secret.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const MANAGER: &str = "cloakroom";

/// Writes a mark: the store's id as a label, by which a listing selects, the rest as annotations,
/// since a label holds no more than 63 bytes.
pub(crate) fn write(mark: &Mark, labels: &mut Pairs, annotations: &mut Pairs) {
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    for (field, text) in mark.fields() {
        let key = key(field);
        if key == STORE {
            labels.insert(key, text);
        } else {
            annotations.insert(key, text);
        }
    }
}

/// Reads the mark of the Secret called `name`. A mark that names another coordinate came with a copy
/// of that other Secret: it says nothing about this one.
///
/// # Errors
/// `Corrupt` where the label is there and an annotation is not what was written.
pub(crate) fn read(name: &str, labels: &Pairs, annotations: &Pairs) -> Result<Option<Mark>> {
    let mark = Mark::from_fields(|field| {
        let key = key(field);
        let pairs = if key == STORE { labels } else { annotations };
        pairs.get(&key).map(String::as_str)
    })?;
    Ok(mark.filter(|mark| name_of(&mark.coordinate) == name))
}

/// The coordinate of the Secret called `name`, where it bears a mark, be that damaged, and mark or name
/// still tell.
pub(crate) fn coordinate(name: &str, labels: &Pairs, annotations: &Pairs) -> Option<Coordinate> {
    labels.get(STORE)?;
    let texts = [annotations.get(COORDINATE).cloned(), Some(respelled(name))];
    let coordinates = texts.into_iter().flatten();
    let mut coordinates = coordinates.filter_map(|text| Coordinate::from_stored(&text).ok());
    coordinates.find(|coordinate| name_of(coordinate) == name)
}

/// The mark where it is this coordinate's.
pub(crate) fn of(coordinate: &Coordinate, mark: Option<Mark>) -> Option<Mark> {
    mark.filter(|mark| mark.coordinate == *coordinate)
}

fn key(field: &str) -> String {
    format!("{PREFIX}{field}")
}

#[cfg(test)]
mod tests {
    use cloakroom_core::keys::{KEY_BYTES, Key};
    use cloakroom_core::{Digest, ErrorKind, StoreId, ValueKind};
    use cloakroom_testkit::canary::marked;
    use uuid::Uuid;

    use super::*;

    fn mark() -> Mark {
        let coordinate = Coordinate::from_stored("airbyte_Some_thing_v1").unwrap();
        let value = marked("value");
        Mark {
            store: StoreId(Uuid::from_u128(7)),
            deployment: "Üsküdar, production".to_owned(),
            digest: Digest::of(
                &Key::derive([7; KEY_BYTES]),
                coordinate.base(),
                ValueKind::Text,
                &value,
            ),
            coordinate,
            intent: None,
        }
    }

    fn written() -> (String, Pairs, Pairs) {
        let (mut labels, mut annotations) = (Pairs::new(), Pairs::new());
        write(&mark(), &mut labels, &mut annotations);
        (name_of(&mark().coordinate), labels, annotations)
    }

    #[test]
    fn a_mark_reads_as_it_was_written() {
        let (name, labels, annotations) = written();
        assert_eq!(read(&name, &labels, &annotations).unwrap(), Some(mark()));
    }

    #[test]
    fn labels_are_what_kubernetes_takes() {
        let (_, labels, _) = written();
        assert!(labels.contains_key(STORE));
        for value in labels.values() {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            assert!(value.len() <= 63 && value.bytes().all(allowed), "{value}");
        }
    }

    #[test]
    fn without_the_label_there_is_no_mark() {
        let (name, mut labels, annotations) = written();
        labels.remove(STORE);
        assert_eq!(read(&name, &labels, &annotations).unwrap(), None);
    }

    #[test]
    fn a_damaged_mark_is_told_from_none() {
        for key in [
            "cloakroom/deployment",
            "cloakroom/coordinate",
            "cloakroom/digest",
        ] {
            let (name, labels, mut annotations) = written();
            assert!(annotations.remove(key).is_some());
            let error = read(&name, &labels, &annotations).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn a_copy_under_another_name_bears_no_mark() {
        let (name, labels, annotations) = written();
        let copy = format!("{name}-copy");
        assert_eq!(read(&copy, &labels, &annotations).unwrap(), None);
    }
}
