//! Where `serve` listens by a configuration that need not hold.

use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;

use super::load::read_file;
use super::node::Node;
use super::{environment, reader, yaml};

/// All that is read; whatever else stands there may be as wrong as it likes.
#[derive(Deserialize)]
struct Named {
    http: Http,
}

#[derive(Deserialize)]
struct Http {
    listen: SocketAddr,
}

/// `http.listen` as the variables or the file name it; `None` where neither does, or neither can be read.
pub fn listening(file: Option<&Path>, variables: &[(String, String)]) -> Option<SocketAddr> {
    let mut tree = file.and_then(in_file).unwrap_or_else(Node::empty);
    environment::overlay(&mut tree, variables);
    let named: Named = reader::read(&tree).ok()?;
    Some(named.http.listen)
}

fn in_file(file: &Path) -> Option<Node> {
    yaml::parse(&read_file(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;

    const VARIABLE: (&str, &str) = ("CLOAKROOM_HTTP__LISTEN", "127.0.0.1:2");

    /// What is named by a configuration that is refused.
    fn named(text: &str, variables: &[(&str, &str)]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reconciler.yaml");
        std::fs::write(&file, text).unwrap();
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert!(load(Some(&file), &variables).is_err(), "{text}");
        listening(Some(&file), &variables).map(|it| it.to_string())
    }

    #[test]
    fn a_configuration_that_does_not_hold_still_names_its_address() {
        let first = Some("127.0.0.1:1".to_owned());
        for text in [
            "http: {listen: '127.0.0.1:1'}\nnonsense: true\n",
            "http: {nonsense: true, listen: '127.0.0.1:1'}\n",
            "http: {listen: '127.0.0.1:1', timeout: 0s}\nbackends: [1]\n",
            "http: {listen: '127.0.0.1:1'}\nstore: {postgres: {url: 'postgres://u:p@h/d'}}\n",
        ] {
            assert_eq!(named(text, &[]), first, "{text}");
            let second = Some("127.0.0.1:2".to_owned());
            assert_eq!(named(text, &[VARIABLE]), second, "{text}");
        }
        let whole = ("CLOAKROOM_HTTP", "{listen: '127.0.0.1:1'}");
        assert_eq!(named("nonsense: true", &[whole]), first);
    }

    #[test]
    fn the_variable_names_it_also_where_the_file_is_no_yaml_or_gone() {
        let second = Some("127.0.0.1:2".to_owned());
        assert_eq!(named("http: [", &[VARIABLE]), second);
        let variable = (VARIABLE.0.to_owned(), VARIABLE.1.to_owned());
        let gone = Path::new("/nowhere/reconciler.yaml");
        assert_eq!(
            listening(Some(gone), &[variable]).map(|it| it.to_string()),
            second
        );
    }

    #[test]
    fn what_names_none_is_left_to_the_default() {
        for text in ["nonsense: true", "http: {listen: nowhere}", "http: [", "1"] {
            assert_eq!(named(text, &[]), None, "{text}");
        }
    }
}
