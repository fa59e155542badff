//! What takes time in proportion to what there is, counted by one at a time however many ask.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::Result;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// What was counted is told again for this many times as long as counting took, so that whoever asks
/// without end keeps the database busy for a part of the time only.
const REST: u32 = 4;

/// And never for longer than this.
const FRESH: Duration = Duration::from_secs(10);

/// The last count, for whoever asks next.
pub struct Recent<T> {
    last: Mutex<Option<Counted<T>>>,
}

struct Counted<T> {
    until: Instant,
    counted: Arc<T>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self {
            last: Mutex::new(None),
        }
    }
}

impl<T> Recent<T> {
    /// What was counted a moment ago, or what `count` says now.
    pub async fn or(&self, count: impl Future<Output = Result<T>> + Send) -> Result<Arc<T>> {
        // Held while counting, so that whoever asks meanwhile waits for the same answer, and holds no
        // connection.
        let mut last = self.last.lock().await;
        let begun = Instant::now();
        if let Some(last) = last.as_ref()
            && begun < last.until
        {
            return Ok(last.counted.clone());
        }
        let counted = Arc::new(count.await?);
        let ended = Instant::now();
        *last = Some(Counted {
            until: ended + FRESH.min((ended - begun) * REST),
            counted: counted.clone(),
        });
        Ok(counted)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Counts how often it counted, for as long as it is told.
    struct Slow {
        recent: Recent<u64>,
        counts: AtomicU64,
        under_way: AtomicU64,
    }

    impl Slow {
        fn new() -> Self {
            Self {
                recent: Recent::default(),
                counts: AtomicU64::new(0),
                under_way: AtomicU64::new(0),
            }
        }

        async fn ask(&self, takes: Duration) -> u64 {
            let count = async {
                assert_eq!(self.under_way.fetch_add(1, Ordering::Relaxed), 0);
                tokio::time::sleep(takes).await;
                self.under_way.fetch_sub(1, Ordering::Relaxed);
                Ok(self.counts.fetch_add(1, Ordering::Relaxed) + 1)
            };
            *self.recent.or(count).await.unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_hear_one_count() {
        let slow = Slow::new();
        let takes = Duration::from_secs(3);
        let asking = (0..20).map(|_| slow.ask(takes));
        let heard = futures_util::future::join_all(asking).await;
        assert!(heard.iter().all(|it| *it == 1), "{heard:?}");
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(slow.ask(takes).await, 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(slow.ask(takes).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_quickly_counted_is_soon_counted_anew() {
        let slow = Slow::new();
        let takes = Duration::from_millis(10);
        assert_eq!(slow.ask(takes).await, 1);
        tokio::time::advance(Duration::from_millis(30)).await;
        assert_eq!(slow.ask(takes).await, 1);
        tokio::time::advance(Duration::from_millis(20)).await;
        assert_eq!(slow.ask(takes).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_counted_is_asked_for_anew() {
        let recent: Recent<u64> = Recent::default();
        let kind = cloakroom_core::ErrorKind::Unavailable;
        let failed = recent.or(async { Err(cloakroom_core::Error::new(kind, "count", "away")) });
        assert!(failed.await.is_err());
        assert_eq!(*recent.or(async { Ok(1) }).await.unwrap(), 1);
    }
}
