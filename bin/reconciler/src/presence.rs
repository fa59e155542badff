//! Which replicas serve, and which one of them tells the database's figures. Each holds a lease for
//! its place; places are numbered, so that however often replicas come and go there are no more
//! leases than ever served at once.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::store::{Journal, Lease, Store};
use cloakroom_core::{Randomness, Result};
use tokio::time::Instant;

/// What the leases of the places begin with.
const PLACES: &str = "replica/";

/// Whoever holds this tells the figures.
const FIGURES: &str = "report/figures";

/// A replica that has not been heard of for this long does not count any more.
const LASTS: Duration = Duration::from_secs(90);

/// How often a replica has to be heard of: twice may fail.
pub const BEAT: Duration = Duration::from_secs(30);

/// Far more replicas than make sense.
const MOST_PLACES: u32 = 10_000;

/// How many replicas serve now.
pub async fn count<S: Journal + ?Sized>(store: &S) -> Result<u32> {
    let held = store.count_leases(PLACES).await?;
    Ok(u32::try_from(held).unwrap_or(u32::MAX))
}

/// One replica's.
pub struct Presence {
    store: Arc<dyn Store>,
    holder: String,
    place: Option<Lease>,
    figures: Option<Lease>,
}

/// What a replica learned when it was last heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Replicas that serve, this one included.
    pub replicas: u32,
    /// Until when this one tells the figures; `None` where another does.
    pub figures_until: Option<Instant>,
}

impl Presence {
    /// A replica that is not heard of yet.
    pub fn new(store: Arc<dyn Store>, randomness: &dyn Randomness) -> Self {
        Self {
            store,
            holder: randomness.uuid().to_string(),
            place: None,
            figures: None,
        }
    }

    /// Keeps the place, or takes a free one; takes or keeps the figures where nobody else has them.
    pub async fn beat(&mut self) -> Result<Beat> {
        self.keep_place().await?;
        // Before the store is asked: its lease ends no earlier than this.
        let until = Instant::now() + LASTS;
        self.figures = self.acquire(FIGURES).await?;
        Ok(Beat {
            replicas: count(&*self.store).await?.max(1),
            figures_until: self.figures.is_some().then_some(until),
        })
    }

    async fn keep_place(&mut self) -> Result<()> {
        if let Some(held) = self.place.take() {
            self.place = self.acquire(&held.name).await?;
        }
        let mut number = 0;
        while self.place.is_none() && number < MOST_PLACES {
            self.place = self.acquire(&format!("{PLACES}{number}")).await?;
            number += 1;
        }
        Ok(())
    }

    async fn acquire(&self, name: &str) -> Result<Option<Lease>> {
        self.store.acquire_lease(name, &self.holder, LASTS).await
    }

    /// Gives up the place and the figures, so that the others need not wait for their end.
    pub async fn leave(&mut self) {
        for lease in [self.figures.take(), self.place.take()]
            .into_iter()
            .flatten()
        {
            if let Err(error) = self.store.release_lease(&lease).await {
                tracing::debug!(lease.name, error = %error, "the lease lapses by itself");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::SystemRandomness;
    use cloakroom_store_db::{DbStore, Location, Options, StoreClock};
    use cloakroom_testkit::ManualClock;

    use super::*;

    struct Stage {
        store: Arc<DbStore>,
        clock: Arc<ManualClock>,
        _folder: tempfile::TempDir,
    }

    impl Stage {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let clock = Arc::new(ManualClock::default());
            let place = Location::Sqlite(folder.path().join("store.db"));
            let mut options = Options::new(place, "laws");
            options.clock = StoreClock::Given(clock.clone());
            DbStore::migrate(&options).await.unwrap();
            Self {
                store: Arc::new(DbStore::open(&options).await.unwrap()),
                clock,
                _folder: folder,
            }
        }

        fn replica(&self) -> Presence {
            Presence::new(self.store.clone(), &SystemRandomness)
        }
    }

    #[tokio::test]
    async fn one_tells_the_figures_and_all_are_counted() {
        let stage = Stage::new().await;
        let (mut first, mut second) = (stage.replica(), stage.replica());
        let alone = first.beat().await.unwrap();
        assert_eq!(alone.replicas, 1);
        assert!(alone.figures_until.is_some());
        let other = second.beat().await.unwrap();
        assert_eq!((other.replicas, other.figures_until), (2, None));
        let again = first.beat().await.unwrap();
        assert_eq!(again.replicas, 2);
        assert!(again.figures_until.is_some());

        // Who leaves is no longer counted, and the other takes over at once.
        first.leave().await;
        let left = second.beat().await.unwrap();
        assert_eq!(left.replicas, 1);
        assert!(left.figures_until.is_some());
    }

    #[tokio::test]
    async fn one_that_died_is_forgotten() {
        let stage = Stage::new().await;
        let (mut dead, mut living) = (stage.replica(), stage.replica());
        dead.beat().await.unwrap();
        living.beat().await.unwrap();
        stage.clock.advance(BEAT);
        let meanwhile = living.beat().await.unwrap();
        assert_eq!((meanwhile.replicas, meanwhile.figures_until), (2, None));
        stage.clock.advance(LASTS.saturating_sub(BEAT));
        let after = living.beat().await.unwrap();
        assert_eq!(after.replicas, 1);
        assert!(after.figures_until.is_some());
        // It wakes up: its place is free, the figures are another's.
        let woken = dead.beat().await.unwrap();
        assert_eq!((woken.replicas, woken.figures_until), (2, None));
    }

    #[tokio::test]
    async fn places_are_used_again() {
        let stage = Stage::new().await;
        for _ in 0..5 {
            let mut replica = stage.replica();
            replica.beat().await.unwrap();
            assert_eq!(replica.place.as_ref().unwrap().name, "replica/0");
            replica.leave().await;
        }
        assert_eq!(count(&*stage.store).await.unwrap(), 0);
    }
}
