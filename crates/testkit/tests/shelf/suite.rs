//! The Shelf as the testkit sees it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{
    Capabilities, Coordinate, Error, ErrorKind, Result, SecretBackend, SecretValue,
};
use cloakroom_testkit::conformance::{Credentials, Manager, Permission, Powers, Subject};
use cloakroom_testkit::faults::{FaultManager, FaultSubject, Operation, Requests};
use cloakroom_testkit::proxy::{Proxy, Upstream};

use crate::backend::{CAPABILITIES, ShelfBackend};
use crate::client::ShelfSettings;
use crate::server::{Server, TOKEN};

/// Seven values are read, five a request.
pub const REQUESTS: Requests = &[
    (Operation::Put, 1),
    (Operation::PutAgain, 2),
    (Operation::Get, 1),
    (Operation::GetMany, 2),
    (Operation::Describe, 1),
    (Operation::List, 1),
    (Operation::Delete, 1),
    (Operation::DeleteRecoverable, 1),
    (Operation::Restore, 1),
    (Operation::LiftExpiry, 1),
];

pub struct Shelf;

pub struct Namespace {
    pub server: Server,
}

impl Namespace {
    pub async fn new() -> Self {
        Self {
            server: Server::start().await,
        }
    }
}

pub fn connect(url: &str, token: &str, timeout: Duration) -> ShelfBackend {
    ShelfBackend::new("shelf".parse().unwrap(), settings(url, token, timeout))
}

pub fn settings(url: &str, token: &str, timeout: Duration) -> ShelfSettings {
    ShelfSettings {
        address: url.trim_start_matches("http://").to_owned(),
        token: Arc::new(SecretValue::from(token.to_owned())),
        timeout,
    }
}

#[async_trait]
impl Manager for Shelf {
    fn name(&self) -> &'static str {
        "shelf"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn powers(&self) -> Powers {
        Powers {
            time: true,
            foreign: true,
            misled: true,
            pages: true,
        }
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            expired: true,
            restricted: true,
            exact: false,
        }
    }

    async fn subject(&self) -> Result<Box<dyn Subject>> {
        Ok(Box::new(Namespace::new().await))
    }
}

#[async_trait]
impl Subject for Namespace {
    fn backend(&self) -> Arc<dyn SecretBackend> {
        Arc::new(connect(&self.server.url, TOKEN, Duration::from_secs(20)))
    }

    fn misled(&self) -> Option<Arc<dyn SecretBackend>> {
        let wrong = connect(&self.server.url, "wrong", Duration::from_secs(20));
        Some(Arc::new(wrong))
    }

    async fn expired(&self) -> Result<Option<Arc<dyn SecretBackend>>> {
        let token = format!("{TOKEN}-expired");
        let expired = connect(&self.server.url, &token, Duration::from_secs(20));
        Ok(Some(Arc::new(expired)))
    }

    async fn without(&self, permission: Permission) -> Result<Option<Arc<dyn SecretBackend>>> {
        let token = format!("{TOKEN}-not-{permission:?}").to_lowercase();
        let restricted = connect(&self.server.url, &token, Duration::from_secs(20));
        Ok(Some(Arc::new(restricted)))
    }

    fn several_pages(&self) -> usize {
        110
    }

    async fn advance(&self, by: Duration) -> Result<()> {
        self.server.clock.advance(by);
        Ok(())
    }

    async fn write_foreign(&self, coordinate: &Coordinate, value: &SecretValue) -> Result<()> {
        self.server
            .memory
            .write_past(coordinate, value.clone(), None);
        Ok(())
    }
}

#[async_trait]
impl FaultManager for Shelf {
    async fn fault_subject(&self) -> Result<Box<dyn FaultSubject>> {
        Ok(Box::new(Namespace::new().await))
    }
}

#[async_trait]
impl FaultSubject for Namespace {
    fn upstream(&self) -> Result<Upstream> {
        Upstream::new(&self.server.url)
            .map_err(|error| Error::new(ErrorKind::Invalid, "test", error.to_string()))
    }

    async fn through(&self, proxy: &Proxy, timeout: Duration) -> Result<Arc<dyn SecretBackend>> {
        Ok(Arc::new(connect(&proxy.url(), TOKEN, timeout)))
    }

    fn requests(&self) -> Requests {
        REQUESTS
    }

    async fn count(&self) -> Result<Option<usize>> {
        Ok(Some(self.server.memory.names().len()))
    }
}
