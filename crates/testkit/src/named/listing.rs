//! Laws of the listing by name: whole, each once, under the platform's own names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cloakroom_core::platform::{NamedSecret, NamedSecrets};
use cloakroom_core::{
    ErrorKind, Grammar, PageToken, Randomness as _, Scope, SecretBackend, SecretState, Version,
};

use super::names::{HARD, SHAPES};
use super::{NamedSubject, Spelling};
use crate::SeededRandomness;
use crate::canary::marked;
use crate::conformance::hand::{Hand, value_of};
use crate::conformance::verdict::{ensure, ensure_eq, ensure_kind};
use crate::conformance::{Broken, Subject, Verdict};

/// More pages than any law's secrets can fill.
const MOST_PAGES: usize = 100_000;

/// What the laws ask: a backend that can be asked by names.
pub(super) struct Asked(Arc<dyn SecretBackend>);

impl Asked {
    pub(super) fn of(subject: &dyn Subject) -> Self {
        Self(subject.backend())
    }

    pub(super) fn named(&self) -> Result<&dyn NamedSecrets, Broken> {
        self.0
            .named()
            .ok_or_else(|| Broken::new("the backend cannot be asked by names"))
    }

    /// The whole listing, and over how many pages.
    pub(super) async fn list_all(&self) -> Result<(Vec<NamedSecret>, usize), Broken> {
        let named = self.named()?;
        let (mut secrets, mut next) = (Vec::new(), None);
        for pages in 1..MOST_PAGES {
            let page = named.list_named(next.as_ref()).await?;
            secrets.extend(page.secrets);
            // As a process would that was started anew.
            next = page.next.map(|token| PageToken(token.0.to_string().into()));
            if next.is_none() {
                return Ok((secrets, pages));
            }
        }
        Err(Broken::new("the listing never ends"))
    }

    /// What the listing says of one name.
    pub(super) async fn listed(&self, name: &str) -> Result<Vec<NamedSecret>, Broken> {
        let (mut all, _) = self.list_all().await?;
        all.retain(|secret| secret.name == name);
        Ok(all)
    }

    pub(super) async fn describe(&self, name: &str) -> Result<NamedSecret, Broken> {
        let mut described = self.named()?.describe_named(&[name.to_owned()]).await;
        let one = described
            .pop()
            .ok_or_else(|| Broken::new("one question, no answer"))?;
        Ok(one?)
    }

    pub(super) async fn read(
        &self,
        name: &str,
    ) -> Result<cloakroom_core::Result<cloakroom_core::SecretValue>, Broken> {
        let mut read = self.named()?.read_named(&[name.to_owned()]).await;
        read.pop()
            .ok_or_else(|| Broken::new("one question, no answer"))
    }
}

/// A value that no other name has.
pub(super) fn value(name: &str) -> cloakroom_core::SecretValue {
    marked(&format!("{name} \"<&>\\ ü"))
}

/// Names as Airbyte gives them, always the same ones.
pub(super) fn platforms(count: usize) -> Vec<String> {
    let random = SeededRandomness::new(6);
    let grammar = Grammar::default();
    let name = |_| {
        let (owner, secret) = (random.uuid(), random.uuid());
        let coordinate = grammar.managed(Scope::Workspace, owner, secret, Version::FIRST);
        coordinate.to_string()
    };
    (0..count).map(name).collect()
}

/// Whoever wrote it: each once, over several pages, and nothing beyond the namespace.
pub(super) async fn everything_is_listed_once_over_several_pages(
    subject: &dyn NamedSubject,
) -> Verdict {
    let (asked, hand) = (Asked::of(subject), Hand::new());
    subject
        .write_beyond(&value("somebody else's program"))
        .await?;
    let mut should = BTreeSet::new();
    for (at, name) in platforms(subject.several_pages()).into_iter().enumerate() {
        if at % 10 == 0 {
            let coordinate = hand.coordinate();
            hand.create(&*subject.backend(), &coordinate, &value_of(&coordinate))
                .await?;
            should.insert((coordinate.to_string(), true));
        } else {
            subject.write_as_platform(&name, &value(&name)).await?;
            should.insert((name, false));
        }
    }
    subject.settle().await;
    let (listed, pages) = asked.list_all().await?;
    ensure(pages > 1, || format!("{} on one page", listed.len()))?;
    let names: BTreeSet<_> = listed
        .iter()
        .map(|it| (it.name.clone(), it.marked))
        .collect();
    ensure_eq(&listed.len(), &names.len(), "how many, each counted once")?;
    ensure(names == should, || {
        let missed = should.difference(&names).next();
        let strange = names.difference(&should).next();
        format!("not as written: missed {missed:?}, strange {strange:?}")
    })?;
    let enabled = |it: &&NamedSecret| it.state == SecretState::Enabled;
    ensure_eq(
        &listed.iter().filter(enabled).count(),
        &should.len(),
        "how many can be read",
    )
}

