//! verify-blobs: every reference and all that is held against the backend, every document against its spec. From listings
//! and metadata; a miss in a listing is confirmed by a direct question before it is called dangling.

mod documents;
mod held;
mod references;

use cloakroom_core::Result;

use crate::Pass;

impl Pass<'_> {
    pub(crate) async fn verify(&mut self) -> Result<()> {
        let secrets = match self.verify_references().await {
            Ok(()) => self.verify_held().await,
            failed => failed,
        };
        // Documents refer to any backend; they are read once, with the default one, whether or not
        // that manager answers: clear text in a document is found without it.
        let documents = if self.reconciler.backends.default_backend()?.id() == self.backend_id() {
            self.verify_documents().await
        } else {
            Ok(())
        };
        secrets.and(documents)?;
        self.flush_findings().await?;
        self.unsure.take().map_or(Ok(()), Err)
    }
}
