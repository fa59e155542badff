//! Keys of YAML that are no texts. `0x10` is sixteen to one reader and a text to another, so a field of that
//! name would be secret in one place and in clear in the other: such a key is refused unless it reads the same
//! both ways, as `200` and `true` do. So is a whole number that no reader holds: each rounds it in its own way.

use std::cell::RefCell;
use std::fmt;

use anyhow::{Context as _, Result, bail};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde_yaml_ng::{Number, Value as Yaml};

/// Refuses a key whose text is not what it stands for, and a whole number that was rounded. `yaml` is what `text` was read as.
pub(crate) fn check(text: &str, yaml: &Yaml) -> Result<()> {
    let other = RefCell::new(None);
    let walk = Walk {
        yaml,
        other: &other,
    };
    let walked = walk.deserialize(serde_yaml_ng::Deserializer::from_str(text));
    if let Some(Other { what, mut way }) = other.into_inner() {
        way.reverse();
        let place = match way.join(".") {
            place if place.is_empty() => String::new(),
            place => format!("in {place}: "),
        };
        bail!("{place}{what}");
    }
    walked.context("it is not YAML")
}

/// Something that is written otherwise than what it stands for.
struct Other {
    /// What is wrong with it, and what to do.
    what: String,
    /// From there up to the root.
    way: Vec<String>,
}

/// Whole numbers are read exactly up to somewhere above this, and as the nearest floating-point number beyond.
const ROUNDED_FROM: f64 = 1e38;

/// Walks over the text along what was read from it: there keys are what they stand for, here they are as
/// they were written.
#[derive(Clone, Copy)]
struct Walk<'y> {
    yaml: &'y Yaml,
    other: &'y RefCell<Option<Other>>,
}

impl<'y> Walk<'y> {
    fn into(self, yaml: &'y Yaml) -> Self {
        Self { yaml, ..self }
    }

    fn compare<E: de::Error>(self, key: &Yaml, written: &str) -> Result<(), E> {
        let meant = match key {
            Yaml::Null => "null".to_owned(),
            Yaml::Bool(value) => value.to_string(),
            Yaml::Number(number) => number.to_string(),
            Yaml::String(_) | Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => {
                return Ok(());
            }
        };
        if meant == written {
            return Ok(());
        }
        self.refuse(format!(
            "the key {written} is no text but {meant}: readers of YAML do not agree on its name; write it as \
             \"{written}\", or as what it stands for"
        ))
    }

    fn look_for_digits<E: de::Error>(self, written: &str) -> Result<(), E> {
        let digits = written.trim_start_matches(['+', '-']);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(());
        }
        self.refuse(format!(
            "a whole number of {} digits, which readers of YAML round; write it in quotes, or with an exponent",
            digits.len()
        ))
    }

    fn refuse<E: de::Error>(self, what: String) -> Result<(), E> {
        let way = Vec::new();
        *self.other.borrow_mut() = Some(Other { what, way });
        Err(E::custom("written otherwise than what it stands for"))
    }

    /// Remembers the way to what was found.
    fn below<E>(self, step: impl FnOnce() -> String) -> impl FnOnce(E) -> E {
        move |error| {
            if let Some(other) = &mut *self.other.borrow_mut() {
                other.way.push(step());
            }
            error
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.yaml {
            // A list or mapping as a key, and what has a tag, is refused by whoever makes JSON of it.
            Yaml::Sequence(_) | Yaml::Mapping(_) => deserializer.deserialize_any(self),
            Yaml::Number(number) if may_be_rounded(number) => {
                let written = deserializer.deserialize_str(AsWritten(self.yaml))?;
                self.look_for_digits(&written)
            }
            _ => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ()),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the same once more")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let values = self.yaml.as_sequence().into_iter().flatten();
        for (index, value) in values.enumerate() {
            items
                .next_element_seed(self.into(value))
                .map_err(self.below(|| index.to_string()))?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let values = self.yaml.as_mapping().into_iter().flatten();
        for (key, value) in values {
            if let Some(written) = members.next_key_seed(AsWritten(key))? {
                self.compare(key, &written)?;
            }
            members
                .next_value_seed(self.into(value))
                .map_err(self.below(|| name(key)))?;
        }
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let (_, content) = tagged.variant::<IgnoredAny>()?;
        content.newtype_variant::<IgnoredAny>().map(|_| ())
    }
}

fn may_be_rounded(number: &Number) -> bool {
    let number = number.as_f64().filter(|_| number.is_f64());
    number.is_some_and(|number| number.is_finite() && number.abs() >= ROUNDED_FROM)
}

fn name(key: &Yaml) -> String {
    match key {
        Yaml::String(text) => text.clone(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Bool(value) => value.to_string(),
        _ => "null".to_owned(),
    }
}

/// The text of a key, whatever it stands for; nothing of one that has none.
#[derive(Clone, Copy)]
struct AsWritten<'y>(&'y Yaml);

impl<'de> DeserializeSeed<'de> for AsWritten<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        match self.0 {
            Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => {
                deserializer.deserialize_ignored_any(IgnoredAny)?;
                Ok(String::new())
            }
            _ => deserializer.deserialize_str(self),
        }
    }
}

