//! A clean-up that is told to stop before it has changed anything.

use std::sync::{Arc, Mutex};

use cloakroom_core::ErrorKind;
use cloakroom_core::platform::Removals as _;
use cloakroom_core::store::RunOutcome;
use cloakroom_reconcile::{CleanOptions, PlatformCleaner, is_busy};
use tokio_util::sync::CancellationToken;

use crate::adversary::Event;
use crate::litter::Littered;

#[tokio::test]
async fn a_pass_is_given_up_at_once_and_the_next_run_goes_on() {
    let littered = Littered::adopted().await;
    let stage = &littered.stage;
    let stop = CancellationToken::new();
    let asked = Arc::new(Mutex::new(false));
    stage.source.adversary.play({
        let (stop, asked) = (stop.clone(), asked.clone());
        move |event| {
            if *event == Event::Scanning {
                stop.cancel();
                *asked.lock().unwrap() = true;
            }
        }
    });
    // The database never answers.
    stage.source.adversary.kill_at(0);
    let (reader, store) = (stage.reader.clone(), stage.store.clone());
    let cleaner = PlatformCleaner::new(reader, store, stage.jobs.clone(), stop);
    let given_up = cleaner.clean(&CleanOptions::default(), &|_, _| {}).await;
    let given_up = given_up.unwrap_err();
    assert!(*asked.lock().unwrap());
    assert_eq!(given_up.kind(), ErrorKind::Unavailable);
    assert!(is_busy(&given_up), "nothing failed: {given_up}");
    littered.assert_untouched().await;
    let platform = &stage.settings.target.platform;
    let journalled = stage.store.last_removal_run(platform, None).await.unwrap();
    assert_eq!(journalled, None);

    // The lease was given back.
    stage.source.adversary.rest();
    let report = stage.clean().await;
    assert_eq!(report.outcome, RunOutcome::Done);
    littered.assert_clean().await;
}

#[tokio::test]
async fn the_journal_tells_the_latest_run_and_the_latest_that_did_it_all() {
    let littered = Littered::adopted().await;
    let stage = &littered.stage;
    let platform = stage.settings.target.platform.clone();
    let last = |outcome| stage.store.last_removal_run(&platform, outcome);
    assert_eq!(last(None).await.unwrap(), None);
    let done = stage.clean().await;
    stage.clock.advance(crate::stage::HOUR);
    stage.source.obstruct(cloakroom_core::platform::Obstacle {
        subject: "public.attempts".into(),
        detail: "grant SELECT on it".into(),
    });
    let partial = stage.clean().await;
    assert_eq!(partial.outcome, RunOutcome::Partial);
    let latest = last(None).await.unwrap().unwrap();
    assert_eq!(
        (latest.id, latest.outcome),
        (partial.run, Some(RunOutcome::Partial))
    );
    assert_eq!(latest.report["obstacles"][0]["subject"], "public.attempts");
    let complete = last(Some(RunOutcome::Done)).await.unwrap().unwrap();
    assert_eq!(complete.id, done.run);
    assert_eq!(serde_json::to_value(&done).unwrap(), complete.report);
    assert_eq!(
        stage.store.last_removal_run("another", None).await.unwrap(),
        None
    );
}
