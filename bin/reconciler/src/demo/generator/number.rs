//! Numbers within their bounds.

use serde_json::{Number, Value};

use super::dice::Dice;
use super::schema::{Facet, word};

/// A whole number that JavaScript cannot hold: whoever passes it through a float loses a digit.
const BEYOND_FLOATS: i64 = 9_007_199_254_740_993;

/// A whole number.
pub(super) fn integer(facets: &[Facet<'_>], secret: bool, dice: &Dice<'_>) -> Value {
    if let Some(suggested) = suggested(facets, dice).filter(Value::is_i64) {
        return suggested;
    }
    let bound = |keyword| word(facets, keyword).and_then(Value::as_f64).map(whole);
    let low =
        bound("minimum").or_else(|| bound("exclusiveMinimum").map(|low| low.saturating_add(1)));
    let high =
        bound("maximum").or_else(|| bound("exclusiveMaximum").map(|high| high.saturating_sub(1)));
    if secret && low.is_none() && high.is_none() && dice.chance(50) {
        return (BEYOND_FLOATS + dice.between(0, 1_000) * 2).into();
    }
    let from = low.unwrap_or_else(|| high.map_or(1, |high| high.min(1)));
    let to = high.unwrap_or_else(|| from.saturating_add(9_998));
    let number = dice.between(from, to);
    match bound("multipleOf").filter(|step| *step > 0) {
        None => number.into(),
        Some(step) => {
            let multiple = number.div_euclid(step).saturating_mul(step);
            if multiple < from {
                multiple.saturating_add(step).into()
            } else {
                multiple.into()
            }
        }
    }
}

/// A number with a fraction.
pub(super) fn number(facets: &[Facet<'_>], dice: &Dice<'_>) -> Value {
    if let Some(suggested) = suggested(facets, dice).filter(Value::is_number) {
        return suggested;
    }
    let bound = |keyword| word(facets, keyword).and_then(Value::as_f64);
    let low = bound("minimum")
        .or_else(|| bound("exclusiveMinimum"))
        .unwrap_or(0.0);
    let high = bound("maximum")
        .or_else(|| bound("exclusiveMaximum"))
        .unwrap_or(low + 100.0);
    // Sixteenths away from both ends: exact in binary, so the digits stay few.
    let part = dice.between(1, 15) as f64 / 16.0;
    Number::from_f64((high - low).mul_add(part, low)).map_or(Value::Null, Value::Number)
}

fn suggested(facets: &[Facet<'_>], dice: &Dice<'_>) -> Option<Value> {
    if !dice.chance(30) {
        return None;
    }
    let examples = word(facets, "examples").and_then(Value::as_array);
    let example = examples.and_then(|examples| dice.pick(examples));
    example.or_else(|| word(facets, "default")).cloned()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a bound beyond i64 is as good as i64's"
)]
fn whole(bound: f64) -> i64 {
    bound.round() as i64
}
