//! The other platforms of the configuration, as far as a migration has to look out for what they use.

use std::sync::Arc;

use anyhow::bail;
use cloakroom_core::platform::PlatformSource;
use cloakroom_store_openmetadata::{Manager, OpenMetadataSource, OtherPlatform, Provider};

use crate::configuration::{OpenMetadata, Platform, share_ids, told_apart};
use crate::platform;
use crate::wiring::Context;

/// Those whose ids could be this one's in the place that is written to, or whose secrets are there. One that is both,
/// and that no tags tell from this one, is refused.
pub(super) fn others(
    context: &Context,
    (name, section): (&str, &OpenMetadata),
    place: &str,
) -> anyhow::Result<Vec<OtherPlatform>> {
    let written_to = context.configuration.backends.get(place);
    let Some(manager) = written_to.and_then(platform::manager) else {
        return Ok(Vec::new());
    };
    let there = context.backends.get(&place.parse()?)?.manager();
    let mut others = Vec::new();
    for (other, it) in &context.configuration.platforms {
        let Platform::OpenMetadata(it) = it else {
            continue;
        };
        // Of one database's schema both sections are one deployment.
        let is_itself = it.database == section.database && it.schema == section.schema;
        if other == name || is_itself {
            continue;
        }
        let is_there = context.backends.get(&it.backend.parse()?)?.manager() == there;
        let shares = share_ids(section, it, manager);
        if is_there && shares && !told_apart(section, it, manager) {
            bail!(
                "ids of platforms.{other} in {place} begin as those of platforms.{name} do, so that each would \
                 overwrite or delete the other's secrets there: give the deployments other prefixes or cluster names, \
                 or `tags` of their own where the manager lists them; or, where {other} has nothing in this manager, \
                 name another backend in its section"
            );
        }
        if is_there || shares {
            others.push(OtherPlatform {
                platform: other.clone(),
                source: source((other, it), section, manager).map_err(|error| format!("{error:#}")),
            });
        }
    }
    Ok(others)
}

/// Its database, read for the names of the platform that is migrated.
fn source(
    (other, it): (&str, &OpenMetadata),
    migrated: &OpenMetadata,
    manager: Manager,
) -> anyhow::Result<Arc<dyn PlatformSource>> {
    let mut lenient = it.clone();
    lenient.strict = false;
    let mut options = platform::openmetadata_options(other, &lenient)?;
    options.prefix.clone_from(&migrated.prefix);
    options.cluster.clone_from(&migrated.cluster);
    options.provider = Provider::Managed(manager);
    // What is left out of reports may refer to a secret all the same.
    options.leave_out.clear();
    Ok(Arc::new(OpenMetadataSource::new(options)?))
}
