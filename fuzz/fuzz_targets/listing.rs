//! Reading any page of any manager's listing: no panic, and what is told to be ours bears a mark of
//! its very name.
//!
//! The first byte chooses the manager: `0` Kubernetes, `1` Vault, `2` Google, `3` Azure's living,
//! `4` what waits for its deletion there, `5` AWS, where the first line is a name and each further
//! line is a tag, `key=text`.
#![no_main]

use cloakroom_backends_aws::fuzzing as aws;
use cloakroom_backends_azure::fuzzing as azure;
use cloakroom_backends_gcp::fuzzing as gcp;
use cloakroom_backends_kubernetes::fuzzing as kubernetes;
use cloakroom_backends_vault::fuzzing as vault;
use cloakroom_core::{Coordinate, Description, ErrorKind, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((chosen, page)) = input.split_first() else {
        return;
    };
    match chosen {
        b'0' => all_ours(kubernetes::listing(page).map(|page| page.secrets)),
        b'1' => {
            for now in [None, Some(Timestamp::UNIX_EPOCH), Some(Timestamp::MAX)] {
                all_ours(vault::listing(page, now));
            }
        }
        b'2' => {
            // A damaged mark is shown as none, so that it hides no other.
            for description in gcp::listing(page).unwrap_or_default() {
                is_sound(&description);
            }
        }
        b'3' => all_sound(azure::listing(page, false)),
        b'4' => all_sound(azure::listing(page, true)),
        b'5' => tagged(page),
        _ => {}
    }
});

fn all_ours(listed: cloakroom_core::Result<Vec<Description>>) {
    match listed {
        Ok(listed) => {
            for description in listed {
                assert!(description.mark.is_some(), "{description:?}");
                is_sound(&description);
            }
        }
        Err(error) => assert_ne!(error.kind(), ErrorKind::Missing, "{error}"),
    }
}

/// The same where a damaged mark is shown as none.
fn all_sound(listed: cloakroom_core::Result<Vec<Description>>) {
    match listed {
        Ok(listed) => listed.iter().for_each(is_sound),
        Err(error) => assert_ne!(error.kind(), ErrorKind::Missing, "{error}"),
    }
}

fn is_sound(description: &Description) {
    if let Some(mark) = &description.mark {
        assert_eq!(mark.coordinate, description.coordinate);
    }
}

fn tagged(page: &[u8]) {
    let Ok(text) = std::str::from_utf8(page) else {
        return;
    };
    let (name, rest) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(coordinate) = Coordinate::from_stored(name) else {
        return;
    };
    let pairs = rest.lines().filter_map(|line| line.split_once('='));
    let tags: Vec<(String, String)> = pairs
        .map(|(key, text)| (key.to_owned(), text.to_owned()))
        .collect();
    if let Ok(Some(mark)) = aws::tags(&coordinate, &tags) {
        assert_eq!(mark.coordinate, coordinate);
        // A mark that came from elsewhere may be longer than a tag of ours.
        if let Ok(written) = aws::to_tags(&mark) {
            assert_eq!(aws::tags(&coordinate, &written), Ok(Some(mark.clone())));
        }
        if let Ok(written) = aws::to_description(&mark) {
            assert_eq!(aws::description(&coordinate, &written), Ok(Some(mark)));
        }
    }
    if let Ok(Some(mark)) = aws::description(&coordinate, rest) {
        assert_eq!(mark.coordinate, coordinate);
    }
    let policies: Vec<String> = rest.lines().map(str::to_owned).collect();
    let _ = aws::expiry(&policies);
}
