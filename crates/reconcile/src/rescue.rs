//! Rescue: what is referenced and waiting for its deletion, or carrying an expiry, is restored at
//! once and reported. And how findings are kept.

use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::{Finding, FindingKind, ReferenceCursor, Restored};
use cloakroom_core::{Coordinate, Description, DocumentId, Error, Result, SecretState, Timestamp};

use crate::Pass;
use crate::ask::Describe;
use crate::observe::Phase;
use crate::plan::{PlanContent, PlanRescue, RescueReason};
use crate::survey::endangered;

/// Findings written to the journal together.
const FINDINGS_TOGETHER: usize = 500;
/// Findings kept until their run is in the journal; a plan's begins behind its survey. What is more is
/// counted.
const FINDINGS_KEPT: usize = 50_000;
/// Findings of each kind that the report itself carries.
const EXAMPLES: u64 = 3;

/// Why a secret is to stay.
pub(crate) enum Need {
    /// A document refers to it.
    Referred {
        /// `None` where its id cannot be read.
        document: Option<DocumentId>,
        pointer: String,
    },
    /// An undo brought it back, or a move left it.
    Held { until: Timestamp },
}

impl Need {
    /// The document that refers to it, and where.
    fn place(&self) -> (Option<DocumentId>, Option<&String>) {
        match self {
            Self::Referred { document, pointer } => (*document, Some(pointer)),
            Self::Held { .. } => (None, None),
        }
    }
}

/// Which document refers to it, for a person.
pub(crate) fn refers(document: Option<DocumentId>, pointer: &str) -> String {
    match document {
        Some(document) => format!("document {document} refers to it at {pointer}"),
        None => format!("a document whose id cannot be read refers to it at {pointer}"),
    }
}

/// The hold, for a person.
pub(crate) fn held_until(until: Timestamp) -> String {
    format!("no document refers to it, and an undo or a move holds it until {until}")
}

/// What verify-blobs would do and say, at most `limit` of each.
pub(crate) struct DrawnUp {
    pub(crate) content: PlanContent,
    pub(crate) limit: usize,
    /// Whether there was more of either.
    pub(crate) more: bool,
}

impl DrawnUp {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            content: PlanContent::default(),
            limit,
            more: false,
        }
    }

    fn rescue(&mut self, rescue: PlanRescue) {
        if self.content.rescues.len() < self.limit {
            self.content.rescues.push(rescue);
        } else {
            self.more = true;
        }
    }

    fn finding(&mut self, finding: Finding) {
        if self.content.findings.len() < self.limit {
            self.content.findings.push(finding);
        } else {
            self.more = true;
        }
    }
}

