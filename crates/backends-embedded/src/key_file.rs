//! Key-encryption keys in a file, read again when it changes.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use cloakroom_core::keys::KEY_BYTES;
use cloakroom_core::{
    Error, ErrorKind, KeyRing, KeySource, Randomness, Result, SecretValue, SystemRandomness,
};
use zeroize::Zeroizing;

use crate::key_text::{line_of, parse_keys};

/// The longest key file, in bytes: over a thousand keys.
const MOST_BYTES: u64 = 64 * 1024;

/// Who may read a key file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone.
    #[default]
    Owner,
    /// Its group too, as in a Kubernetes volume with `fsGroup`. Others never.
    OwnerAndGroup,
}

/// Keys from a file in the form that [`parse_keys`] reads.
///
/// The file is looked at whenever the keys are asked for, and read again when it has changed. If
/// what it holds then is no good, or shares no key with the ring in force and so could open nothing
/// that was sealed so far, the ring before stays in force and [`KeyFile::problem`] says why.
///
/// ```
/// use cloakroom_backends_embedded::KeyFile;
/// use cloakroom_core::{KeySource, SystemRandomness};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("keys");
/// KeyFile::create(&path, &SystemRandomness)?;
/// let keys = KeyFile::open(&path)?;
/// assert_eq!(keys.ring()?.keys().len(), 1);
/// assert!(keys.problem().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KeyFile {
    path: PathBuf,
    readers: Readers,
    state: Mutex<State>,
}

struct State {
    ring: Arc<KeyRing>,
    seen: Option<Stamp>,
    problem: Option<Arc<Error>>,
}

/// What changes when a file does. Its content alone is told apart: permissions show in `changed`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    changed: (i64, i64),
    file: u64,
}

