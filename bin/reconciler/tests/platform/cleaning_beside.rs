//! Two platforms whose secrets are in one manager: neither deletes what the other mentions, and neither
//! takes back what the other does.

use std::collections::BTreeMap;
use std::sync::Arc;

use cloakroom_core::platform::{Mention, MentionKind, Standing};
use cloakroom_core::store::RunOutcome;
use cloakroom_core::{DeleteMode, Error, ErrorKind, SecretBackend as _, SystemRandomness};
use cloakroom_reconcile::{
    CleanOptions, CleanReport, Neighbour, PlatformCleaner, PlatformFindingKind, PlatformReader,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::source::Source;
use crate::stage::{HOUR, Stage, here, mention, named};

/// The workspace of the second platform.
const THERE: Uuid = Uuid::from_u128(0xB0B);

const FIRST: &str = "production";
const SECOND: &str = "staging";

/// The first platform is the stage's own.
struct Pair {
    stage: Stage,
    second: Arc<Source>,
}

impl Pair {
    /// Each uses a secret of its own; these names are in the manager too, old and seen unused.
    async fn littered(names: &[String]) -> Self {
        let stage = Stage::new().await;
        let second = Arc::new(Source::of(THERE, stage.source.adversary.clone()));
        second.become_database("two");
        let (ours, theirs) = (here(90, 1), named(THERE, 90, 1));
        stage.write(names.iter().chain([&ours, &theirs]).cloned());
        stage.mention(mention(&ours));
        second.mention(mention(&theirs));
        let pair = Self { stage, second };
        pair.stage.clock.advance(HOUR * 48);
        for cleaner in pair.cleaners() {
            let plan = cleaner.plan(100, &|_, _| {}).await.unwrap();
            cleaner.show(&plan).await.unwrap();
            cleaner.confirm(&plan.id, "ada").await.unwrap();
        }
        pair.stage.clock.advance(HOUR);
        pair
    }

    fn beside(&self, platform: &str, source: &Arc<Source>, other: Neighbour) -> PlatformCleaner {
        let stage = &self.stage;
        let mut settings = stage.settings.clone();
        settings.target.platform = platform.into();
        let reader = PlatformReader::new(
            source.clone(),
            stage.manager.clone(),
            stage.store.clone(),
            stage.store.clone(),
            Arc::new(SystemRandomness),
            settings,
        );
        let (store, stop) = (stage.store.clone(), CancellationToken::new());
        PlatformCleaner::new(reader.unwrap(), store, stage.jobs.clone(), stop).beside(vec![other])
    }

    fn cleaners(&self) -> [PlatformCleaner; 2] {
        let (first, second) = (&self.stage.source, &self.second);
        [
            self.beside(FIRST, first, neighbour(SECOND, second)),
            self.beside(SECOND, second, neighbour(FIRST, first)),
        ]
    }

    /// Both in turn.
    async fn clean(&self) -> [CleanReport; 2] {
        let [first, second] = self.cleaners();
        [clean(&first).await, clean(&second).await]
    }

    /// Somebody hands it to deletion.
    async fn doom(&self, name: &str) {
        let manager = self.stage.manager.inner.named().unwrap();
        let window = DeleteMode::Recoverable(HOUR * 24 * 7);
        manager.delete_named(name, window, None).await.unwrap();
    }
}

fn neighbour(platform: &str, source: &Arc<Source>) -> Neighbour {
    Neighbour {
        platform: platform.into(),
        source: Ok(source.clone()),
    }
}

async fn clean(cleaner: &PlatformCleaner) -> CleanReport {
    let cleaned = cleaner.clean(&CleanOptions::default(), &|_, _| {}).await;
    cleaned.unwrap()
}

fn prose(name: &str) -> Mention {
    Mention {
        kind: MentionKind::Other,
        ..mention(name)
    }
}

/// Whatever makes it look unused to the one.
#[tokio::test]
async fn what_the_other_mentions_stays_for_good_and_the_rest_goes() {
    let check = named(Uuid::nil(), 1, 1);
    let orphan = here(2, 1);
    let superseded = here(3, 1);
    let theirs = named(THERE, 4, 1);
    let unused = [named(Uuid::nil(), 11, 1), here(12, 1), named(THERE, 14, 1)];
    let used = [&check, &orphan, &superseded, &here(3, 2), &theirs].map(String::clone);
    let pair = Pair::littered(&[&used[..], &unused].concat()).await;
    // A parameter of the instance, and logs of jobs.
    pair.second.mention(mention(&check));
    pair.second.mention(prose(&orphan));
    pair.second.mention(prose(&superseded));
    pair.stage.mention(mention(&here(3, 2)));
    pair.stage.mention(prose(&theirs));

    let [first, second] = pair.clean().await;
    assert_eq!(first.deleted(), 2, "{first:#?}");
    assert_eq!(first.kept_by_others, BTreeMap::from([(SECOND.into(), 3)]));
    assert_eq!(first.deletions[&Standing::Ephemeral].spared, 1);
    assert_eq!(second.deleted(), 1, "{second:#?}");
    assert_eq!(second.kept_by_others, BTreeMap::from([(FIRST.into(), 1)]));
    for report in [first, second] {
        assert_eq!(report.outcome, RunOutcome::Done, "{report:#?}");
    }
    for _ in 0..3 {
        for name in &used {
            assert!(pair.stage.is_there(name).await, "{name} went");
        }
        for name in &unused {
            assert!(!pair.stage.is_there(name).await, "{name} stayed");
        }
        pair.stage.clock.advance(HOUR * 24);
        for report in pair.clean().await {
            assert_eq!((report.deleted(), report.rescued), (0, 0), "{report:#?}");
        }
    }
}

#[tokio::test]
async fn nothing_goes_while_the_other_cannot_be_asked() {
    let pair = Pair::littered(&[here(1, 1), here(2, 1), here(3, 1)]).await;
    let (first, second) = (&pair.stage.source, &pair.second);
    let with = |other| pair.beside(FIRST, first, other);
    let no_way = Neighbour {
        platform: SECOND.into(),
        source: Err(Error::new(ErrorKind::Invalid, "read it", "no address")),
    };
    second.silence(true);
    let silent = clean(&with(neighbour(SECOND, second))).await;
    second.silence(false);
    second.become_database("a copy");
    let copied = clean(&with(neighbour(SECOND, second))).await;
    second.become_database("two");
    for (report, reason) in [
        (silent, "it went away"),
        (copied, "not the one of its earlier passes"),
        (clean(&with(no_way)).await, "no address"),
    ] {
        assert_eq!(report.outcome, RunOutcome::Partial, "{report:#?}");
        assert_eq!(report.deleted(), 0);
        let [obstacle] = &report.obstacles[..] else {
            panic!("one is in the way: {report:#?}")
        };
        assert_eq!(obstacle.subject, "platform staging");
        assert!(obstacle.detail.contains(reason), "{report:#?}");
    }
    let report = clean(&with(neighbour(SECOND, second))).await;
    assert_eq!((report.outcome, report.deleted()), (RunOutcome::Done, 3));
}

/// What another's clean-up deletes is not taken back because some text mentions it.
#[tokio::test]
async fn a_strangers_secret_is_brought_back_only_for_a_place_that_uses_it() {
    let theirs = [named(THERE, 1, 1), named(THERE, 2, 1)];
    let ours = [here(3, 1), "airbyte_old_v1".to_owned()];
    // It is meant to expire, and an expiry that has passed looks like a deletion to some managers.
    let a_checks = named(Uuid::nil(), 4, 1);
    let all = [&theirs[..], &ours, std::slice::from_ref(&a_checks)].concat();
    let pair = Pair::littered(&all).await;
    for name in &all {
        pair.stage.mention(prose(name));
        pair.doom(name).await;
    }
    pair.stage.mention(mention(&theirs[1]));
    let [first, _] = pair.cleaners();
    let report = clean(&first).await;
    assert_eq!((report.rescued, report.endangered), (3, 0), "{report:#?}");
    let found = report.findings.get(&PlatformFindingKind::Endangered);
    assert_eq!(found, Some(&3), "before the run");
    for name in [&theirs[0], &a_checks] {
        assert!(!pair.stage.is_there(name).await, "{name}");
    }
    for name in ours.iter().chain([&theirs[1]]) {
        assert!(pair.stage.is_there(name).await, "{name}");
    }
    let again = clean(&first).await;
    assert_eq!((again.rescued, again.endangered), (0, 0), "{again:#?}");
    assert_eq!(again.outcome, RunOutcome::Done);
}
