//! A platform that gives no versions and may write under any of its names again, as OpenMetadata does.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::platform::{
    Mention, MentionKind, NamedSecret, NamedSecrets as _, PlatformNaming, Standing,
};
use cloakroom_core::store::{Receipts as _, RunOutcome};
use cloakroom_core::{Capabilities, Clock as _, DeleteMode, SecretBackend as _, SecretValue};
use cloakroom_reconcile::{CleanReport, PlatformFindingKind as Kind};
use cloakroom_store_openmetadata::{DeploymentNames, FernetKeys, Options, Provider};
use cloakroom_testkit::memory::MemoryBackend;

use crate::adversary::Event;
use crate::costing::assert_true_in_the_end;
use crate::stage::{HOUR, Stage, mention};

const DAY: Duration = Duration::from_hours(24);

const IN_USE: &str = "/openmetadata/database/sales/authtype/password";
const REMOVED: &str = "/openmetadata/dashboard/looker/clientsecret";
const OWN: &str = "teams/own";
const ORPHAN: &str = "/openmetadata/bot/gone/config/jwttoken";
/// Under no name that this deployment could have made.
const UNRELATED: [&str; 3] = [
    "/openmetadata-2/database/x/password",
    "/openmetadata/unheard-of/x/password",
    "airbyte_old_v1",
];

fn naming(provider: &str, tags: &str) -> Arc<dyn PlatformNaming> {
    Arc::new(names(provider, tags))
}

fn names(provider: &str, tags: &str) -> DeploymentNames {
    let secret = |text: &str| SecretValue::from(text.to_owned());
    let keys = FernetKeys::parse(&secret("no_encryption_at_rest")).unwrap();
    let provider = Provider::from_name(provider).unwrap();
    let options = Options::new(secret("postgres://db/om"), keys, provider);
    DeploymentNames::new(&options, tags).unwrap()
}

fn field(name: &str) -> Mention {
    Mention {
        kind: MentionKind::Service,
        workspace: None,
        ..mention(name)
    }
}

fn kept() -> impl Iterator<Item = &'static str> {
    [IN_USE, REMOVED, OWN].into_iter().chain(UNRELATED)
}

/// One of each, a month old and seen once.
async fn deployed(capabilities: Capabilities, provider: &str, tags: &str) -> Stage {
    let stage = Stage::of(capabilities, naming(provider, tags)).await;
    stage.write(kept().chain([ORPHAN]).map(str::to_owned));
    let external = provider != "managed-aws";
    for name in [IN_USE, REMOVED] {
        let mut mention = field(name);
        (mention.tombstone, mention.external) = (name == REMOVED, external);
        stage.mention(mention);
    }
    let mut own = field(OWN);
    own.external = true;
    stage.mention(own);
    stage.clock.advance(DAY * 30);
    stage.pass().await.unwrap();
    stage.clock.advance(HOUR);
    stage
}

async fn managed() -> Stage {
    deployed(MemoryBackend::CAPABILITIES, "managed-aws", "").await
}

async fn assert_kept(stage: &Stage) {
    for name in kept() {
        assert!(stage.is_there(name).await, "{name} went");
    }
}

async fn after_the_horizon(stage: &Stage) -> CleanReport {
    stage.clean().await;
    stage.watch(DAY * 7).await;
    stage.clean().await
}

#[tokio::test]
async fn every_name_stands_as_the_deployment_made_it() {
    let stage = managed().await;
    let report = stage.pass().await.unwrap();
    assert!(report.is_complete(), "{:?}", report.obstacles);
    for (standing, expected) in [
        (Standing::InUse, 1),
        (Standing::Tombstoned, 1),
        (Standing::External, 1),
        (Standing::Orphaned, 1),
        (Standing::Unrelated, 3),
    ] {
        assert_eq!(report.count(standing), expected, "{standing}: {report:#?}");
    }
    assert_eq!(report.listed, 7);
    // What was deleted softly goes on needing its secret: nothing is amiss.
    assert_eq!(report.findings.get(&Kind::HeldByRemoved), None);
    let owner = report.owners.iter().find(|it| it.removed.is_some());
    assert_eq!(owner.unwrap().title.as_deref(), Some("/openmetadata/"));
}

