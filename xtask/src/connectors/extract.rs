//! The spec files inside a wheel, which is a ZIP archive.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

const WANTED: [&str; 3] = ["spec.json", "spec.yaml", "manifest.yaml"];

/// Far more than any spec; an archive may claim anything.
const MOST_BYTES: u64 = 8 << 20;

/// Writes the wheel's spec files into `folder` and gives back their names.
pub(super) fn specs(wheel: &Path, folder: &Path) -> Result<Vec<String>> {
    let file = File::open(wheel).with_context(|| format!("cannot open {}", wheel.display()))?;
    let mut archive = ZipArchive::new(file)
        .with_context(|| format!("{} is not a ZIP archive", wheel.display()))?;
    fs::create_dir_all(folder)?;
    let mut found = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let Some(name) = wanted(&entry.name()?) else {
            continue;
        };
        if entry.size() > MOST_BYTES {
            bail!("{name} in {} is {} bytes", wheel.display(), entry.size());
        }
        let mut out = File::create(folder.join(name))?;
        io::copy(&mut io::Read::take(&mut entry, MOST_BYTES), &mut out)?;
        found.push(name.to_owned());
    }
    if found.is_empty() {
        bail!(
            "{} has none of {}; choose another version",
            wheel.display(),
            WANTED.join(", ")
        );
    }
    found.sort_unstable();
    Ok(found)
}

/// Only directly inside the connector's own package, and only under a name we know: nothing in
/// an archive chooses where a file is written.
fn wanted(path: &str) -> Option<&'static str> {
    let (package, name) = path.split_once('/')?;
    package
        .starts_with("source_")
        .then(|| WANTED.into_iter().find(|it| *it == name))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_connectors_own_specs_are_wanted() {
        assert_eq!(wanted("source_jira/spec.json"), Some("spec.json"));
        assert_eq!(wanted("source_jira/schemas/spec.json"), None);
        assert_eq!(wanted("source_jira/../../spec.json"), None);
        assert_eq!(wanted("airbyte_source_jira.dist-info/spec.json"), None);
        assert_eq!(wanted("spec.json"), None);
    }
}
