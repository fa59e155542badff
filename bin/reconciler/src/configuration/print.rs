//! The configuration in force as YAML, each value with where it came from.

use std::fmt::Write as _;

use anyhow::Context;
use serde_yaml_ng::Value;

use super::Loaded;

/// The configuration as YAML. Secrets stay the references they are.
pub fn print(loaded: &Loaded) -> anyhow::Result<String> {
    let value =
        serde_yaml_ng::to_value(&loaded.configuration).context("print the configuration")?;
    let mut text = String::new();
    write(&value, &mut Vec::new(), loaded, &mut text)?;
    Ok(text)
}

fn write(
    value: &Value,
    path: &mut Vec<String>,
    loaded: &Loaded,
    text: &mut String,
) -> anyhow::Result<()> {
    // The serialiser wraps an enum's content in a tag; the file has a plain key there.
    if let Value::Tagged(tagged) = value {
        let key = tagged.tag.to_string();
        return member(
            key.trim_start_matches('!'),
            &tagged.value,
            path,
            loaded,
            text,
        );
    }
    let Value::Mapping(members) = value else {
        return Ok(());
    };
    for (key, value) in members {
        let key = scalar(key)?;
        member(&key, value, path, loaded, text)?;
    }
    Ok(())
}

fn member(
    key: &str,
    value: &Value,
    path: &mut Vec<String>,
    loaded: &Loaded,
    text: &mut String,
) -> anyhow::Result<()> {
    let indent = "  ".repeat(path.len());
    path.push(key.trim_matches('\'').to_owned());
    match value {
        Value::Mapping(members) if !members.is_empty() => {
            writeln!(text, "{indent}{key}:")?;
            write(value, path, loaded, text)?;
        }
        Value::Tagged(_) => {
            writeln!(text, "{indent}{key}:")?;
            write(value, path, loaded, text)?;
        }
        plain => {
            let plain = scalar(plain)?;
            writeln!(text, "{indent}{key}: {plain}  # {}", loaded.origin(path))?;
        }
    }
    path.pop();
    Ok(())
}

/// On one line, so that the origin can stand behind it. Text that YAML would spread over several is
/// written as JSON, which every reader of YAML takes.
fn scalar(value: &Value) -> anyhow::Result<String> {
    let text = serde_yaml_ng::to_string(value).context("print the configuration")?;
    let text = text.trim_end();
    if text.contains('\n') {
        return serde_json::to_string(value).context("print the configuration");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;

    #[test]
    fn text_of_several_lines_reads_back_as_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reconciler.yaml");
        std::fs::write(&file, "http: {token_file: \"/a\\n\\n b # c\\n\"}\n").unwrap();
        let loaded = load(Some(&file), &[]).unwrap();
        let printed = print(&loaded).unwrap();
        std::fs::write(&file, &printed).unwrap();
        assert_eq!(
            load(Some(&file), &[]).unwrap().configuration,
            loaded.configuration,
            "{printed}"
        );
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reconciler.yaml");
        std::fs::write(
            &file,
            "store: {postgres: {url: {env: PG}}}\nkeys: {file: /k}\nhttp: {connections: 3}\n",
        )
        .unwrap();
        let variables = [
            ("CLOAKROOM_HTTP__TIMEOUT", "3s"),
            ("CLOAKROOM_JOBS__VERIFY_BLOBS__CRON", "1 1 * * *"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let loaded = load(Some(&file), &variables).unwrap();
        let printed = print(&loaded).unwrap();
        assert!(
            printed.contains("cron: 1 1 * * *  # CLOAKROOM_JOBS__VERIFY_BLOBS__CRON"),
            "{printed}"
        );
        assert!(
            printed.contains("connections: 3  # reconciler.yaml"),
            "{printed}"
        );
        assert!(
            printed.contains("timeout: 3s  # CLOAKROOM_HTTP__TIMEOUT"),
            "{printed}"
        );
        assert!(printed.contains("deadline: 20s  # default"), "{printed}");
        std::fs::write(&file, &printed).unwrap();
        assert_eq!(
            load(Some(&file), &[]).unwrap().configuration,
            loaded.configuration,
            "{printed}"
        );
    }
}
