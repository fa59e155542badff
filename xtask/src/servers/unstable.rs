//! Debian's unstable release, asked for packages beside the machine's own release: with lists, cache and
//! a record of what is installed that are a folder's own, so that nothing of the machine changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

const SUITE: &str = "sid";

/// Where the machine says which archive it uses.
const SOURCES: [&str; 2] = ["/etc/apt/sources.list.d", "/etc/apt/sources.list"];

pub(super) struct Unstable {
    folder: PathBuf,
}

impl Unstable {
    /// Reads what the archive has. The folder is new.
    pub(super) fn at(folder: &Path) -> Result<Self> {
        for name in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(name))?;
        }
        let (name, text) = sources()?;
        let list = folder.join(name);
        fs::write(&list, text)?;
        // As if nothing were installed, so that every dependency is told.
        fs::write(folder.join("status"), "")?;
        let here = folder.display();
        let settings = format!(
            "Dir::Etc::sourcelist \"{}\";\n\
             Dir::Etc::sourceparts \"-\";\n\
             Dir::State \"{here}\";\n\
             Dir::State::lists \"{here}/lists\";\n\
             Dir::State::status \"{here}/status\";\n\
             Dir::Cache \"{here}/cache\";\n\
             APT::Install-Recommends \"false\";\n\
             APT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\n",
            list.display()
        );
        fs::write(folder.join("apt.conf"), settings)?;
        let unstable = Self {
            folder: folder.to_owned(),
        };
        process::read(unstable.apt().arg("update"))?;
        Ok(unstable)
    }

    /// The archives of a package and all it depends on, without those whose names begin so.
    pub(super) fn fetch(&self, package: &str, needless: &[&str]) -> Result<Vec<PathBuf>> {
        let plan = process::read(self.apt().args(["--simulate", "install", package]))?;
        let names: Vec<&str> = packages(&plan)
            .filter(|name| !needless.iter().any(|it| name.starts_with(it)))
            .collect();
        process::read(self.apt().arg("download").args(names))?;
        archives(&self.folder)
    }

    fn apt(&self) -> Command {
        let mut command = Command::new("apt-get");
        command
            .args(["--quiet", "--quiet"])
            .current_dir(&self.folder)
            .env("APT_CONFIG", self.folder.join("apt.conf"));
        command
    }
}

/// What a plan installs.
fn packages(plan: &str) -> impl Iterator<Item = &str> {
    let words = plan.lines().map(|line| {
        let mut words = line.split_whitespace();
        (words.next(), words.next())
    });
    words.filter_map(|(what, name)| name.filter(|_| what == Some("Inst")))
}

fn archives(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let paths: Result<Vec<PathBuf>> = entries.collect();
    let is_archive = |it: &PathBuf| it.extension().is_some_and(|it| it == "deb");
    Ok(paths?.into_iter().filter(is_archive).collect())
}

/// The machine's own archive with the suite replaced, and the name of a file of that form.
fn sources() -> Result<(&'static str, String)> {
    let release = fs::read_to_string("/etc/os-release")?;
    let codename = release
        .lines()
        .find_map(|it| it.strip_prefix("VERSION_CODENAME="))
        .context("/etc/os-release names no release of Debian")?
        .trim_matches('"');
    for place in SOURCES {
        for path in files(Path::new(place)) {
            let text = fs::read_to_string(&path)?;
            let (name, found) = if path.extension().is_some_and(|it| it == "sources") {
                ("unstable.sources", stanza(&text, codename))
            } else {
                ("unstable.list", line(&text, codename))
            };
            if let Some(found) = found {
                return Ok((name, found));
            }
        }
    }
    bail!("apt is told of no archive with {codename} main")
}

fn files(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let entries = fs::read_dir(place).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_read = |it: &PathBuf| {
        it.extension()
            .is_some_and(|it| it == "sources" || it == "list")
    };
    let mut paths: Vec<PathBuf> = paths.filter(is_read).collect();
    paths.sort();
    paths
}

/// The stanza of a `.sources` file that has the release itself, as one of unstable.
fn stanza(text: &str, codename: &str) -> Option<String> {
    let has = |stanza: &str, field: &str, word: &str| {
        let value = stanza.lines().find_map(|it| it.strip_prefix(field));
        value.is_some_and(|it| it.split_whitespace().any(|it| it == word))
    };
    let found = text.split("\n\n").find(|it| {
        has(it, "Types:", "deb")
            && has(it, "Suites:", codename)
            && has(it, "Components:", "main")
            && !has(it, "Enabled:", "no")
    })?;
    let lines = found.lines().map(|line| {
        let line = match line.split_once(':').map(|(field, _)| field) {
            Some("Suites") => &format!("Suites: {SUITE}"),
            Some("Components") => "Components: main",
            Some("Types") => "Types: deb",
            _ => line,
        };
        format!("{line}\n")
    });
    Some(lines.collect())
}

/// The line of a `.list` file that has the release itself, as one of unstable.
fn line(text: &str, codename: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|it| *it == codename)?;
        let is_ours = words.first() == Some(&"deb") && words[at..].contains(&"main");
        is_ours.then(|| format!("{} {SUITE} main\n", words[..at].join(" ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_archive_is_asked_for_another_suite() {
        let text = "Types: deb deb-src\n# a note\nURIs: mirror://one\nSuites: old old-updates\n\
                    Components: main contrib\nSigned-By: /a/key\n\n\
                    Types: deb\nURIs: mirror://two\nSuites: old-security\nComponents: main\n";
        let found = stanza(text, "old").unwrap();
        let expected = "Types: deb\n# a note\nURIs: mirror://one\nSuites: sid\nComponents: main\n\
                        Signed-By: /a/key\n";
        assert_eq!(found, expected);
        assert_eq!(stanza(text, "new"), None);
        let text = "# deb mirror://no old main\ndeb-src mirror://no old main\n\
                    deb [signed-by=/a/key] mirror://one/ old main contrib\n";
        let found = line(text, "old").unwrap();
        assert_eq!(found, "deb [signed-by=/a/key] mirror://one/ sid main\n");
        assert_eq!(line(text, "new"), None);
    }

    #[test]
    fn a_plan_names_what_it_installs() {
        let plan = "NOTE: a simulation\nInst one (1 Debian:unstable [amd64])\nInst two (2)\nConf one (1)\n";
        assert_eq!(packages(plan).collect::<Vec<_>>(), ["one", "two"]);
    }
}
