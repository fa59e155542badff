//! `--specs DIR`: the specs of real connectors, as their packages carry them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cloakroom_core::config::{MAX_TEXT, parse_json};
use serde_json::Value;

use super::connector::Connector;
use crate::{spec_manifest, spec_yaml};

/// The file names that carry a spec, in whatever case, the preferred one first.
const NAMES: [(&str, Kind); 3] = [
    ("spec.json", Kind::Json),
    ("spec.yaml", Kind::Yaml),
    ("manifest.yaml", Kind::Manifest),
];

/// What a file is by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Json,
    Yaml,
    /// It may hold a spec.
    Manifest,
}

/// Folders within folders beyond this are not looked into: links may form a circle.
const DEEPEST: usize = 16;

/// A generated manifest has no bound of its own.
const MOST_BYTES: u64 = 2 * MAX_TEXT as u64;

/// What one file held.
#[derive(Debug)]
pub struct Found {
    /// The file, relative to the folder that was read.
    pub file: PathBuf,
    /// The connector, or why there is none.
    pub connector: Result<Connector>,
}

/// Reads every spec below `folder`, in the order of their paths: one a folder, since files beside each
/// other are of one connector. A file that cannot be used is among them with the reason; that there is
/// none is an error.
pub fn read(folder: &Path) -> Result<Vec<Found>> {
    let Seen { mut files, links } = Seen::below(folder)?;
    if files.is_empty() {
        let linked = match links.len() {
            0 => String::new(),
            links => format!("; {links} links to folders there are not followed"),
        };
        bail!(
            "there is no {}, in whatever case, in or below {}{linked}",
            names(),
            folder.display()
        );
    }
    files.sort_by_cached_key(|file| {
        (
            file.parent().map(Path::to_path_buf),
            kind(file),
            file.clone(),
        )
    });
    let with_spec: BTreeSet<PathBuf> = files
        .iter()
        .filter(|file| kind(file).is_some_and(|kind| kind != Kind::Manifest))
        .filter_map(|file| Some(file.parent()?.to_path_buf()))
        .collect();
    let has_spec_file = |file: &Path| file.parent().is_some_and(|it| with_spec.contains(it));
    let mut found: Vec<Found> = Vec::with_capacity(files.len());
    let mut used: Option<PathBuf> = None;
    for file in files {
        if used.is_some() && used.as_deref() == file.parent() {
            continue;
        }
        // A manifest without a spec is the usual case where a spec file lies beside it.
        let connector = match spec_of(&file) {
            Ok(None) if has_spec_file(&file) => continue,
            Ok(None) => Err(anyhow::anyhow!("it holds no spec")),
            Ok(Some(spec)) => Connector::tried(name_of(&file, folder), &spec),
            Err(error) => Err(error),
        };
        if connector.is_ok() {
            used = file.parent().map(Path::to_path_buf);
        }
        let file = within(folder, &file);
        found.push(Found { file, connector });
    }
    found.extend(links.iter().map(|link| Found {
        file: within(folder, link),
        connector: Err(anyhow::anyhow!(
            "it is a link to a folder, and none is followed; give the folder itself with --specs"
        )),
    }));
    Ok(found)
}

fn within(folder: &Path, file: &Path) -> PathBuf {
    file.strip_prefix(folder).unwrap_or(file).to_owned()
}

/// What there is below a folder.
#[derive(Default)]
struct Seen {
    files: Vec<PathBuf>,
    /// To folders. None is followed: it may lead back here, or to the whole disk.
    links: Vec<PathBuf>,
}

impl Seen {
    fn below(folder: &Path) -> Result<Self> {
        let mut seen = Self::default();
        seen.look_into(folder, 0)?;
        seen.links.sort();
        Ok(seen)
    }

    fn look_into(&mut self, folder: &Path, depth: usize) -> Result<()> {
        let unread = || format!("read the folder {}", folder.display());
        for entry in fs::read_dir(folder).with_context(unread)? {
            let entry = entry.with_context(unread)?;
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth < DEEPEST {
                    self.look_into(&path, depth + 1)?;
                }
            } else if path.is_dir() {
                self.links.push(path);
            // What is no file, such as a pipe, may never end.
            } else if kind(&path).is_some() && path.is_file() {
                self.files.push(path);
            }
        }
        Ok(())
    }
}

fn kind(file: &Path) -> Option<Kind> {
    let name = file.file_name()?;
    let mut names = NAMES.iter();
    let found = names.find(|(wanted, _)| name.eq_ignore_ascii_case(wanted));
    found.map(|(_, kind)| *kind)
}

/// What a folder is looked through for.
pub(super) fn names() -> String {
    let [json, yaml, manifest] = NAMES.map(|(name, _)| name);
    format!("{json}, {yaml} or {manifest}")
}

fn spec_of(file: &Path) -> Result<Option<Value>> {
    let size = fs::metadata(file)?.len();
    if size > MOST_BYTES {
        bail!("it has {size} bytes, more than {MOST_BYTES}");
    }
    let text = fs::read_to_string(file)?;
    match kind(file) {
        Some(Kind::Json) => Ok(Some(parse_json("read the spec", text.as_bytes())?)),
        Some(Kind::Yaml) => Ok(Some(spec_yaml::read(&text)?)),
        _ => spec_manifest::spec(&spec_yaml::read(&text)?),
    }
}

/// The folder the file is in, without what every package's folder begins with; the folder that was
/// read where the file lies directly in it.
fn name_of(file: &Path, folder: &Path) -> String {
    let parent = file
        .parent()
        .filter(|parent| *parent != folder)
        .unwrap_or(folder);
    let name = parent
        .file_name()
        .unwrap_or(parent.as_os_str())
        .to_string_lossy();
    name.trim_start_matches("source_").to_owned()
}

#[cfg(test)]
mod tests;
