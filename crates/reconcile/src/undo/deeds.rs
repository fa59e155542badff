//! What there is of a run to be taken back: its receipts, and its claims that have no end.

use std::collections::BTreeMap;

use cloakroom_core::platform::SecretName;
use cloakroom_core::store::{Receipt, Store, words};
use cloakroom_core::{BackendId, Coordinate, Error, ErrorKind, Result, RunId};

use super::OPERATION;

/// What a run did, a page of it: first what its receipts say, then what it claimed and wrote no end of.
pub(super) struct Deeds {
    receipts: Vec<Receipt>,
    claims: Vec<(BackendId, Coordinate)>,
}

/// In the place of an outcome: the run wrote none down.
pub(super) const CLAIMED: &str = "claimed";

impl Deeds {
    pub(super) async fn first(store: &dyn Store, run: RunId, page: u32) -> Result<Self> {
        let receipts = store.receipts_of(run, 0, page).await?;
        Self::or_claims(store, run, receipts, page).await
    }

    pub(super) async fn next(&self, store: &dyn Store, run: RunId, page: u32) -> Result<Self> {
        if let Some(last) = self.receipts.last() {
            let receipts = store.receipts_of(run, last.seq, page).await?;
            return Self::or_claims(store, run, receipts, page).await;
        }
        let after = self.claims.last().map(|(_, coordinate)| coordinate);
        Ok(Self {
            receipts: Vec::new(),
            claims: store.claimed_by(run, after, page).await?,
        })
    }

    async fn or_claims(
        store: &dyn Store,
        run: RunId,
        receipts: Vec<Receipt>,
        page: u32,
    ) -> Result<Self> {
        let claims = if receipts.is_empty() {
            store.claimed_by(run, None, page).await?
        } else {
            Vec::new()
        };
        Ok(Self { receipts, claims })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.receipts.is_empty() && self.claims.is_empty()
    }

    /// Whether all that the run did was to let secrets go or to adopt them: it asked for no deletion.
    pub(super) fn are_adoptions(&self) -> bool {
        let adopted = |it: &Receipt| it.outcome == words::ADOPTED;
        self.claims.is_empty() && self.receipts.iter().all(adopted)
    }

    pub(super) fn backend(&self) -> Option<&BackendId> {
        let receipt = self.receipts.first().map(|receipt| &receipt.backend);
        receipt.or_else(|| self.claims.first().map(|(backend, _)| backend))
    }

    /// How it last ended for each secret. What the run rescued is in use: there is nothing to take back.
    pub(super) fn outcomes(&self) -> Result<Vec<(Coordinate, String)>> {
        let deletions = self
            .receipts
            .iter()
            .filter(|it| it.reason != words::RESCUED);
        let deletions: Vec<Receipt> = deletions.cloned().collect();
        let ended = last_words(&deletions).into_iter().map(|(name, outcome)| {
            let coordinate = name.coordinate().ok_or_else(|| of_a_platform(name))?;
            Ok((coordinate, outcome.to_owned()))
        });
        let claimed = self.claims.iter();
        let claimed = claimed.map(|(_, coordinate)| Ok((coordinate.clone(), CLAIMED.to_owned())));
        ended.chain(claimed).collect()
    }
}

/// How it last ended for each secret of these receipts.
pub(crate) fn last_words(receipts: &[Receipt]) -> BTreeMap<&SecretName, &str> {
    receipts
        .iter()
        .map(|receipt| (&receipt.coordinate, receipt.outcome.as_str()))
        .collect()
}

fn of_a_platform(name: &SecretName) -> Error {
    let message = "a receipt of a run of ours names what is no coordinate; `reconciler audit verify` \
                   tells whether it was changed";
    Error::new(ErrorKind::Corrupt, OPERATION, message).with_coordinate(name)
}
