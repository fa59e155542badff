//! Numbers as a text has them. Those with an exponent serde_json reads as another of the same value (`1E5` as
//! `1e+5`), and a configuration comes back as it was. And two texts may be one value: whoever reads 2.0 into a
//! program may write 2.

use std::borrow::Cow;

use serde_json::Number;

/// The numbers of a JSON text that have an exponent, in its order.
pub(super) struct Exponents<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Exponents<'t> {
    /// Of a text that is read as JSON at the same time: behind its first mistake nobody asks.
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, at: 0 }
    }
}

impl<'t> Iterator for Exponents<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => self.at = behind_the_string(bytes, self.at + 1),
                b'-' | b'0'..=b'9' => {
                    let start = self.at;
                    let rest = &bytes[start..];
                    let end = rest.iter().position(|byte| !belongs_to_a_number(*byte));
                    self.at = end.map_or(bytes.len(), |length| start + length);
                    let number = &self.text[start..self.at];
                    if number.contains(['e', 'E']) {
                        return Some(number);
                    }
                }
                _ => self.at += 1,
            }
        }
        None
    }
}

/// What a number is, however it is written: two of one value are equal by it.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Quantity<'t> {
    is_negative: bool,
    /// Without zeros at either end; empty is zero.
    digits: Cow<'t, str>,
    /// What the last of them is multiplied by, as a power of ten.
    exponent: i64,
}

impl<'t> Quantity<'t> {
    pub(super) fn of(number: &'t Number) -> Self {
        let text = number.as_str();
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = fraction.trim_end_matches('0');
        let behind = if fraction.is_empty() {
            small(whole.len()) - small(whole.trim_end_matches('0').len())
        } else {
            -small(fraction.len())
        };
        let digits = if fraction.is_empty() {
            Cow::Borrowed(whole.trim_matches('0'))
        } else {
            Cow::Owned(
                format!("{whole}{fraction}")
                    .trim_start_matches('0')
                    .to_owned(),
            )
        };
        let is_zero = digits.is_empty();
        Self {
            is_negative: is_negative && !is_zero,
            exponent: if is_zero {
                0
            } else {
                power(exponent).saturating_add(behind)
            },
            digits,
        }
    }
}

/// One that is beyond all counting is as large as can be told.
fn power(exponent: &str) -> i64 {
    let beyond = if exponent.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    };
    exponent.parse().unwrap_or(beyond)
}

fn small(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn belongs_to_a_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}

/// Where a string literal ends whose content begins at a place.
fn behind_the_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_with_an_exponent_are_told_and_in_their_order() {
        let text = r#"{"1e5": [1, -2E+3, "3e4\\\"5e6", 7.5e-08, true], "e": 9e0 , "f": 10}"#;
        let found: Vec<&str> = Exponents::of(text).collect();
        assert_eq!(found, ["-2E+3", "7.5e-08", "9e0"]);
        assert_eq!(Exponents::of("1E5").collect::<Vec<_>>(), ["1E5"]);
    }

    fn are_equal(one: &str, other: &str) -> bool {
        let read = |text: &str| -> Number { serde_json::from_str(text).unwrap() };
        Quantity::of(&read(one)) == Quantity::of(&read(other))
    }

    #[test]
    fn numbers_are_equal_by_their_value() {
        for same in [
            &["2", "2.0", "2.000", "0.2e1", "20e-1", "2E0"][..],
            &["0", "-0", "0.0", "0e7", "-0.00"],
            &["-100", "-1e2", "-100.0", "-0.0001e6"],
            &["10.5", "105e-1", "0.01050e3"],
            &["1e400", "10e399", "0.1e401"],
        ] {
            for text in same {
                assert!(are_equal(text, same[0]), "{text} is {}", same[0]);
            }
        }
        for (one, other) in [
            ("2", "-2"),
            ("2", "20"),
            ("2", "0.2"),
            ("1e400", "1e401"),
            ("10", "101"),
            ("100.5", "1.005"),
        ] {
            assert!(!are_equal(one, other), "{one} is not {other}");
        }
    }
}
