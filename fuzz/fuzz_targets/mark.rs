//! Reading any mark as a listing brings it: no panic, and what is read is what would be written.
//!
//! Each line is a field, `name=text`.
#![no_main]

use cloakroom_core::{Digest, ErrorKind, Mark};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let fields: Vec<(&str, &str)> = text
        .split('\n')
        .filter_map(|line| line.split_once('='))
        .collect();
    let find = |name: &str| {
        let mut found = fields.iter().filter(|(field, _)| *field == name);
        found.next().map(|(_, text)| *text)
    };
    match Mark::from_fields(find) {
        Ok(None) => assert!(find("store").is_none(), "a store id makes it ours"),
        Ok(Some(mark)) => {
            let written = mark.fields();
            let read = Mark::from_fields(|name| {
                let mut found = written.iter().filter(|(field, _)| *field == name);
                found.next().map(|(_, text)| text.as_str())
            });
            assert_eq!(read.expect("it was written"), Some(mark.clone()));
            assert_eq!(find("coordinate"), Some(mark.coordinate.as_str()));
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
    }
    if let Ok(digest) = text.parse::<Digest>() {
        let written = digest.to_string();
        assert_eq!(written.parse::<Digest>().expect("it was written"), digest);
    }
});
