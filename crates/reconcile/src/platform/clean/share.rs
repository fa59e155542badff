//! The share guard: how much of a platform's secrets, and of one workspace's, would go.

use std::collections::BTreeMap;

use cloakroom_core::platform::Standing;
use uuid::Uuid;

use super::super::{Judged, Pass};
use super::report::{CleanGuard, CleanGuardTrip};
use crate::settings::Settings;

/// Some secrets, and how many of them would go.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: u64,
    due: u64,
}

/// What the guard looks at. Secrets of checks and discovers are outside it: nothing ever referred to
/// them.
#[derive(Debug, Default)]
pub(super) struct Census {
    platform: Count,
    owners: BTreeMap<Uuid, Count>,
}

impl Census {
    pub(super) fn add(&mut self, pass: &Pass<'_>, judged: &Judged, due: bool) {
        let counts = judged.standing.is_the_platforms()
            && !matches!(judged.standing, Standing::Ephemeral | Standing::Young);
        if !counts {
            return;
        }
        let owner = pass.naming().read(judged.name()).owner;
        let owner = owner.map(|it| self.owners.entry(it).or_default());
        for count in [Some(&mut self.platform), owner].into_iter().flatten() {
            count.all += 1;
            count.due += u64::from(due);
        }
    }

    /// What the guard saw, if it steps in.
    pub(super) fn trip(&self, settings: &Settings, overridden: bool) -> Option<CleanGuardTrip> {
        let too_much = |it: &Count| {
            it.due >= settings.share_from && it.due as f64 > settings.largest_share * it.all as f64
        };
        let share = |it: &Count, whose: &str| {
            let percent = settings.largest_share * 100.0;
            format!(
                "{} of {} secrets{whose} would go, more than {percent:.0} %: look at the plan \
                 (`reconciler adopt`), then let one run past this with --override share",
                it.due, it.all
            )
        };
        let of_owner = || {
            let (owner, count) = self.owners.iter().find(|(_, count)| too_much(count))?;
            Some(share(count, &format!(" of workspace {owner}")))
        };
        let saw = if too_much(&self.platform) {
            Some(share(&self.platform, ""))
        } else {
            of_owner()
        };
        saw.map(|saw| CleanGuardTrip {
            guard: CleanGuard::Share,
            saw,
            overridden,
        })
    }
}
