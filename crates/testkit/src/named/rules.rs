//! Laws of the rules that a manager says its names keep to: what they allow is taken and found, what they
//! forbid is refused, and nothing was written then.

use std::collections::BTreeSet;

use cloakroom_core::capabilities::Capabilities;
use cloakroom_core::{DeleteMode, ErrorKind};

use super::listing::{Asked, value};
use crate::conformance::verdict::{ensure, ensure_eq, ensure_kind};
use crate::conformance::{Subject, Verdict};

/// How a name is refused that cannot be.
const REFUSED: &[ErrorKind] = &[
    ErrorKind::Invalid,
    ErrorKind::TooLarge,
    ErrorKind::Unsupported,
];
/// Names by whose form managers differ; each is taken or refused as the rules say. None is another's but for
/// case, or for what a rule lets be respelled.
const FORMS: &[&str] = &[
    "x/1", "/x/2", "x//3", "x4/", "x/../5", "x/./6", "..x7", "x8..", "x..9", "-x10", "x11-",
    "x.-12", ".x13", "x14.", "_x15", "x16_", "/x17/", "//x18", "aws19", "AWS20", "ssm21", "Ssm22",
];

/// Names that together have every character there is for one, each as long as a name can be: taken, and found
/// again by that name.
pub(super) async fn the_longest_and_every_character_are_taken(subject: &dyn Subject) -> Verdict {
    let (asked, backend) = (Asked::of(subject), subject.backend());
    let capabilities = backend.capabilities();
    let names = longest(capabilities);
    ensure(!names.is_empty(), || "no name was tried".to_owned())?;
    for name in &names {
        asked.named()?.put_named(name, &value(name)).await?;
        asked.named()?.put_named(name, &value(name)).await?;
    }
    ensure_found(subject, &asked, &names).await
}

/// One byte more, a character that is none of a name's, a form that is not taken: refused, whatever is asked,
/// and what the rules do allow of these is taken.
pub(super) async fn what_the_rules_forbid_is_refused(subject: &dyn Subject) -> Verdict {
    let (asked, backend) = (Asked::of(subject), subject.backend());
    let capabilities = backend.capabilities();
    let characters: String = characters(capabilities).into_iter().collect();
    let foreign = (0..=0xff_u8).map(char::from).chain(['€', '\u{1f511}']);
    let foreign = foreign.filter(|it| !characters.contains(*it));
    let mut forbidden: Vec<_> = foreign.map(|it| format!("x{it}x")).collect();
    forbidden.push("x".repeat(room(capabilities) + 1));
    forbidden.push(String::new());
    let forms = FORMS.iter().map(|it| (*it).to_owned());
    let levels = ["/x".repeat(16), "/y".repeat(14)];
    let (taken, broken): (Vec<_>, Vec<_>) = forms
        .chain(levels)
        .partition(|name| capabilities.written(name).is_ok());
    for name in forbidden.iter().chain(&broken) {
        let put = asked.named()?.put_named(name, &value(name)).await;
        ensure_kind(put, REFUSED, &format!("put {name:?}"))?;
        ensure_kind(asked.read(name).await?, REFUSED, &format!("read {name:?}"))?;
        let deleted = asked.named()?.delete_named(name, DeleteMode::Final, None);
        ensure_kind(deleted.await, REFUSED, &format!("delete {name:?}"))?;
    }
    for name in &taken {
        asked.named()?.put_named(name, &value(name)).await?;
    }
    ensure_found(subject, &asked, &taken).await
}

/// Names that differ in case alone are two secrets, or one whose value stays; as the rules say.
pub(super) async fn case_counts_as_the_rules_say(subject: &dyn Subject) -> Verdict {
    let (asked, backend) = (Asked::of(subject), subject.backend());
    let capabilities = backend.capabilities();
    let (one, other) = ("thisisone", "thisIsOne");
    asked.named()?.put_named(one, &value(one)).await?;
    let put = asked.named()?.put_named(other, &value(other)).await;
    if !capabilities.names.characters.have_capitals() {
        ensure_kind(put, REFUSED, "a put under capitals")?;
    } else if capabilities.names.case_counts {
        put?;
        ensure(asked.read(other).await?? == value(other), || {
            "the name in other case has another value than was put".to_owned()
        })?;
    } else {
        ensure_kind(put, &[ErrorKind::Conflict], "a put in other case")?;
        ensure(asked.read(other).await?? == value(one), || {
            "the name in other case is another secret".to_owned()
        })?;
    }
    ensure(asked.read(one).await?? == value(one), || {
        "the first has another value than was put".to_owned()
    })
}

/// Breaks the law unless exactly these are there, each with its own value.
async fn ensure_found(subject: &dyn Subject, asked: &Asked, names: &[String]) -> Verdict {
    let backend = subject.backend();
    let capabilities = backend.capabilities();
    for name in names {
        ensure(asked.read(name).await?? == value(name), || {
            format!("{name} has another value than was put")
        })?;
        ensure_eq(
            &asked.describe(name).await?.name,
            name,
            "the name described",
        )?;
    }
    subject.settle().await;
    let (listed, _) = asked.list_all().await?;
    let listed: Vec<_> = listed.into_iter().map(|it| it.name).collect();
    ensure_eq(&listed.len(), &names.len(), "how many are listed")?;
    // A name that is written otherwise cannot be told from its listing.
    let written = |name: &String| capabilities.written(name).unwrap_or_default();
    let listed: BTreeSet<_> = listed.iter().map(written).collect();
    let should: BTreeSet<_> = names.iter().map(written).collect();
    ensure_eq(&listed, &should, "the names listed")
}

/// Bytes that the prefix leaves.
fn room(capabilities: &Capabilities) -> usize {
    let prefix = capabilities.name_prefix.len();
    capabilities.names.longest.saturating_sub(prefix)
}

/// What a platform's name may be made of.
fn characters(capabilities: &Capabilities) -> Vec<char> {
    let rules = &capabilities.names;
    let respelled = rules.respelled.iter().map(|(from, _)| *from);
    let own = (0..=0x7f_u8).map(char::from);
    let own = own.filter(|it| rules.characters.contains(*it));
    own.chain(respelled).collect()
}

/// Names of the greatest length that together have every character, none first, last or beside another that
/// might not stand so. A slash may stand in one only where the prefix lets it.
fn longest(capabilities: &Capabilities) -> Vec<String> {
    let mut characters = characters(capabilities);
    if capabilities.written("x/x").is_err() {
        characters.retain(|it| *it != '/');
    }
    let room = room(capabilities);
    let chunks = characters.chunks((room / 2).saturating_sub(2).max(1));
    let names = chunks.enumerate().map(|(at, chunk)| {
        let spread = chunk.iter().flat_map(|it| [*it, 'x']);
        let name: String = format!("x{at}x").chars().chain(spread).collect();
        let rest = room.saturating_sub(name.len());
        name + &"x".repeat(rest)
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryBackend;

    #[test]
    fn names_of_the_greatest_length_have_every_character() {
        for longest_name in [9, 127, 512] {
            let mut capabilities = MemoryBackend::CAPABILITIES;
            capabilities.names.longest = longest_name;
            capabilities.name_prefix = "p-".into();
            let names = longest(&capabilities);
            for name in &names {
                assert_eq!(name.len(), longest_name - 2, "{name}");
                assert!(capabilities.written(name).is_ok(), "{name}");
            }
            let all = names.concat();
            assert!(characters(&capabilities).iter().all(|it| all.contains(*it)));
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        }
    }
}
