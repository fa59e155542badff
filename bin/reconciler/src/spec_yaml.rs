//! Specs in YAML, as JSON: anchors and merge keys are followed; what JSON cannot hold, a key that is given
//! twice in one mapping, and one that readers of YAML do not agree on, is refused.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Number, Value};
use serde_yaml_ng::Value as Yaml;

use crate::{yaml_bounds, yaml_keys, yaml_values};

/// Nesting that no manifest comes near; anchors can nest further than any text does.
const DEEPEST: usize = 128;

/// Reads one YAML document. An error names the way to a key that is given twice.
pub(crate) fn read(text: &str) -> Result<Value> {
    let text = yaml_bounds::without_mark(text);
    yaml_bounds::check(text)?;
    let mut yaml = yaml_values::read(text)?;
    yaml_keys::check(text, &yaml)?;
    yaml.apply_merge()
        .context("its merge keys (<<) cannot be followed")?;
    json(yaml, 0)
}

fn json(yaml: Yaml, depth: usize) -> Result<Value> {
    if depth > DEEPEST {
        bail!("it is nested deeper than {DEEPEST} levels");
    }
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => Value::Bool(value),
        Yaml::Number(number) => Value::Number(json_number(&number)?),
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => Value::Array(
            items
                .into_iter()
                .map(|item| json(item, depth + 1))
                .collect::<Result<_>>()?,
        ),
        Yaml::Mapping(members) => {
            let mut object = Map::new();
            for (key, value) in members {
                let key = json_key(key)?;
                // `200` and `"200"` are two keys in YAML.
                if object.contains_key(&key) {
                    bail!("the key {key:?} is given twice in one mapping");
                }
                let value = json(value, depth + 1).with_context(|| format!("in {key:?}"))?;
                object.insert(key, value);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => match yaml_values::long_number(&tagged) {
            Some(number) => Value::Number(number),
            None => bail!("it has a tag ({}), which JSON has not", tagged.tag),
        },
    })
}

fn json_number(number: &serde_yaml_ng::Number) -> Result<Number> {
    if let Some(whole) = number.as_i64() {
        return Ok(whole.into());
    }
    if let Some(whole) = number.as_u64() {
        return Ok(whole.into());
    }
    number
        .as_f64()
        .and_then(Number::from_f64)
        .context("it has a number that JSON has not")
}

/// `200: …` and `true: …` are common in manifests and mean their texts, which [`yaml_keys`] has seen to.
fn json_key(key: Yaml) -> Result<String> {
    match key {
        Yaml::String(text) => Ok(text),
        Yaml::Number(number) => Ok(number.to_string()),
        Yaml::Bool(value) => Ok(value.to_string()),
        Yaml::Null => Ok("null".to_owned()),
        _ => bail!("it has a key that is not a text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_keep_all_their_digits() {
        for number in [
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775809",
            "100000000000000000000000000000",
            "340282366920938463463374607431768211455",
            "-170141183460469231731687303715884105728",
        ] {
            let read = read(&format!(
                "a: {number}\nb: [&b {number}, *b]\n<<: {{c: {number}}}\n"
            ));
            let expected = format!("{{\"a\":{number},\"b\":[{number},{number}],\"c\":{number}}}");
            assert_eq!(read.unwrap().to_string(), expected);
        }
    }

    /// Quotes that the parser takes for none hide no brackets from their count, and what has no brackets is bounded
    /// by the parser.
    #[test]
    fn what_is_nested_too_deep_is_an_error_with_brackets_or_without() {
        const LEVELS: usize = 2_000;
        for before in ["a: [b \", ", "a: b [ \"\nc: "] {
            let text = format!("{before}{}", "[".repeat(LEVELS));
            assert!(yaml_bounds::check(&text).is_err(), "it is seen: {before}");
            read(&text).unwrap_err();
            let closed = format!("{text}{}", "]".repeat(LEVELS + 1));
            read(&closed).unwrap_err();
        }
        // Without brackets nothing is counted.
        for one in ["- ", "? ", "a:\n", "!t "] {
            let nested = |(level, one): (usize, &str)| match one {
                "a:\n" => format!("{}{one}", " ".repeat(level)),
                _ => one.to_owned(),
            };
            let levels = if one == "a:\n" { 500 } else { LEVELS };
            let text: String = std::iter::repeat_n(one, levels)
                .enumerate()
                .map(nested)
                .collect();
            read(&text).unwrap_err();
        }
    }
}
