//! Reading any text: never a panic, back exactly as it went in, all ways of reading agree.
#![no_main]

use cloakroom_coordinates::openmetadata::parse_tags;
use cloakroom_coordinates::{Coordinate, Grammar, MAX_LENGTH, Reading};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let grammar = Grammar::default();
    let reading = grammar.read(text);
    assert_eq!(reading.text(), text);
    match reading {
        Reading::External(_) => assert!(grammar.coordinate(text).is_err()),
        Reading::Managed(it) => {
            assert_eq!(
                grammar
                    .managed(it.scope(), it.owner(), it.secret(), it.version())
                    .as_str(),
                text
            );
        }
        Reading::Legacy(it) => assert_eq!(format!("{}_v{}", it.base(), it.version()), text),
    }
    if reading.is_ours() {
        let read = grammar.coordinate(text).expect("ours");
        let stored = Coordinate::from_stored(text).expect("what is ours can be stored");
        assert_eq!(
            (read.scope(), read.owner(), read.base()),
            (stored.scope(), stored.owner(), stored.base())
        );
    }
    if let Ok(stored) = Coordinate::from_stored(text) {
        assert!(
            text.len() <= MAX_LENGTH
                && text
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || b"_-".contains(&it))
        );
        assert_eq!(format!("{}_v{}", stored.base(), stored.version()), text);
        let json = serde_json::to_string(&stored).expect("a string");
        assert_eq!(
            serde_json::from_str::<Coordinate>(&json).expect("a coordinate"),
            stored
        );
        if let Ok(next) = stored.next_version() {
            assert!(next > stored);
            assert_eq!(Coordinate::from_stored(next.as_str()).as_ref(), Ok(&next));
        }
    }
    if let Ok(grammar) = Grammar::new(text) {
        assert!(!grammar.read(text).is_ours());
    }
    parse_tags(text);
});
