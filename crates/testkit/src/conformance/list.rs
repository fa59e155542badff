//! Laws of the listing: whole, without repetition, in the order that was said.

use std::collections::{HashMap, HashSet};

use cloakroom_core::{Coordinate, Result};

use super::Subject;
use super::hand::{Hand, list_all, opaque, plainly, value_of};
use super::verdict::{Broken, Verdict, ensure, ensure_eq};

/// How many secrets leave between two pages, at most.
const MOST_LEAVING: usize = 20;

/// An empty namespace has an empty listing.
pub async fn nothing_is_listed_of_nothing(subject: &dyn Subject) -> Verdict {
    let listing = list_all(&*subject.backend()).await?;
    ensure(listing.is_empty(), || {
        format!("{} secrets are listed", listing.len())
    })
}

/// What stood throughout is listed exactly once, while others come and go between the pages.
///
/// Those that go are on the first page: whoever finds the next page by counting then leaves out as
/// many, whatever the order is.
pub async fn what_stood_is_listed_once_while_others_write(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let mut standing: HashSet<Coordinate> = put_several_pages(&hand, subject)
        .await?
        .into_iter()
        .collect();
    subject.settle().await;

    let mut times: HashMap<Coordinate, usize> = HashMap::new();
    let mut left = HashSet::new();
    let mut next = None;
    let mut pages = 0;
    loop {
        let page = backend.list(next.as_ref()).await?;
        pages += 1;
        for secret in &page.secrets {
            *times.entry(secret.coordinate.clone()).or_default() += 1;
        }
        let Some(token) = page.next else { break };
        next = Some(opaque(&token));
        if pages == 1 {
            for secret in page.secrets.iter().step_by(2).take(MOST_LEAVING) {
                standing.remove(&secret.coordinate);
                left.insert(secret.coordinate.clone());
                backend
                    .delete(&secret.coordinate, plainly(&*backend), None)
                    .await?;
            }
        } else if pages <= 10 {
            hand.create_one(&*backend).await?;
        }
    }
    ensure(pages > 1, || {
        "the listing has one page; the subject's powers promise more".to_owned()
    })?;
    for coordinate in &standing {
        let times = times.get(coordinate).copied().unwrap_or_default();
        ensure_eq(&times, &1, &format!("how often {coordinate} is listed"))?;
    }
    // What is not deleted for good stands on one page and waits on another.
    let waits = |it: &Coordinate| left.contains(it) && !backend.capabilities().final_deletion;
    let once = times.iter().all(|(it, times)| *times == 1 || waits(it));
    ensure(once, || "a secret is listed twice".to_owned())
}

/// Where the order is by coordinate, it is so over all pages, byte by byte.
pub async fn the_order_is_by_coordinate(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let mut names = super::names::hard();
    for coordinate in &names {
        hand.create(&*backend, coordinate, &value_of(coordinate))
            .await?;
    }
    names.extend(put_several_pages(&hand, subject).await?);
    subject.settle().await;
    names.sort_by(|one, other| one.as_str().as_bytes().cmp(other.as_str().as_bytes()));
    let listing = list_all(&*backend).await?;
    ensure_eq(&listing.len(), &names.len(), "how many are listed")?;
    for (listed, name) in listing.iter().zip(&names) {
        ensure_eq(
            &listed.coordinate,
            name,
            "the next in the order of the bytes",
        )?;
    }
    Ok(())
}

async fn put_several_pages(hand: &Hand, subject: &dyn Subject) -> Result<Vec<Coordinate>, Broken> {
    let backend = subject.backend();
    let coordinates = hand.coordinates(subject.several_pages());
    for coordinate in &coordinates {
        hand.create(&*backend, coordinate, &value_of(coordinate))
            .await?;
    }
    Ok(coordinates)
}
