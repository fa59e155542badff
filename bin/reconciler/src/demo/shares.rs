//! How much of what was once referenced is due, by workspace and in all: the jobs refuse to delete more than a
//! share of it at once, and nobody edits so much in twelve days.

use std::collections::BTreeMap;

use cloakroom_core::WorkspaceId;
use cloakroom_reconcile::Settings;

/// Secrets that were once referenced, and which of them are due.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    all: u64,
    orphaned: u64,
    superseded: u64,
}

/// The shares of the workspaces and of the whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares {
    whole: Share,
    workspaces: BTreeMap<WorkspaceId, Share>,
}

impl Shares {
    /// A secret was referenced.
    pub(super) fn made(&mut self, workspace: WorkspaceId) {
        self.both(workspace, |share| share.all += 1);
    }

    /// A secret lost its last reference long ago.
    pub(super) fn due(&mut self, workspace: WorkspaceId, superseded: bool) {
        self.both(workspace, |share| {
            *(if superseded {
                &mut share.superseded
            } else {
                &mut share.orphaned
            }) += 1;
        });
    }

    /// Whether `secrets` more of the workspace may come due, whatever for, and no job refuses.
    pub(crate) fn allow(&self, workspace: WorkspaceId, secrets: u64, settings: &Settings) -> bool {
        let of_workspace = self.workspaces.get(&workspace).copied();
        [self.whole, of_workspace.unwrap_or_default()]
            .iter()
            .all(|share| share.allows(secrets, settings))
    }

    fn both(&mut self, workspace: WorkspaceId, count: impl Fn(&mut Share)) {
        count(&mut self.whole);
        count(self.workspaces.entry(workspace).or_default());
    }
}

impl Share {
    fn allows(&self, more: u64, settings: &Settings) -> bool {
        let (orphaned, superseded) = (self.orphaned + more, self.superseded + more);
        // What was orphaned is gone when the superseded ones are counted.
        let left = self.all.saturating_sub(orphaned);
        !settings.is_too_large_a_share(orphaned, self.all)
            && !settings.is_too_large_a_share(superseded, left)
    }
}
