//! What the fuzz target `listing` feeds with any text. The SDK alone reads AWS's answers; what it
//! leaves to be read are names, tags, descriptions and policies.

use cloakroom_core::{Coordinate, ErrorKind, Mark, Timestamp};

use crate::{mark_text, policy};

/// The mark that a secret of this name bears in its tags.
pub fn tags(coordinate: &Coordinate, tags: &[(String, String)]) -> Result<Option<Mark>, ErrorKind> {
    mark_text::of_tags(tags, coordinate).map_err(|failure| failure.kind())
}

/// The mark that a parameter of this name bears in its description.
pub fn description(coordinate: &Coordinate, text: &str) -> Result<Option<Mark>, ErrorKind> {
    mark_text::of_description(text, coordinate).map_err(|failure| failure.kind())
}

/// The mark as tags, as a put writes them.
pub fn to_tags(mark: &Mark) -> Result<Vec<(String, String)>, ErrorKind> {
    mark_text::to_tags(mark).map_err(|failure| failure.kind())
}

/// The mark as a description, as a put writes it.
pub fn to_description(mark: &Mark) -> Result<String, ErrorKind> {
    mark_text::to_description(mark).map_err(|failure| failure.kind())
}

/// When a parameter with these policies is deleted by AWS.
pub fn expiry(policies: &[String]) -> Option<Timestamp> {
    policy::expiry(policies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_bears_a_mark() {
        let corpus = include_str!("../../../fuzz/corpus/listing/aws");
        let (name, rest) = corpus[1..].split_once('\n').unwrap();
        let coordinate = Coordinate::from_stored(name).unwrap();
        let read: Vec<(String, String)> = rest
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .collect();
        let mark = tags(&coordinate, &read).unwrap().unwrap();
        assert_eq!(mark.coordinate, coordinate);
        let written = to_description(&mark).unwrap();
        assert_eq!(description(&coordinate, &written), Ok(Some(mark)));
        let policy = include_str!("../../../fuzz/corpus/listing/aws-policy");
        let policies: Vec<String> = policy.lines().map(str::to_owned).collect();
        assert!(expiry(&policies).is_some());
    }
}