#[tokio::test]
async fn what_may_be_written_again_waits_out_the_horizon_and_goes_for_good() {
    for recovery in [MemoryBackend::CAPABILITIES.recovery, None] {
        let capabilities = Capabilities {
            recovery,
            ..MemoryBackend::CAPABILITIES
        };
        let stage = deployed(capabilities, "managed-aws", "").await;
        stage.adopt().await;
        let early = stage.clean().await;
        assert_eq!((early.deleted(), early.next.put_off), (0, 1));
        // It is written again, and nothing mentions it yet: it waits anew.
        stage.write([ORPHAN.to_owned()]);
        stage.watch(DAY * 7).await;
        assert_eq!(stage.clean().await.deleted(), 0);
        stage.watch(DAY * 7).await;
        let report = stage.clean().await;
        assert_eq!(report.outcome, RunOutcome::Done, "{report:#?}");
        let count = report.deletions[&Standing::Orphaned];
        assert_eq!((count.deleted, count.scheduled), (1, 0));
        assert!(!stage.is_there(ORPHAN).await);
        assert_kept(&stage).await;
        let receipts = stage.store.receipts_of(report.run, 0, 10).await.unwrap();
        assert_eq!(receipts[0].coordinate.as_str(), ORPHAN);
        assert_eq!(&*receipts[0].outcome, "deleted");
        stage.store.verify_receipts().await.unwrap();
    }
}

#[tokio::test]
async fn a_manager_that_keeps_what_it_deletes_never_blocks_a_name() {
    let capabilities = Capabilities {
        final_deletion: false,
        ..MemoryBackend::CAPABILITIES
    };
    let stage = deployed(capabilities, "managed-aws", "").await;
    stage.adopt().await;
    let report = after_the_horizon(&stage).await;
    assert_eq!((report.deleted(), report.next.left), (0, 1), "{report:#?}");
    assert!(stage.is_there(ORPHAN).await);
}

#[tokio::test]
async fn what_is_written_again_at_the_last_moment_is_left_alone() {
    let stage = managed().await;
    stage.adopt().await;
    stage.clean().await;
    stage.watch(DAY * 7).await;
    let (inner, clock) = (stage.manager.inner.clone(), stage.clock.clone());
    stage.manager.adversary.play(move |event| {
        if *event == Event::Describing(ORPHAN.to_owned()) {
            clock.advance(Duration::from_secs(1));
            let value = SecretValue::from("another".to_owned());
            inner.write_as_platform(ORPHAN, value).unwrap();
        }
    });
    let report = stage.clean().await;
    assert_eq!((report.total(|it| it.spared), report.deleted()), (1, 0));
    assert!(stage.is_there(ORPHAN).await);
}

#[tokio::test]
async fn what_users_make_is_never_deleted() {
    for provider in ["aws", "db"] {
        let stage = deployed(MemoryBackend::CAPABILITIES, provider, "").await;
        let plan = stage.cleaner().plan(100, &|_, _| {}).await.unwrap();
        assert_eq!(plan.items, []);
        stage.adopt().await;
        let report = after_the_horizon(&stage).await;
        assert_eq!(report.deleted(), 0, "{provider}: {report:#?}");
        assert!(stage.is_there(ORPHAN).await);
        assert_kept(&stage).await;
    }
}

/// What a user made, the others to be told apart from it, and whether a listing leaves it out.
async fn of_a_user(provider: &str, name: &str, left_out: bool) -> Stage {
    let stage = deployed(MemoryBackend::CAPABILITIES, provider, "").await;
    stage.write([name.to_owned()]);
    if left_out {
        stage.manager.leave_out(name);
    }
    stage.adopt().await;
    stage
}

fn own(name: &str, kind: MentionKind, tombstone: bool) -> Mention {
    Mention {
        external: true,
        kind,
        tombstone,
        ..field(name)
    }
}

/// Where a clean-up changes nothing, a report is all that tells of it.
#[tokio::test]
async fn what_users_made_and_is_going_is_told_and_never_touched() {
    let name = "teams_own_v1";
    for (provider, left_out) in [
        ("aws", false),
        ("aws", true),
        ("managed-aws", false),
        ("managed-aws", true),
    ] {
        let stage = of_a_user(provider, name, left_out).await;
        stage.mention(own(name, MentionKind::Service, false));
        let report = stage.pass().await.unwrap();
        assert_eq!(report.findings.get(&Kind::Endangered), None);

        for (expires, what_to_do) in [
            (false, "enable it in the manager"),
            (true, "take that off in the manager"),
        ] {
            let stage = of_a_user(provider, name, left_out).await;
            stage.mention(own(name, MentionKind::Service, false));
            if expires {
                let at = stage.clock.now() + HOUR;
                stage.manager.inner.expire_past(name, at).unwrap();
            } else {
                stage.manager.disable(name);
            }
            assert_told_and_left(&stage, name, what_to_do).await;
        }
        let named = stage.manager.inner.named().unwrap();
        let window = DeleteMode::Recoverable(DAY * 7);
        named.delete_named(name, window, None).await.unwrap();
        assert_told_and_left(&stage, name, "restore it in the manager").await;
        assert!(!stage.is_there(name).await, "{provider}");
    }
}

