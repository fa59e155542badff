//! Trouble in the middle of a listing: a page that failed is never the last.

use std::collections::HashSet;

use cloakroom_core::{Coordinate, SecretBackend};

use super::act::ensure_listed;
use super::hold::{Findings, HASTE, PATIENCE, ensure_not_followed, ensure_told, start};
use super::{FaultSubject, Trouble};
use crate::conformance::hand::{Hand, opaque, value_of};
use crate::conformance::verdict::{Broken, ensure};
use crate::proxy::Rule;

/// Each of the troubles meets the second page. It is an error of that trouble's kind, and the
/// listing begun again is whole.
pub(super) async fn hold(
    subject: &dyn FaultSubject,
    troubles: &[Trouble],
) -> Result<Findings, Broken> {
    let proxy = start(subject).await?;
    let patient = subject.through(&proxy, PATIENCE).await?;
    let hasty = subject.through(&proxy, HASTE).await?;
    let standing = put_several_pages(subject).await?;
    let mut findings = Findings::default();
    for trouble in troubles {
        let first = patient.list(None).await?;
        let token = first.next.ok_or_else(|| {
            Broken::new("the listing has one page; the subject's powers promise more")
        })?;
        let backend = match trouble {
            Trouble::Delay => &hasty,
            _ => &patient,
        };
        let before = proxy.faults();
        proxy.add(Rule::new(trouble.fault(subject)));
        let answer = backend.list(Some(&opaque(&token))).await;
        proxy.calm();
        proxy.settled().await;
        ensure_not_followed(&proxy)?;
        let met = proxy.faults() - before;
        ensure(met > 0, || {
            format!(
                "the second page asks nothing of the server ({})",
                trouble.name()
            )
        })?;
        let Err(error) = answer else {
            return Err(Broken::new(format!(
                "a page that failed ({}) is given as one",
                trouble.name()
            )));
        };
        ensure_told(&error, *trouble).map_err(|broken| {
            Broken::new(format!("{} on the second page: {broken}", trouble.name()))
        })?;
        findings.kind = Some(error.kind());
        if *trouble != Trouble::ExpiredPage {
            patient.list(Some(&opaque(&token))).await?;
        }
    }
    ensure_listed(&*patient, &standing).await?;
    Ok(findings)
}

async fn put_several_pages(subject: &dyn FaultSubject) -> Result<HashSet<Coordinate>, Broken> {
    let (hand, direct) = (Hand::new(), subject.backend());
    let coordinates = hand.coordinates(subject.several_pages());
    for coordinate in &coordinates {
        let direct: &dyn SecretBackend = &*direct;
        hand.create(direct, coordinate, &value_of(coordinate))
            .await?;
    }
    subject.settle().await;
    Ok(coordinates.into_iter().collect())
}
