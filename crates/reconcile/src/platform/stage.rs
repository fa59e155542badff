//! The first half of a pass: what the manager lists and what the database mentions, written down in
//! batches so that memory stays bounded whatever the count.

use std::collections::BTreeMap;

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::platform::{
    Defect, Mention, NamedSecret, Obstacle, Owner, ScanReport, ScanSink, SeenSecret,
};

use uuid::Uuid;

use super::listed::Overlap;
use super::{Pass, PlatformPhase};

/// What became of the listing.
pub(super) struct Listing {
    pub(super) pages: u64,
    /// Why it was not read to its end, if it was not.
    pub(super) obstacle: Option<Obstacle>,
}

/// What became of the scan.
pub(super) struct Scanned {
    pub(super) report: ScanReport,
    /// Mentions that keep a secret.
    pub(super) kept: u64,
    /// Those of other storages, by storage.
    pub(super) elsewhere: BTreeMap<Uuid, u64>,
    /// Why the manager that was listed can hardly be the one that the database means.
    pub(super) stranger: Option<Obstacle>,
}

impl Pass<'_> {
    /// Reads the manager's listing from its first page to its last.
    pub(super) async fn list(&self) -> Result<Listing> {
        let named = self.named()?;
        let (mut pages, mut number) = (0, 0);
        let mut next = None;
        loop {
            let page = self
                .reader
                .settings
                .request
                .run("list the secrets", || named.list_named(next.as_ref()));
            let page = match page.await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(platform.name = self.platform(), error = %error, "listing failed");
                    return Ok(Listing {
                        pages,
                        obstacle: Some(half_a_listing(number, &error)),
                    });
                }
            };
            pages += 1;
            number += page.secrets.len() as u64;
            let seen: Vec<SeenSecret> = page.secrets.into_iter().map(|it| self.seen(it)).collect();
            self.sightings().see(self.target(), self.run, &seen).await?;
            self.keep_lease().await?;
            self.progressed(PlatformPhase::Listing, number);
            if page.next.is_none() {
                break;
            }
            next = page.next;
        }
        self.sightings()
            .forget_unlisted(self.target(), self.run)
            .await?;
        Ok(Listing {
            pages,
            obstacle: None,
        })
    }

    fn seen(&self, secret: NamedSecret) -> SeenSecret {
        let named = self.naming().read(&secret.name);
        SeenSecret {
            base: named.base.to_owned(),
            owner: named.owner.filter(|_| !self.naming().is_foreign(&secret)),
            secret,
        }
    }

    /// Reads the platform's database.
    pub(super) async fn scan(&self) -> Result<Scanned> {
        let mut stager = Stager {
            pass: self,
            overlap: Overlap::new(self.reader.settings.storage),
            mentions: 0,
        };
        stager
            .owners(self.naming().deployment().into_iter().collect())
            .await?;
        let scan = self.reader.source.scan(&mut stager);
        let report = self.lease.keep_during(scan).await?;
        Ok(Scanned {
            report,
            kept: stager.overlap.kept,
            stranger: stager.overlap.obstacle(),
            elsewhere: stager.overlap.elsewhere,
        })
    }
}

fn half_a_listing(listed: u64, error: &cloakroom_core::Error) -> Obstacle {
    Obstacle {
        subject: "the manager's listing".into(),
        detail: format!(
            "it ended after {listed} secrets ({error}); what was not listed is unknown, not missing"
        ),
    }
}

/// Takes what a scan finds.
struct Stager<'a, 'p> {
    pass: &'a Pass<'p>,
    overlap: Overlap,
    mentions: u64,
}

#[async_trait]
impl ScanSink for Stager<'_, '_> {
    async fn owners(&mut self, owners: Vec<Owner>) -> Result<()> {
        let pass = self.pass;
        pass.sightings().stage_owners(pass.target(), &owners).await
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        let pass = self.pass;
        self.mentions += mentions.len() as u64;
        let seen = pass.tellable(mentions, &mut self.overlap).await?;
        pass.sightings()
            .stage_mentions(pass.target(), &seen)
            .await?;
        pass.progressed(PlatformPhase::Scanning, self.mentions);
        pass.keep_lease().await
    }

    async fn defects(&mut self, defects: Vec<Defect>) -> Result<()> {
        let pass = self.pass;
        pass.sightings()
            .stage_defects(pass.target(), &defects)
            .await
    }
}
