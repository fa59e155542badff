//! Texts: secrets that can be searched for, and plain ones a person could have typed.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::dice::Dice;
use super::pattern;
use super::schema::{Facet, word};

/// What every generated secret text holds, followed by its number and a dash.
pub const CANARY: &str = "canary-";

/// What a plain free text holds, followed by its number.
pub(super) const SAMPLE: &str = "sample-";

/// Numbers the texts, so that no two are one and each can be told.
#[derive(Debug, Default)]
pub struct Serial(AtomicU64);

impl Serial {
    /// Begins at 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A secret text with its marker.
pub(super) fn secret(facets: &[Facet<'_>], name: &str, serial: &Serial, dice: &Dice<'_>) -> String {
    let canary = format!("{CANARY}{}-{:08x}", serial.next(), dice.bits() >> 32);
    let told = description(facets);
    let multiline = word(facets, "multiline").and_then(Value::as_bool) == Some(true);
    let name = name.to_lowercase();
    let text = if multiline
        || ["private_key", "certificate", "pem"]
            .iter()
            .any(|hint| name.contains(hint))
    {
        format!(
            "-----BEGIN SAMPLE KEY-----\n{canary}\n{:032x}\n-----END SAMPLE KEY-----\n",
            dice.bits()
        )
    } else if name.contains("json") || told.contains("json") {
        json!({ "type": "service_account", "private_key": canary, "n": dice.below(1_000) })
            .to_string()
    } else {
        match dice.below(12) {
            0 => format!("{canary}-пароль-✓🔑"),
            1 => format!(" {canary}-with \"quotes\", \\ and blanks "),
            2 => format!("{canary}-{}", "long".repeat(200)),
            _ => canary,
        }
    };
    fitted(facets, &text, dice)
}

/// A plain text: by its examples, format or pattern, else free.
pub(super) fn plain(facets: &[Facet<'_>], name: &str, serial: &Serial, dice: &Dice<'_>) -> String {
    let number = serial.next();
    if let Some(text) = by_format(word(facets, "format").and_then(Value::as_str), number, dice) {
        return fitted(facets, &text, dice);
    }
    if dice.chance(40)
        && let Some(text) = example(facets, dice)
    {
        return fitted(facets, &text, dice);
    }
    let name = name.to_lowercase();
    let text = if name.contains("host") || name.contains("server") {
        format!("{SAMPLE}{number}.example")
    } else if name.contains("url") || name.contains("address") {
        format!("https://{SAMPLE}{number}.example/path")
    } else if name.contains("mail") {
        format!("{SAMPLE}{number}@example.com")
    } else if dice.chance(12) {
        format!("{SAMPLE}{number} Grüße · メモ")
    } else {
        format!("{SAMPLE}{number}")
    };
    fitted(facets, &text, dice)
}

fn example(facets: &[Facet<'_>], dice: &Dice<'_>) -> Option<String> {
    let examples = word(facets, "examples").and_then(Value::as_array);
    let examples = examples.map_or(&[][..], Vec::as_slice);
    let chosen = dice.pick(examples).or_else(|| word(facets, "default"))?;
    chosen.as_str().map(str::to_owned)
}

fn by_format(format: Option<&str>, number: u64, dice: &Dice<'_>) -> Option<String> {
    let day = || {
        format!(
            "20{:02}-{:02}-{:02}",
            dice.between(15, 25),
            dice.between(1, 12),
            dice.between(1, 28)
        )
    };
    let time = || {
        format!(
            "{:02}:{:02}:{:02}",
            dice.below(24),
            dice.below(60),
            dice.below(60)
        )
    };
    Some(match format? {
        "date" => day(),
        "date-time" => format!("{}T{}Z", day(), time()),
        "time" => format!("{}Z", time()),
        "duration" => format!("P{}D", dice.between(1, 30)),
        "email" => format!("{SAMPLE}{number}@example.com"),
        "hostname" => format!("{SAMPLE}{number}.example"),
        "uri" | "url" => format!("https://{SAMPLE}{number}.example/path"),
        "uuid" => dice.uuid().to_string(),
        "ipv4" => format!("192.0.2.{}", dice.between(1, 254)),
        "ipv6" => format!("2001:db8::{:x}", dice.between(1, 65_000)),
        _ => return None,
    })
}

/// The text as it is where it meets pattern and lengths, else the nearest that does.
fn fitted(facets: &[Facet<'_>], text: &str, dice: &Dice<'_>) -> String {
    let length = |keyword| {
        word(facets, keyword)
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok())
    };
    let (least, most) = (length("minLength").unwrap_or(0), length("maxLength"));
    let mut characters: Vec<char> = text.chars().take(most.unwrap_or(usize::MAX)).collect();
    let missing = least.min(10_000).saturating_sub(characters.len());
    characters.extend(std::iter::repeat_n('x', missing));
    let text: String = characters.into_iter().collect();
    let Some(wanted) = word(facets, "pattern").and_then(Value::as_str) else {
        return text;
    };
    if pattern::matches(wanted, &text) {
        return text;
    }
    let example = example(facets, dice).filter(|example| pattern::matches(wanted, example));
    pattern::sample(wanted, dice).or(example).unwrap_or(text)
}

fn description(facets: &[Facet<'_>]) -> String {
    let told = |keyword| {
        word(facets, keyword)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!("{} {}", told("title"), told("description")).to_lowercase()
}
