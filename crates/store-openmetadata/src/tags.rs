//! The `tags` setting as OpenMetadata itself reads it, for recognising what it wrote.

use std::collections::BTreeMap;

use cloakroom_core::coordinates::openmetadata::{Manager, parse_tags};

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
/// one; on Kubernetes such a one is a label without a value.
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
/// ```
pub fn tags_as_written(manager: Manager, text: &str) -> BTreeMap<String, String> {
    let mut tags = parse_tags(text);
    if matches!(
        manager,
        Manager::Aws | Manager::AwsSsm | Manager::AzureKeyVault
    ) {
        tags.retain(|_, value| value.contains(|it| it != ':'));
        for value in tags.values_mut() {
            if let Some(second) = value.find(':') {
                value.truncate(second);
            }
        }
    }
    tags
}
