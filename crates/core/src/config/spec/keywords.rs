//! The keywords of JSON Schema (drafts 4 to 2020-12) that lead from one schema to another.

/// Lists of schemas for the same place.
pub(super) const LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// Single schemas for the same place. `not` counts too: fail closed.
pub(super) const SINGLES: [&str; 4] = ["if", "then", "else", "not"];

/// Maps from a key to a schema for the same place (in `dependencies` also to a list of keys).
pub(super) const DEPENDENT: [&str; 2] = ["dependentSchemas", "dependencies"];

/// References to a schema for the same place. Their siblings count as well.
pub(super) const REFERENCES: [&str; 3] = ["$ref", "$recursiveRef", "$dynamicRef"];

/// Schemas for members that nothing else in the same schema names.
pub(super) const OTHER_MEMBERS: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];

/// Schemas for elements behind the tuple.
pub(super) const OTHER_ELEMENTS: [&str; 2] = ["additionalItems", "unevaluatedItems"];

/// The keys under which a spec file holds its schema.
pub(super) const CONNECTION: [&str; 2] = ["connectionSpecification", "connection_specification"];

/// Whether an object with this key may be meant as a schema.
pub(super) fn is_known(key: &str) -> bool {
    let others = [
        "$schema",
        "$defs",
        "definitions",
        "type",
        "enum",
        "const",
        "required",
        "format",
        "airbyte_secret",
    ];
    applies(key) || others.contains(&key)
}

/// A key that is one of the keywords secrets depend on but for its case and the signs between its words,
/// and that keyword: with it read as nothing, what it marks would stay in clear.
pub(super) fn nearly_known(key: &str) -> Option<(&str, &'static str)> {
    const MARK: &str = "airbyte_secret";
    const OTHERS: [&str; 4] = [MARK, "type", "format", "$defs"];

    if is_known(key) {
        return None;
    }
    let letters = |text: &str| {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters
            .map(|it| it.to_ascii_lowercase())
            .collect::<String>()
    };
    let plain = letters(key);
    let mut keywords = APPLYING.iter().copied().flatten().copied().chain(OTHERS);
    let meant = keywords.find(|keyword| letters(keyword) == plain);
    // Whatever is made of it, somebody meant to mark a secret.
    let marks = plain.contains("airbytesecret").then_some(MARK);
    Some((key, meant.or(marks)?))
}

/// What leads from a schema to what it says of a place or the places below.
const APPLYING: [&[&str]; 7] = [
    &LISTS,
    &SINGLES,
    &DEPENDENT,
    &REFERENCES,
    &OTHER_MEMBERS,
    &OTHER_ELEMENTS,
    &[
        "properties",
        "patternProperties",
        "items",
        "prefixItems",
        "contains",
    ],
];

/// Whether a schema object with this key says something about its place or the places below.
pub(super) fn applies(key: &str) -> bool {
    APPLYING.iter().any(|keywords| keywords.contains(&key))
}
