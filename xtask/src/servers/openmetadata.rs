//! OpenMetadata's published Python client, as a reader of what we write: no server, but it comes the
//! way they do.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::install;

/// The client's own dependencies are a hundred, some of which want a compiler or a download; these
/// are what reading a secret in AWS takes.
const PACKAGES: &[&str] = &[
    "--no-deps",
    "openmetadata-ingestion==2.0.7.0",
    "annotated-types==0.8.0",
    "boto3==1.44.5",
    "botocore==1.44.5",
    "jmespath==1.1.0",
    "pydantic==2.14.3",
    "pydantic_core==2.50.4",
    "python-dateutil==2.9.0.post0",
    "s3transfer==0.19.3",
    "six==1.17.0",
    "typing-inspection==0.4.5",
    "typing_extensions==4.16.0",
    "urllib3==2.8.0",
];

/// The Python that has it.
pub(super) fn python(servers: &Path) -> Result<PathBuf> {
    Ok(install::pip(servers, "openmetadata-client", PACKAGES)?.join("python"))
}