impl Pass<'_> {
    /// Rescues what a document refers to now: its references may have been read a while ago, by a
    /// process that slept since. Gives back whether it was restored.
    pub(crate) async fn rescue_if_referenced(&mut self, endangered: &Description) -> Result<bool> {
        let referrers = self
            .store()
            .referrers(self.backend_id(), &endangered.coordinate, 1)
            .await?;
        match referrers.into_iter().next() {
            Some((document, pointer)) => {
                self.rescue(endangered, Need::Referred { document, pointer })
                    .await
            }
            None => Ok(false),
        }
    }

    /// Restores a secret that is needed and reports it. A dry run only reports. Gives back whether it was
    /// restored.
    pub(crate) async fn rescue(&mut self, endangered: &Description, need: Need) -> Result<bool> {
        if let Some(drawn_up) = &mut self.drawn_up {
            let (document, pointer) = need.place();
            drawn_up.rescue(PlanRescue {
                coordinate: endangered.coordinate.clone(),
                document,
                pointer: pointer.cloned(),
                reason: reason(endangered),
                evidence: evidence(endangered, &need),
            });
            return Ok(false);
        }
        let waited = endangered.state.is_waiting();
        let danger = if waited {
            "it waited for its deletion"
        } else {
            "it carried an expiry"
        };
        let mut restored = false;
        let detail = if self.options.dry_run {
            format!("{danger}; a run restores it")
        } else {
            match self.restore(endangered, waited).await {
                Ok(()) => {
                    self.report.rescued += 1;
                    restored = true;
                    format!("{danger} and was restored")
                }
                Err(error) => {
                    self.report.unrestored += 1;
                    format!("{danger} and could not be restored: {error}")
                }
            }
        };
        let (document, pointer) = need.place();
        let detail = match &need {
            Need::Referred { .. } => detail,
            Need::Held { until } => format!("{detail}; {}", held_until(*until)),
        };
        tracing::warn!(
            backend.id = %self.backend_id(),
            secret.coordinate = %endangered.coordinate,
            document.id = document.map(tracing::field::display),
            detail,
            "a secret that is needed was in danger"
        );
        self.found(Finding {
            kind: FindingKind::Endangered,
            document,
            pointer: pointer.cloned(),
            coordinate: Some(endangered.coordinate.clone()),
            detail,
        })
        .await?;
        if restored {
            self.write_receipt(endangered, &need).await?;
        }
        Ok(restored)
    }

    async fn write_receipt(&self, endangered: &Description, need: &Need) -> Result<()> {
        let evidence = evidence(endangered, need);
        let restored = Restored {
            coordinate: endangered.coordinate.clone(),
            evidence: match need {
                Need::Referred { document, pointer } => {
                    format!("{evidence}; {}", refers(*document, pointer))
                }
                Need::Held { until } => format!("{evidence}; {}", held_until(*until)),
            },
        };
        self.store()
            .rescued(self.run(), self.backend_id(), &[restored])
            .await
    }

    /// Asks about everything in use directly, where the listing did not come to its end: what it did
    /// not show may be in danger. Once the manager answers nothing, nothing can be restored there.
    pub(crate) async fn rescue_without_listing(&mut self) -> Result<()> {
        let mut after: Option<ReferenceCursor> = None;
        let (mut asked, mut unanswered) = (0_u64, 0_u64);
        loop {
            if self.told_to_stop() {
                self.report.cut_short = true;
                break;
            }
            self.keep_lease().await?;
            let page = self
                .reconciler
                .store
                .references(self.backend_id(), after.as_ref(), self.settings().page)
                .await?;
            let Some(last) = page.last() else { break };
            after = Some(last.into());
            let mut coordinates: Vec<Coordinate> =
                page.into_iter().map(|row| row.coordinate).collect();
            coordinates.dedup();
            let described = self.ask(&Describe, &coordinates).await?;
            let is_away = described
                .iter()
                .all(|answer| answer.as_ref().is_err_and(Error::is_retryable));
            asked += described.len() as u64;
            for described in described {
                match described {
                    Ok(described) if self.is_ours(&described) && endangered(&described) => {
                        self.rescue_if_referenced(&described).await?;
                    }
                    Ok(_) => {}
                    Err(error) => unanswered += u64::from(!error.is_missing()),
                }
            }
            self.progressed(Phase::References, asked);
            if is_away {
                break;
            }
        }
        tracing::warn!(
            backend.id = %self.backend_id(),
            secrets.asked = asked,
            secrets.unanswered = unanswered,
            "without a whole listing what is in use was asked about one by one"
        );
        Ok(())
    }

    pub(crate) async fn restore(&self, endangered: &Description, waited: bool) -> Result<()> {
        let (backend, policy) = (&self.backend, self.settings().request);
        let coordinate = &endangered.coordinate;
        if waited && !mutant::on(Mutant::RescueLeftOut) {
            policy
                .run("restore the secret", || backend.restore(coordinate))
                .await?;
        }
        if endangered.native_expiry.is_some() {
            policy
                .run("lift the expiry", || backend.lift_expiry(coordinate))
                .await?;
        }
        Ok(())
    }

    /// Counts a finding, and keeps it for the journal.
    pub(crate) async fn found(&mut self, finding: Finding) -> Result<()> {
        if let Some(drawn_up) = &mut self.drawn_up {
            drawn_up.finding(finding);
            return Ok(());
        }
        let count = self.report.findings.entry(finding.kind).or_default();
        *count += 1;
        if *count <= EXAMPLES {
            self.report.examples.push(finding.clone());
        }
        if self.findings.len() < FINDINGS_KEPT {
            self.findings.push(finding);
        }
        if self.findings.len() >= FINDINGS_TOGETHER {
            self.flush_findings().await
        } else {
            Ok(())
        }
    }

    pub(crate) async fn flush_findings(&mut self) -> Result<()> {
        if self.options.dry_run {
            self.findings.clear();
        }
        if !self.started {
            return Ok(());
        }
        for together in std::mem::take(&mut self.findings).chunks(FINDINGS_TOGETHER) {
            self.store().record_findings(self.run(), together).await?;
        }
        Ok(())
    }
}

fn reason(endangered: &Description) -> RescueReason {
    if endangered.state.is_waiting() {
        RescueReason::ScheduledForDeletion
    } else {
        RescueReason::Expiring
    }
}

fn evidence(endangered: &Description, need: &Need) -> String {
    let needed = match need {
        Need::Referred { .. } => "in use",
        Need::Held { .. } => "held",
    };
    let mut parts = Vec::new();
    if let SecretState::ScheduledForDeletion { due } = &endangered.state {
        let due = due.map_or_else(|| "at an unknown time".to_owned(), |at| format!("at {at}"));
        parts.push(format!("{needed}, and its deletion is due {due}"));
    }
    if let Some(at) = endangered.native_expiry {
        parts.push(format!("{needed}, and it expires at {at}"));
    }
    parts.join("; ")
}
