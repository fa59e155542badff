//! Files of the repository as pages: a book is read without the repository beside it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where they are in the book.
const FOLDER: &str = "repository";

/// The files and folders that are shown.
pub(super) struct Shown<'a> {
    root: &'a Path,
    book: &'a Path,
    written: BTreeSet<PathBuf>,
}

impl<'a> Shown<'a> {
    /// Files below `root` for the book at `book`.
    pub(super) fn new(root: &'a Path, book: &'a Path) -> Self {
        Self {
            root,
            book,
            written: BTreeSet::new(),
        }
    }

    /// The page of the book that shows a file or folder of the repository, or the Markdown file that
    /// a page's name stands for; `None` where there is neither.
    pub(super) fn page_of(&mut self, source: &Path) -> Result<Option<PathBuf>> {
        let markdown = source.with_extension("md");
        let source = [source, &markdown]
            .into_iter()
            .find(|source| self.root.join(source).exists());
        source.map(|source| self.show(source)).transpose()
    }

    fn show(&mut self, source: &Path) -> Result<PathBuf> {
        let place = self.root.join(source);
        let mut page = Path::new(FOLDER).join(source).into_os_string();
        page.push(if place.is_dir() {
            "/index.html"
        } else {
            ".html"
        });
        let page = PathBuf::from(page);
        if self.written.insert(page.clone()) {
            let content = if place.is_dir() {
                self.folder(source, &place)?
            } else {
                let text = fs::read_to_string(&place)
                    .with_context(|| format!("cannot show {}", place.display()))?;
                format!("<pre>{}</pre>", escaped(&text))
            };
            let title = escaped(&source.display().to_string());
            let file = self.book.join(&page);
            let folder = file.parent().context("a page is in a folder")?;
            fs::create_dir_all(folder)?;
            fs::write(
                &file,
                format!(
                    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
                     <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
                     </head><body><h1>{title}</h1>\n{content}\n</body></html>\n"
                ),
            )?;
        }
        Ok(page)
    }

    fn folder(&mut self, source: &Path, place: &Path) -> Result<String> {
        let mut names: Vec<_> = fs::read_dir(place)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<Result<_>>()?;
        names.sort();
        let mut list = String::from("<ul>\n");
        for name in names {
            let page = self.show(&source.join(&name))?;
            let below = page.strip_prefix(Path::new(FOLDER).join(source))?;
            let (below, name) = (below.display(), name.to_string_lossy());
            writeln!(list, "<li><a href=\"{below}\">{}</a></li>", escaped(&name))?;
        }
        list.push_str("</ul>");
        Ok(list)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
