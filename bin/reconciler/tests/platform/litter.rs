//! A platform in memory that left something of everything behind.

use std::time::Duration;

use cloakroom_core::store::{Receipt, Receipts as _};
use cloakroom_core::{Capabilities, RunId};
use cloakroom_testkit::memory::MemoryBackend;
use uuid::Uuid;

use crate::stage::{HOUR, Stage, base, here, mention, named};

/// Names of what a clean-up has to take, and of what it must never take.
pub struct Littered {
    pub stage: Stage,
    pub leaked: Vec<String>,
    pub kept: Vec<String>,
    pub ahead: String,
}

fn old(version: u32) -> String {
    format!("airbyte_oldSecretFullCoordinate_v{version}")
}

/// A platform with one of everything, seen once, and not adopted.
pub async fn littered_over(capabilities: Capabilities) -> Littered {
    let stage = Stage::over(capabilities).await;
    // Managers tell times more finely than the store keeps them.
    stage.clock.advance(Duration::from_nanos(123_456));
    let leaked = vec![
        here(1, 1),
        here(1, 2),
        here(2, 1),
        named(Uuid::nil(), 3, 1),
        old(1),
        base(&here(6, 1)),
    ];
    let in_use = [here(1, 3), here(4, 1), old(2)];
    let removed = here(5, 1);
    let ahead = here(1, 4);
    let marked = here(90, 1);
    let mut kept = vec![
        removed.clone(),
        named(Uuid::from_u128(0xBAD), 7, 1),
        "my-own-secret".to_owned(),
        "referred-to".to_owned(),
    ];
    kept.extend(in_use.clone());
    stage.mark(&marked);
    stage.write(leaked.iter().chain(&kept).chain([&ahead]).cloned());
    kept.push(marked);
    for name in in_use {
        stage.mention(mention(&name));
    }
    let mut of_removed = mention(&removed);
    of_removed.tombstone = true;
    stage.mention(of_removed);
    let mut external = mention("referred-to");
    external.external = true;
    stage.mention(external);
    stage.clock.advance(HOUR * 30);
    let young = named(Uuid::nil(), 8, 1);
    stage.write([young.clone()]);
    kept.push(young);
    stage.pass().await.unwrap();
    stage.clock.advance(HOUR);
    Littered {
        stage,
        leaked,
        kept,
        ahead,
    }
}

pub async fn littered() -> Littered {
    littered_over(MemoryBackend::CAPABILITIES).await
}

impl Littered {
    /// The same, adopted and seen twice.
    pub async fn adopted() -> Self {
        Self::adopted_over(MemoryBackend::CAPABILITIES).await
    }

    /// The same, over a manager that says this of itself.
    pub async fn adopted_over(capabilities: Capabilities) -> Self {
        let littered = littered_over(capabilities).await;
        littered.stage.adopt().await;
        littered
    }

    pub async fn assert_untouched(&self) {
        for name in self.leaked.iter().chain(&self.kept).chain([&self.ahead]) {
            assert!(self.stage.is_there(name).await, "{name}");
        }
    }

    pub async fn assert_clean(&self) {
        self.assert_clean_but_checks().await;
        for name in &self.kept {
            assert!(self.stage.is_there(name).await, "{name} went");
        }
    }

    /// The same after the two hours that the latest check lives.
    pub async fn assert_clean_but_checks(&self) {
        for name in &self.leaked {
            assert!(!self.stage.is_there(name).await, "{name} stayed");
        }
        self.assert_kept_but_checks().await;
    }

    pub async fn assert_kept_but_checks(&self) {
        let nil = Uuid::nil().to_string();
        for name in self.kept.iter().filter(|it| !it.contains(&nil)) {
            assert!(self.stage.is_there(name).await, "{name} went");
        }
    }

    pub async fn receipts(&self, run: RunId) -> Vec<Receipt> {
        self.stage.store.verify_receipts().await.unwrap();
        self.stage.store.receipts_of(run, 0, 1_000).await.unwrap()
    }
}