async fn assert_told_and_left(stage: &Stage, name: &str, what_to_do: &str) {
    let before = stage.manager.inner.describe_named(&[name.to_owned()]).await;
    let report = stage.pass().await.unwrap();
    assert_eq!(report.findings.get(&Kind::Endangered), Some(&1));
    assert!(report.has_findings());
    let told = report.examples.iter();
    let told: Vec<_> = told.filter(|it| it.kind == Kind::Endangered).collect();
    assert_eq!(told.len(), 1, "{report:#?}");
    assert_eq!(told[0].name.as_deref(), Some(name));
    assert!(told[0].detail.contains(what_to_do), "{}", told[0].detail);
    let report = stage.clean().await;
    assert_eq!(report.findings.get(&Kind::Endangered), Some(&1));
    assert_eq!((report.rescued, report.endangered), (0, 0), "{report:#?}");
    let after = stage.manager.inner.describe_named(&[name.to_owned()]).await;
    let state = |found: &[cloakroom_core::Result<NamedSecret>]| {
        let found = found[0].as_ref().unwrap();
        (found.state, found.native_expiry)
    };
    assert_eq!(state(&before), state(&after));
}

/// Soft deletion is taken back, history is not.
#[tokio::test]
async fn what_users_made_is_endangered_only_while_something_refers_to_it() {
    let name = "teams_own_v1";
    for (mention, endangered) in [
        (Some(own(name, MentionKind::Service, true)), true),
        (Some(own(name, MentionKind::Other, false)), false),
        (None, false),
    ] {
        for provider in ["aws", "managed-aws"] {
            let stage = of_a_user(provider, name, false).await;
            if let Some(mention) = mention.clone() {
                stage.mention(mention);
            }
            let named = stage.manager.inner.named().unwrap();
            let window = DeleteMode::Recoverable(DAY * 7);
            named.delete_named(name, window, None).await.unwrap();
            let report = stage.pass().await.unwrap();
            let told = report.findings.get(&Kind::Endangered).copied();
            let told = told.unwrap_or_default();
            assert_eq!(told, u64::from(endangered), "{provider}: {mention:?}");
        }
    }
}

/// A vault takes nothing away when an expiry passes.
#[tokio::test]
async fn a_users_note_of_an_expiry_endangers_nothing() {
    let capabilities = Capabilities {
        native_expiry: NativeExpiry::Advises,
        ..MemoryBackend::CAPABILITIES
    };
    let stage = deployed(capabilities, "azure-kv", "").await;
    let at = stage.clock.now() + HOUR;
    stage.manager.inner.expire_past(OWN, at).unwrap();
    let report = stage.pass().await.unwrap();
    assert_eq!(report.findings.get(&Kind::Endangered), None, "{report:#?}");
}

#[tokio::test]
async fn a_foreign_tag_keeps_a_secret() {
    let tags = "[team:data]";
    for (told, goes) in [(Some("data"), true), (Some("another"), false), (None, true)] {
        let stage = deployed(MemoryBackend::CAPABILITIES, "managed-aws", tags).await;
        if let Some(value) = told {
            stage.manager.tag(ORPHAN, "team", value);
        }
        stage.adopt().await;
        let report = after_the_horizon(&stage).await;
        assert_eq!(report.deleted(), u64::from(goes), "{told:?}: {report:#?}");
        assert_eq!(stage.is_there(ORPHAN).await, !goes);
        assert_kept(&stage).await;
    }
    // A tag that only a last look shows.
    let stage = deployed(MemoryBackend::CAPABILITIES, "managed-aws", tags).await;
    stage.adopt().await;
    stage.clean().await;
    stage.watch(DAY * 7).await;
    let manager = stage.manager.clone();
    stage.manager.adversary.play(move |event| {
        if *event == Event::Describing(ORPHAN.to_owned()) {
            manager.tag(ORPHAN, "team", "another");
        }
    });
    let report = stage.clean().await;
    assert_eq!((report.total(|it| it.spared), report.deleted()), (1, 0));
}

