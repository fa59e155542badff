//! A token that only a reader of JSON sees as one stays under its key, and nobody is told to take that key out.

use crate::rotation::{OLD, Unobserved, keys_of, rotate, rotation, with_texts};
use crate::support::{Bench, keys, seal};

/// Ways to write a token's beginning that a reader of JSON takes for `fernet:`, in JSON and in JSON in JSON.
const SPELLINGS: &[&str] = &[
    "fernet\\u003a",
    "fernet\\u003A",
    "\\u0066ernet:",
    "f\\u0065rnet:",
    "\\u0066\\u0065\\u0072\\u006e\\u0065\\u0074\\u003a",
    "fernet\\\\u003a",
    "fernet\\\\\\\\u003a",
    "fernet\\u005cu003a",
];

/// Alone in a text, and beside a token that everybody sees.
fn texts() -> Vec<String> {
    let (old, current) = (seal(&keys_of(OLD), "old"), seal(&keys(), "current"));
    let hidden = SPELLINGS.iter().map(|it| old.replacen("fernet:", it, 1));
    let hidden = hidden.chain([old.replacen(":g", ":\\u0067", 1)]);
    let both = |it: String| {
        [
            format!("{{\"p\":\"{it}\"}}"),
            format!("[\"{current}\",\"{it}\"]"),
        ]
    };
    hidden.flat_map(both).collect()
}

pub(crate) async fn what_an_escape_hides_is_told(bench: Bench) {
    let texts = texts();
    let as_texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    with_texts(&bench, &as_texts).await;
    let looked = rotation(&bench).look().await.unwrap();
    let rotated = rotate(&bench, &Unobserved).await;
    for report in [looked, rotated] {
        assert_eq!(report.unopened(), texts.len() as u64, "{report:?}");
        assert_eq!(report.unopened.len(), texts.len(), "{report:?}");
        assert!(!report.is_complete());
    }
}

pub(crate) async fn an_escape_that_hides_nothing_is_in_nobodys_way(bench: Bench) {
    let padded = seal(&keys_of(OLD), "old").replace('=', "\\u003d");
    let texts = [
        "\\u00fc",
        "C:\\users\\unknown",
        "fernet\\u003a prose",
        "\\u006",
        &padded,
    ];
    with_texts(&bench, &texts).await;
    let report = rotate(&bench, &Unobserved).await;
    assert_eq!((report.rotated(), report.unopened()), (1, 0), "{report:?}");
    assert!(report.is_complete());
}
