//! Secrets in a configuration stand there by reference only.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, anyhow};
use cloakroom_core::SecretValue;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use crate::bounded;
use crate::repeatable::{
    has_a_files_ending, is_there, nearest_folder, not_there, reads_like_a_secrets_file,
    reads_like_a_token, reads_like_a_variable,
};

/// No URL, token or key is longer, and no service account's file.
const MOST_BYTES: u64 = 64 * 1024;

/// Where a secret is: in an environment variable or in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretReference {
    /// In the environment variable of this name.
    Env(String),
    /// In the file at this path, of 64 KiB at most; one newline at its end is not part of it.
    File(PathBuf),
}

impl SecretReference {
    /// Reads the secret as it is now.
    pub fn read(&self) -> anyhow::Result<SecretValue> {
        match self {
            Self::Env(name) => {
                let text = std::env::var(name).map_err(|error| match error {
                    std::env::VarError::NotPresent => anyhow!("{self} is not set"),
                    std::env::VarError::NotUnicode(_) => anyhow!("{self} is not UTF-8"),
                })?;
                Ok(SecretValue::from(text))
            }
            Self::File(path) => {
                let bytes = bounded::read_regular(path, MOST_BYTES);
                let bytes = bytes.with_context(|| format!("read the secret in {self}"))?;
                self.warn_of_readers(path);
                Ok(SecretValue::new(without_line_end(&bytes).to_vec()))
            }
        }
    }
}

/// The files that were warned of.
static TOLD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

impl SecretReference {
    /// Says once that everybody can read the file. It is no refusal: platforms mount secrets so.
    #[cfg(unix)]
    fn warn_of_readers(&self, path: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        let Ok(metadata) = path.metadata() else {
            return;
        };
        let mode = metadata.permissions().mode() & 0o777;
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        if mode & 0o004 != 0 && told.insert(path.to_owned()) {
            tracing::warn!(
                "{self} has mode {mode:03o}: everybody on this machine can read the secret in it (chmod 600)"
            );
        }
    }

    #[cfg(not(unix))]
    fn warn_of_readers(&self, _: &Path) {}
}

/// One newline at the end of a file is not part of the secret in it.
pub fn without_line_end(bytes: &[u8]) -> &[u8] {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    text.strip_suffix(b"\r").unwrap_or(text)
}

impl SecretReference {
    /// Whether the name may be repeated. Of what is there it may; of what is not, where it has a name's shape:
    /// it may be the secret itself, given in its place.
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::Env(name) => reads_like_a_variable(name) || std::env::var_os(name).is_some(),
            Self::File(path) => reads_like_a_secrets_file(path) || is_there(path),
        }
    }

    /// Whether what stands there is nothing's name and has the shape of a secret: nothing is to be made under it.
    pub fn is_secret_itself(&self) -> bool {
        match self {
            Self::Env(_) => false,
            Self::File(path) => {
                !is_there(path)
                    && !has_a_files_ending(path)
                    && reads_like_a_token(&not_there(path).to_string_lossy())
            }
        }
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KEPT: &str = "its name is not repeated, for it may be the secret itself";
        match self {
            Self::Env(name) if self.is_repeatable() => write!(f, "the environment variable {name}"),
            Self::Env(_) => write!(
                f,
                "the environment variable named there ({KEPT}; one is written like `DATABASE_URL`)"
            ),
            Self::File(path) if self.is_repeatable() => write!(f, "the file {}", path.display()),
            Self::File(path) => {
                write!(f, "the file named there ({KEPT}")?;
                match nearest_folder(path) {
                    Some(folder) => write!(f, "; looked for in {})", folder.display()),
                    None => f.write_str(")"),
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for SecretReference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReferenceVisitor)
    }
}

/// The keys of a reference; a longer one may be the secret itself, where braces were put around it.
const KEYS: [&str; 2] = ["env", "file"];
const LONGEST_KEY: usize = 5;

#[derive(Default)]
struct Members {
    env: Option<String>,
    file: Option<PathBuf>,
}

impl Members {
    fn read<'de, A: MapAccess<'de>>(mut access: A) -> Result<Self, A::Error> {
        let mut members = Self::default();
        while let Some(key) = access.next_key::<String>()? {
            match &*key {
                "env" => members.env = Some(access.next_value()?),
                "file" => members.file = Some(access.next_value()?),
                _ if key.len() <= LONGEST_KEY => return Err(de::Error::unknown_field(&key, &KEYS)),
                _ => {
                    return Err(de::Error::custom(
                        "a reference is `{env: NAME}` or `{file: PATH}`, and this has another key (not repeated, \
                         for it may be the secret itself)",
                    ));
                }
            }
        }
        Ok(members)
    }
}

struct ReferenceVisitor;

impl<'de> Visitor<'de> for ReferenceVisitor {
    type Value = SecretReference;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reference to a secret, `{env: NAME}` or `{file: PATH}`")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretReference, E> {
        Err(E::custom(
            "a secret stands here by reference only, `{env: NAME}` or `{file: PATH}`, because \
             configuration files are copied, committed and printed. If a real secret stood here, \
             replace it",
        ))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<SecretReference, A::Error> {
        let members = Members::read(members)?;
        match (members.env, members.file) {
            (Some(name), None) if is_variable(&name) => Ok(SecretReference::Env(name)),
            (None, Some(path)) if !is_secret_itself(&path) => Ok(SecretReference::File(path)),
            // What stands there may be the secret itself, and is not repeated.
            (Some(_), None) => Err(de::Error::custom(
                "`env` takes the name of an environment variable, and this is none. If it is the secret \
                 itself, put it into a variable and name that",
            )),
            (None, Some(_)) => Err(de::Error::custom(
                "`file` takes a file's path, and this looks like the secret itself: write it to a file \
                 and name that",
            )),
            _ => Err(de::Error::custom("choose exactly one of: env, file")),
        }
    }
}

/// What a shell, a unit file and Kubernetes take.
fn is_variable(name: &str) -> bool {
    let begins = name.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_');
    begins
        && name
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || "_-.".contains(it))
}

/// A database's URL or a key, or a whole file of keys, where its path was asked for.
fn is_secret_itself(path: &Path) -> bool {
    /// Of 32 bytes in base64, which end in one `=`.
    const KEY: usize = 44;
    let text = path.to_string_lossy();
    let is_key = text.len() == KEY
        && text.strip_suffix('=').is_some_and(|rest| {
            rest.chars()
                .all(|it| it.is_ascii_alphanumeric() || "+/-_".contains(it))
        });
    let is_text = text.contains(|it: char| it.is_ascii_control());
    is_key || is_text || text.contains("://") || text.contains("password=")
}

/// What [`is_variable`] takes.
const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_.-]*$";

/// What [`is_secret_itself`] does not refuse, and has something in it.
const NO_SECRET: &str =
    "^(?![A-Za-z0-9+/_-]{43}=$)(?![\\s\\S]*(?:://|password=|[\\x00-\\x1f\\x7f])).";

impl JsonSchema for SecretReference {
    fn schema_name() -> Cow<'static, str> {
        "SecretReference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where a secret is. The secret itself never stands in the configuration.",
            "oneOf": [
                {
                    "type": "object",
                    "description": "In an environment variable.",
                    "properties": {"env": {"type": "string", "pattern": VARIABLE}},
                    "required": ["env"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "description": "In a file; read again when it changes.",
                    "properties": {"file": {"type": "string", "pattern": NO_SECRET}},
                    "required": ["file"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}
