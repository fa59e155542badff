//! The `tags` setting: `[key1:value1,key2:value2]`.

use std::collections::BTreeMap;

/// Reads the `tags` of a configuration; an entry without a colon or without a key is skipped.
///
/// A value runs from the first colon to the next comma, so it may have colons itself. (OpenMetadata
/// does the same for Kubernetes, and cuts the value at its second colon for AWS and Azure.)
///
/// ```
/// use cloakroom_coordinates::openmetadata::parse_tags;
///
/// let tags = parse_tags("[team:data,url:http://x,broken]");
/// assert_eq!(tags.len(), 2);
/// assert_eq!(tags["url"], "http://x");
/// ```
pub fn parse_tags(text: &str) -> BTreeMap<String, String> {
    let text = text.trim();
    let inner = text
        .strip_prefix('[')
        .and_then(|it| it.strip_suffix(']'))
        .unwrap_or(text);
    inner
        .split(',')
        .filter_map(|entry| entry.split_once(':'))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .filter(|(key, _)| !key.is_empty())
        .collect()
}
