//! What a clean-up does with an unused secret, and when.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::platform::{Evidence, PlatformNaming, Standing};
use cloakroom_core::{Capabilities, DeleteMode, Timestamp};

use super::PlatformSettings;
use super::naming::touched;
use super::standing::{is_past, last_changed};

/// What is to be done with an unused secret now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// It waits for its deletion already.
    Waiting,
    /// No clean-up deletes it: why.
    Never(&'static str),
    /// Seen unused only once, or twice too soon after each other.
    SecondSighting,
    /// Changed too lately, or at a time that is not known.
    WithinGrace,
    /// Its deletion could not be taken back in time, so it waits until then.
    PutOff(Timestamp),
    /// It can go.
    Due(DeleteMode),
}

/// What rulings rest on.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    ephemeral: Duration,
    grace: Duration,
    horizon: Duration,
    capabilities: Capabilities,
    naming: Arc<dyn PlatformNaming>,
}

/// However short the horizon, a pass a day is often enough.
const A_DAY: Duration = Duration::from_hours(24);

const UNTOUCHED: &str = "its name is none that the platform makes: delete it by hand";
const NEVER_FREE: &str = "this manager keeps what it deletes, and the platform could not write the name \
                          again meanwhile";

impl Rules {
    pub(super) fn new(settings: &PlatformSettings, capabilities: &Capabilities) -> Self {
        Self {
            ephemeral: settings.ephemeral,
            grace: settings.grace,
            horizon: settings.backup_horizon,
            capabilities: capabilities.clone(),
            naming: Arc::clone(&settings.naming),
        }
    }

    /// How long a secret has to be unchanged before it is deleted so. Not every listing tells of a
    /// change, so what goes for good has to be as old as what it waits for.
    pub(super) fn grace(&self, standing: Standing, mode: DeleteMode) -> Duration {
        let grace = match standing {
            Standing::Ephemeral => self.ephemeral,
            _ => self.grace,
        };
        match mode {
            DeleteMode::Recoverable(_) => grace,
            DeleteMode::Final => grace.max(self.horizon),
        }
    }

    /// What to do with a secret that is unused; `now` is when the pass began.
    pub(super) fn ruling(&self, standing: Standing, evidence: &Evidence, now: Timestamp) -> Ruling {
        let secret = &evidence.secret;
        if secret.state.is_waiting() {
            return Ruling::Waiting;
        }
        if touched(&*self.naming, &secret.name).is_none() {
            return Ruling::Never(UNTOUCHED);
        }
        let Some((mode, wait)) = self.way(standing) else {
            return Ruling::Never(NEVER_FREE);
        };
        // This pass alone is one sighting.
        let before = evidence.unused_since.filter(|since| *since < now);
        let before = before.filter(|_| self.goes_on(standing, evidence, now));
        let first = before.unwrap_or(now);
        let until = first.checked_add(wait).unwrap_or(Timestamp::MAX);
        if until > now {
            Ruling::PutOff(until)
        } else if !is_past(before, self.capabilities.listing_lag, now) {
            Ruling::SecondSighting
        } else if !is_past(last_changed(secret), self.grace(standing, mode), now) {
            Ruling::WithinGrace
        } else {
            Ruling::Due(mode)
        }
    }

    /// Whether clean-ups delete it in the end, if nothing changes meanwhile.
    pub(super) fn goes_in_the_end(
        &self,
        standing: Standing,
        evidence: &Evidence,
        now: Timestamp,
    ) -> bool {
        let in_the_end = match standing {
            Standing::Young => Standing::Ephemeral,
            other => other,
        };
        let is_dated = last_changed(&evidence.secret).is_some();
        let never = |ruling| matches!(ruling, Ruling::Never(_));
        in_the_end.is_unused() && is_dated && !never(self.ruling(in_the_end, evidence, now))
    }

    /// Whether the time that an unused secret was seen so goes on with this pass. What waits must not be in
    /// use meanwhile, so passes have to come often enough to notice.
    pub(super) fn goes_on(&self, standing: Standing, evidence: &Evidence, now: Timestamp) -> bool {
        let waits = self.way(standing).is_some_and(|(_, wait)| !wait.is_zero());
        let longest = (self.horizon / 2).max(A_DAY);
        let unwatched = now.duration_since(evidence.last_judged).unsigned_abs();
        !waits || unwatched <= longest
    }