/// Written by the platform, found by its name, and listed under it where that can be.
pub(super) async fn every_shape_is_found_and_listed(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let mut should = BTreeMap::new();
    for name in SHAPES {
        if subject.spelling(name) != Spelling::Forbidden {
            subject.write_as_platform(name, &value(name)).await?;
            should.insert((*name).to_owned(), subject.spelling(name));
        }
    }
    for name in should.keys() {
        ensure_eq(
            &asked.describe(name).await?.name,
            name,
            "the name described",
        )?;
        ensure(asked.read(name).await?? == value(name), || {
            format!("{name} has another value than was written")
        })?;
    }
    for name in SHAPES {
        if !should.contains_key(*name) {
            ensure_kind(asked.read(name).await?, &[ErrorKind::Invalid], name)?;
        }
    }
    ensure_listed(subject, &asked, &should).await
}

/// Names that differ by little are different secrets.
pub(super) async fn hard_names_are_apart(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let mut should = BTreeMap::new();
    for name in HARD {
        if subject.spelling(name) == Spelling::Listed {
            asked.named()?.put_named(name, &value(name)).await?;
            should.insert((*name).to_owned(), Spelling::Listed);
        }
    }
    for name in should.keys() {
        ensure(subject.read_as_platform(name).await? == value(name), || {
            format!("{name} has another value than was put")
        })?;
    }
    ensure_listed(subject, &asked, &should).await
}

/// Breaks the law unless exactly what can be listed is.
async fn ensure_listed(
    subject: &dyn NamedSubject,
    asked: &Asked,
    should: &BTreeMap<String, Spelling>,
) -> Verdict {
    ensure(should.len() > 2, || "hardly any name was tried".to_owned())?;
    subject.settle().await;
    let (listed, _) = asked.list_all().await?;
    let mut listed: Vec<_> = listed.into_iter().map(|it| it.name).collect();
    listed.sort();
    let should = should.iter().filter_map(|(name, spelling)| match spelling {
        Spelling::Listed => Some(name.clone()),
        Spelling::Rewritten => Some(subject.rewritten(name)),
        Spelling::Forbidden => None,
    });
    let mut should: Vec<_> = should.collect();
    should.sort();
    ensure_eq(&listed, &should, "the names listed")
}

/// What a store of Cloakroom's put is told from what a platform wrote, in either order of asking.
pub(super) async fn what_is_marked_is_seen_as_marked(subject: &dyn NamedSubject) -> Verdict {
    let (asked, hand, backend) = (Asked::of(subject), Hand::new(), subject.backend());
    let (ours, bytes) = hand.create_one(&*backend).await?;
    let theirs = &platforms(1)[0];
    subject.write_as_platform(theirs, &value(theirs)).await?;
    subject.settle().await;
    for (name, marked) in [(ours.as_str(), true), (theirs, false)] {
        ensure_eq(&asked.describe(name).await?.marked, &marked, name)?;
        let listed = asked.listed(name).await?;
        ensure_eq(&listed.len(), &1, "how often it is listed")?;
        ensure_eq(&listed[0].marked, &marked, name)?;
    }
    ensure(asked.read(ours.as_str()).await?? == bytes, || {
        "the value of a marked secret is another".to_owned()
    })?;
    // The other listing shows the marked one alone.
    let page = backend.list(None).await?;
    let listed: Vec<_> = page.secrets.into_iter().map(|it| it.coordinate).collect();
    ensure_eq(&listed, &vec![ours], "what the listing of marks shows")
}

/// A token that is none is an error, never the first page or the end.
pub(super) async fn a_strange_page_token_is_an_error(subject: &dyn NamedSubject) -> Verdict {
    let asked = Asked::of(subject);
    let name = &platforms(1)[0];
    subject.write_as_platform(name, &value(name)).await?;
    let strange = PageToken("strange token".into());
    let page = asked.named()?.list_named(Some(&strange)).await;
    let kinds = &[ErrorKind::Invalid, ErrorKind::Unavailable];
    ensure_kind(
        page.map(|page| page.secrets.len()),
        kinds,
        "a strange token",
    )
}
