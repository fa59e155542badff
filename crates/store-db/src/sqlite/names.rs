//! Whether a database's file has one name only. SQLite names the log of what was written last after the
//! file, so whoever comes by another name sees the file without it, and takes for unused what the log refers to.

use std::path::Path;

/// What is wrong, and what to do, where the file has a second name or may have one. A file that is not there
/// has none.
pub(super) fn second_name(file: &Path) -> Option<String> {
    let told = if has_hard_links(file) {
        "has a second name (a hard link), by which SQLite does not find what was written last: remove the \
         other name, which `find -samefile` tells"
    } else if is_mounted_alone(file) {
        "is mounted as a single file, without the log beside it in which SQLite has what was written last: \
         mount its folder instead"
    } else {
        return None;
    };
    Some(format!("the database {} {told}", file.display()))
}

/// What is wrong, and what to do, where a file that is open was moved and a symbolic link has the name it was
/// opened by.
pub(super) fn link_in_its_place(opened_as: &Path) -> Option<String> {
    opened_as.is_symlink().then(|| {
        format!(
            "the database {} was moved, and a symbolic link has its name now: whoever comes by that looks for \
             what was written last beside the file in its new place, and it is beside the old one. Stop \
             every process, put the file back, and move it with the `-wal` beside it",
            opened_as.display()
        )
    })
}

#[cfg(unix)]
fn has_hard_links(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(file).is_ok_and(|found| found.nlink() > 1)
}

#[cfg(not(unix))]
fn has_hard_links(_: &Path) -> bool {
    false
}

/// Whether the file belongs to another mount than its folder. Devices do not tell: they are the same.
#[cfg(target_os = "linux")]
fn is_mounted_alone(file: &Path) -> bool {
    let folder = file.parent().and_then(mount_of);
    folder.is_some() && mount_of(file).is_some_and(|mount| Some(mount) != folder)
}

#[cfg(not(target_os = "linux"))]
fn is_mounted_alone(_: &Path) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn mount_of(path: &Path) -> Option<String> {
    use nix::fcntl::OFlag;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    // As a place and not to read: closing a handle to read would take this process's locks from the database.
    let place = std::fs::File::options()
        .read(true)
        .custom_flags(OFlag::O_PATH.bits())
        .open(path)
        .ok()?;
    let told = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", place.as_raw_fd())).ok()?;
    let mount = told.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    Some(mount.trim().to_owned())
}