    /// How it is deleted, and how long after the first sighting: what is deleted for good, or can be
    /// brought back for less than the backup horizon, waits for the difference. `None` where it cannot
    /// be as it has to.
    pub(super) fn way(&self, standing: Standing) -> Option<(DeleteMode, Duration)> {
        let recovery = self.capabilities.recovery;
        match recovery {
            // The platform may write such a name again, and could not while the name waits.
            _ if standing == Standing::Ahead || !self.naming.has_versions() => {
                let can = self.capabilities.final_deletion || recovery.is_none();
                can.then_some((DeleteMode::Final, self.horizon))
            }
            Some(recovery) => {
                let window = self.horizon.clamp(recovery.shortest, recovery.longest);
                let left = self.horizon.saturating_sub(recovery.longest);
                Some((DeleteMode::Recoverable(window), left))
            }
            None => Some((DeleteMode::Final, self.horizon)),
        }
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::Grammar;
    use cloakroom_core::SecretState;
    use cloakroom_core::capabilities::{
        Calls, Characters, CoordinateName, ListOrder, NameRules, NameShape, NativeExpiry, Rates,
        Recovery,
    };
    use cloakroom_core::platform::NamedSecret;

    use super::super::naming::AirbyteNaming;
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const DAY: Duration = Duration::from_hours(24);

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn rules(recovery: Option<Duration>) -> Rules {
        Rules {
            ephemeral: HOUR * 2,
            grace: DAY,
            horizon: DAY * 7,
            capabilities: Capabilities {
                least_bytes: 0,
                most_bytes: 1,
                binary: true,
                longest_name: 512,
                names: NameRules {
                    characters: Characters::letters_digits_and("_-"),
                    longest: 512,
                    shape: NameShape::Plain,
                    reserved: &[],
                    case_counts: true,
                    respelled: &[],
                    coordinate: CoordinateName::Itself,
                },
                name_prefix: "".into(),
                put_batch: 1,
                get_batch: 1,
                describe_batch: 1,
                delete_batch: 1,
                native_expiry: NativeExpiry::Absent,
                recovery: recovery.map(|longest| Recovery {
                    shortest: HOUR,
                    longest,
                }),
                final_deletion: true,
                listing_lag: HOUR,
                list_order: ListOrder::Unspecified,
                create_only: true,
                describe_without_reading: true,
                delete_precondition: false,
                rates: Rates::NONE,
                calls: Calls::ONE,
            },
            naming: Arc::new(AirbyteNaming::new(Grammar::default())),
        }
    }

    /// Unused and unchanged for long.
    fn evidence() -> Evidence {
        Evidence {
            secret: NamedSecret {
                name: "airbyte_old_v1".into(),
                marked: false,
                state: SecretState::Enabled,
                tags: None,
                native_expiry: None,
                created: Some(now() - DAY * 90),
                changed: Some(now() - DAY * 60),
                accessed: None,
                precondition: None,
            },
            first_seen: now() - DAY * 30,
            last_judged: now() - DAY,
            unused_since: Some(now() - DAY * 30),
            owner_known: true,
            mentions: Vec::new(),
        }
    }

    fn ruled(rules: &Rules, standing: Standing, change: impl Fn(&mut Evidence)) -> Ruling {
        let mut evidence = evidence();
        change(&mut evidence);
        rules.ruling(standing, &evidence, now())
    }

    #[test]
    fn every_condition_has_to_hold() {
        let rules = rules(Some(DAY * 30));
        let orphan = |change: &dyn Fn(&mut Evidence)| ruled(&rules, Standing::Orphaned, change);
        let due = Ruling::Due(DeleteMode::Recoverable(DAY * 7));
        assert_eq!(orphan(&|_| {}), due);
        let second = Ruling::SecondSighting;
        assert_eq!(orphan(&|it| it.unused_since = None), second);
        assert_eq!(orphan(&|it| it.unused_since = Some(now())), second);
        assert_eq!(
            orphan(&|it| it.unused_since = Some(now() - HOUR / 2)),
            second
        );
        assert_eq!(orphan(&|it| it.unused_since = Some(now() + HOUR)), second);
        assert_eq!(orphan(&|it| it.unused_since = Some(now() - HOUR)), due);
        let young = Ruling::WithinGrace;
        assert_eq!(orphan(&|it| it.secret.changed = Some(now() - HOUR)), young);
        assert_eq!(orphan(&|it| it.secret.changed = Some(now() + HOUR)), young);
        let unknown = |it: &mut Evidence| (it.secret.changed, it.secret.created) = (None, None);
        assert_eq!(orphan(&unknown), young);
        let waits = SecretState::ScheduledForDeletion { due: None };
        assert_eq!(orphan(&|it| it.secret.state = waits), Ruling::Waiting);
        let shapeless = orphan(&|it| it.secret.name = "airbyte_old".into());
        assert_eq!(shapeless, Ruling::Never(UNTOUCHED));
        let bare = "airbyte_workspace_024eaa40-75ae-4014-941d-b9e938c3a363_secret_\
                    5675437d-ea6b-4f9a-9a0c-d76066004841";
        assert_eq!(orphan(&|it| it.secret.name = bare.into()), due);
    }

    #[test]
    fn what_cannot_be_brought_back_waits_for_the_difference() {
        let day_old = |it: &mut Evidence| it.unused_since = Some(now() - DAY);
        let until = now() - DAY + DAY * 7;
        let never = rules(None);
        assert_eq!(
            ruled(&never, Standing::Superseded, day_old),
            Ruling::PutOff(until)
        );
        let good = Ruling::Due(DeleteMode::Final);
        assert_eq!(ruled(&never, Standing::Superseded, |_| {}), good);
        let short = rules(Some(DAY * 3));
        let until = now() - DAY + DAY * 4;
        assert_eq!(
            ruled(&short, Standing::Superseded, day_old),
            Ruling::PutOff(until)
        );
        let three_days = Ruling::Due(DeleteMode::Recoverable(DAY * 3));
        assert_eq!(ruled(&short, Standing::Superseded, |_| {}), three_days);
    }

    #[test]
    fn what_waits_begins_anew_where_nobody_looked_for_too_long() {
        let looked = |ago: Duration| move |it: &mut Evidence| it.last_judged = now() - ago;
        let second = Duration::from_secs(1);
        let good = Ruling::Due(DeleteMode::Final);
        let anew = Ruling::PutOff(now() + DAY * 7);
        let due = Ruling::Due(DeleteMode::Recoverable(DAY * 7));
        let lasting = rules(Some(DAY * 30));
        for (rules, standing) in [
            (&rules(None), Standing::Orphaned),
            (&lasting, Standing::Ahead),
        ] {
            assert_eq!(ruled(rules, standing, looked(DAY * 7 / 2)), good);
            assert_eq!(ruled(rules, standing, looked(DAY * 7 / 2 + second)), anew);
        }
        // What can be brought back for as long as the horizon waits for nothing.
        assert_eq!(ruled(&lasting, Standing::Orphaned, looked(DAY * 30)), due);
        // Once a day is often enough, however short the horizon.
        let mut short = rules(None);
        short.horizon = HOUR;
        assert_eq!(ruled(&short, Standing::Orphaned, looked(DAY)), good);
        let anew = Ruling::PutOff(now() + HOUR);
        assert_eq!(
            ruled(&short, Standing::Orphaned, looked(DAY + second)),
            anew
        );
    }

    #[test]
    fn ahead_is_put_off_and_final() {
        let mut rules = rules(Some(DAY * 30));
        let day_old = |it: &mut Evidence| it.unused_since = Some(now() - DAY);
        let until = now() - DAY + DAY * 7;
        assert_eq!(
            ruled(&rules, Standing::Ahead, day_old),
            Ruling::PutOff(until)
        );
        let good = Ruling::Due(DeleteMode::Final);
        assert_eq!(ruled(&rules, Standing::Ahead, |_| {}), good);
        let rewritten = |it: &mut Evidence| it.secret.changed = Some(now() - DAY * 3);
        assert_eq!(
            ruled(&rules, Standing::Ahead, rewritten),
            Ruling::WithinGrace
        );
        rules.capabilities.final_deletion = false;
        let never = ruled(&rules, Standing::Ahead, |_| {});
        assert_eq!(never, Ruling::Never(NEVER_FREE));
    }

    #[test]
    fn checks_have_a_grace_of_their_own() {
        let rules = rules(Some(DAY * 30));
        let changed = |it: &mut Evidence| it.secret.changed = Some(now() - HOUR * 3);
        let due = Ruling::Due(DeleteMode::Recoverable(DAY * 7));
        assert_eq!(ruled(&rules, Standing::Ephemeral, changed), due);
        assert_eq!(
            ruled(&rules, Standing::Orphaned, changed),
            Ruling::WithinGrace
        );
    }
}