impl KeyFile {
    /// Opens a file that only its owner may read.
    ///
    /// # Errors
    /// `Missing` where there is no such file; `Denied` where it may not be read, or where more than
    /// its owner may read it (Unix); `Invalid` where it holds no key or anything else; `TooLarge`
    /// above 64 KiB.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::open_for(path, Readers::Owner)
    }

    /// Opens a file that `readers` may read. Errors as [`KeyFile::open`] does.
    pub fn open_for(path: impl Into<PathBuf>, readers: Readers) -> Result<Self> {
        let path = path.into();
        let (ring, seen) = read(&path, readers)?;
        let state = Mutex::new(State {
            ring: Arc::new(ring),
            seen: Some(seen),
            problem: None,
        });
        Ok(Self {
            path,
            readers,
            state,
        })
    }

    /// Makes a file with one random key, which only its owner may read. When this returns, file and
    /// directory entry are on disk: nothing is sealed under a key that a crash takes away. Whoever
    /// looks meanwhile finds no file or the whole of it.
    ///
    /// Make a new key only while nothing is sealed under another:
    /// [`has_ciphertexts`](crate::has_ciphertexts).
    ///
    /// # Errors
    /// `Conflict` where there is such a file already, which is left as it is; `Denied` or
    /// `Unavailable` where it cannot be written.
    pub fn create(path: impl AsRef<Path>, randomness: &dyn Randomness) -> Result<()> {
        let path = path.as_ref();
        // Linking below is what decides; this spares a key for nothing, and says what is the matter
        // also where the folder takes no new files.
        if fs::symlink_metadata(path).is_ok() {
            return Err(not_written(path, io::ErrorKind::AlreadyExists.into()));
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        randomness.fill(key.as_mut_slice());
        make(path, &line_of(&key)).map_err(|error| not_written(path, error))
    }

    /// Puts a random key before those of the file. The new file takes the old one's place whole, with
    /// its owner, group and mode, so that whoever could read it still can; through a symbolic link it
    /// is the file at its end that is replaced. When this returns, the file is on disk.
    ///
    /// # Errors
    /// As for [`KeyFile::open`] where the file as it is now is no good; `Denied` where the new one
    /// cannot be written or cannot be given to the old one's owner and group; `TooLarge` where no
    /// further key has room; `Unavailable` otherwise. The file is then as it was.
    pub fn put_first(&self, randomness: &dyn Randomness) -> Result<()> {
        let path = fs::canonicalize(&self.path).map_err(|error| not_read(&self.path, error))?;
        let old = content(&path, self.readers)?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        randomness.fill(key.as_mut_slice());
        let beside = beside(&path);
        let replaced = write_all_of(&beside, &line_of(&key), &old)
            .and_then(|file| hand_over(&file, &old.metadata))
            .map_err(|error| not_replaced(&path, error))
            // What takes the old one's place has been read as a key file.
            .and_then(|()| read(&beside, self.readers).map(drop))
            .and_then(|()| fs::rename(&beside, &path).map_err(|error| not_replaced(&path, error)));
        if replaced.is_err() {
            // What is left there holds a key that nothing is sealed under.
            let _ = fs::remove_file(&beside);
            return replaced;
        }
        // From here on the new key may be in use, so nothing that fails takes it away.
        sync_folder(&path).map_err(|error| not_written(&path, error))
    }

    /// Why the file as it is now is not in force, if so. It is looked at again when
    /// [`KeySource::ring`] is called.
    pub fn problem(&self) -> Option<Arc<Error>> {
        self.state().problem.clone()
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Ring, stamp and problem are replaced whole; a panic elsewhere leaves them valid.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeySource for KeyFile {
    /// Never fails once the file was opened: the last good ring stays in force.
    fn ring(&self) -> Result<Arc<KeyRing>> {
        let mut state = self.state();
        let now = fs::metadata(&self.path)
            .ok()
            .map(|metadata| Stamp::of(&metadata));
        if now.is_none() || now != state.seen {
            match read(&self.path, self.readers) {
                Ok((ring, stamp))
                    if !ring
                        .keys()
                        .iter()
                        .any(|key| state.ring.find(key.id()).is_some()) =>
                {
                    state.seen = Some(stamp);
                    state.problem = Some(Arc::new(no_common_key(&self.path, &ring, &state.ring)));
                }
                Ok((ring, stamp)) => {
                    *state = State {
                        ring: Arc::new(ring),
                        seen: Some(stamp),
                        problem: None,
                    };
                }
                Err(error) => {
                    state.seen = now;
                    state.problem = Some(Arc::new(error));
                }
            }
        }
        Ok(Arc::clone(&state.ring))
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile")
            .field("path", &self.path)
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let (changed, file) = {
            use std::os::unix::fs::MetadataExt as _;
            ((metadata.ctime(), metadata.ctime_nsec()), metadata.ino())
        };
        #[cfg(not(unix))]
        let (changed, file) = ((0, 0), 0);
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            changed,
            file,
        }
    }
}

fn read(path: &Path, readers: Readers) -> Result<(KeyRing, Stamp)> {
    let Content { text, metadata } = content(path, readers)?;
    let ring = parse_keys(&text).map_err(|error| {
        told(
            error.kind(),
            path,
            &format!("is not in order: {}", error.message()),
        )
    })?;
    Ok((ring, Stamp::of(&metadata)))
}

/// A key file as it was at one moment.
struct Content {
    text: SecretValue,
    metadata: Metadata,
}

fn content(path: &Path, readers: Readers) -> Result<Content> {
    // To open a pipe is to wait for whoever writes into it.
    let found = fs::metadata(path).map_err(|error| not_read(path, error))?;
    if !found.is_file() {
        return Err(told(ErrorKind::Invalid, path, "is not a file"));
    }
    let file = File::open(path).map_err(|error| not_read(path, error))?;
    // Of the open file, so that these are the permissions of what is read.
    let metadata = file.metadata().map_err(|error| not_read(path, error))?;
    if !metadata.is_file() {
        return Err(told(ErrorKind::Invalid, path, "is not a file"));
    }
    check_permissions(path, &metadata, readers)?;
    // Room for one byte too many: a growing file shows, and the buffer never moves.
    let mut content = Zeroizing::new(Vec::with_capacity(as_size(MOST_BYTES + 1)));
    (&file)
        .take(MOST_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(|error| not_read(path, error))?;
    if content.len() > as_size(MOST_BYTES) {
        return Err(told(
            ErrorKind::TooLarge,
            path,
            "is larger than 64 KiB; it is no key file",
        ));
    }
    Ok(Content {
        text: SecretValue::new(std::mem::take(&mut *content)),
        metadata,
    })
}

/// Writes the file beside its place and links it there once it is whole and on disk. Unlike a
/// renaming, a link never takes the place of a file that somebody else has made meanwhile.
fn make(path: &Path, line: &SecretValue) -> io::Result<()> {
    let beside = beside(path);
    let mut file = for_owner().open(&beside)?;
    let made = write(&mut file, line).and_then(|()| fs::hard_link(&beside, path));
    // Whatever came of it, no second copy of a key is left.
    let removed = fs::remove_file(&beside);
    made?;
    // From here on the file stays, whatever fails: somebody may have sealed under its key already.
    sync_folder(path)?;
    removed
}

/// A free name in the same folder. It has nothing of `path`'s, to which it could not be too long then,
/// and is not taken from the caller's randomness, which may give two callers the same.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".cloakroom-key.{}", SystemRandomness.uuid()))
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn write_all_of(path: &Path, line: &SecretValue, old: &Content) -> io::Result<File> {
    let mut file = for_owner().open(path)?;
    write(&mut file, line)?;
    file.write_all(old.text.expose())?;
    if !old.text.expose().ends_with(b"\n") {
        file.write_all(b"\n")?;
    }
    file.sync_all()?;
    Ok(file)
}

/// Gives a file the owner, group and mode of another; the mode last, so that the former owner's group
/// never reads it.
#[cfg(unix)]
fn hand_over(file: &File, to: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let now = file.metadata()?;
    let owner = (to.uid() != now.uid()).then(|| to.uid());
    let group = (to.gid() != now.gid()).then(|| to.gid());
    if owner.is_some() || group.is_some() {
        fchown(file, owner, group)?;
    }
    file.set_permissions(to.permissions())?;
    file.sync_all()
}

#[cfg(not(unix))]
fn hand_over(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

fn write(file: &mut File, line: &SecretValue) -> io::Result<()> {
    file.write_all(b"# Cloakroom's key-encryption keys: the first seals, each opens.\n")?;
    file.write_all(line.expose())?;
    file.sync_all()
}

fn for_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

#[cfg(unix)]
fn check_permissions(path: &Path, metadata: &Metadata, readers: Readers) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    let (forbidden, wanted) = match readers {
        Readers::Owner => (0o077, "600"),
        Readers::OwnerAndGroup => (0o027, "640"),
    };
    if mode & forbidden == 0 {
        return Ok(());
    }
    let path_shown = path.display();
    Err(told(
        ErrorKind::Denied,
        path,
        &format!(
            "has mode {mode:03o}, so others could read or change the keys: chmod {wanted} {path_shown}"
        ),
    ))
}

#[cfg(not(unix))]
fn check_permissions(_: &Path, _: &Metadata, _: Readers) -> Result<()> {
    Ok(())
}

/// Taken over, such a ring would seal anew what it cannot open, and the right one could not open
/// that any more.
fn no_common_key(path: &Path, found: &KeyRing, in_force: &KeyRing) -> Error {
    told(
        ErrorKind::Conflict,
        path,
        &format!(
            "has none of the keys in force ({}) but only others ({}); the former stay in force: \
             give one of them back to the file, in any line",
            ids(in_force),
            ids(found),
        ),
    )
}

fn ids(ring: &KeyRing) -> String {
    let ids: Vec<&str> = ring.keys().iter().map(|key| key.id().as_str()).collect();
    ids.join(", ")
}

fn not_read(path: &Path, error: io::Error) -> Error {
    let (kind, message) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::Missing, "is not there"),
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, "may not be read by this user"),
        _ => (ErrorKind::Unavailable, "cannot be read"),
    };
    told(kind, path, message).with_source(error)
}

