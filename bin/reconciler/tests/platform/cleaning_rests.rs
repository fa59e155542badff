//! A run behind one that was cut off: it is done only when nothing that could go rests.

use std::time::Duration;

use cloakroom_core::Clock as _;
use cloakroom_core::store::RunOutcome;

use crate::litter::Littered;
use crate::stage::HOUR;

/// Killed at every request in turn. The run behind it may begin long before what the dead one had taken on
/// may be touched.
#[tokio::test]
async fn no_run_is_done_while_what_a_dead_one_had_taken_on_rests() {
    let (mut at, mut with_rest) = (0, 0);
    loop {
        let mut littered = Littered::adopted().await;
        littered.stage.jobs.claim_deadline = HOUR;
        let stage = &littered.stage;
        let died = stage.clean_killed_at(at).await;
        stage.clock.advance(stage.settings.lease);
        let report = stage.clean().await;
        let resting = report.total(|it| it.resting);
        assert_eq!(report.taken_on, resting, "killed at {at}: {report:#?}");
        if let Some(until) = report.taken_on_until {
            with_rest += 1;
            assert_eq!(report.outcome, RunOutcome::Partial, "killed at {at}");
            let left = Duration::try_from(until.duration_since(stage.clock.now())).unwrap();
            stage
                .clock
                .advance(left.checked_sub(Duration::from_millis(1)).unwrap());
            let early = stage.clean().await;
            assert_eq!(early.taken_on_until, Some(until), "killed at {at}");
            stage.clock.advance(Duration::from_millis(1));
            let report = stage.clean().await;
            assert_eq!(report.outcome, RunOutcome::Done, "{at}: {report:#?}");
            assert_eq!(report.total(|it| it.resting), 0);
        } else {
            assert_eq!((report.outcome, resting), (RunOutcome::Done, 0), "{at}");
        }
        littered.assert_clean_but_checks().await;
        if !died {
            break;
        }
        at += 1;
    }
    assert!(with_rest > 3, "{with_rest} of {at} left something");
}
