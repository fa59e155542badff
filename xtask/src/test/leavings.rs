//! What a test run leaves, searched for values that tests marked: its whole output, what processes
//! that died left in the folder for temporary files, and the files of the database server.

use std::fs::{self, File, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::{self, Limit};
use crate::workspace::Workspace;

/// Everybody makes files in it, and nobody removes another's.
const SHARED: u32 = 0o1777;

/// Removed with all that is in it when it is dropped.
pub(super) struct Leavings {
    folder: TempDir,
    output: BufWriter<File>,
}

impl Leavings {
    /// An output to write to and an empty folder for temporary files.
    pub(super) fn new() -> Result<Self> {
        // Not below the target directory: the path of a socket may have 107 bytes, no more.
        let folder = tempfile::Builder::new()
            .prefix("cloakroom-")
            .tempdir()
            .context("cannot make a folder for what the tests leave")?;
        let temporary = folder.path().join("tmp");
        fs::create_dir(&temporary)?;
        // Some tests run the program as another user.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        fs::set_permissions(&temporary, Permissions::from_mode(SHARED))?;
        let output = File::create(folder.path().join("output"))?;
        Ok(Self {
            folder,
            output: BufWriter::new(output),
        })
    }

    /// Where the tests are to keep temporary files. They remove them, and what they do not is
    /// searched.
    pub(super) fn temporary(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    /// Takes a line of output.
    pub(super) fn note(&mut self, line: &str) -> Result<()> {
        writeln!(self.output, "{line}").context("cannot keep the output of the tests")
    }

    /// Searches all of it, and the `databases` too. First a planted value has to be found: a search
    /// that finds nothing anywhere says nothing.
    pub(super) fn are_clean(
        &mut self,
        workspace: &Workspace,
        databases: &[PathBuf],
    ) -> Result<bool> {
        self.output.flush()?;
        let planted = self.folder.path().join("planted");
        process::read(canaries(workspace).arg("--plant").arg(&planted))?;
        if search(workspace, &[planted])?.is_empty() {
            bail!("the search does not find a value that was planted");
        }
        let own = [self.folder.path().join("output"), self.temporary()];
        let places: Vec<PathBuf> = own.into_iter().chain(databases.iter().cloned()).collect();
        let finds = search(workspace, &places)?;
        if finds.is_empty() {
            return Ok(true);
        }
        for find in &finds {
            println!("{find}");
        }
        let kept = workspace.target("test-output");
        fs::copy(self.folder.path().join("output"), &kept)?;
        println!("the output is kept in {}", kept.display());
        Ok(false)
    }
}

/// What was found, a line each with form, offset and file.
fn search(workspace: &Workspace, places: &[PathBuf]) -> Result<Vec<String>> {
    let mut said = Vec::new();
    let status = process::watch(canaries(workspace).args(places), Limit::None, |line| {
        said.push(line.to_owned());
    })?;
    match status.code() {
        Some(0) => Ok(Vec::new()),
        Some(1) => Ok(said),
        _ => bail!("the search for marked values failed: {}", said.join("; ")),
    }
}

fn canaries(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo();
    command
        .args(["run", "--quiet", "--package", "cloakroom-testkit"])
        .args(["--bin", "canaries", "--"]);
    command
}
