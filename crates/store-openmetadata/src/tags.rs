//! The `tags` setting as OpenMetadata itself reads it, for recognising what it wrote.

use std::collections::BTreeMap;

use cloakroom_core::coordinates::openmetadata::{Manager, parse_tags, tag_entries};

/// Whether a manager lists the tags of its secrets and OpenMetadata writes them there, so that a secret without them
/// is told for another deployment's by the listing alone.
pub fn lists_tags(manager: Manager) -> bool {
    matches!(
        manager,
        Manager::Aws | Manager::AzureKeyVault | Manager::Kubernetes
    )
}

/// The tags that OpenMetadata writes for a configured text `[key:value,…]`.
///
/// For AWS and Azure it takes the piece between the first colon and the second and no more, and skips an entry without
/// one; on Kubernetes such a one is a label without a value. Of entries of one key the last that it writes counts. On
/// Google it writes none.
///
/// ```
/// use cloakroom_store_openmetadata::{Manager, tags_as_written};
///
/// let text = "[team:data,url:http://x,broken,owner:]";
/// for manager in [Manager::Aws, Manager::AwsSsm, Manager::AzureKeyVault] {
///     let tags = tags_as_written(manager, text);
///     assert_eq!(tags["url"], "http");
///     assert!(!tags.contains_key("broken") && !tags.contains_key("owner"));
/// }
/// let labels = tags_as_written(Manager::Kubernetes, text);
/// assert_eq!((&*labels["url"], &*labels["owner"]), ("http://x", ""));
/// assert!(tags_as_written(Manager::Google, text).is_empty());
/// ```
pub fn tags_as_written(manager: Manager, text: &str) -> BTreeMap<String, String> {
    match manager {
        Manager::Aws | Manager::AwsSsm | Manager::AzureKeyVault => {
            let cut =
                tag_entries(text).filter_map(|(key, value)| Some((key, second_piece(value)?)));
            cut.map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect()
        }
        Manager::Kubernetes | Manager::OpenBao => parse_tags(text),
        Manager::Google => BTreeMap::new(),
    }
}

/// Of what stands behind an entry's first colon the part before the next; `None` where nothing but colons does.
fn second_piece(value: &str) -> Option<&str> {
    let (piece, _) = value.split_once(':').unwrap_or((value, ""));
    value.contains(|it| it != ':').then_some(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(manager: Manager, text: &str) -> Option<String> {
        tags_as_written(manager, text).remove("team")
    }

    /// It goes through the entries in their order, leaves out one that it cannot split, and lets a later one replace
    /// an earlier one.
    #[test]
    fn of_entries_of_one_key_the_last_that_is_written_counts() {
        for manager in [Manager::Aws, Manager::AwsSsm, Manager::AzureKeyVault] {
            for (text, written) in [
                ("[team:data,team:]", Some("data")),
                ("[team:data,team:::]", Some("data")),
                ("[team:data,team]", Some("data")),
                ("[team:,team:data]", Some("data")),
                ("[team:data,team:web:x]", Some("web")),
                ("[team:data,team::x]", Some("")),
                ("[team:,team]", None),
                ("team:data, team:web", Some("web")),
            ] {
                assert_eq!(
                    team(manager, text).as_deref(),
                    written,
                    "{manager:?} {text}"
                );
            }
        }
        assert_eq!(team(Manager::Google, "[team:data]"), None);
        for (text, written) in [
            ("[team:data,team:]", ""),
            ("[team:data,team]", "data"),
            ("[team:,team:web:x]", "web:x"),
        ] {
            let labelled = team(Manager::Kubernetes, text);
            assert_eq!(labelled.as_deref(), Some(written), "{text}");
        }
    }
}
