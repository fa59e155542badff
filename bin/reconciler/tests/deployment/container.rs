//! The Dockerfile: pinned, not root, and calling the program as it is.

use serde_json::Value;

use crate::program::{PROGRAM, root, text, texts, understands};

fn instructions(name: &str) -> Vec<String> {
    let prefix = format!("{name} ");
    text("Dockerfile")
        .lines()
        .filter_map(|line| line.strip_prefix(&prefix))
        .map(str::to_owned)
        .collect()
}

pub(crate) fn is_pinned_and_not_root() {
    let bases = instructions("FROM");
    for base in &bases {
        let image = base.split(' ').next().unwrap();
        let tag = image.rsplit_once(':').map(|(_, tag)| tag);
        assert!(
            tag.is_some_and(|tag| tag != "latest"),
            "{base} is not pinned"
        );
    }
    let manifest = text("Cargo.toml");
    let wanted = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \""))
        .unwrap()
        .trim_end_matches('"');
    assert!(
        bases[0].starts_with(&format!("rust:{wanted}.")),
        "{} is not Rust {wanted}",
        bases[0]
    );

    // A toolchain file in the build's folder would count before the image's own toolchain.
    let left_out = text(".dockerignore");
    assert!(
        !root().join("rust-toolchain.toml").exists()
            || left_out.lines().any(|line| line == "rust-toolchain.toml"),
        "the build would fetch another toolchain"
    );

    let user = instructions("USER").pop().unwrap();
    let id: u32 = user.split(':').next().unwrap().parse().unwrap();
    assert!(id > 0, "{user}");
    let words = |name: &str| {
        let line = instructions(name).pop().unwrap();
        texts(&serde_json::from_str::<Value>(&line).unwrap())
    };
    assert_eq!(words("ENTRYPOINT"), [PROGRAM]);
    understands(&words("CMD"));
    let build = text("Dockerfile");
    assert!(
        build.contains("--package cloakroom-reconciler") && manifest.contains("[profile.dist]")
    );
}

pub(crate) fn no_secret_is_in_a_layer() {
    let left_out = text(".dockerignore");
    for path in [
        "target",
        ".git",
        ".env",
        "deploy/compose/secrets",
        "**/*.key",
        "**/*.db",
    ] {
        assert!(
            left_out.lines().any(|line| line == path),
            "{path} would be copied"
        );
    }
    let never_committed = text(".gitignore");
    assert!(
        never_committed
            .lines()
            .any(|line| line == "/deploy/compose/secrets/")
    );
    assert!(root().join("Cargo.lock").is_file());
}
