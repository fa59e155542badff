//! Durations as people write them: `90s`, `2h`, `7days`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration, written like `2h` or `1m 30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        parse(&text).map(Self).map_err(de::Error::custom)
    }
}

/// The longest there is: what is later than a date can be would be kept wrongly.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24 + 25 * 24);

/// A duration as it is written by people.
pub(crate) fn parse(text: &str) -> Result<Duration, &'static str> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) => Err("longer than 100 years"),
        Err(_) => Err("not a duration; write it like `30s`, `5m`, `2h` or `7days`"),
    }
}

/// As [`humantime`] knows them.
const UNITS: &str = "nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds|second|secs|sec|s|minutes|minute|\
     min|mins|m|hours|hour|hr|hrs|h|days|day|d|weeks|week|wk|wks|w|months|month|M|years|year|yr|yrs|y";

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": format!("^\\s*(\\d[\\d\\s]*(\\.[\\d\\s]*\\d[\\d\\s]*)?({UNITS})\\s*)+$"),
            "description": "A duration such as `30s`, `5m`, `2h`, `7days` or `1h 30m`.",
            "examples": ["30s", "2h", "7days"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_years_are_the_most() {
        for fits in ["30s", "7days", "100years"] {
            assert!(parse(fits).is_ok(), "{fits}");
        }
        for (refused, said) in [
            ("101years", "100 years"),
            ("9000years", "100 years"),
            ("soon", "not a duration"),
            ("99999999999999999999years", "not a duration"),
        ] {
            let error = parse(refused).unwrap_err();
            assert!(error.contains(said), "{refused}: {error}");
        }
    }
}
