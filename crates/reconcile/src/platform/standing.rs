//! How a listed secret stands, from what the scan says of its base.

use std::time::Duration;

use cloakroom_core::Timestamp;
use cloakroom_core::coordinates::Version;
use cloakroom_core::platform::{
    Evidence, MentionedName, Named, NamedSecret, PlatformNaming, Shape, Standing,
};

/// When something was last changed by the manager's clock, or made where that is all there is to know.
pub(super) fn last_changed(secret: &NamedSecret) -> Option<Timestamp> {
    secret.changed.or(secret.created)
}

/// Whether a moment is known to be at least `wait` before `now`.
pub(super) fn is_past(at: Option<Timestamp>, wait: Duration, now: Timestamp) -> bool {
    at.is_some_and(|at| {
        Duration::try_from(now.duration_since(at)).is_ok_and(|passed| passed >= wait)
    })
}

/// How a listed secret stands. Secrets of a check or discover are left `ephemeral` alone.
pub(super) fn standing_of(
    naming: &dyn PlatformNaming,
    evidence: &Evidence,
    ephemeral: Duration,
    now: Timestamp,
) -> Standing {
    let secret = &evidence.secret;
    let named = naming.read(&secret.name);
    let itself = evidence.mentions.iter().find(|it| it.name == secret.name);
    if secret.marked {
        return Standing::Marked;
    }
    if itself.is_some_and(|it| it.external) {
        return Standing::External;
    }
    let stand_for_it = |it: &&MentionedName| {
        it.name == secret.name
            // Whatever has no version may be read where any version was asked for.
            || named.version.is_none()
            || naming.read(&it.name).version.is_none()
    };
    let kept = |of: fn(&MentionedName) -> u64| {
        let mut meant = evidence.mentions.iter().filter(stand_for_it);
        meant.any(|it| of(it) > 0)
    };
    if kept(|it| it.kept) {
        return Standing::InUse;
    }
    if kept(|it| it.kept_by_removed) {
        return Standing::Tombstoned;
    }
    // Whoever made one version of a secret may have made them all.
    if evidence.mentions.iter().any(|it| it.external) {
        return Standing::External;
    }
    match (lowest_kept(naming, evidence), named.version) {
        (Some(_), Some(_)) if !is_this_databases(named, evidence) => Standing::Stranger,
        (Some(lowest), Some(version)) if version < lowest => Standing::Superseded,
        // Whoever holds the lowest version raises it by one, whatever others hold.
        (Some(_), Some(_)) => Standing::Ahead,
        _ => match unmentioned(named, evidence, ephemeral, now) {
            Standing::Orphaned if naming.is_of_deployed_jobs(&secret.name) => Standing::Deployed,
            standing => standing,
        },
    }
}

/// Whether what the database says of a base shows that its secrets are this database's. Any text may
/// mention a secret of somebody else's, and an index outlives the workspaces that a copy has lost.
fn is_this_databases(named: Named<'_>, evidence: &Evidence) -> bool {
    let of_an_owner = named.owner.is_some_and(|owner| !owner.is_nil()) && evidence.owner_known;
    of_an_owner || evidence.mentions.iter().any(|it| it.known && is_kept(it))
}

fn is_kept(mentioned: &MentionedName) -> bool {
    mentioned.kept + mentioned.kept_by_removed > 0
}

/// Whether a secret in use is this platform's to bring back, whoever handed it to deletion. Any text may
/// mention a secret of somebody else's workspace, whose own clean-up would delete it again, or one of a check,
/// which is meant to expire.
pub(super) fn is_to_be_brought_back(naming: &dyn PlatformNaming, evidence: &Evidence) -> bool {
    let owner = naming.read(&evidence.secret.name).owner;
    let may_go = owner.is_some_and(|owner| owner.is_nil() || !evidence.owner_known);
    !may_go || evidence.mentions.iter().any(|it| it.known && it.kept > 0)
}

