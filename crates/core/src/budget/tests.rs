//! Never more than the share, slower after throttling, whole again after silence.

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

/// Takes as much as it can, a millisecond at a time; gives back when each request went.
fn greedy(budgets: &mut [Budget], from: Duration, time: Duration) -> Vec<Duration> {
    let mut sent = Vec::new();
    let mut now = from;
    while now < from + time {
        for budget in &mut *budgets {
            while budget.take(now, 1).is_ok() {
                sent.push(now);
            }
        }
        now += Duration::from_millis(1);
    }
    sent
}

#[test]
fn the_share_is_used_and_not_more() {
    let sent = greedy(&mut [Budget::new(Some(50.0), 0.5)], Duration::ZERO, MINUTE);
    let most = 25 * 60 + 25;
    assert!((most - 2..=most).contains(&sent.len()), "{}", sent.len());
}

#[test]
fn replicas_share() {
    let mut budgets = vec![Budget::new(Some(50.0), 0.5); 5];
    for budget in &mut budgets {
        budget.set_replicas(Duration::ZERO, 5);
        assert_eq!(budget.allowance(Duration::ZERO), Some(5.0));
    }
    let sent = greedy(&mut budgets, Duration::ZERO, MINUTE);
    let most = 25 * 60 + 25;
    assert!((most - 10..=most).contains(&sent.len()), "{}", sent.len());
}

/// A share far below one request a second still lets each through in its time.
#[test]
fn a_small_share_is_slow_and_not_nothing() {
    let sent = greedy(&mut [Budget::new(Some(0.5), 0.5)], Duration::ZERO, MINUTE);
    assert_eq!(sent.len(), 15);
}

#[test]
fn nothing_published_is_without_limit() {
    for published in [
        None,
        Some(0.0),
        Some(-1.0),
        Some(f64::NAN),
        Some(f64::INFINITY),
    ] {
        let mut budget = Budget::new(published, 0.5);
        assert_eq!(budget.allowance(Duration::ZERO), None, "{published:?}");
        assert!((0..100_000).all(|_| budget.take(Duration::ZERO, 1).is_ok()));
    }
}

#[test]
fn throttling_halves_and_silence_brings_it_back() {
    let mut budget = Budget::new(Some(40.0), 0.5);
    budget.throttled(MINUTE, None);
    assert_eq!(budget.allowance(MINUTE), Some(10.0));
    // The rest of the same burst says nothing new.
    budget.throttled(MINUTE + Duration::from_millis(900), None);
    assert_eq!(budget.allowance(MINUTE), Some(10.0));
    budget.throttled(MINUTE + Duration::from_secs(1), None);
    let now = MINUTE + Duration::from_secs(1);
    assert_eq!(budget.allowance(now), Some(5.0));
    assert_eq!(
        budget.allowance(now + QUIET),
        Some(5.0),
        "not yet silent for long"
    );
    assert_eq!(budget.allowance(now + QUIET + REGAIN / 4), Some(10.0));
    assert_eq!(budget.allowance(now + QUIET + REGAIN), Some(20.0));
    assert_eq!(
        budget.allowance(now + 100 * REGAIN),
        Some(20.0),
        "never above the share"
    );
}

#[test]
fn a_pause_that_was_asked_for_is_kept() {
    let mut budget = Budget::new(Some(40.0), 0.5);
    let asked = Duration::from_secs(30);
    budget.throttled(Duration::ZERO, Some(asked));
    assert_eq!(budget.take(Duration::ZERO, 1), Err(asked));
    assert_eq!(
        budget.take(Duration::from_secs(10), 1),
        Err(Duration::from_secs(20))
    );
    assert_eq!(budget.take(asked, 1), Ok(()));
    // One of an hour is not.
    budget.throttled(asked, Some(Duration::from_hours(1)));
    assert_eq!(budget.take(asked, 1), Err(LONGEST_PAUSE));
}

#[test]
fn what_publishes_nothing_is_slowed_by_what_went_through() {
    let mut budget = Budget::new(None, 0.5);
    let mut now = Duration::from_secs(10);
    for _ in 0..100 {
        now += Duration::from_millis(10);
        budget.take(now, 1).unwrap();
    }
    budget.throttled(now, None);
    let slowed = budget.allowance(now).unwrap();
    assert!((40.0..=50.0).contains(&slowed), "{slowed}");
    let sent = greedy(&mut [budget.clone()], now, QUIET).len() as f64;
    assert!(sent <= slowed * 5.0 + slowed, "{sent}");
    assert_eq!(
        budget.allowance(now + QUIET + REGAIN),
        None,
        "without limit again"
    );
    assert!((0..1000).all(|_| budget.take(now + QUIET + REGAIN, 1).is_ok()));
}

