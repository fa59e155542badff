//! A backend's listing, page by page.

use std::collections::VecDeque;
use std::sync::Arc;

use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::{Coordinate, Description, PageToken, Result, SecretBackend};

use crate::epoch::is_epoch_mark;

/// Reads a listing from its first page to its last. An error ends it: what was not listed is
/// unknown, not missing.
pub(crate) struct Listing {
    backend: Arc<dyn SecretBackend>,
    policy: RetryPolicy,
    buffered: VecDeque<Description>,
    next: Option<PageToken>,
    begun: bool,
    listed: u64,
}

impl Listing {
    pub(crate) fn new(backend: Arc<dyn SecretBackend>, policy: RetryPolicy) -> Self {
        Self {
            backend,
            policy,
            buffered: VecDeque::new(),
            next: None,
            begun: false,
            listed: 0,
        }
    }

    /// Secrets listed so far. An epoch mark is none.
    pub(crate) fn listed(&self) -> u64 {
        self.listed
    }

    /// The next page, or `None` behind the last.
    pub(crate) async fn next_page(&mut self) -> Result<Option<Vec<Description>>> {
        if self.begun && self.next.is_none() {
            return Ok(None);
        }
        let token = self.next.take();
        let page = self
            .policy
            .run("list the secrets", || self.backend.list(token.as_ref()))
            .await?;
        self.begun = true;
        self.next = page.next;
        let secrets = page
            .secrets
            .iter()
            .filter(|listed| !is_epoch_mark(&listed.coordinate));
        self.listed += secrets.count() as u64;
        Ok(Some(page.secrets))
    }

    /// Goes forward to `coordinate` in a listing ordered by coordinate text. Questions have to
    /// come in that order; `None` where the listing passes it by.
    pub(crate) async fn find(&mut self, coordinate: &Coordinate) -> Result<Option<Description>> {
        loop {
            while let Some(listed) = self.buffered.front() {
                match listed.coordinate.as_str().cmp(coordinate.as_str()) {
                    std::cmp::Ordering::Less => {
                        self.buffered.pop_front();
                    }
                    std::cmp::Ordering::Equal => return Ok(self.buffered.pop_front()),
                    std::cmp::Ordering::Greater => return Ok(None),
                }
            }
            match self.next_page().await? {
                Some(page) => self.buffered = page.into(),
                None => return Ok(None),
            }
        }
    }
}
