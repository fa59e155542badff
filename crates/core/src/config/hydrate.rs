//! Hydrating: putting the values back where the recorded references say.

use serde_json::Value;

use super::bounds::{self, MAX_STORED_DEPTH};
use super::node;
use super::parse::parse_json;
use super::pointer::{lookup_mut, shown};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::{SecretJson, SecretValue, ValueKind};

const OPERATION: &str = "hydrate a document";

/// A value read back, and where it belongs.
#[derive(Debug)]
pub struct Revealed {
    /// The pointer of the recorded reference.
    pub pointer: String,
    /// How the value was written in the document.
    pub kind: ValueKind,
    /// The value.
    pub value: SecretValue,
}

/// Puts each value in the place of its node. A coordinate in the document decides nothing; a
/// pointer that leads to no node, or JSON that cannot be read, is `Corrupt`.
pub fn hydrate(blob: Value, secrets: impl IntoIterator<Item = Revealed>) -> Result<SecretJson> {
    let mut value = blob;
    let filled = bounds::check(OPERATION, &value, MAX_STORED_DEPTH).and_then(|()| {
        secrets
            .into_iter()
            .try_for_each(|secret| fill(&mut value, &secret))
    });
    // Also on failure: what is half filled holds secrets.
    let document = SecretJson::new(value);
    filled.map(|()| document)
}

fn fill(document: &mut Value, secret: &Revealed) -> Result<()> {
    let corrupt = |message: &'static str| {
        Error::new(ErrorKind::Corrupt, OPERATION, message).with_coordinate(shown(&secret.pointer))
    };
    let place = lookup_mut(document, &secret.pointer)
        .filter(|value| value.as_object().is_some_and(node::is_node))
        .ok_or_else(|| corrupt("the recorded reference leads to no node in the stored document"))?;
    *place = match secret.kind {
        ValueKind::Text => {
            let text = secret.value.expose_text();
            text.ok_or_else(|| corrupt("the stored text is not UTF-8"))?
                .into()
        }
        // The parser's error is left out: it is about the value.
        ValueKind::Json => parse_json(OPERATION, secret.value.expose())
            .map_err(|_| corrupt("the stored value is not the JSON it was recorded as"))?,
    };
    Ok(())
}
