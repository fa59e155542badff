//! What was found, handed on in batches: memory stays bounded and a slow sink slows the scan.

use cloakroom_core::Result;
use cloakroom_core::platform::{Defect, Mention, ScanSink};

/// As many of either as are handed over together.
const FULL: usize = 1000;

pub(crate) struct Batch<'s> {
    sink: &'s mut dyn ScanSink,
    mentions: Vec<Mention>,
    defects: Vec<Defect>,
}

impl<'s> Batch<'s> {
    pub(crate) fn new(sink: &'s mut dyn ScanSink) -> Self {
        Self {
            sink,
            mentions: Vec::new(),
            defects: Vec::new(),
        }
    }

    pub(crate) fn sink(&mut self) -> &mut dyn ScanSink {
        self.sink
    }

    pub(crate) fn mention(&mut self, mention: Mention) {
        self.mentions.push(mention);
    }

    pub(crate) fn defect(&mut self, defect: Defect) {
        self.defects.push(defect);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.mentions.len() >= FULL || self.defects.len() >= FULL
    }

    pub(crate) async fn hand_over(&mut self) -> Result<()> {
        if !self.mentions.is_empty() {
            let mentions = std::mem::take(&mut self.mentions);
            self.sink.mentions(mentions).await?;
        }
        if !self.defects.is_empty() {
            let defects = std::mem::take(&mut self.defects);
            self.sink.defects(defects).await?;
        }
        Ok(())
    }
}
