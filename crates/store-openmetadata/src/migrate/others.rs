//! The other platforms of the configuration: what one of them uses, or copied, is neither taken for a copy nor
//! replaced.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::platform::{CopyName, Defect, Mention, Owner, PlatformSource, ScanSink};
use cloakroom_core::{Error, ErrorKind, Result, SecretValue};

use super::copying::is_of;
use super::{OPERATION, Place, SecretsMigration, Side};

/// Another platform whose secrets may be under the names that are written to.
#[derive(Clone)]
pub struct OtherPlatform {
    /// Its name in the configuration.
    pub platform: String,
    /// Its database, read for names of the platform that is migrated; or why there is no way to it.
    pub source: Result<Arc<dyn PlatformSource>, String>,
}

/// What another platform said of the names that are written to.
struct Answer {
    platform: String,
    /// `Err` where it did not say.
    uses: Result<Uses, String>,
}

/// What all of them said.
pub(super) struct Answers {
    of_each: Vec<Answer>,
    /// Whether that is as late as anything may rest on that cannot be brought back.
    pub(super) are_fresh: bool,
}

struct Uses {
    /// Which database, as its identity tells it.
    database: String,
    mentioned: HashSet<String>,
}

impl SecretsMigration {
    /// Asks each of them now what it mentions of all that this deployment could have made where it is written to.
    pub(super) async fn ask_others(&self) -> Answers {
        let asked: &[OtherPlatform] = match self.to.side {
            Side::Database => &[],
            Side::Manager { .. } => &self.ground.others,
        };
        let mut of_each = Vec::new();
        for other in asked {
            let uses = match &other.source {
                Ok(source) => self.uses(source.as_ref()).await,
                Err(reason) => Err(reason.clone()),
            };
            of_each.push(Answer {
                platform: other.platform.clone(),
                uses,
            });
        }
        Answers {
            of_each,
            are_fresh: asked.is_empty(),
        }
    }

    async fn uses(&self, source: &dyn PlatformSource) -> Result<Uses, String> {
        let mut sink = Kept {
            place: &self.to,
            kept: HashSet::new(),
        };
        let asked = async {
            let database = source.identity().await?.database;
            Ok::<_, Error>((database, source.scan(&mut sink).await?))
        };
        let (database, report) = asked.await.map_err(|error| error.to_string())?;
        match report.obstacles.first() {
            None => Ok(Uses {
                database,
                mentioned: sink.kept,
            }),
            Some(first) => Err(format!("{}: {}", first.subject, first.detail)),
        }
    }

    /// `Conflict` where the value that is under a name is one that another platform uses or copied there, and where
    /// that is not known.
    pub(super) async fn refuse_what_others_use(
        &self,
        copy: &CopyName,
        there: &SecretValue,
        answers: &Answers,
    ) -> Result<()> {
        for Answer { platform, uses } in &answers.of_each {
            let told = match uses {
                Err(reason) => format!(
                    "whether platform {platform} uses what is under this id is not known, since its database gave no \
                     whole answer ({reason}): see to that, or take the platform out of the configuration if it has \
                     nothing in this manager"
                ),
                Ok(uses) if uses.mentioned.contains(&copy.name) => format!(
                    "platform {platform} uses what is under this id: give the deployments other names, or migrate \
                     one of them to another manager"
                ),
                Ok(uses) if self.is_copy_of(platform, uses, copy, there).await? => format!(
                    "a migration of platform {platform} wrote what is under this id: give the deployments other \
                     names, or migrate one of them to another manager"
                ),
                Ok(_) => continue,
            };
            return Err(
                Error::new(ErrorKind::Conflict, OPERATION, told).with_coordinate(&copy.name)
            );
        }
        Ok(())
    }

    /// Whether a migration of another platform noted this value under this name.
    async fn is_copy_of(
        &self,
        platform: &str,
        uses: &Uses,
        copy: &CopyName,
        there: &SecretValue,
    ) -> Result<bool> {
        let theirs = CopyName {
            platform: platform.to_owned(),
            database: uses.database.clone(),
            ..copy.clone()
        };
        let noted = self.ground.journal.noted_copy(&theirs).await?;
        let ring = self.ground.keys.ring()?;
        Ok(noted.is_some_and(|noted| is_of(&ring, &noted, &copy.name, there)))
    }
}

/// Keeps the names that the deployment could have made.
struct Kept<'p> {
    place: &'p Place,
    kept: HashSet<String>,
}

#[async_trait]
impl ScanSink for Kept<'_> {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        Ok(())
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        let names = mentions.into_iter().filter(|it| it.keeps).map(|it| it.name);
        self.kept.extend(names.filter(|name| self.place.made(name)));
        Ok(())
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}