/// Whether a secret that its user made has to be there: something that is not removed for good refers to it. What
/// only history mentions its user may have meant to take away.
pub(super) fn is_needed_of_a_user(naming: &dyn PlatformNaming, evidence: &Evidence) -> bool {
    let is_needed =
        |it: &MentionedName| it.referred > 0 || it.kept_by_removed > 0 && naming.brings_back();
    let name = &evidence.secret.name;
    evidence
        .mentions
        .iter()
        .any(|it| it.name == *name && is_needed(it))
}

/// The lowest version of its base that anything keeps.
fn lowest_kept(naming: &dyn PlatformNaming, evidence: &Evidence) -> Option<Version> {
    let kept = evidence.mentions.iter().filter(|it| is_kept(it));
    kept.filter_map(|it| naming.read(&it.name).version).min()
}

/// The standing of a secret of which nothing keeps any version.
fn unmentioned(
    named: Named<'_>,
    evidence: &Evidence,
    ephemeral: Duration,
    now: Timestamp,
) -> Standing {
    match (named.shape, named.owner) {
        (Shape::Other, _) => Standing::Unrelated,
        (_, Some(owner)) if owner.is_nil() => {
            if is_past(last_changed(&evidence.secret), ephemeral, now) {
                Standing::Ephemeral
            } else {
                Standing::Young
            }
        }
        _ if is_this_databases(named, evidence) => Standing::Orphaned,
        _ => Standing::Stranger,
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::SecretState;
    use cloakroom_core::coordinates::{Grammar, Scope};
    use uuid::Uuid;

    use super::super::naming::AirbyteNaming;
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn name(owner: Uuid, version: i64) -> String {
        let version = Version::new(version).unwrap();
        let secret = Uuid::from_u128(9);
        Grammar::default()
            .managed(Scope::Workspace, owner, secret, version)
            .as_str()
            .to_owned()
    }

    fn of(version: i64) -> String {
        name(Uuid::from_u128(1), version)
    }

    fn base() -> String {
        of(1).trim_end_matches("_v1").to_owned()
    }

    fn kept(name: String) -> MentionedName {
        MentionedName {
            name,
            kept: 1,
            kept_by_removed: 0,
            referred: 1,
            known: true,
            external: false,
            history: Vec::new(),
        }
    }

    fn removed(name: String) -> MentionedName {
        MentionedName {
            kept: 0,
            kept_by_removed: 1,
            referred: 0,
            ..kept(name)
        }
    }

    fn indexed(name: String) -> MentionedName {
        MentionedName {
            kept: 0,
            referred: 0,
            ..kept(name)
        }
    }

    fn listed(name: String, mentions: Vec<MentionedName>) -> Evidence {
        Evidence {
            secret: NamedSecret {
                name,
                marked: false,
                state: SecretState::Enabled,
                tags: None,
                native_expiry: None,
                created: Some(now() - HOUR * 5),
                changed: Some(now() - HOUR * 3),
                accessed: None,
                precondition: None,
            },
            first_seen: now(),
            unused_since: None,
            last_judged: now(),
            owner_known: true,
            mentions,
        }
    }

    fn judged(evidence: &Evidence) -> Standing {
        let naming = AirbyteNaming::new(Grammar::default());
        standing_of(&naming, evidence, HOUR * 2, now())
    }

    #[test]
    fn what_is_mentioned_is_in_use_and_its_neighbours_are_older_or_ahead() {
        let mentions = vec![kept(of(3))];
        assert_eq!(judged(&listed(of(3), mentions.clone())), Standing::InUse);
        assert_eq!(
            judged(&listed(of(2), mentions.clone())),
            Standing::Superseded
        );
        assert_eq!(judged(&listed(of(4), mentions)), Standing::Ahead);
    }

    #[test]
    fn between_two_kept_versions_the_lower_ones_holder_may_write() {
        let mentions = vec![kept(of(2)), kept(of(5))];
        assert_eq!(
            judged(&listed(of(1), mentions.clone())),
            Standing::Superseded
        );
        assert_eq!(judged(&listed(of(3), mentions.clone())), Standing::Ahead);
        assert_eq!(judged(&listed(of(6), mentions)), Standing::Ahead);
    }

    #[test]
    fn removed_rows_keep_their_secrets_too() {
        let mentions = vec![removed(of(2))];
        assert_eq!(
            judged(&listed(of(2), mentions.clone())),
            Standing::Tombstoned
        );
        assert_eq!(
            judged(&listed(of(1), mentions.clone())),
            Standing::Superseded
        );
        let both = vec![removed(of(2)), kept(of(2))];
        assert_eq!(judged(&listed(of(2), both)), Standing::InUse);
    }

    #[test]
    fn a_name_without_version_is_in_use_while_any_version_is() {
        assert_eq!(judged(&listed(base(), vec![kept(of(4))])), Standing::InUse);
        assert_eq!(
            judged(&listed(base(), vec![removed(of(4))])),
            Standing::Tombstoned
        );
        assert_eq!(
            judged(&listed(base(), vec![indexed(of(4))])),
            Standing::Orphaned
        );
        assert_eq!(judged(&listed(base(), Vec::new())), Standing::Orphaned);
    }

    #[test]
    fn a_mention_without_version_keeps_every_version() {
        let odd = format!("{}_v007", base());
        for mention in [base(), odd] {
            for version in [1, 7, 8] {
                let mentions = vec![kept(mention.clone())];
                assert_eq!(judged(&listed(of(version), mentions)), Standing::InUse);
            }
        }
    }

    #[test]
    fn an_index_alone_keeps_nothing() {
        let evidence = listed(of(1), vec![indexed(of(1))]);
        assert_eq!(judged(&evidence), Standing::Orphaned);
    }

    /// It lists what another installation made, where this database is a copy that lost its workspaces.
    #[test]
    fn an_index_alone_changes_no_standing() {
        let scoped = |scope, owner, version| {
            let version = Version::new(version).unwrap();
            let name = Grammar::default().managed(scope, owner, Uuid::from_u128(9), version);
            name.as_str().to_owned()
        };
        let owners = [Uuid::nil(), Uuid::from_u128(1)];
        let all = |version| {
            let of_scope = |scope| owners.map(|owner| scoped(scope, owner, version));
            let legacy = format!("airbyte_oldSecretFullCoordinate_v{version}");
            let names = Scope::ALL.into_iter().flat_map(of_scope);
            names.chain([legacy]).collect::<Vec<String>>()
        };
        for (first, second) in all(1).into_iter().zip(all(2)) {
            let base = first.trim_end_matches("_v1").to_owned();
            for owner_known in [false, true] {
                for name in [&first, &second, &base] {
                    for kept in [
                        None,
                        Some(in_prose(first.clone())),
                        Some(kept(second.clone())),
                    ] {
                        let mut evidence = listed(name.clone(), kept.into_iter().collect());
                        evidence.owner_known = owner_known;
                        let before = judged(&evidence);
                        let rows = [&first, &second, &base].map(|it| indexed(it.clone()));
                        evidence.mentions.extend(rows);
                        assert_eq!(judged(&evidence), before, "{name} {owner_known}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_unknown_owners_secret_is_another_deployments() {
        let mut evidence = listed(of(1), Vec::new());
        evidence.owner_known = false;
        assert_eq!(judged(&evidence), Standing::Stranger);
        // A legacy name tells no owner: only what this database says of it counts.
        let legacy = || "airbyte_oldSecretFullCoordinate_v2".to_owned();
        let mut evidence = listed(legacy(), Vec::new());
        evidence.owner_known = false;
        assert_eq!(judged(&evidence), Standing::Stranger);
        evidence.mentions = vec![indexed(legacy())];
        assert_eq!(judged(&evidence), Standing::Stranger);
        evidence.mentions = vec![kept(legacy().replace("_v2", "_v3"))];
        assert_eq!(judged(&evidence), Standing::Superseded);
    }

    fn in_prose(name: String) -> MentionedName {
        MentionedName {
            known: false,
            referred: 0,
            ..kept(name)
        }
    }

    fn by_a_user(name: String) -> MentionedName {
        MentionedName {
            known: false,
            external: true,
            ..kept(name)
        }
    }

    /// What anybody may write about tells nothing of who made the other versions.
    #[test]
    fn a_mention_proves_no_more_than_it_knows() {
        let legacy = |version| format!("airbyte_team_db_v{version}");
        let check = |version| name(Uuid::nil(), version);
        let stranger = |version| name(Uuid::from_u128(0xBAD), version);
        let names: [&dyn Fn(i64) -> String; 3] = [&legacy, &check, &stranger];
        for of in names {
            for version in [1, 3] {
                let mut evidence = listed(of(version), vec![in_prose(of(2))]);
                // Every installation has an organisation of the nil id.
                evidence.owner_known = of(1).contains(&Uuid::nil().to_string());
                assert_eq!(judged(&evidence), Standing::Stranger, "{}", of(version));
                evidence.mentions.push(by_a_user(of(2)));
                assert_eq!(judged(&evidence), Standing::External, "{}", of(version));
                evidence.mentions = vec![by_a_user(of(2)), kept(of(2))];
                assert_eq!(judged(&evidence), Standing::External, "{}", of(version));
                evidence.mentions = vec![in_prose(of(2)), kept(of(4))];
                let expected = match version {
                    1 => Standing::Superseded,
                    _ => Standing::Ahead,
                };
                assert_eq!(judged(&evidence), expected, "{}", of(version));
            }
        }
        // The owner alone tells it.
        let evidence = listed(of(1), vec![in_prose(of(2))]);
        assert_eq!(judged(&evidence), Standing::Superseded);
    }

    #[test]
    fn a_strangers_secret_is_brought_back_for_a_place_of_known_meaning_alone() {
        let naming = AirbyteNaming::new(Grammar::default());
        let legacy = "airbyte_oldSecretFullCoordinate_v2".to_owned();
        for (secret, owner_known, expected) in [
            (of(1), true, true),
            (of(1), false, false),
            // A check's is meant to go by itself, and every installation has an organisation of the nil id.
            (name(Uuid::nil(), 1), false, false),
            (name(Uuid::nil(), 1), true, false),
            // It tells no workspace that would know it as its own.
            (legacy, false, true),
        ] {
            let mut evidence = listed(secret.clone(), vec![in_prose(secret.clone())]);
            evidence.owner_known = owner_known;
            let brought_back = is_to_be_brought_back(&naming, &evidence);
            assert_eq!(brought_back, expected, "{secret}");
            evidence.mentions.push(kept(secret.clone()));
            assert!(is_to_be_brought_back(&naming, &evidence), "{secret}");
        }
    }

    #[test]
    fn a_check_lives_two_hours_by_the_managers_clock() {
        let mut evidence = listed(name(Uuid::nil(), 1), Vec::new());
        evidence.owner_known = false;
        assert_eq!(judged(&evidence), Standing::Ephemeral);
        evidence.secret.changed = Some(now() - HOUR * 2);
        assert_eq!(judged(&evidence), Standing::Ephemeral);
        evidence.secret.changed = Some(now() - HOUR * 2 + Duration::from_millis(1));
        assert_eq!(judged(&evidence), Standing::Young);
        evidence.secret.changed = Some(now() + HOUR);
        assert_eq!(judged(&evidence), Standing::Young, "a clock ahead of ours");
        evidence.secret.changed = None;
        assert_eq!(judged(&evidence), Standing::Ephemeral, "made 5 hours ago");
        evidence.secret.created = None;
        assert_eq!(judged(&evidence), Standing::Young, "of unknown age");
        evidence.mentions = vec![kept(evidence.secret.name.clone())];
        assert_eq!(judged(&evidence), Standing::InUse);
    }

    #[test]
    fn what_others_made_is_left_alone() {
        let own = || "my-own-secret".to_owned();
        let mut evidence = listed(own(), Vec::new());
        assert_eq!(judged(&evidence), Standing::Unrelated);
        evidence.mentions = vec![kept(own())];
        assert_eq!(judged(&evidence), Standing::InUse);
        evidence.mentions[0].external = true;
        assert_eq!(judged(&evidence), Standing::External);
        // A user may point at a secret that the platform named.
        let mut evidence = listed(of(1), vec![kept(of(2)), indexed(of(1))]);
        evidence.mentions[1].external = true;
        assert_eq!(judged(&evidence), Standing::External);
        evidence.secret.marked = true;
        assert_eq!(judged(&evidence), Standing::Marked);
    }
}