impl Visitor<'_> for AsWritten<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<()> {
        check(text, &serde_yaml_ng::from_str(text).unwrap())
    }

    #[test]
    fn a_key_that_reads_otherwise_than_it_is_written_is_refused_with_its_place() {
        for (written, meant) in [
            ("0x10", "16"),
            ("0o17", "15"),
            ("+5", "5"),
            ("1e3", "1000.0"),
            ("1.50", "1.5"),
            (".5", "0.5"),
            ("True", "true"),
            ("FALSE", "false"),
            ("~", "null"),
            ("", "null"),
        ] {
            let text = format!("a:\n  - x: 1\n  - b: {{? {written} : 1}}\n");
            let said = checked(&text).expect_err(written).to_string();
            assert!(said.contains("in a.1.b: "), "{said}");
            assert!(said.contains(&format!("but {meant}:")), "{said}");
            assert!(
                said.contains(&format!("the key {written} is no text")),
                "{said}"
            );
        }
        let said = checked("0x10: 1").unwrap_err().to_string();
        assert!(said.starts_with("the key 0x10 is no text but 16"), "{said}");
        let aliased = checked("a: &a {0x10: 1}\nb: *a\n").unwrap_err().to_string();
        assert!(aliased.starts_with("in a: "), "{aliased}");
    }

    #[test]
    fn a_whole_number_that_is_rounded_is_refused_with_its_place() {
        let digits = "9".repeat(40);
        for number in [digits.clone(), format!("-{digits}"), format!("+{digits}")] {
            let said = checked(&format!("a: 1\nb: [1e40, {number}]\n")).expect_err(&number);
            let said = said.to_string();
            assert!(
                said.starts_with("in b.1: a whole number of 40 digits"),
                "{said}"
            );
        }
        let root = checked(&digits).unwrap_err().to_string();
        assert!(root.starts_with("a whole number"), "{root}");
        for exact in [
            format!("a: '{digits}'"),
            format!("a: {digits}.0"),
            "a: [1.7976931348623157e308, -1e300, .inf, 1e39]".to_owned(),
        ] {
            checked(&exact).unwrap();
        }
    }

    #[test]
    fn a_key_that_reads_as_it_is_written_is_not() {
        for text in [
            "200: 1",
            "-7: 1",
            "1.5: 1",
            "true: 1",
            "null: 1",
            "'0x10': 1",
            "\"~\": 1",
            "'': 1",
            "? 'True'\n: 1",
            "yes: 1",
            "0800: 1",
            "a: {<<: {b: 1}}",
            "? [0x10]\n: 1",
            "a: !tag {0x10: 1}",
            "[]",
            "",
            "a: &a {b: 1}\nc: [*a, *a]\n? *a\n: 1",
        ] {
            checked(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}