#[test]
fn it_never_stops_for_good() {
    for published in [None, Some(40.0), Some(0.02)] {
        let mut budget = Budget::new(published, 0.5);
        let mut now = Duration::ZERO;
        for _ in 0..100 {
            now += ONE_BURST;
            budget.throttled(now, None);
        }
        let wait = budget.take(now, 1).unwrap_err();
        assert!(wait <= Duration::from_secs(100), "{published:?}: {wait:?}");
        assert_eq!(budget.take(now + wait, 1), Ok(()), "{published:?}");
    }
}

#[test]
fn more_than_a_burst_goes_at_once_and_is_paid_for_after() {
    let mut budget = Budget::new(Some(20.0), 0.5);
    assert_eq!(budget.take(Duration::ZERO, 50), Ok(()));
    let wait = budget.take(Duration::ZERO, 50).unwrap_err();
    assert_eq!(wait, Duration::from_secs(5));
    assert_eq!(budget.take(wait, 50), Ok(()));
}

/// What may happen to a budget.
#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Take,
    Throttled(Option<u64>),
    Replicas(u32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0u64..3_000).prop_map(Event::Pass),
        6 => Just(Event::Take),
        1 => proptest::option::of(0u64..90_000).prop_map(Event::Throttled),
        1 => (0u32..6).prop_map(Event::Replicas),
    ]
}

proptest! {
    /// Whatever happens, in no stretch of time more goes out than the share allows and one burst.
    #[test]
    fn never_more_than_the_share_in_any_stretch_of_time(
        published in 0.05f64..500.0,
        share in 0.05f64..1.0,
        events in proptest::collection::vec(event(), 1..300),
    ) {
        let mut budget = Budget::new(Some(published), share);
        let rate = published * share;
        let mut now = Duration::ZERO;
        let mut sent = Vec::new();
        for event in events {
            match event {
                Event::Pass(millis) => now += Duration::from_millis(millis),
                Event::Take => while sent.len() < 2_000 && budget.take(now, 1).is_ok() {
                    sent.push(now);
                },
                Event::Throttled(pause) => budget.throttled(now, pause.map(Duration::from_millis)),
                Event::Replicas(replicas) => budget.set_replicas(now, replicas),
            }
        }
        for (first, from) in sent.iter().enumerate() {
            for (last, to) in sent.iter().enumerate().skip(first) {
                let most = rate * to.saturating_sub(*from).as_secs_f64() + rate.max(1.0) + 0.001;
                let went = (last - first + 1) as f64;
                prop_assert!(went <= most, "{went} from {from:?} to {to:?}, at most {most}");
            }
        }
    }

    /// Whatever happened, two minutes of silence later all of the share is there.
    #[test]
    fn silence_heals(
        published in proptest::option::of(0.05f64..500.0),
        events in proptest::collection::vec(event(), 1..100),
    ) {
        let mut budget = Budget::new(published, 0.5);
        let mut now = Duration::ZERO;
        for event in events {
            match event {
                Event::Pass(millis) => now += Duration::from_millis(millis),
                Event::Take => { let _ = budget.take(now, 1); }
                Event::Throttled(pause) => budget.throttled(now, pause.map(Duration::from_millis)),
                Event::Replicas(replicas) => budget.set_replicas(now, replicas),
            }
        }
        budget.set_replicas(now, 1);
        now += 2 * MINUTE;
        prop_assert_eq!(budget.allowance(now), published.map(|rate| rate * 0.5));
    }

    /// A wait that is kept to is never told to be too short for ever.
    #[test]
    fn waiting_as_told_is_enough(published in 0.05f64..500.0, taken in 0u32..2_000, asked in 1u32..50) {
        let mut budget = Budget::new(Some(published), 0.5);
        let _ = budget.take(Duration::ZERO, taken);
        let mut now = Duration::ZERO;
        let mut tries = 0;
        while let Err(wait) = budget.take(now, asked) {
            now += wait + Duration::from_nanos(1);
            tries += 1;
            prop_assert!(tries < 3, "still {wait:?}");
        }
    }
}
