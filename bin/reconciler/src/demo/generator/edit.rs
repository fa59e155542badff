//! Edits a person makes: other secrets, other plain values, some of it left masked.

use serde_json::Value;

use super::dice::Dice;
use super::text::{CANARY, SAMPLE, Serial};

/// Gives about `percent` of the secret texts another value, at least one where there is any.
/// Gives back how many.
pub fn change_secrets(
    config: &mut Value,
    percent: usize,
    serial: &Serial,
    dice: &Dice<'_>,
) -> usize {
    change(config, CANARY, percent, serial, dice)
}

/// Gives about `percent` of the plain free texts another value, at least one where there is any.
/// Gives back how many.
pub fn change_plain(config: &mut Value, percent: usize, serial: &Serial, dice: &Dice<'_>) -> usize {
    change(config, SAMPLE, percent, serial, dice)
}

/// The configuration as a form sends it: secrets that were not touched still masked. `masked` is
/// what the form was filled with, `edited` what the owner has in mind; both have one shape.
pub fn leave_masked(masked: &Value, before: &Value, edited: &Value) -> Value {
    match (masked, edited) {
        _ if before == edited => masked.clone(),
        (Value::Object(shown), Value::Object(members)) => {
            let member = |(name, value): (&String, &Value)| {
                let value = match (shown.get(name), before.get(name)) {
                    (Some(shown), Some(before)) => leave_masked(shown, before, value),
                    _ => value.clone(),
                };
                (name.clone(), value)
            };
            Value::Object(members.iter().map(member).collect())
        }
        (Value::Array(shown), Value::Array(items)) if shown.len() == items.len() => {
            let item = |(index, value): (usize, &Value)| match before.get(index) {
                Some(before) => leave_masked(&shown[index], before, value),
                None => value.clone(),
            };
            Value::Array(items.iter().enumerate().map(item).collect())
        }
        _ => edited.clone(),
    }
}

fn change(
    config: &mut Value,
    marker: &str,
    percent: usize,
    serial: &Serial,
    dice: &Dice<'_>,
) -> usize {
    let mut texts = marked(config, marker);
    let sure = dice.below(texts.len());
    let mut changed = 0;
    for (index, text) in texts.iter_mut().enumerate() {
        if index == sure || dice.chance(percent) {
            renumber(text, marker, serial.next());
            changed += 1;
        }
    }
    changed
}

fn marked<'v>(config: &'v mut Value, marker: &str) -> Vec<&'v mut String> {
    let mut found = Vec::new();
    let mut left = vec![config];
    while let Some(value) = left.pop() {
        match value {
            Value::String(text) if text.contains(marker) => found.push(text),
            Value::Array(items) => left.extend(items),
            Value::Object(members) => left.extend(members.values_mut()),
            _ => {}
        }
    }
    found
}

fn renumber(text: &mut String, marker: &str, number: u64) {
    if let Some(at) = text.find(marker).map(|at| at + marker.len()) {
        let digits = text[at..].bytes().take_while(u8::is_ascii_digit).count();
        text.replace_range(at..at + digits, &number.to_string());
    }
}
