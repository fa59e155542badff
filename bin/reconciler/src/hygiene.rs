//! What holds for the whole process before it sees its first secret.

/// Keeps what is in memory out of core dumps, and other processes of the same user from reading it:
/// no dump is written whatever crashes, and on Linux nobody but root may trace the process or look
/// into its memory. Children inherit the first.
///
/// # Errors
/// The system refused; the process runs as it was.
#[cfg(unix)]
pub fn guard_memory() -> std::io::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};

    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // A dump that is piped to a collector is not held back by the limit.
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    Ok(())
}

/// There is nothing of the kind to switch off here.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn guard_memory() -> std::io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn nobody_else_may_look_into_the_process() {
        super::guard_memory().unwrap();
        assert!(!nix::sys::prctl::get_dumpable().unwrap());
    }
}
