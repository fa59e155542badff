//! JSON Pointers: written while walking down, followed without allocating.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

/// A pointer that grows and shrinks with a walk.
#[derive(Clone, Default)]
pub(super) struct Pointer(String);

impl Pointer {
    /// Goes down to a member; returns what [`Pointer::pop_to`] needs to come back.
    pub(super) fn push_key(&mut self, key: &str) -> usize {
        let length = self.0.len();
        self.0.push('/');
        push_escaped(&mut self.0, key);
        length
    }

    /// Goes down to an element.
    pub(super) fn push_index(&mut self, index: usize) -> usize {
        let length = self.0.len();
        // Writing to a String cannot fail.
        let _ = write!(self.0, "/{index}");
        length
    }

    /// Goes down to any element or member at once.
    pub(super) fn push_any(&mut self) -> usize {
        self.push_raw("*")
    }

    /// Goes down by a token that is escaped already.
    pub(super) fn push_raw(&mut self, token: &str) -> usize {
        let length = self.0.len();
        self.0.push('/');
        self.0.push_str(token);
        length
    }

    pub(super) fn pop_to(&mut self, length: usize) {
        self.0.truncate(length);
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn shown(&self) -> &str {
        shown(&self.0)
    }
}

/// The longest pointer an error shows, in bytes; nobody reads a longer one.
const SHOWN: usize = 512;

/// The pointer as errors show it: the empty one would not be seen, and one made of a hostile key is
/// cut.
pub(super) fn shown(pointer: &str) -> &str {
    if pointer.is_empty() {
        "(root)"
    } else {
        cut(pointer)
    }
}

/// A pointer or a key, as far as errors show it.
pub(super) fn cut(text: &str) -> &str {
    match text.char_indices().find(|(at, _)| *at >= SHOWN) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// Adds a key to a JSON Pointer, as RFC 6901 escapes it; the `/` before it is the caller's.
pub fn push_escaped(text: &mut String, key: &str) {
    if !key.contains(['~', '/']) {
        text.push_str(key);
        return;
    }
    for character in key.chars() {
        match character {
            '~' => text.push_str("~0"),
            '/' => text.push_str("~1"),
            other => text.push(other),
        }
    }
}

/// The unescaped tokens of a pointer; `None` where it is neither empty nor begins with `/`.
pub(super) fn tokens(pointer: &str) -> Option<impl Iterator<Item = Cow<'_, str>>> {
    let rest = match pointer.strip_prefix('/') {
        Some(rest) => Some(rest),
        None if pointer.is_empty() => None,
        None => return None,
    };
    Some(
        rest.into_iter()
            .flat_map(|rest| rest.split('/'))
            .map(unescape),
    )
}

fn unescape(token: &str) -> Cow<'_, str> {
    if token.contains('~') {
        Cow::Owned(token.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(token)
    }
}

/// The pointer to what a pointer is a part of, and its last token; `None` for the whole document.
pub(super) fn parent(pointer: &str) -> Option<(&str, Cow<'_, str>)> {
    let (parent, token) = pointer.rsplit_once('/')?;
    Some((parent, unescape(token)))
}

/// The index a token stands for: digits without a leading zero.
pub(super) fn index(token: &str) -> Option<usize> {
    let canonical = token == "0" || !token.starts_with(['0', '+']);
    canonical.then(|| token.parse().ok()).flatten()
}

/// One step down.
pub(super) fn step<'v>(value: &'v Value, token: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(token),
        Value::Array(items) => items.get(index(token)?),
        _ => None,
    }
}

/// What a pointer leads to.
pub(super) fn lookup<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    tokens(pointer)?.try_fold(value, |value, token| step(value, &token))
}

/// What a pointer leads to, to be changed.
pub(super) fn lookup_mut<'v>(value: &'v mut Value, pointer: &str) -> Option<&'v mut Value> {
    tokens(pointer)?.try_fold(value, |value, token| match value {
        Value::Object(members) => members.get_mut(&*token),
        Value::Array(items) => items.get_mut(index(&token)?),
        _ => None,
    })
}
