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
    let entries = tag_entries(text);
    entries
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The entries of such a text one by one, in their order, keys and values; one key may come more than once.
///
/// ```
/// use cloakroom_coordinates::openmetadata::tag_entries;
///
/// let entries: Vec<_> = tag_entries("[team:data, team:,broken]").collect();
/// assert_eq!(entries, [("team", "data"), ("team", "")]);
/// ```
pub fn tag_entries(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let text = text.trim();
    let inner = text
        .strip_prefix('[')
        .and_then(|it| it.strip_suffix(']'))
        .unwrap_or(text);
    inner
        .split(',')
        .filter_map(|entry| entry.split_once(':'))
        .map(|(key, value)| (key.trim(), value.trim()))
        .filter(|(key, _)| !key.is_empty())
}
