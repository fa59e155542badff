//! The platform's database, in memory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cloakroom_core::platform::{
    Defect, Mention, Obstacle, Owner, PlatformIdentity, PlatformSource, ScanReport, ScanSink,
};
use cloakroom_core::{Error, ErrorKind, Result};
use uuid::Uuid;

use crate::adversary::{Adversary, Event};
use crate::stage::HERE;

/// The platform's database.
pub struct Source {
    /// The workspace that it has.
    owner: Uuid,
    state: Mutex<Tables>,
    pub adversary: Arc<Adversary>,
}

#[derive(Default)]
struct Tables {
    database: String,
    /// The storage that its manager is.
    storage: Uuid,
    mentions: Vec<Mention>,
    defects: Vec<Defect>,
    obstacles: Vec<Obstacle>,
    /// Tables that cannot be left out.
    essential: Vec<String>,
    deployed_jobs: u64,
    fails: bool,
    /// Scans that ask once more fail.
    silent: bool,
}

impl Source {
    pub fn new(adversary: Arc<Adversary>) -> Self {
        Self::of(HERE, adversary)
    }

    /// The database of a platform with this workspace.
    pub fn of(owner: Uuid, adversary: Arc<Adversary>) -> Self {
        Self {
            owner,
            state: Mutex::default(),
            adversary,
        }
    }

    pub fn become_database(&self, name: &str) {
        name.clone_into(&mut self.state.lock().unwrap().database);
    }

    pub fn become_storage(&self, storage: Uuid) {
        self.state.lock().unwrap().storage = storage;
    }

    pub fn obstruct(&self, obstacle: Obstacle) {
        self.state.lock().unwrap().obstacles.push(obstacle);
    }

    /// A table that cannot be left out.
    pub fn call_essential(&self, table: &str) {
        let mut state = self.state.lock().unwrap();
        state.essential.push(table.to_owned());
    }

    /// So many jobs are deployed.
    pub fn deploy(&self, jobs: u64) {
        self.state.lock().unwrap().deployed_jobs = jobs;
    }

    pub fn clear_obstacles(&self) {
        self.state.lock().unwrap().obstacles.clear();
    }

    pub fn forget(&self, name: &str) {
        let mentions = &mut self.state.lock().unwrap().mentions;
        mentions.retain(|it| it.name != name);
    }

    pub fn forget_mentions(&self) {
        self.state.lock().unwrap().mentions.clear();
    }

    pub fn defect(&self, defect: Defect) {
        self.state.lock().unwrap().defects.push(defect);
    }

    pub fn mention(&self, mention: Mention) {
        self.state.lock().unwrap().mentions.push(mention);
    }

    pub fn silence(&self, silent: bool) {
        self.state.lock().unwrap().silent = silent;
    }

    pub fn is_mentioned(&self, name: &str) -> bool {
        let state = self.state.lock().unwrap();
        state.mentions.iter().any(|it| it.name == name && it.keeps)
    }

    pub fn fail(&self, fails: bool) {
        self.state.lock().unwrap().fails = fails;
    }
}

#[async_trait]
impl PlatformSource for Source {
    async fn identity(&self) -> Result<PlatformIdentity> {
        let database = self.state.lock().unwrap().database.clone();
        Ok(PlatformIdentity {
            platform: "airbyte".into(),
            place: format!("db:5432/{database}"),
            database,
        })
    }

    async fn scan(&self, sink: &mut dyn ScanSink) -> Result<ScanReport> {
        self.adversary.meet(Event::Scanning).await;
        let (mentions, defects, obstacles, essential, deployed_jobs, fails) = {
            let state = self.state.lock().unwrap();
            let mentions = state.mentions.clone();
            (
                mentions,
                state.defects.clone(),
                state.obstacles.clone(),
                state.essential.clone(),
                state.deployed_jobs,
                state.fails,
            )
        };
        if fails {
            return Err(Error::new(ErrorKind::Unavailable, "scan", "it went away"));
        }
        let owner = Owner {
            id: self.owner,
            title: Some("Analytics".into()),
            tombstone: false,
        };
        // Every installation begins with it.
        let organization = Owner {
            id: Uuid::nil(),
            title: Some("Default Organization".into()),
            tombstone: false,
        };
        sink.owners(vec![owner, organization]).await?;
        for mentions in mentions.chunks(2) {
            sink.mentions(mentions.to_vec()).await?;
        }
        sink.defects(defects).await?;
        Ok(ScanReport {
            obstacles,
            essential,
            deployed_jobs,
            ..ScanReport::default()
        })
    }

    async fn still_mentioned(&self, names: &[String]) -> Result<Vec<bool>> {
        self.still(names, None).await
    }

    async fn still_mentioned_here(&self, names: &[String]) -> Result<Vec<bool>> {
        let storage = self.state.lock().unwrap().storage;
        self.still(names, Some(storage)).await
    }
}

impl Source {
    async fn still(&self, names: &[String], storage: Option<Uuid>) -> Result<Vec<bool>> {
        self.adversary.meet(Event::AskingAgain).await;
        let state = self.state.lock().unwrap();
        if state.silent {
            return Err(Error::new(ErrorKind::Unavailable, "scan", "it went away"));
        }
        let is_meant = |it: &&Mention| storage.is_none_or(|storage| it.storage == storage);
        let kept: BTreeSet<&str> = state
            .mentions
            .iter()
            .filter(|it| it.keeps)
            .filter(is_meant)
            .flat_map(|it| [it.name.as_str(), base_of(&it.name)])
            .collect();
        let is_kept = |name: &String| kept.contains(name.as_str());
        Ok(names.iter().map(is_kept).collect())
    }
}

/// The name that any version of it is read under too.
fn base_of(name: &str) -> &str {
    let parts = name.rsplit_once("_v");
    let versioned = parts.filter(|(_, tail)| tail.parse::<i64>().is_ok());
    versioned.map_or(name, |(base, _)| base)
}
