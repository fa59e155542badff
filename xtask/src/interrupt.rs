//! Ctrl-C and SIGTERM as a flag, so that whoever started something gets to stop it.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// From here on the signals only raise the flag; long waits have to look at it.
pub(crate) fn listen() -> Result<()> {
    ctrlc::set_handler(|| REQUESTED.store(true, Ordering::SeqCst))
        .context("the handler for Ctrl-C could not be installed")
}

pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
