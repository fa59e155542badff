//! verify-blobs: every reference against the backend, every document against its spec. From listings
//! and metadata; a miss in a listing is confirmed by a direct question before it is called dangling.

mod documents;
mod references;

use cloakroom_core::Result;

use crate::Pass;

impl Pass<'_> {
    pub(crate) async fn verify(&mut self) -> Result<()> {
        let references = self.verify_references().await;
        // Documents refer to any backend; they are read once, with the default one, whether or not
        // that manager answers: clear text in a document is found without it.
        let documents = if self.reconciler.backends.default_backend()?.id() == self.backend_id() {
            self.verify_documents().await
        } else {
            Ok(())
        };
        references.and(documents)?;
        self.flush_findings().await?;
        self.unsure.take().map_or(Ok(()), Err)
    }
}