#[tokio::test]
async fn what_may_be_restored_gets_its_secrets_back() {
    let stage = managed().await;
    stage.adopt().await;
    let named = stage.manager.inner.named().unwrap();
    for name in [IN_USE, REMOVED] {
        let window = DeleteMode::Recoverable(DAY * 7);
        named.delete_named(name, window, None).await.unwrap();
    }
    let report = stage.pass().await.unwrap();
    assert_eq!(report.findings.get(&Kind::Endangered), Some(&2));
    assert_eq!(stage.clean().await.rescued, 2);
    assert_kept(&stage).await;
}

/// The platform deletes none of these itself, whatever goes with a job, and can write none while one waits. Where the
/// database knows of no job that is deployed, somebody may have meant it.
#[tokio::test]
async fn what_deployed_jobs_refer_to_is_brought_back_while_there_are_any() {
    let connection = "/openmetadata/serverconnection/securityconfig/jwttoken";
    let stage = managed().await;
    stage.write([connection.to_owned()]);
    stage.adopt().await;
    let named = stage.manager.inner.named().unwrap();
    let window = DeleteMode::Recoverable(DAY * 7);
    named.delete_named(connection, window, None).await.unwrap();
    let report = stage.pass().await.unwrap();
    assert_eq!(report.count(Standing::Deployed), 1, "{report:#?}");
    assert_eq!(report.findings.get(&Kind::Endangered), None);
    let report = stage.clean().await;
    assert_eq!((report.rescued, report.endangered), (0, 0), "{report:#?}");
    assert!(!stage.is_there(connection).await);

    stage.source.deploy(1);
    let report = stage.pass().await.unwrap();
    assert_eq!(report.findings.get(&Kind::Endangered), Some(&1));
    let told = report.examples.iter();
    let told: Vec<_> = told
        .filter(|it| it.kind == Kind::Endangered)
        .map(|it| (it.name.as_deref(), it.detail.contains("deployed")))
        .collect();
    assert_eq!(told, [(Some(connection), true)]);
    let report = stage.clean().await;
    assert_eq!((report.rescued, report.endangered), (1, 0), "{report:#?}");
    assert!(stage.is_there(connection).await);
    assert_eq!(stage.clean().await.rescued, 0);
}

#[tokio::test]
async fn a_confirmation_is_for_these_names_alone() {
    let mut stage = managed().await;
    stage.adopt().await;
    for other in [naming("aws", ""), naming("managed-aws", "[team:data]")] {
        stage.settings.naming = other;
        assert_eq!(stage.clean().await.outcome, RunOutcome::Refused);
    }
    stage.settings.naming = naming("managed-aws", "");
    assert_eq!(stage.clean().await.outcome, RunOutcome::Done);
}

/// Tags of the backend's by which somebody else's secret would be the platform's.
#[tokio::test]
async fn what_comes_to_be_ours_by_its_tags_is_confirmed_anew() {
    let mut stage = managed().await;
    stage.manager.tag(ORPHAN, "owner", "payroll");
    stage.adopt().await;
    let tags = [("owner".to_owned(), "payroll".to_owned())].into();
    let widened = names("managed-aws", "").with_tags_of_the_backend(&tags);
    stage.settings.naming = Arc::new(widened);
    let report = after_the_horizon(&stage).await;
    assert_eq!(report.outcome, RunOutcome::Refused);
    assert!(stage.is_there(ORPHAN).await);
    stage.adopt().await;
    assert_eq!(stage.clean().await.deleted(), 1);
}

/// What a manager would not set free stays and is paid for.
#[tokio::test]
async fn what_is_paid_for_after_a_clean_up_is_what_it_leaves() {
    let sets_nothing_free = Capabilities {
        final_deletion: false,
        ..MemoryBackend::CAPABILITIES
    };
    for (capabilities, leaked) in [(MemoryBackend::CAPABILITIES, 0), (sets_nothing_free, 1)] {
        let stage = deployed(capabilities, "managed-aws", "").await;
        assert_true_in_the_end(&stage).await;
        assert_eq!(stage.pass().await.unwrap().leaked(), leaked);
    }
}
