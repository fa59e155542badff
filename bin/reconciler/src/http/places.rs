//! Who may be connected. When every place is taken, whoever has been silent the longest makes way for
//! who comes next: clients that say nothing cannot keep a probe waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// So many connections at once.
pub(super) struct Places {
    most: usize,
    taken: Mutex<Taken>,
    /// For the one that waits for a place.
    changed: Notify,
}

/// One connection's; given back when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    lost: CancellationToken,
}

/// While it lives a request of the connection is being answered, and nobody else gets the place.
pub(super) struct Answering(Arc<Place>);

#[derive(Default)]
struct Taken {
    /// Counts on with everything that happens.
    moment: u64,
    connections: BTreeMap<u64, Connection>,
}

struct Connection {
    /// `None` while a request is being answered.
    silent_since: Option<u64>,
    lost: CancellationToken,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            taken: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// A place for one more connection. Where all are taken, the one that has been silent the
    /// longest loses its own; where none is silent, this waits until one is.
    pub(super) async fn take(self: &Arc<Self>) -> Arc<Place> {
        loop {
            if let Some(place) = self.try_take() {
                return place;
            }
            self.changed.notified().await;
        }
    }

    /// Lets everybody who is silent lose the place.
    pub(super) fn dismiss_silent(&self) {
        let mut taken = self.taken();
        while let Some(silent) = taken.remove_longest_silent() {
            silent.lost.cancel();
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Arc<Place>> {
        let mut taken = self.taken();
        if taken.connections.len() >= self.most {
            taken.remove_longest_silent()?.lost.cancel();
        }
        let id = taken.next_moment();
        let lost = CancellationToken::new();
        let connection = Connection {
            silent_since: Some(id),
            lost: lost.clone(),
        };
        taken.connections.insert(id, connection);
        Some(Arc::new(Place {
            places: self.clone(),
            id,
            lost,
        }))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Every change is whole before anything can panic.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn next_moment(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    fn remove_longest_silent(&mut self) -> Option<Connection> {
        let silent = self.connections.iter();
        let (_, id) = silent
            .filter_map(|(id, connection)| Some((connection.silent_since?, *id)))
            .min()?;
        self.connections.remove(&id)
    }
}

impl Place {
    /// Says that a request has come.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        if let Some(own) = self.places.taken().connections.get_mut(&self.id) {
            own.silent_since = None;
        }
        Answering(self.clone())
    }

    /// Somebody else may have it; once given back, it is not lost any more.
    pub(super) fn give_back(&self) {
        self.places.taken().connections.remove(&self.id);
        self.places.changed.notify_one();
    }

    /// Returns once another connection has got the place.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let places = &self.0.places;
        let mut taken = places.taken();
        let now = taken.next_moment();
        if let Some(own) = taken.connections.get_mut(&self.0.id) {
            own.silent_since = Some(now);
        }
        drop(taken);
        places.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn is_lost(place: &Place) -> bool {
        place.lost().now_or_never().is_some()
    }

    #[tokio::test]
    async fn who_is_silent_the_longest_makes_way() {
        let places = Places::new(3);
        let (first, second, third) = (
            places.take().await,
            places.take().await,
            places.take().await,
        );
        assert!(!is_lost(&first));
        // The first has asked since, so it is the second that has been silent the longest.
        drop(first.answer());
        let fourth = places.take().await;
        assert!(is_lost(&second));
        assert!(![&first, &third, &fourth].into_iter().any(|it| is_lost(it)));
        // What the second lost it does not give back a second time.
        drop(second);
        let _fifth = places.take().await;
        assert!(is_lost(&third));
        assert!(!is_lost(&first) && !is_lost(&fourth));
        let _asks = first.answer();
        places.dismiss_silent();
        assert!(is_lost(&fourth) && !is_lost(&first));
    }

    #[tokio::test]
    async fn a_place_given_back_goes_to_who_comes_next() {
        let places = Places::new(2);
        let (silent, leaves) = (places.take().await, places.take().await);
        leaves.give_back();
        let next = places.take().await;
        assert!(!is_lost(&silent) && !is_lost(&leaves));
        // Its end comes later and takes nothing from the next one.
        drop(leaves);
        let _third = places.take().await;
        assert!(is_lost(&silent) && !is_lost(&next));
    }

    #[tokio::test]
    async fn who_is_being_answered_keeps_its_place() {
        let places = Places::new(2);
        let (first, second) = (places.take().await, places.take().await);
        let answers = (first.answer(), second.answer());
        assert!(places.take().now_or_never().is_none());
        drop(answers.1);
        let third = places.take().now_or_never().unwrap();
        assert!(is_lost(&second) && !is_lost(&first));
        let _third = third.answer();
        assert!(places.take().now_or_never().is_none());
        drop(answers.0);
        drop(first);
        assert!(places.take().now_or_never().is_some());
    }
}
