//! The manager in memory keeps every law.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::platform::NamedSecrets as _;
use cloakroom_core::{Capabilities, Coordinate, Result, SecretBackend, SecretValue};
use cloakroom_testkit::conformance::{self, Manager, Powers, Subject};
use cloakroom_testkit::named::{self, NamedManager, NamedSubject, Spelling};
use cloakroom_testkit::{ManualClock, MemoryBackend};

fn main() -> ExitCode {
    let mut trials = conformance::trials(Memory { keeps: false });
    trials.extend(conformance::trials(Memory { keeps: true }));
    trials.extend(named::trials(Memory { keeps: false }));
    conformance::run(trials)
}

struct Memory {
    /// Whether a recovery window ends by a purge alone.
    keeps: bool,
}

struct Namespace {
    backend: MemoryBackend,
    clock: ManualClock,
}

#[async_trait]
impl Manager for Memory {
    fn name(&self) -> &'static str {
        if self.keeps {
            "memory that keeps"
        } else {
            "memory"
        }
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
        Ok(Box::new(Namespace::new(self.keeps)?))
    }
}

#[async_trait]
impl NamedManager for Memory {
    async fn named_subject(&self) -> Result<Box<dyn NamedSubject>> {
        Ok(Box::new(Namespace::new(self.keeps)?))
    }
}

impl Namespace {
    fn new(keeps: bool) -> Result<Self> {
        let clock = ManualClock::default();
        let mut backend = MemoryBackend::new("memory".parse()?, Arc::new(clock.clone()));
        if keeps {
            backend = backend.keeping();
        }
        Ok(Self { backend, clock })
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

#[async_trait]
impl NamedSubject for Namespace {
    async fn write_as_platform(&self, name: &str, value: &SecretValue) -> Result<()> {
        self.backend.write_as_platform(name, value.clone())
    }

    async fn read_as_platform(&self, name: &str) -> Result<SecretValue> {
        let read = self.backend.read_named(&[name.to_owned()]).await;
        read.into_iter().next().unwrap_or_else(|| unreachable!())
    }

    /// The namespace is all there is.
    async fn write_beyond(&self, _: &SecretValue) -> Result<()> {
        Ok(())
    }

    fn spelling(&self, _: &str) -> Spelling {
        Spelling::Listed
    }
}
