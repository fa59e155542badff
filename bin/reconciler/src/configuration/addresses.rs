//! Addresses that give a secret away: a user and a password, or a token, before the host. They would be
//! printed with the rest of the configuration.

use std::net::Ipv6Addr;

use reqwest::Url;

use super::check::Wrong;
use super::node::{Content, Node};

/// Refuses such an address wherever it stands. Where a secret is asked for the reader has refused one
/// before.
pub(super) fn check(tree: &Node) -> Result<(), Wrong> {
    look_at(tree, &mut Vec::new())
}

fn look_at(node: &Node, path: &mut Vec<String>) -> Result<(), Wrong> {
    let mut look_below = |key: String, node: &Node| {
        path.push(key);
        let looked = look_at(node, path);
        path.pop();
        looked
    };
    match &node.value {
        Content::Text(text) | Content::Raw(text) if gives_away(text) => Err(Wrong {
            path: path.clone(),
            message: REFUSAL.to_owned(),
        }),
        Content::List(items) => {
            let mut items = items.iter().enumerate();
            items.try_for_each(|(at, item)| look_below(at.to_string(), item))
        }
        Content::Section(members) => {
            let mut members = members.iter();
            members.try_for_each(|(key, member)| look_below(key.clone(), member))
        }
        _ => Ok(()),
    }
}

/// Whether a text is an address as managers have them, with nothing in it that could be a secret.
pub(super) fn is_of_the_web(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        is_web(url.scheme())
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

const REFUSAL: &str = "a user, a password or a token stands in this address, and configuration files are \
     copied, committed and printed. Write the address without it; how to log in, the settings beside it \
     say, with secrets by reference only (`{env: NAME}` or `{file: PATH}`). If a real secret stood here, \
     replace it";

/// Whether a text is such an address, or has one in it. A variable may hold a whole section.
fn gives_away(text: &str) -> bool {
    let whole = Url::parse(text.trim());
    whole.is_ok_and(|url| {
        url.password().is_some() || (is_web(url.scheme()) && !url.username().is_empty())
    }) || text
        .match_indices("://")
        .any(|(at, separator)| names_a_user(&text[..at], &text[at + separator.len()..]))
}

/// Whether what stands behind `://` begins with a user. Elsewhere than in the web a name alone is no
/// secret, as in `ssh://git@host`.
fn names_a_user(before: &str, behind: &str) -> bool {
    let word = |it: char| it.is_whitespace() || "\"'`<>{}".contains(it);
    let address = behind.split(word).next().unwrap_or_default();
    let authority = address.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((user, _)) = authority.rsplit_once('@') {
        let scheme = before.rsplit(|it: char| !it.is_ascii_alphanumeric()).next();
        return user.contains(':') || (!user.is_empty() && scheme.is_some_and(is_web));
    }
    // Behind an authority an `@` is none of its own. What is no authority is a password with a `/` in it that
    // was not encoded.
    let port = behind_the_host(authority)
        .rsplit_once(':')
        .map_or("", |(_, port)| port);
    address.contains('@') && !port.chars().all(|it| it.is_ascii_digit())
}

/// An authority without the brackets around an IPv6 address, whose colons part no port from it.
fn behind_the_host(authority: &str) -> &str {
    let bracketed = authority
        .strip_prefix('[')
        .and_then(|it| it.split_once(']'));
    bracketed
        .filter(|(host, _)| host.split('%').next().is_some_and(is_ipv6))
        .map_or(authority, |(_, behind)| behind)
}

fn is_ipv6(host: &str) -> bool {
    host.parse::<Ipv6Addr>().is_ok()
}

fn is_web(scheme: &str) -> bool {
    ["http", "https"]
        .iter()
        .any(|web| scheme.eq_ignore_ascii_case(web))
}

#[cfg(test)]
mod tests;
