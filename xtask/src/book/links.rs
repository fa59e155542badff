//! Where the links of the book lead: to a page, to a file of the repository, or nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::shown::Shown;

/// Pages that repeat what others say, with links of mdbook's own making.
const NOT_LOOKED_AT: [&str; 2] = ["404.html", "toc.html"];

const HREF: &str = "href=\"";

/// Lets links to files of the repository lead to a page that shows the file. Gives back how many
/// links there are; one that leads nowhere is an error.
pub(super) fn mend(root: &Path, book: &Path) -> Result<usize> {
    let pages = pages(book)?;
    let mut shown = Shown::new(root, book);
    let mut links = 0;
    let mut dead = BTreeSet::new();
    for (page, text) in &pages {
        let mut mended = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once(HREF) {
            let href = after.split('"').next().unwrap_or_default();
            mended.push_str(before);
            mended.push_str(HREF);
            rest = &after[href.len()..];
            match target(href, page, &pages, book, &mut shown)? {
                Target::There => mended.push_str(href),
                Target::Shown(page) => mended.push_str(&page),
                Target::Nowhere => {
                    dead.insert(format!("{}: {href}", page.display()));
                }
            }
            links += 1;
        }
        mended.push_str(rest);
        if mended != *text {
            fs::write(book.join(page), mended)?;
        }
    }
    let dead: Vec<String> = dead.into_iter().collect();
    ensure!(dead.is_empty(), "links lead nowhere:\n{}", dead.join("\n"));
    Ok(links)
}

enum Target {
    There,
    /// At this address, as seen from the page.
    Shown(String),
    Nowhere,
}

fn target(
    href: &str,
    page: &Path,
    pages: &BTreeMap<PathBuf, String>,
    book: &Path,
    shown: &mut Shown,
) -> Result<Target> {
    let elsewhere = href.contains("://") || href.starts_with("mailto:");
    if elsewhere || href.is_empty() {
        return Ok(Target::There);
    }
    let (path, fragment) = href.split_once('#').unwrap_or((href, ""));
    let folder = page.parent().unwrap_or(Path::new(""));
    let inside = if path.is_empty() {
        Some(page.to_owned())
    } else {
        normal(&folder.join(path))
    };
    if let Some(inside) = inside.filter(|inside| book.join(inside).is_file()) {
        let there = match pages.get(&inside) {
            Some(text) if !fragment.is_empty() => text.contains(&format!("id=\"{fragment}\"")),
            _ => true,
        };
        return Ok(if there {
            Target::There
        } else {
            Target::Nowhere
        });
    }
    // mdbook takes a Markdown file for one of its pages.
    let source = normal(&Path::new("docs").join(folder).join(path));
    let shown = match source {
        Some(source) => shown.page_of(&source)?,
        None => None,
    };
    let up = "../".repeat(folder.components().count());
    Ok(shown.map_or(Target::Nowhere, |page| {
        Target::Shown(format!("{up}{}", page.display()))
    }))
}

/// Every page by its place in the book.
fn pages(book: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let mut pages = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let place = book.join(&folder);
        for entry in fs::read_dir(&place).with_context(|| place.display().to_string())? {
            let entry = entry?;
            let name = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(name);
            } else if is_page(&name) {
                pages.insert(name, fs::read_to_string(entry.path())?);
            }
        }
    }
    Ok(pages)
}

fn is_page(name: &Path) -> bool {
    name.extension()
        .is_some_and(|extension| extension == "html")
        && !NOT_LOOKED_AT.iter().any(|other| name == Path::new(other))
}

/// The path without `.` and `..`; `None` where it leads out of its root.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with these files, and a book of one page and one below it.
    fn mended(page: &str, below: &str) -> (Result<usize>, impl Fn(&str) -> String) {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("deploy/rules.yml", "a: <b>"),
            ("README.md", "# Read me"),
            ("docs/index.md", ""),
            ("book/index.html", page),
            ("book/more/below.html", below),
        ];
        for (file, text) in files {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let done = mend(folder.path(), &folder.path().join("book"));
        let read = move |file: &str| {
            fs::read_to_string(folder.path().join("book").join(file)).unwrap_or_default()
        };
        (done, read)
    }

    #[test]
    fn what_is_in_the_book_is_left_alone() {
        let page = r##"<h1 id="a"><a href="#a"><a href="more/below.html#b"><a href="https://x.example/">"##;
        let below = r#"<h1 id="b"><a href="../index.html#a">"#;
        let (done, read) = mended(page, below);
        assert_eq!(done.unwrap(), 4);
        assert_eq!(
            (read("index.html"), read("more/below.html")),
            (page.to_owned(), below.to_owned())
        );
    }

    #[test]
    fn files_and_folders_of_the_repository_are_shown() {
        let page =
            r#"<a href="../deploy/rules.yml"> <a href="../README.html"> <a href="../deploy">"#;
        let (done, read) = mended(page, r#"<a href="../../deploy/rules.yml">"#);
        assert_eq!(done.unwrap(), 4);
        assert_eq!(
            read("index.html"),
            r#"<a href="repository/deploy/rules.yml.html"> <a href="repository/README.md.html"> <a href="repository/deploy/index.html">"#
        );
        assert_eq!(
            read("more/below.html"),
            r#"<a href="../repository/deploy/rules.yml.html">"#
        );
        assert!(read("repository/deploy/rules.yml.html").contains("<pre>a: &lt;b&gt;</pre>"));
        assert!(read("repository/README.md.html").contains("# Read me"));
        assert!(
            read("repository/deploy/index.html").contains(r#"<a href="rules.yml.html">rules.yml"#)
        );
    }

    #[test]
    fn a_link_that_leads_nowhere_is_an_error() {
        for link in [
            "none.html",
            "index.html#none",
            "#none",
            "../deploy/none.yml",
            "../../outside.html",
            "/etc/passwd",
        ] {
            let (done, _) = mended(&format!(r#"<a href="{link}">"#), "");
            let said = done.unwrap_err().to_string();
            assert!(said.contains(&format!("index.html: {link}")), "{said}");
        }
    }
}
