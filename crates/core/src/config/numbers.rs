//! Numbers with an exponent, as a text has them: serde_json reads each as another of the same value
//! (`1E5` as `1e+5`), and a configuration comes back as it was.

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
}
