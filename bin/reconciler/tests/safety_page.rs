//! Every test that `docs/safety.md` names is there under that name.

use std::path::Path;

#[test]
fn every_test_it_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/safety.md")).unwrap();
    let named: Vec<(&str, &str)> = page
        .split('`')
        .filter_map(|span| span.split_once(".rs::"))
        .collect();
    assert!(named.len() > 40, "{}", named.len());
    for (file, test) in named {
        let found = ["bin/reconciler/tests", "crates/store-db/tests"]
            .map(|folder| root.join(folder).join(format!("{file}.rs")))
            .into_iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .any(|text| text.contains(&format!("fn {test}(")));
        assert!(found, "{file}.rs has no {test}");
    }
}
