//! Pages of Markdown: links, headings, samples.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// A page, by its path from the workspace's root.
pub(crate) struct Page {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A link as it is written.
pub(crate) struct Link {
    pub(crate) target: String,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every page of the book.
pub(crate) fn of_the_book() -> Vec<Page> {
    let mut pages = Vec::new();
    collect("docs", &mut pages);
    pages.retain(|page| page.path != "docs/SUMMARY.md");
    assert!(pages.len() > 20, "{} pages", pages.len());
    pages
}

/// What one reads without the book.
pub(crate) fn beside_the_book() -> Vec<Page> {
    [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "bin/reconciler/README.md",
    ]
    .map(Page::read)
    .into()
}

fn collect(folder: &str, pages: &mut Vec<Page>) {
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&path, pages);
        } else if path.strip_suffix(".md").is_some() {
            pages.push(Page::read(&path));
        }
    }
}

impl Page {
    pub(crate) fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path));
        Self {
            path: path.to_owned(),
            text: text.unwrap_or_else(|error| panic!("{path}: {error}")),
        }
    }

    /// A relative target, from the root.
    pub(crate) fn resolve(&self, target: &str) -> String {
        let from = Path::new(&self.path).parent().unwrap().join(target);
        let mut parts: Vec<&str> = Vec::new();
        for part in from.components() {
            match part {
                Component::ParentDir => {
                    parts.pop();
                }
                Component::Normal(name) => parts.push(name.to_str().unwrap()),
                _ => {}
            }
        }
        parts.join("/")
    }

    /// The text without what is between fences.
    pub(crate) fn prose(&self) -> String {
        let mut within = false;
        let mut prose = String::new();
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                within = !within;
            } else if !within {
                prose.push_str(line);
                prose.push('\n');
            }
        }
        prose
    }

    pub(crate) fn links(&self) -> Vec<Link> {
        let link = fancy_regex::Regex::new(r"\]\(([^)\s]+)\)").unwrap();
        // What is code is shown, not linked.
        let code = fancy_regex::Regex::new(r"`[^`\n]*`(?!\])").unwrap();
        let prose = self.prose();
        let prose = code.replace_all(&prose, "");
        link.captures_iter(&*prose)
            .map(|found| Link {
                target: found.unwrap().get(1).unwrap().as_str().to_owned(),
            })
            .collect()
    }

    /// The anchors of its headings.
    pub(crate) fn anchors(&self) -> BTreeSet<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut anchors = BTreeSet::new();
        for line in self.prose().lines() {
            let heading = line.trim_start_matches('#');
            if heading.len() == line.len() || !heading.starts_with(' ') {
                continue;
            }
            let anchor: String = heading
                .trim()
                .to_lowercase()
                .chars()
                .filter_map(|it| match it {
                    ' ' => Some('-'),
                    '-' | '_' => Some(it),
                    _ => it.is_alphanumeric().then_some(it),
                })
                .collect();
            let times = seen.entry(anchor.clone()).or_default();
            anchors.insert(if *times == 0 {
                anchor
            } else {
                format!("{anchor}-{times}")
            });
            *times += 1;
        }
        anchors
    }

    /// The languages of its samples; drawings have none.
    pub(crate) fn languages(&self) -> BTreeSet<String> {
        let fences = self
            .text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("```"));
        let openings = fences.step_by(2).filter(|language| !language.is_empty());
        openings.map(str::to_owned).collect()
    }

    /// What stands between fences of this language, without the indentation of the list it is in.
    pub(crate) fn samples(&self, language: &str) -> Vec<String> {
        let opening = format!("```{language}");
        let mut samples = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            if line.trim() != opening {
                continue;
            }
            let indent = line.len() - line.trim_start().len();
            let within = lines
                .by_ref()
                .take_while(|line| !line.trim_start().starts_with("```"));
            let sample: Vec<&str> = within
                .map(|line| line.get(indent..).unwrap_or(""))
                .collect();
            samples.push(sample.join("\n"));
        }
        samples
    }
}
