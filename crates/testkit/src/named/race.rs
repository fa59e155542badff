//! Laws of writers that put under one platform's name at once: those of coordinates, held against names.

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::SecretBackend;

use super::{AsBackend, Marks, NamedSubject};
use crate::conformance::{Subject, Verdict, race};

/// A namespace whose backends are asked by names.
struct ByName<'a> {
    inner: &'a dyn NamedSubject,
    marks: Marks,
}

impl<'a> ByName<'a> {
    fn of(inner: &'a dyn NamedSubject) -> Self {
        Self {
            inner,
            marks: Marks::default(),
        }
    }
}

#[async_trait]
impl Subject for ByName<'_> {
    fn backend(&self) -> Arc<dyn SecretBackend> {
        Arc::new(AsBackend::new(self.inner.backend(), self.marks.clone()))
    }

    fn second(&self) -> Arc<dyn SecretBackend> {
        Arc::new(AsBackend::new(self.inner.second(), self.marks.clone()))
    }

    /// A put by name tells only that the value is there.
    fn knows_repetitions(&self) -> bool {
        true
    }

    async fn settle(&self) {
        self.inner.settle().await;
    }
}

/// Of many writers with different bytes exactly one has the name, and it is that one's bytes.
pub(super) async fn one_writer_has_the_name(subject: &dyn NamedSubject) -> Verdict {
    race::one_writer_has_the_name(&ByName::of(subject)).await
}

/// Writers of the same bytes all have it.
pub(super) async fn repeated_writers_agree(subject: &dyn NamedSubject) -> Verdict {
    race::repeated_writers_agree(&ByName::of(subject)).await
}
