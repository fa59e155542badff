//! Where the workspace and its target directory are, as Cargo sees them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand};

/// The workspace that the chores work on.
pub(crate) struct Workspace {
    metadata: Metadata,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        let metadata = MetadataCommand::new()
            .manifest_path(own_folder().with_file_name("Cargo.toml"))
            .no_deps()
            .exec()
            .context("cargo metadata failed; is every Cargo.toml of the workspace well-formed?")?;
        Ok(Self { metadata })
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(crate) fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// A path below the target directory, wherever `CARGO_TARGET_DIR` has put that.
    pub(crate) fn target(&self, below: &str) -> PathBuf {
        self.metadata.target_directory.as_std_path().join(below)
    }

    /// A command that runs at the workspace's root.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.root());
        command
    }

    pub(crate) fn cargo(&self) -> Command {
        let mut command = self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // They describe the running xtask; some build scripts would see a change and run again.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name.as_ref());
            }
        }
        command
    }
}

/// The folder of xtask itself. Two checkouts may share a target directory, and with it a program that
/// was built in the other one: the one that `cargo xtask` was called in counts.
pub(crate) fn own_folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

/// Whether this is a run in CI, where whatever cannot be had is a failure.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|it| !matches!(it.as_str(), "" | "0" | "false"))
}
