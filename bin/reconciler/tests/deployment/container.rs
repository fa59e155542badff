//! The Dockerfile: pinned, not root, and calling the program as it is.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::Value;

use crate::common::Deployment;
use crate::program::{PROGRAM, command, root, text, texts, understands};

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

/// Without a configuration: database and keys are where a volume goes, and whoever publishes the port reaches it.
pub(crate) fn what_it_keeps_is_in_the_volume() {
    let volume = instructions("WORKDIR").pop().unwrap();
    let variables: Vec<(String, String)> = instructions("ENV")
        .iter()
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let printed = command(&["config".to_owned(), "print".to_owned()])
        .envs(variables)
        .output()
        .unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let printed = String::from_utf8(printed.stdout).unwrap();
    for file in ["cloakroom.db", "cloakroom.key"] {
        assert!(printed.contains(&format!("{volume}/{file}")), "{printed}");
    }
    let mounted = format!(":{volume} ");
    let page = text("docs/install.md");
    let mut runs = page.lines().filter(|line| line.starts_with("docker run "));
    assert!(runs.any(|line| line.contains(&mounted)), "{mounted}");

    let port = instructions("EXPOSE").pop().unwrap();
    let listens = format!("0.0.0.0:{port}");
    assert!(printed.contains(&listens), "{printed}");
    let published = format!(":{port}:{port} ");
    assert!(page.contains(&published), "{published}");
}

/// Where the image lets it listen, its check asks, whatever a mounted file says and whether or not that holds:
/// both go by the same variable and no option says otherwise.
pub(crate) fn the_check_asks_where_it_listens() {
    assert_eq!(instructions("CMD"), [r#"["serve"]"#]);
    let set = instructions("ENV").into_iter().find_map(|line| {
        let address = line.strip_prefix("CLOAKROOM_HTTP__LISTEN=")?;
        Some(address.to_owned())
    });
    let address: std::net::SocketAddr = set
        .expect("the image says where to listen")
        .parse()
        .unwrap();
    assert!(address.ip().is_unspecified(), "{address}");
    for file in [
        "http: {listen: '127.0.0.1:1'}",
        "http: {listen: '127.0.0.1:1'}\nnonsense: true",
    ] {
        let deployment = Deployment::without_database(file);
        let mut asked = deployment.command(&["health"]);
        asked.env(
            "CLOAKROOM_HTTP__LISTEN",
            format!("0.0.0.0:{}", address.port()),
        );
        let asked = asked.output().unwrap();
        let told = String::from_utf8(asked.stderr).unwrap();
        assert!(
            asked.status.success() || told.contains(&format!(":{}", address.port())),
            "{told}"
        );
        assert!(!told.contains("127.0.0.1:1 "), "{told}");
    }
}

/// The check asks the program and nothing else: a configuration that has become unreadable since is the
/// next start's trouble, and neither database nor key is made by asking.
pub(crate) fn the_check_needs_no_configuration() {
    let check = instructions("HEALTHCHECK").pop().unwrap();
    let (_, words) = check.split_once("CMD ").unwrap();
    let words = texts(&serde_json::from_str::<Value>(words).unwrap());
    assert_eq!(words, [PROGRAM, "health"]);
    let well = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = well.local_addr().unwrap().to_string();
    let answers = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut asked, _) = well.accept().unwrap();
            let _ = asked.read(&mut [0; 1024]).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
            asked.write_all(answer).unwrap();
        }
    });
    let deployment = Deployment::without_database("nonsense: true");
    deployment.run(&["config", "check"]).refused(1);
    let asked = deployment.run(&["health", "--listen", &address]);
    assert_eq!(asked.done(), "ok\n");
    let by_default = deployment.run(&["health"]);
    assert!(
        by_default.stderr.contains("127.0.0.1:9464"),
        "{by_default:?}"
    );
    std::fs::remove_file(deployment.path("reconciler.yaml")).unwrap();
    let asked = deployment.run(&["health", "--listen", &address]);
    assert_eq!(asked.done(), "ok\n");
    answers.join().unwrap();
    let there = std::fs::read_dir(deployment.path("")).unwrap();
    let there: Vec<_> = there.map(|it| it.unwrap().file_name()).collect();
    assert_eq!(there, ["spec.json"]);
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
