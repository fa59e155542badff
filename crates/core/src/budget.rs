//! How many requests a manager is sent: a set share of the rate it publishes, divided by the replicas
//! that live. Being throttled halves it, silence brings it back step by step. No clock is read here:
//! each call is told the time.

use std::time::Duration;

use serde::Serialize;

use crate::capabilities::Rates;

/// What managers publish a rate for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestClass {
    /// Puts, and taking an expiry off.
    Write,
    /// Gets.
    Read,
    /// Describes.
    Describe,
    /// Pages of a listing.
    List,
    /// Deletions and restorations.
    Delete,
}

impl RequestClass {
    /// Every class.
    pub const ALL: [Self; 5] = [
        Self::Write,
        Self::Read,
        Self::Describe,
        Self::List,
        Self::Delete,
    ];

    /// The class by the name of its chief operation, a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Write => "put",
            Self::Read => "get",
            Self::Describe => "describe",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }

    /// What is published for it, in requests a second.
    pub fn published(self, rates: &Rates) -> Option<f64> {
        match self {
            Self::Write => rates.write,
            Self::Read => rates.read,
            Self::Describe => rates.describe,
            Self::List => rates.list,
            Self::Delete => rates.delete,
        }
    }
}

/// Each time a manager throttles, this part of the allowance is left.
const BACK_OFF: f64 = 0.5;

/// Requests of one burst that are throttled together slow down once.
const ONE_BURST: Duration = Duration::from_secs(1);

/// How long a manager must have been silent before the allowance grows again.
const QUIET: Duration = Duration::from_secs(5);

/// How long it then grows until all of it is back.
const REGAIN: Duration = Duration::from_mins(1);

/// A manager that asks for a longer pause is asked again all the same.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// However often it is throttled, a class keeps this many requests a second, or its whole share
/// where that is less.
const LEAST: f64 = 0.1;

/// Unused allowance is kept for this long, and always for one request.
const BURST: Duration = Duration::from_secs(1);

/// The budget of one class of requests: a token bucket whose rate changes. `now` is the time since
/// any moment that stays the same, and never goes back.
///
/// ```
/// use std::time::Duration;
/// use cloakroom_core::budget::Budget;
///
/// // Half of the published 4 a second: two at once, then one each half second.
/// let mut budget = Budget::new(Some(4.0), 0.5);
/// let start = Duration::ZERO;
/// assert_eq!((budget.take(start, 1), budget.take(start, 1)), (Ok(()), Ok(())));
/// assert_eq!(budget.take(start, 1), Err(Duration::from_millis(500)));
/// assert_eq!(budget.take(Duration::from_millis(500), 1), Ok(()));
/// ```
#[derive(Clone, Debug)]
pub struct Budget {
    published: Option<f64>,
    share: f64,
    replicas: u32,
    tokens: f64,
    filled: Duration,
    slowed: Option<Slowed>,
    paused_until: Duration,
    pace: Pace,
}

/// After a throttling: a part of the share, which grows to the whole.
#[derive(Clone, Copy, Debug)]
struct Slowed {
    part: f64,
    since: Duration,
    /// The share where nothing is published: more than what went through when it was throttled.
    unpublished: f64,
}

impl Slowed {
    fn part(&self, now: Duration) -> f64 {
        let silent = now.saturating_sub(self.since).saturating_sub(QUIET);
        self.part + silent.as_secs_f64() / REGAIN.as_secs_f64()
    }

    fn is_well(&self, now: Duration) -> bool {
        self.part(now) >= 1.0
    }
}

impl Budget {
    /// A full budget of `share` (0.0 to 1.0) of the `published` requests a second; without limit
    /// where nothing is published, until it is throttled.
    pub fn new(published: Option<f64>, share: f64) -> Self {
        let mut budget = Self {
            published: published.filter(|rate| rate.is_finite() && *rate > 0.0),
            share,
            replicas: 1,
            tokens: 0.0,
            filled: Duration::ZERO,
            slowed: None,
            paused_until: Duration::ZERO,
            pace: Pace::default(),
        };
        budget.tokens = budget.fair().map_or(0.0, burst);
        budget
    }

    /// Says how many replicas share the manager's quota; none is taken for one.
    pub fn set_replicas(&mut self, now: Duration, replicas: u32) {
        self.fill(now);
        self.replicas = replicas.max(1);
        if let Some(allowance) = self.allowance(now) {
            self.tokens = self.tokens.min(burst(allowance));
        }
    }

    /// What is published, in requests a second.
    pub fn published(&self) -> Option<f64> {
        self.published
    }

