//! Epoch marks that a listing or a direct question showed.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom_core::store::StoreIdentity;
use cloakroom_core::{Coordinate, Description, Digest, SecretState, StoreId, Timestamp};

use super::base_of;

/// Marks of former epochs that are remembered to be deleted; the next raise takes the rest.
const MOST_LEFT: usize = 20;

/// One mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenMark {
    /// Whose it is; `None` where it bears no mark of Cloakroom's.
    pub(super) store: Option<StoreId>,
    pub(super) digest: Option<Digest>,
    /// Whether it can still be counted on: it neither waits for its deletion nor is switched off.
    pub(super) enabled: bool,
}

/// What was seen of epoch marks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeenMarks {
    /// Under this deployment's name, by number: the two highest listed ones and those asked about.
    pub(super) here: BTreeMap<i64, SeenMark>,
    /// The highest number that this store's id stands on, under whatever deployment's name.
    pub(super) ours: i64,
    /// This store's under this deployment's name that do not wait for their deletion, and when they were put.
    pub(super) left: Vec<(Coordinate, Option<Timestamp>)>,
}

impl SeenMarks {
    /// Takes in a mark that was listed.
    pub(crate) fn listed(&mut self, listed: &Description, identity: &StoreIdentity) {
        self.see(listed, identity);
        while self.here.len() > 2 {
            self.here.pop_first();
        }
    }

    /// Takes in the answer to a direct question. A listing lags, so it is not contradicted by what
    /// it still shows.
    pub(super) fn asked(&mut self, described: &Description, identity: &StoreIdentity) {
        self.see(described, identity);
    }

    /// Takes in that a mark is not there, whatever a listing still shows.
    pub(super) fn missing(&mut self, number: i64) {
        self.here.remove(&number);
    }

    fn see(&mut self, described: &Description, identity: &StoreIdentity) {
        let number = described.coordinate.version().get();
        let store = described.mark.as_ref().map(|mark| mark.store);
        let ours = store == Some(identity.store);
        if ours {
            self.ours = self.ours.max(number);
        }
        if described.coordinate.base() != base_of(&identity.deployment) {
            return;
        }
        let waits = described.state.is_waiting();
        let known = self.left.iter().any(|(it, _)| *it == described.coordinate);
        if ours && !waits && !known && self.left.len() < MOST_LEFT {
            let put = (described.coordinate.clone(), described.created);
            self.left.push(put);
        }
        let mark = SeenMark {
            store,
            digest: described.mark.as_ref().map(|mark| mark.digest.clone()),
            enabled: described.state == SecretState::Enabled,
        };
        self.here.insert(number, mark);
    }

    /// Marks that nobody needs once that of `number` stands. A database of an earlier number asks for the next one and
    /// learns of further ones from listings alone: that one stays until a later one is in every listing.
    pub(super) fn of_no_use(
        &self,
        number: i64,
        lag: Duration,
        now: Timestamp,
    ) -> impl Iterator<Item = &Coordinate> {
        let version = |coordinate: &Coordinate| coordinate.version().get();
        let age = move |put: Timestamp| Duration::try_from(now.duration_since(put));
        let is_listed = move |put: Option<Timestamp>| {
            put.is_some_and(|put| age(put).is_ok_and(|age| age >= lag))
        };
        let listed = self.left.iter().filter(|(_, put)| is_listed(*put));
        let listed = listed.map(|(it, _)| version(it)).filter(|it| *it < number);
        let at_once = lag.is_zero().then_some(number);
        let needed = listed.chain(at_once).max().unwrap_or_default();
        let left = self.left.iter().map(|(coordinate, _)| coordinate);
        left.filter(move |it| version(it) < needed)
    }

    /// The highest mark under this deployment's name, whosever.
    pub(super) fn highest(&self) -> Option<(i64, &SeenMark)> {
        self.here
            .last_key_value()
            .map(|(number, mark)| (*number, mark))
    }
}
