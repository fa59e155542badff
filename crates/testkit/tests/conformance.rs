//! The manager in memory keeps every law.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Capabilities, Coordinate, Result, SecretBackend, SecretValue};
use cloakroom_testkit::conformance::{self, Manager, Powers, Subject};
use cloakroom_testkit::{ManualClock, MemoryBackend};

fn main() -> ExitCode {
    conformance::run(conformance::trials(Memory))
}

struct Memory;

struct Namespace {
    backend: MemoryBackend,
    clock: ManualClock,
}

#[async_trait]
impl Manager for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        MemoryBackend::CAPABILITIES
    }

    fn powers(&self) -> Powers {
        Powers {
            time: true,
            foreign: true,
            misled: false,
            pages: true,
        }
    }

    async fn subject(&self) -> Result<Box<dyn Subject>> {
        let clock = ManualClock::default();
        let backend = MemoryBackend::new("memory".parse()?, Arc::new(clock.clone()));
        Ok(Box::new(Namespace { backend, clock }))
    }
}

#[async_trait]
impl Subject for Namespace {
    fn backend(&self) -> Arc<dyn SecretBackend> {
        Arc::new(self.backend.clone())
    }

    fn several_pages(&self) -> usize {
        170
    }

    async fn advance(&self, by: Duration) -> Result<()> {
        self.clock.advance(by);
        Ok(())
    }

    async fn write_foreign(&self, coordinate: &Coordinate, value: &SecretValue) -> Result<()> {
        self.backend.write_past(coordinate, value.clone(), None);
        Ok(())
    }
}