    /// Requests a second that are presently allowed; `None` without limit.
    pub fn allowance(&self, now: Duration) -> Option<f64> {
        match self.slowed.filter(|slowed| !slowed.is_well(now)) {
            Some(slowed) => Some(self.share_of(slowed) * slowed.part(now)),
            None => self.fair(),
        }
    }

    /// Takes the right to send so many requests together, or says after how long to ask again.
    /// More than a burst are taken as one, and whoever comes next waits the longer.
    pub fn take(&mut self, now: Duration, requests: u32) -> Result<(), Duration> {
        self.ready(now, requests)?;
        self.count(now, requests);
        Ok(())
    }

    /// Whether [`take`](Self::take) would give the right, or after how long to ask again.
    pub fn ready(&mut self, now: Duration, requests: u32) -> Result<(), Duration> {
        self.fill(now);
        let pause = self.paused_until.saturating_sub(now);
        if !pause.is_zero() {
            return Err(pause);
        }
        if let Some(allowance) = self.allowance(now) {
            let missing = f64::from(requests).min(burst(allowance)) - self.tokens;
            if missing > ROUNDING {
                return Err(Duration::from_secs_f64(missing / allowance));
            }
        }
        Ok(())
    }

    /// Counts requests that are sent in any case: whoever comes next waits for them.
    pub fn count(&mut self, now: Duration, requests: u32) {
        self.fill(now);
        let sent = f64::from(requests);
        if self.allowance(now).is_some() {
            self.tokens -= sent;
        }
        self.pace.count(now, sent);
    }

    /// Says that the manager throttled a request, and for how long it asked to be left alone.
    pub fn throttled(&mut self, now: Duration, pause: Option<Duration>) {
        self.fill(now);
        let pause = pause.unwrap_or_default().min(LONGEST_PAUSE);
        self.paused_until = self.paused_until.max(now + pause);
        let same_burst = |slowed: Slowed| now.saturating_sub(slowed.since) < ONE_BURST;
        if self.slowed.is_some_and(same_burst) {
            return;
        }
        let before = self.allowance(now).unwrap_or_else(|| self.pace.seen(now));
        let known = self.slowed.map_or(0.0, |slowed| slowed.unpublished);
        let mut slowed = Slowed {
            part: 0.0,
            since: now,
            unpublished: known.max(before / BACK_OFF),
        };
        let share = self.share_of(slowed);
        slowed.part = (before * BACK_OFF).max(LEAST.min(share)) / share;
        self.slowed = Some(slowed);
        self.tokens = self.tokens.min(0.0);
    }

    /// The share of one replica.
    fn fair(&self) -> Option<f64> {
        let published = self.published?;
        Some(published * self.share / f64::from(self.replicas))
    }

    fn share_of(&self, slowed: Slowed) -> f64 {
        self.fair().unwrap_or(slowed.unpublished)
    }

    /// Adds what has been allowed since the last time.
    fn fill(&mut self, now: Duration) {
        let now = now.max(self.filled);
        let (before, after) = (self.allowance(self.filled), self.allowance(now));
        let passed = now.saturating_sub(self.filled);
        self.filled = now;
        match (before, after) {
            (Some(before), Some(after)) => {
                let allowed = f64::midpoint(before, after) * passed.as_secs_f64();
                self.tokens = (self.tokens + allowed).min(burst(after));
            }
            // What was sent without limit leaves no debt.
            (_, None) => self.tokens = 0.0,
            (None, Some(_)) => {}
        }
        self.slowed = self.slowed.filter(|slowed| !slowed.is_well(now));
    }
}

/// Far below one request; sums of fractions do not come out whole.
const ROUNDING: f64 = 1e-6;

/// Requests that may go at once.
fn burst(allowance: f64) -> f64 {
    (allowance * BURST.as_secs_f64()).max(1.0)
}

/// How many requests went out in the last seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    second: u64,
    this: f64,
    last: f64,
}

impl Pace {
    fn count(&mut self, now: Duration, requests: f64) {
        let second = now.as_secs();
        if second != self.second {
            let next = second == self.second + 1;
            self.last = if next { self.this } else { 0.0 };
            self.this = 0.0;
            self.second = second;
        }
        self.this += requests;
    }

    /// Requests a second lately; at least one, since somebody was throttled.
    fn seen(&self, now: Duration) -> f64 {
        let recent = now.as_secs().saturating_sub(self.second) <= 1;
        let seen = self.this.max(self.last);
        if recent { seen.max(1.0) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests;
