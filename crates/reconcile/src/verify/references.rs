//! Every reference against the backend: present, enabled, in no danger, ours, and the value it was.

use cloakroom_core::capabilities::ListOrder;
use cloakroom_core::ledger::{Damage, RowState};
use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::{Finding, FindingKind, ReferenceCursor, ReferenceRow};
use cloakroom_core::{
    Coordinate, Description, Digest, Error, ErrorKind, KeyRing, Result, SecretState, StoredSecret,
};

use crate::Pass;
use crate::ask::{Describe, Get};
use crate::listing::Listing;
use crate::observe::Phase;
use crate::survey::{endangered, unreadable_row};

/// Values read together; bounds the memory of `--read-values`.
const VALUES_TOGETHER: usize = 100;

impl Pass<'_> {
    pub(crate) async fn verify_references(&mut self) -> Result<()> {
        let mut listing = self.ordered_listing();
        let mut after: Option<ReferenceCursor> = None;
        loop {
            if self.told_to_stop() {
                self.report.cut_short = true;
                return Ok(());
            }
            self.keep_lease().await?;
            let page = self
                .reconciler
                .store
                .references(self.backend_id(), after.as_ref(), self.settings().page)
                .await?;
            let Some(last) = page.last() else { break };
            after = Some(last.into());
            self.verify_page(&page, &mut listing).await?;
            self.report.checked.references += page.len() as u64;
            if let Some(listing) = &listing {
                self.report.checked.listed = listing.listed();
            }
            self.progressed(Phase::References, self.report.checked.references);
        }
        Ok(())
    }

    /// A listing that goes with questions in the order of coordinates, where there is one.
    pub(super) fn ordered_listing(&self) -> Option<Listing> {
        let is_ordered = self.backend.capabilities().list_order == ListOrder::Coordinate;
        is_ordered.then(|| Listing::new(self.backend.clone(), self.settings().request))
    }

    async fn verify_page(
        &mut self,
        page: &[ReferenceRow],
        listing: &mut Option<Listing>,
    ) -> Result<()> {
        let groups: Vec<&[ReferenceRow]> = page
            .chunk_by(|one, next| one.coordinate == next.coordinate)
            .collect();
        let coordinates: Vec<&Coordinate> =
            groups.iter().map(|group| &group[0].coordinate).collect();
        let described = self.describe_all(&coordinates, listing).await?;
        let mut readable = Vec::new();
        for (group, described) in groups.iter().zip(described) {
            if self.judge(group, described).await? {
                readable.push(*group);
            }
        }
        if self.options.read_values {
            for groups in readable.chunks(VALUES_TOGETHER) {
                self.verify_values(groups).await?;
            }
        }
        Ok(())
    }

    /// A description of each, from the listing where its order allows and it goes on, from direct
    /// questions otherwise and for everything the listing does not show.
    pub(super) async fn describe_all(
        &mut self,
        coordinates: &[&Coordinate],
        listing: &mut Option<Listing>,
    ) -> Result<Vec<Result<Description>>> {
        let mut described: Vec<Option<Result<Description>>> = Vec::with_capacity(coordinates.len());
        for coordinate in coordinates {
            let listed = self.find_listed(listing, coordinate).await;
            if let Some(listed) = &listed {
                // That it is in danger no direct answer tells: its mark cannot be read.
                self.rescue_unreadable(listed).await?;
            }
            described.push(listed.filter(says_all).map(Ok));
        }
        let unlisted: Vec<usize> = (0..coordinates.len())
            .filter(|&at| described[at].is_none())
            .collect();
        let asked: Vec<Coordinate> = unlisted.iter().map(|&at| coordinates[at].clone()).collect();
        let answers = if mutant::on(Mutant::ListingTrusted) {
            let missing = |_: &Coordinate| Err(Error::new(ErrorKind::Missing, "list", "a mutant"));
            asked.iter().map(missing).collect()
        } else {
            self.ask(&Describe, &asked).await?
        };
        for (at, answer) in unlisted.into_iter().zip(answers) {
            described[at] = Some(answer);
        }
        Ok(described.into_iter().flatten().collect())
    }

    /// What an ordered listing says of a secret. After one that failed everything is asked about
    /// directly.
    async fn find_listed(
        &self,
        listing: &mut Option<Listing>,
        coordinate: &Coordinate,
    ) -> Option<Description> {
        match listing.as_mut()?.find(coordinate).await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(backend.id = %self.backend_id(), error = %error, "listing failed; every secret in use is asked about directly");
                *listing = None;
                None
            }
        }
    }

    /// Judges one secret by its description. Gives back whether its value can be read.
    async fn judge(
        &mut self,
        group: &[ReferenceRow],
        described: Result<Description>,
    ) -> Result<bool> {
        let described = match described {
            Ok(described) => described,
            Err(error) => {
                self.judge_failure(group, error).await?;
                return Ok(false);
            }
        };
        if !self.is_ours(&described) {
            self.judge_stranger(group, &described).await?;
            return Ok(false);
        }
        self.judge_ledger(group).await?;
        // What still waits for its deletion cannot be read.
        let mut readable = true;
        if endangered(&described) {
            let restored = self.rescue_if_referenced(&described).await?;
            readable = restored || !described.state.is_waiting();
        }
        match described.state {
            SecretState::Destroyed => {
                let detail =
                    "its value was destroyed in the manager; put the document again with the value";
                self.dangles(group, detail).await?;
                return Ok(false);
            }
            SecretState::Disabled => {
                let detail = "it cannot be read: it is switched off in the manager; enable it there, or put \
                              the document again with the value";
                self.amiss(FindingKind::Disabled, group, detail).await?;
                // So that an equal value is written again instead of being kept.
                self.damage(group, Damage::Missing).await?;
                return Ok(false);
            }
            SecretState::Enabled | SecretState::ScheduledForDeletion { .. } => {}
        }
        self.judge_mark(group, &described).await?;
        Ok(readable)
    }

    async fn judge_stranger(
        &mut self,
        group: &[ReferenceRow],
        described: &Description,
    ) -> Result<()> {
        let detail = if described.state.is_waiting() {
            "it does not bear this store's mark and waits for its deletion, so no run restores it: \
             restore it in the manager, or put the document again with the value"
        } else {
            "it does not bear this store's mark: somebody else wrote it; put the document again with the \
             value"
        };
        self.amiss(FindingKind::NotOurs, group, detail).await?;
        // So that an equal value is written again instead of being kept.
        self.damage(group, Damage::Different).await
    }

    async fn judge_failure(&mut self, group: &[ReferenceRow], error: Error) -> Result<()> {
        match error.kind() {
            ErrorKind::Missing => {
                let detail = "the manager does not have it; put the document again with the value";
                self.dangles(group, detail).await
            }
            ErrorKind::Corrupt => {
                let detail = format!("the manager has it and cannot give it back: {error}");
                self.amiss(FindingKind::Unreadable, group, &detail).await?;
                // With the key it is what it was; only what is damaged stays so.
                if error.missing_key().is_some() {
                    return Ok(());
                }
                // So that an equal value is written again instead of being kept.
                self.damage(group, Damage::Different).await
            }
            // Anything else is not an answer: nothing can be said about what is stored. A backend
            // that is away ends the run here; one secret that may not be asked about hides no other.
            _ if error.is_retryable() => Err(error),
            _ => {
                self.unsure.get_or_insert(error);
                Ok(())
            }
        }
    }

    async fn dangles(&mut self, group: &[ReferenceRow], detail: &str) -> Result<()> {
        if self.still_referenced(group).await? {
            self.amiss(FindingKind::Dangling, group, detail).await?;
            self.damage(group, Damage::Missing).await?;
        }
        Ok(())
    }

    /// The document may have been updated since its references were read.
    async fn still_referenced(&self, group: &[ReferenceRow]) -> Result<bool> {
        let referrers = self
            .store()
            .referrers(self.backend_id(), &group[0].coordinate, 1)
            .await?;
        Ok(!referrers.is_empty())
    }

    async fn judge_ledger(&mut self, group: &[ReferenceRow]) -> Result<()> {
        let state = group[0].ledger.as_ref().map(|row| row.state);
        let detail = match (&group[0].unreadable, state) {
            (Some(message), _) => unreadable_row(message),
            (None, Some(RowState::Stored)) => return Ok(()),
            (None, Some(state)) => {
                format!("it is referenced and its ledger row is {}", state.as_str())
            }
            (None, None) => "it is referenced and the ledger has no row for it".to_owned(),
        };
        self.amiss(FindingKind::LedgerMismatch, group, &detail)
            .await
    }

    async fn judge_mark(&mut self, group: &[ReferenceRow], described: &Description) -> Result<()> {
        let Some(row) = &group[0].ledger else {
            return Ok(());
        };
        let marked = described.mark.as_ref().map(|mark| &mark.digest);
        if marked != Some(&row.digest) {
            let detail = "the digest in its mark is not the one the ledger has: it was written over; \
                          put the document again with the value";
            self.amiss(FindingKind::Altered, group, detail).await?;
            return self.damage(group, Damage::Different).await;
        }
        // That the value itself is right again only reading it can tell, and where it is read that tells all.
        match row.damage {
            Some(Damage::Missing) if !self.options.read_values => self.forget_damage(group).await,
            Some(Damage::Different) if !self.options.read_values => {
                let detail = "a run or a reader found another value here, or one or a mark that could not be \
                              read, or somebody else's mark; put the document again with the value, or, \
                              where it is right again, run verify-blobs with --read-values, which forgets this";
                self.amiss(FindingKind::Altered, group, detail).await
            }
            _ => Ok(()),
        }
    }

    async fn verify_values(&mut self, groups: &[&[ReferenceRow]]) -> Result<()> {
        let coordinates: Vec<Coordinate> = groups
            .iter()
            .map(|group| group[0].coordinate.clone())
            .collect();
        let values = self.ask(&Get, &coordinates).await?;
        let ring = self.reconciler.keys.ring()?;
        for (group, value) in groups.iter().zip(values) {
            match value {
                Ok(value) => self.judge_value(group, &value, &ring).await?,
                Err(error) => self.judge_failure(group, error).await?,
            }
        }
        Ok(())
    }

    async fn judge_value(
        &mut self,
        group: &[ReferenceRow],
        value: &StoredSecret,
        ring: &KeyRing,
    ) -> Result<()> {
        let Some(row) = &group[0].ledger else {
            return Ok(());
        };
        let Some(key) = ring.find(row.digest.key()) else {
            let detail = format!(
                "its digest was made under key {}, which is not configured, so its value can be \
                 compared with nothing; bring that key back, or put the document again with the value",
                row.digest.key()
            );
            return self.amiss(FindingKind::Incomparable, group, &detail).await;
        };
        self.report.checked.values += 1;
        let digest = Digest::of(key, group[0].coordinate.base(), row.kind, &value.value);
        if digest != row.digest {
            let detail =
                "its value is not the one that was stored; put the document again with the value";
            self.amiss(FindingKind::Altered, group, detail).await?;
            return self.damage(group, Damage::Different).await;
        }
        self.forget_damage(group).await
    }

    async fn damage(&self, group: &[ReferenceRow], found: Damage) -> Result<()> {
        let Some(row) = &group[0].ledger else {
            return Ok(());
        };
        if self.options.dry_run || row.damage == Some(found.beside(row.damage)) {
            return Ok(());
        }
        self.store()
            .set_damage(self.backend_id(), &group[0].coordinate, found)
            .await
    }

    /// What was known when the page was read.
    async fn forget_damage(&self, group: &[ReferenceRow]) -> Result<()> {
        let known = group[0].ledger.as_ref().and_then(|row| row.damage);
        match known.filter(|_| !self.options.dry_run) {
            Some(known) => {
                let coordinate = &group[0].coordinate;
                let store = self.store();
                store
                    .forget_damage(self.backend_id(), coordinate, known)
                    .await
            }
            None => Ok(()),
        }
    }

    async fn amiss(
        &mut self,
        kind: FindingKind,
        group: &[ReferenceRow],
        detail: &str,
    ) -> Result<()> {
        for reference in group {
            self.found(Finding {
                kind,
                document: Some(reference.document),
                pointer: Some(reference.pointer.clone()),
                coordinate: Some(reference.coordinate.clone()),
                detail: detail.to_owned(),
            })
            .await?;
        }
        Ok(())
    }
}

/// Whether a listing tells what there is to know of a secret in use. What makes a finding of one, and whose
/// mark cannot be read, is asked for directly.
fn says_all(listed: &Description) -> bool {
    listed.mark.is_some() && listed.state != SecretState::Destroyed
}
