//! Every key of the configuration as a page, from its schema.

use std::fmt::Write as _;

use serde_json::{Map, Value};

const HEAD: &str = "\
<!-- Made from the schema; a test keeps it so and tells how to write it anew. -->

# Every key

Made from the schema that `reconciler config schema` prints. [Configuring](../configuration.md) explains
what belongs together, and how a key is set from the environment; [`full.yaml`](../samples/full.yaml) has
with their usual values those that everybody has.

*Duration* is a number with a unit, such as `90s`, `15m`, `2h` or `7days`. *Secret* is `{env: NAME}` or
`{file: PATH}`: where the secret is, never the secret itself. What is required below a choice is required only
where that is chosen.
";

/// What is said of one key.
struct Row {
    key: String,
    value: String,
    default: String,
    meaning: String,
}

/// A schema with the definitions that its parts refer to.
#[derive(Clone, Copy)]
struct Schema<'a> {
    definitions: &'a Map<String, Value>,
}

pub(crate) fn of(schema: &Value) -> String {
    let reader = Schema {
        definitions: schema["$defs"].as_object().unwrap(),
    };
    let mut page = HEAD.to_owned();
    for (name, section) in schema["properties"].as_object().unwrap() {
        if matches!(name.as_str(), "backends" | "platforms") {
            by_type(reader, name, section, &mut page);
            continue;
        }
        write!(page, "\n## {name}\n\n{}\n", meaning(section)).unwrap();
        let mut rows = Vec::new();
        reader.rows(name, section, None, false, &mut rows);
        // The section itself is told by its heading.
        rows.retain(|row| row.key != *name || !row.value.is_empty());
        table(&rows, &mut page);
    }
    page
}

/// Each type is a table of its own.
fn by_type(reader: Schema<'_>, name: &str, section: &Value, page: &mut String) {
    write!(page, "\n## {name}\n\n{}\n", meaning(section)).unwrap();
    let member = reader.resolved(&section["additionalProperties"]);
    for kind in member["oneOf"].as_array().unwrap() {
        let word = kind["properties"]["type"]["const"].as_str().unwrap();
        write!(page, "\n### {word}\n\n{}\n", meaning(kind)).unwrap();
        let mut rows = Vec::new();
        reader.members("", kind, None, &mut rows);
        rows.retain(|row| row.key != "type");
        table(&rows, page);
    }
}

fn table(rows: &[Row], page: &mut String) {
    if rows.is_empty() {
        page.push_str("\nNo keys of its own.\n");
        return;
    }
    page.push_str("\n| key | value | default | |\n|---|---|---|---|\n");
    for row in rows {
        let Row {
            key,
            value,
            default,
            meaning,
        } = row;
        let meaning = meaning.replace('|', "\\|").replace('\n', " ");
        writeln!(page, "| `{key}` | {value} | {default} | {meaning} |").unwrap();
    }
}

impl<'a> Schema<'a> {
    fn resolved(self, schema: &'a Value) -> &'a Value {
        let reference = schema["$ref"].as_str().or_else(|| {
            // What may be left out is itself or nothing.
            schema["anyOf"]
                .as_array()?
                .iter()
                .find_map(|it| it["$ref"].as_str())
        });
        match reference {
            Some(reference) => &self.definitions[reference.trim_start_matches("#/$defs/")],
            None => schema,
        }
    }

    /// The key itself, then all below it.
    fn rows(
        self,
        key: &str,
        schema: &'a Value,
        default: Option<&Value>,
        required: bool,
        rows: &mut Vec<Row>,
    ) {
        let of = self.resolved(schema);
        let default = schema.get("default").or(default);
        let value = self.value(schema);
        let is_section = of["properties"].is_object();
        if !is_section {
            rows.push(Row {
                key: key.to_owned(),
                value,
                default: match default {
                    Some(default) if !is_plain_choice(of) => shown(default),
                    _ if required => "required".to_owned(),
                    _ => String::new(),
                },
                meaning: meaning(schema),
            });
        }
        if is_section {
            self.members(key, of, default, rows);
        } else if !is_secret(of) {
            for choice in of["oneOf"].as_array().into_iter().flatten() {
                self.members(key, choice, None, rows);
            }
        }
    }

    /// All keys of an object.
    fn members(self, key: &str, object: &'a Value, default: Option<&Value>, rows: &mut Vec<Row>) {
        let required: Vec<&str> = object["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (name, member) in object["properties"].as_object().into_iter().flatten() {
            let key = if key.is_empty() {
                name.clone()
            } else {
                format!("{key}.{name}")
            };
            let usual = default.and_then(|default| default.get(name));
            self.rows(&key, member, usual, required.contains(&name.as_str()), rows);
            // A choice is explained as a whole where it has but one key.
            if let Some(row) = rows
                .last_mut()
                .filter(|row| row.key == key && row.meaning.is_empty())
            {
                row.meaning = meaning(object);
            }
        }
    }

    /// What may stand there.
    fn value(self, schema: &'a Value) -> String {
        let of = self.resolved(schema);
        if is_secret(of) {
            return "secret".to_owned();
        }
        if let Some(choices) = of["oneOf"].as_array() {
            let words = choices.iter().filter_map(|choice| {
                let of_section = || choice["properties"].as_object()?.keys().next();
                choice["const"]
                    .as_str()
                    .or_else(|| of_section().map(String::as_str))
            });
            return words
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(", ");
        }
        if let Some(words) = of["enum"].as_array() {
            let words = words.iter().filter_map(Value::as_str);
            return words
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(", ");
        }
        let kind = match &of["type"] {
            Value::Array(kinds) => kinds.iter().find_map(Value::as_str).unwrap_or_default(),
            kind => kind.as_str().unwrap_or_default(),
        };
        let name = schema["$ref"].as_str().unwrap_or_default();
        match kind {
            "string" if name.ends_with("/Duration") => "duration",
            "string" if name.ends_with("/CronLine") => "cron line",
            "string" => "text",
            "integer" => "whole number",
            "number" => "number",
            "boolean" => "`true`, `false`",
            "array" => "list",
            "object" => "map",
            _ => "",
        }
        .to_owned()
    }
}

fn is_secret(schema: &Value) -> bool {
    let choices = schema["oneOf"].as_array();
    choices.is_some_and(|choices| {
        choices.len() == 2 && choices.iter().any(|it| it["properties"]["env"].is_object())
    })
}

/// A choice between sections has one of them as its default, which says little by itself.
fn is_plain_choice(schema: &Value) -> bool {
    let choices = schema["oneOf"].as_array();
    choices.is_some_and(|choices| choices.iter().all(|it| it["properties"].is_object()))
}

fn shown(default: &Value) -> String {
    match default {
        Value::String(text) => format!("`{text}`"),
        Value::Null => String::new(),
        Value::Object(members) if members.is_empty() => "none".to_owned(),
        Value::Array(members) if members.is_empty() => "none".to_owned(),
        other => format!("`{other}`"),
    }
}

fn meaning(schema: &Value) -> String {
    schema["description"]
        .as_str()
        .unwrap_or_default()
        .replace('\n', " ")
}
