//! OpenMetadata's own published client in Python, as a reader of what was written for it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

/// Names the Python that has the client.
pub const CLIENT: &str = "CLOAKROOM_TEST_OPENMETADATA_CLIENT";

const READER: &str = include_str!("client.py");
const PASSWORDS: &str = include_str!("passwords.py");

/// What the client makes of a reference to each of these ids, in their order, each as its
/// [`client_digest`]. `variables` are all of its environment.
///
/// # Errors
/// Where it cannot be run, or complains: with what it said.
pub fn read_by_client(
    python: &OsStr,
    provider: &str,
    variables: &[(&str, &str)],
    ids: &[String],
) -> io::Result<Vec<String>> {
    let mut client = Command::new(python)
        .args(["-I", "-c", READER, provider])
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = client.stdin.take() {
        input.write_all(ids.join("\n").as_bytes())?;
    }
    let output = client.wait_with_output()?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(complaint.into_owned()));
    }
    let read = String::from_utf8_lossy(&output.stdout);
    Ok(read.lines().map(str::to_owned).collect())
}

/// The properties that the client takes for passwords: of each whose it is (a type of services, `pipeline of its own`,
/// `workflow of its own` or `bot`) and the way to it, with `[]` for a list and `{}` for a map on it.
///
/// # Errors
/// As of [`read_by_client`].
pub fn passwords_of_client(python: &OsStr) -> io::Result<Vec<(String, Vec<String>)>> {
    let output = Command::new(python)
        .args(["-I", "-c", PASSWORDS])
        .env_clear()
        .output()?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(complaint.into_owned()));
    }
    let told = String::from_utf8_lossy(&output.stdout);
    let password = |line: &str| {
        let mut words: Vec<String> = serde_json::from_str(line)?;
        let way = words.split_off(words.len().min(1));
        Ok((words.concat(), way))
    };
    told.lines().map(password).collect()
}

/// The digest that stands for a text.
#[must_use]
pub fn client_digest(text: &str) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a text does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
