//! What led to an error, for the log line of whoever handles it.

use std::error::Error as StdError;

/// The causes of an error in words, the nearest first; `None` where it has none.
pub(crate) fn causes(error: &dyn StdError) -> Option<String> {
    let mut words = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push(cause.to_string());
        next = cause.source();
    }
    (!words.is_empty()).then(|| words.join(": "))
}

#[cfg(test)]
mod tests {
    use cloakroom_core::{Error, ErrorKind};

    use super::*;

    #[test]
    fn causes_are_told_in_words_and_only_where_there_are_any() {
        let alone = || Error::new(ErrorKind::Unavailable, "describe", "no answer");
        assert_eq!(causes(&alone()), None);
        let refused = std::io::Error::other("connection refused");
        let inner = Error::new(ErrorKind::Unavailable, "ask", "away").with_source(refused);
        let told = causes(&alone().with_source(inner)).unwrap();
        assert!(told.ends_with("away: connection refused"), "{told}");
        assert!(!told.contains("Some("), "{told}");
    }
}
