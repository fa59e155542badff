//! Cron lines: `minute hour day month weekday`, in UTC; with six fields the first is the second.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use cloakroom_core::Timestamp;
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::repeatable::repeated;

const FIELDS: [&str; 6] = [
    "second",
    "minute",
    "hour",
    "day of the month",
    "month",
    "day of the week",
];

/// A cron line that parses.
#[derive(Clone, Debug)]
pub struct CronLine {
    written: String,
    cron: Cron,
}

impl CronLine {
    /// The line with its seconds, as the scheduler takes it.
    pub fn with_seconds(&self) -> String {
        with_seconds(&self.written)
    }

    /// The first moment behind `now` that it names; `None` where there is none.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let now: DateTime<Utc> = DateTime::from_timestamp(now.as_second(), 0)?;
        let next = self.cron.find_next_occurrence(&now, false).ok()?;
        Timestamp::from_second(next.timestamp()).ok()
    }

    /// The longest time between two of the moments that it names: exactly for a line that names few,
    /// and for one that names many to five minutes within the fortnight around `now`.
    pub fn longest_interval(&self, now: Timestamp) -> Option<Duration> {
        let mut longest = Duration::ZERO;
        let mut last = self.next_after(now)?;
        for _ in 0..FEW {
            let Some(next) = self.next_after(last) else {
                break;
            };
            longest = longest.max(between(last, next));
            last = next;
        }
        let mut looked = now - FORTNIGHT / 2;
        while looked < now + FORTNIGHT / 2 {
            let (Some(before), Some(after)) = (self.last_until(looked), self.next_after(looked))
            else {
                break;
            };
            longest = longest.max(between(before, after));
            // A longer pause than that contains one of the moments looked at.
            looked += longest.max(SHORTEST_PAUSE);
        }
        Some(longest)
    }

    fn last_until(&self, moment: Timestamp) -> Option<Timestamp> {
        let moment: DateTime<Utc> = DateTime::from_timestamp(moment.as_second(), 0)?;
        let last = self.cron.find_previous_occurrence(&moment, true).ok()?;
        Timestamp::from_second(last.timestamp()).ok()
    }
}

/// So many moments, one after the other, show the pauses of a line that names few.
const FEW: usize = 50;

/// The nights and the weekends of a line that names many are in it.
const FORTNIGHT: Duration = Duration::from_hours(14 * 24);

/// Shorter pauses of a line that names many do not matter to anybody.
const SHORTEST_PAUSE: Duration = Duration::from_mins(5);

fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::from_secs((later.as_second() - earlier.as_second()).unsigned_abs())
}

impl PartialEq for CronLine {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for CronLine {}

impl FromStr for CronLine {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let fields: Vec<&str> = written.split_whitespace().collect();
        let first = match fields.len() {
            5 => 1,
            6 => 0,
            count => {
                return Err(format!(
                    "a cron line has 5 fields (minute hour day month weekday), or 6 with the \
                     second first; this one has {count}"
                ));
            }
        };
        for (at, field) in fields.iter().enumerate() {
            let mut alone = ["*"; 6];
            alone[first + at] = field;
            if let Err(error) = parser().parse(&alone.join(" ")) {
                let name = FIELDS[first + at];
                let told = repeated(field, std::iter::empty());
                // The error repeats it too.
                let error = if told == *field {
                    error.to_string()
                } else {
                    format!("there is no such {name}")
                };
                return Err(format!(
                    "field {} (the {name}) of the cron line, `{told}`: {error}",
                    at + 1
                ));
            }
        }
        let cron = parser()
            .parse(&with_seconds(written))
            .map_err(|error| error.to_string())?;
        let line = Self {
            written: fields.join(" "),
            cron,
        };
        if line.next_after(Timestamp::UNIX_EPOCH).is_none() {
            return Err(format!(
                "the cron line `{line}` names no time that ever comes"
            ));
        }
        Ok(line)
    }
}

/// As tokio-cron-scheduler makes it; any other reading would promise times that never come.
fn parser() -> CronParser {
    CronParser::builder()
        .seconds(Seconds::Required)
        .dom_and_dow(true)
        .build()
}

fn with_seconds(written: &str) -> String {
    if written.split_whitespace().count() == 5 {
        format!("0 {written}")
    } else {
        written.to_owned()
    }
}

impl fmt::Display for CronLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Serialize for CronLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl<'de> Deserialize<'de> for CronLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for CronLine {
    fn schema_name() -> Cow<'static, str> {
        "CronLine".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^\\s*\\S+(\\s+\\S+){4,5}\\s*$",
            "description": "A cron line in UTC: minute, hour, day of the month, month, day of the \
                            week; with six fields the first is the second.",
            "examples": ["*/15 * * * *", "40 3 * * *"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_that_does_not_parse_is_named() {
        let error = "0 25 * * *".parse::<CronLine>().unwrap_err();
        assert!(
            error.contains("field 2 (the hour)") && error.contains("`25`"),
            "{error}"
        );
        let error = "61 0 0 * * *".parse::<CronLine>().unwrap_err();
        assert!(error.contains("field 1 (the second)"), "{error}");
        let error = "* * *".parse::<CronLine>().unwrap_err();
        assert!(error.contains("this one has 3"), "{error}");
    }

    #[test]
    fn a_line_that_never_fires_is_refused() {
        for never in ["0 3 30 2 *", "0 0 3 31 4,6,9,11 *"] {
            let error = never.parse::<CronLine>().unwrap_err();
            assert!(error.contains("ever comes"), "{error}");
        }
        // Rarely is not never: a leap day that is a Monday.
        "0 0 29 2 1".parse::<CronLine>().unwrap();
    }

    #[test]
    fn the_next_time_is_in_utc() {
        let line: CronLine = "40 3 * * *".parse().unwrap();
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        assert_eq!(
            line.next_after(now).unwrap().to_string(),
            "2026-02-01T03:40:00Z"
        );
        assert_eq!(line.with_seconds(), "0 40 3 * * *");
    }

    #[test]
    fn the_longest_interval_is_that_of_the_night_or_the_weekend() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let interval = |line: &str| {
            let line: CronLine = line.parse().unwrap();
            line.longest_interval(now).unwrap().as_secs()
        };
        assert_eq!(interval("*/15 * * * *"), 15 * 60);
        assert_eq!(interval("* * * * * *"), 1);
        assert_eq!(interval("10 */6 * * *"), 6 * 3600);
        assert_eq!(interval("0 8-20 * * *"), 12 * 3600);
        assert_eq!(interval("0 3 * * 1-5"), 3 * 24 * 3600);
        assert_eq!(interval("0 3 1 * *"), 31 * 24 * 3600);
        let night = 14 * 3600 + 60;
        assert_eq!(interval("* 8-17 * * *"), night);
        assert_eq!(interval("* * 8-17 * * *"), 14 * 3600 + 1);
        assert_eq!(
            interval("*/5 8-17 * * 2-6"),
            2 * 24 * 3600 + 14 * 3600 + 5 * 60
        );
    }
}
