//! Whether a backend can hold a value under a name at all.

use cloakroom_core::{Capabilities, Coordinate, ErrorKind, SecretValue};

/// What of a secret the backend's limits do not allow; `None` where it fits.
pub(super) fn obstacle(
    capabilities: &Capabilities,
    coordinate: &Coordinate,
    value: &SecretValue,
) -> Option<(ErrorKind, String)> {
    let name = coordinate.as_str().len();
    if name > capabilities.longest_name {
        let message = format!(
            "its name has {name} bytes and the new backend takes {}",
            capabilities.longest_name
        );
        return Some((ErrorKind::TooLarge, message));
    }
    let length = value.len();
    if !(capabilities.least_bytes..=capabilities.most_bytes).contains(&length) {
        let message = format!(
            "its value has {length} bytes and the new backend takes {} to {}",
            capabilities.least_bytes, capabilities.most_bytes
        );
        return Some((ErrorKind::TooLarge, message));
    }
    if !capabilities.binary && value.expose_text().is_none() {
        let message = "its value is no text and the new backend keeps only text".to_owned();
        return Some((ErrorKind::Unsupported, message));
    }
    None
}
