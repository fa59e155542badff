//! Whoever has no token reads no id, whatever went wrong with whatever document, secret or run.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::asking::{NEVER, TOKEN, ask, job, with_token};
use crate::common::{self, Deployment, Served, behind_its_back, config};

/// Everything that answers without a token.
const OPEN: [&str; 7] = [
    "/",
    "/status",
    "/metrics",
    "/readyz",
    "/healthz",
    "/style.css",
    "/nothing",
];

/// Every UUID that the deployment's own lists name, in small letters and without hyphens.
fn ids(deployment: &Deployment) -> BTreeSet<String> {
    let mut ids = BTreeSet::from([plain(common::WORKSPACE)]);
    for list in [
        &["document", "list", "--output", "json"][..],
        &["secret", "list", "--output", "json"],
        &["findings", "--output", "json"],
        &["status", "--output", "json"],
    ] {
        let listed = deployment.run(list).stdout;
        let words = listed.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
        ids.extend(words.filter(|it| it.len() == 36).map(plain));
    }
    ids
}

fn plain(text: &str) -> String {
    text.to_lowercase().replace('-', "")
}

fn run(served: &Served, name: &str, times: u64) -> Value {
    let path = format!("/jobs/{name}/run");
    assert_eq!(ask(served, "POST", &path, Some(TOKEN)).code, 202);
    served.wait_for("the run", |status| {
        let job = job(status, name);
        job["runs"] == times && job["running"] == false
    });
    ask(served, "GET", "/status", Some(TOKEN)).json()
}

pub fn no_error_tells_one_to_anybody() {
    let deployment = with_token(&format!(
        "reconcile: {{backup_horizon: 0s, windows: {{orphan_ttl: 0s}}}}\n{NEVER}"
    ));
    let document = deployment.put(&config("one"));
    deployment.put(&config("two"));
    let gone = deployment.put(&config("gone"));
    deployment.run(&["document", "remove", &gone]).done();
    let served = deployment.serve(&[]);
    let nobody_reads_one = |what: &str| {
        let ids = ids(&deployment);
        assert!(ids.contains(&plain(&document)) && ids.len() > 6, "{ids:?}");
        for path in OPEN {
            let answer = ask(&served, "GET", path, None);
            let text = plain(&format!("{}{}", answer.head, answer.body));
            let told: Vec<_> = ids.iter().filter(|id| text.contains(*id)).collect();
            assert!(told.is_empty(), "{what}: {path} tells {told:?}: {text}");
        }
    };
    nobody_reads_one("before the first run");
    // Findings, and errors about one row each: of a secret in use, of one that goes, and of a document.
    behind_its_back(&deployment, "DELETE FROM embedded_secrets");
    run(&served, "verify-blobs", 1);
    nobody_reads_one("findings");
    let mut named = 0;
    for (name, times, breaks) in [
        ("verify-blobs", 2, "UPDATE secrets SET digest = 'damaged'"),
        ("expire-orphans", 1, "UPDATE secrets SET kind = kind"),
        ("verify-blobs", 3, "UPDATE documents SET blob = '{'"),
    ] {
        behind_its_back(&deployment, breaks);
        let operator = run(&served, name, times);
        let told = job(&operator, name);
        let errors = plain(&format!("{}{}", told["errors"], told["reports"]));
        named += usize::from(ids(&deployment).iter().any(|id| errors.contains(id)));
        nobody_reads_one(breaks);
    }
    assert!(named > 1, "the operator is told no id either");
    assert_eq!(served.terminate().0, Some(0));
}