fn not_written(path: &Path, error: io::Error) -> Error {
    let (kind, message) = match error.kind() {
        io::ErrorKind::AlreadyExists => (
            ErrorKind::Conflict,
            "is there already; it was left as it is",
        ),
        io::ErrorKind::PermissionDenied => (ErrorKind::Denied, "may not be made by this user"),
        io::ErrorKind::NotFound => (
            ErrorKind::Invalid,
            "would be in a directory that is not there",
        ),
        _ => (ErrorKind::Unavailable, "cannot be written"),
    };
    Error::new(
        kind,
        "make a key file",
        format!("{} {message}", path.display()),
    )
    .with_source(error)
}

fn not_replaced(path: &Path, error: io::Error) -> Error {
    let (kind, message) = match error.kind() {
        io::ErrorKind::PermissionDenied => (
            ErrorKind::Denied,
            "cannot be replaced by this user with owner, group and mode kept; do it as its owner, \
             or as root",
        ),
        _ => (ErrorKind::Unavailable, "cannot be replaced"),
    };
    Error::new(
        kind,
        "add a key",
        format!("{} {message}; nothing was changed", path.display()),
    )
    .with_source(error)
}

fn told(kind: ErrorKind, path: &Path, message: &str) -> Error {
    Error::new(
        kind,
        "read the key file",
        format!("{} {message}", path.display()),
    )
}

fn as_size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
