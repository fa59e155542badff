//! Files that are read into memory whole: what is no file, such as a device or a pipe, may never end.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

/// Reads what the path leads to, a pipe too; an error where it has more than `most` bytes.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {most} bytes"),
        ));
    }
    Ok(bytes)
}

/// Reads a regular file, or one that links to it: what is read again and again is no pipe.
pub(crate) fn read_regular(path: &Path, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file: to read it may take for ever",
        ));
    }
    read(path, most)
}
