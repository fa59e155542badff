//! From file and environment to a configuration that was checked.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::node::{Node, Origin};
use super::reader::{self, ReadError};
use super::sections::Configuration;
use super::variables::nearest_variable;
use super::{addresses, check, environment, paths, yaml};
use crate::bounded;
use crate::repeatable::{NOT_REPEATED, is_there, reads_like_a_path, repeated_key};

/// A configuration, and where its values came from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration in force.
    pub configuration: Configuration,
    /// The file, where there is one.
    pub file: Option<PathBuf>,
    pub(super) tree: Node,
}

/// The most bytes a configuration file may have.
const MOST_BYTES: u64 = 1024 * 1024;

/// Reads the file, lays the environment's `CLOAKROOM_…` over it and checks the whole.
pub fn load(file: Option<&Path>, variables: &[(String, String)]) -> anyhow::Result<Loaded> {
    let text = file.map(read_file).transpose()?.unwrap_or_default();
    let place = Place { file, text: &text };
    let mut tree = yaml::parse(&text).map_err(|error| place.of_syntax(&error))?;
    environment::overlay(&mut tree, variables);
    let mut configuration: Configuration =
        reader::read(&tree).map_err(|error| place.of_reading(&tree, &error))?;
    addresses::check(&tree).map_err(|wrong| place.of(&tree, &wrong.path, &wrong.message))?;
    if let Some(folder) = file.and_then(Path::parent) {
        paths::resolve(&mut configuration, &tree, folder);
    }
    check::check(&configuration).map_err(|wrong| place.of(&tree, &wrong.path, &wrong.message))?;
    Ok(Loaded {
        configuration,
        file: file.map(Path::to_owned),
        tree,
    })
}

pub(super) fn read_file(file: &Path) -> anyhow::Result<String> {
    let context = || {
        if is_there(file) || reads_like_a_path(file) {
            format!("read the configuration {}", file.display())
        } else {
            format!(
                "read the configuration: the path of its file belongs there, and what was given is none \
                 {NOT_REPEATED}"
            )
        }
    };
    if std::fs::metadata(file).with_context(context)?.is_dir() {
        return Err(anyhow!("it is a folder").context(context()));
    }
    let text = bounded::read(file, MOST_BYTES).with_context(context)?;
    let text = std::str::from_utf8(&text).context("it is not UTF-8");
    text.map(str::to_owned).with_context(context)
}

/// Says where something wrong was written.
struct Place<'a> {
    file: Option<&'a Path>,
    text: &'a str,
}

impl Place<'_> {
    /// A variable with a key that is unknown may be near one that is known: `_` where `__` belongs.
    fn of_reading(&self, tree: &Node, error: &ReadError) -> anyhow::Error {
        let path = error.path();
        let meant = match &tree.closest(&path).origin {
            Origin::Variable(name) if error.is_of_an_unknown_key() => nearest_variable(name),
            _ => None,
        };
        match meant {
            Some(meant) => self.of(tree, &path, &format!("{error}; did you mean {meant}?")),
            None => self.of(tree, &path, error),
        }
    }

    fn of(&self, tree: &Node, path: &[String], what: &dyn std::fmt::Display) -> anyhow::Error {
        let key = if path.is_empty() {
            String::new()
        } else {
            let keys: Vec<&str> = path.iter().map(|key| repeated_key(key)).collect();
            format!("`{}`: ", keys.join("."))
        };
        let place = match &tree.closest(path).origin {
            Origin::Variable(name) => format!("environment variable {name}"),
            Origin::File => match self.file {
                Some(file) => match yaml::line_of(self.text, path) {
                    Some(line) => format!("{} line {line}", file.display()),
                    None => file.display().to_string(),
                },
                None => "the built-in defaults".to_owned(),
            },
        };
        anyhow!("configuration, {place}: {key}{what}")
    }

    fn of_syntax(&self, error: &serde_yaml_ng::Error) -> anyhow::Error {
        let file = self
            .file
            .map(|file| file.display().to_string())
            .unwrap_or_default();
        anyhow!("configuration, {file}: not the YAML that belongs here: {error}")
    }
}

impl Loaded {
    /// Where the value at `path` came from, in a few words.
    pub(super) fn origin(&self, path: &[String]) -> String {
        let node = self.tree.closest(path);
        let written = path.is_empty() || self.tree.has(path);
        match (&node.origin, &self.file) {
            (Origin::Variable(name), _) if written => name.clone(),
            (Origin::File, Some(file)) if written => file
                .file_name()
                .unwrap_or(file.as_os_str())
                .to_string_lossy()
                .into_owned(),
            _ => "default".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::backends::{Backend, VaultLogin};
    use super::super::platforms::Platform;
    use super::super::secret_reference::SecretReference;
    use super::super::sections::Store;
    use super::*;

    fn load_text(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Configuration> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("reconciler.yaml");
        std::fs::write(&file, text)?;
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Ok(load(Some(&file), &variables)?.configuration)
    }

    fn refusal(text: &str, variables: &[(&str, &str)]) -> String {
        format!("{:#}", load_text(text, variables).unwrap_err())
    }

    #[test]
    fn nothing_at_all_is_a_configuration() {
        assert_eq!(
            load(None, &[]).unwrap().configuration,
            Configuration::default()
        );
        assert_eq!(load_text("", &[]).unwrap(), Configuration::default());
        assert_eq!(
            load_text("http:\n#  listen: x\n", &[]).unwrap(),
            Configuration::default()
        );
    }

    #[test]
    fn a_typo_names_the_nearest_key_and_the_line() {
        let refused = refusal("deployment:\n  name: x\nreconcile:\n  bach: 3\n", &[]);
        assert!(
            refused.contains("line 4") && refused.contains("did you mean `batch`?"),
            "{refused}"
        );
        let refused = refusal("stroe: {}\n", &[]);
        assert!(
            refused.contains("line 1") && refused.contains("did you mean `store`?"),
            "{refused}"
        );
        let refused = refusal("jobs: {verify-blobs: {crno: x}}", &[]);
        assert!(refused.contains("did you mean `cron`?"), "{refused}");
    }

    #[test]
    fn an_unknown_variable_is_named_with_the_nearest_key() {
        let refused = refusal("", &[("CLOAKROOM_HTTP__LISTN", "127.0.0.1:1")]);
        assert!(
            refused.contains("environment variable CLOAKROOM_HTTP__LISTN")
                && refused.contains("did you mean `listen`?"),
            "{refused}"
        );
        for (name, meant) in [
            ("CLOAKROOM_HTTP__LISTN", "CLOAKROOM_HTTP__LISTEN"),
            ("CLOAKROOM_HTTP_LISTEN", "CLOAKROOM_HTTP__LISTEN"),
            (
                "CLOAKROOM_STORE_SQLITE_PATH",
                "CLOAKROOM_STORE__SQLITE__PATH",
            ),
            (
                "CLOAKROOM_JOBS_VERIFY_BLOBS_CRON",
                "CLOAKROOM_JOBS__VERIFY_BLOBS__CRON",
            ),
            (
                "CLOAKROOM_STORE_POSTGRES_URL",
                "CLOAKROOM_STORE__POSTGRES__URL",
            ),
        ] {
            let refused = refusal("", &[(name, "canary")]);
            let hint = format!("did you mean {meant}?");
            assert!(refused.contains(&hint), "{name}: {refused}");
            assert!(!refused.contains("canary"), "{refused}");
        }
        let refused = refusal("", &[("CLOAKROOM_SOMETHING_ELSE_ALTOGETHER", "x")]);
        assert!(!refused.contains("did you mean"), "{refused}");
    }

    #[test]
    fn variables_win_over_the_file() {
        let configuration = load_text(
            "http: {listen: '127.0.0.1:1'}\nstore: {sqlite: {path: x.db}}\n",
            &[
                ("CLOAKROOM_HTTP__LISTEN", "127.0.0.1:2"),
                ("CLOAKROOM_DEPLOYMENT__NAME", "123"),
                ("CLOAKROOM_RECONCILE__BATCH", "7"),
                ("CLOAKROOM_RECONCILE__WINDOWS__ORPHAN_TTL", "3h"),
                ("CLOAKROOM_JOBS__VERIFY_BLOBS__ENABLED", "false"),
                ("CLOAKROOM_STORE__POSTGRES__URL__ENV", "CLOAKROOM_DATABASE"),
                ("CLOAKROOM_DATABASE", "postgres://canary"),
                ("CLOAKROOM_SERVICE_HOST", "10.0.0.1"),
                ("CLOAKROOM_PORT", "tcp://10.0.0.1:80"),
            ],
        )
        .unwrap();
        assert_eq!(configuration.http.listen.port(), 2);
        assert_eq!(configuration.deployment.name, "123");
        assert_eq!(configuration.reconcile.batch, 7);
        assert_eq!(
            configuration.reconcile.windows.orphan_ttl.0.as_secs(),
            3 * 3600
        );
        assert!(!configuration.jobs.verify_blobs.enabled);
        let Store::Postgres(postgres) = configuration.store else {
            panic!("not PostgreSQL")
        };
        assert_eq!(
            postgres.url,
            SecretReference::Env("CLOAKROOM_DATABASE".into())
        );
    }

    #[test]
    fn a_literal_secret_is_refused_and_never_repeated() {
        for (text, variables) in [
            (
                "store: {postgres: {url: 'postgres://u:canary@h/d'}}",
                &[][..],
            ),
            ("store: 'postgres://u:canary@h/d'", &[]),
            ("store: {postgres: 'postgres://u:canary@h/d'}", &[]),
            ("keys: canary", &[]),
            ("keys: [canary]", &[]),
            ("keys: {file: [canary]}", &[]),
            ("reconcile: {batch: canary, backup_horizon: canary}", &[]),
            ("reconcile: {backup_horizon: canary}", &[]),
            ("backends: {main: {type: canary}}", &[]),
            ("backends: {main: canary}", &[]),
            (
                "backends: {main: {type: vault, address: a, auth: {token: canary}}}",
                &[],
            ),
            ("http: {listen: canary}", &[]),
            (
                "",
                &[("CLOAKROOM_STORE__POSTGRES__URL", "postgres://u:canary@h/d")],
            ),
            ("", &[("CLOAKROOM_KEYS", "canary")]),
        ] {
            let refused = refusal(text, variables);
            assert!(!refused.contains("canary"), "{text}: {refused}");
        }
        let refused = refusal(
            "store:\n  postgres:\n    url: postgres://u:canary@h/d\n",
            &[],
        );
        assert!(
            refused.contains("by reference only") && refused.contains("line 3"),
            "{refused}"
        );
    }

    #[test]
    fn a_backend_of_an_unknown_type_names_the_known_ones() {
        let refused = refusal("backends:\n  main:\n    type: vaul\n", &[]);
        assert!(
            refused.contains("embedded")
                && refused.contains("did you mean `vault`?")
                && refused.contains("line 3"),
            "{refused}"
        );
    }

    #[test]
    fn what_is_wrong_within_a_backend_names_its_line() {
        let refused = refusal(
            "backends:\n  main:\n    address: a\n    mout: b\n    type: vault\n    auth: {token: {env: T}}\n",
            &[],
        );
        assert!(
            refused.contains("line 4") && refused.contains("did you mean `mount`?"),
            "{refused}"
        );
        for (text, word) in [
            ("backends: {main: {address: a}}", "`type` is missing"),
            ("backends: {main: {type: vault}}", "`address` is missing"),
            (
                "backends: {main: {type: embedded, path: x}}",
                "unknown key `path`",
            ),
        ] {
            let refused = refusal(text, &[]);
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }

    /// An OpenMetadata beside a backend, each with more keys.
    fn openmetadata(backend: &str, platform: &str) -> String {
        format!(
            "backends: {{om: {{{backend}}}}}\nplatforms: {{metadata: {{type: openmetadata, backend: om, \
             database: {{env: A}}, fernet_key: {{file: key}}{platform}}}}}\n"
        )
    }

    #[test]
    fn a_platform_is_read_with_its_defaults_and_paths_beside_the_file() {
        let text = openmetadata(
            "type: aws-secrets-manager, region: r",
            ", provider: managed-aws",
        );
        let configuration = load_text(&text, &[]).unwrap();
        let Some(Platform::OpenMetadata(read)) = configuration.platforms.get("metadata") else {
            panic!("no OpenMetadata")
        };
        assert_eq!((&*read.prefix, &*read.cluster), ("", "openmetadata"));
        assert_eq!((&*read.schema, read.strict), ("public", false));
        let SecretReference::File(path) = &read.fernet_key else {
            panic!("no key file")
        };
        assert!(path.is_absolute());
    }

    #[test]
    fn of_two_deployments_on_one_backend_none_has_ids_of_the_other() {
        let deployment = |name: &str, naming: &str| {
            format!(
                "{name}: {{type: openmetadata, backend: om, database: {{env: A}}, fernet_key: {{env: B}}, \
                 provider: managed-aws, {naming}}}"
            )
        };
        let read = |one: &str, two: &str| {
            let text = format!(
                "backends: {{om: {{type: aws-secrets-manager, region: r}}}}\nplatforms: {{{}, {}}}",
                deployment("m", one),
                deployment("n", two)
            );
            load_text(&text, &[])
        };
        for (one, two) in [
            ("cluster: prod", "cluster: prod"),
            ("cluster: prod", "prefix: prod, cluster: search"),
            ("prefix: prod, cluster: search", "cluster: prod"),
            ("cluster: prod, tags: '[team:a]'", "cluster: prod"),
        ] {
            let told = format!("{:#}", read(one, two).unwrap_err());
            assert!(told.contains("platforms.n.cluster"), "{told}");
        }
        for (one, two) in [
            ("cluster: prod", "cluster: production"),
            (
                "cluster: prod, tags: '[team:a]'",
                "cluster: prod, tags: '[team:b]'",
            ),
        ] {
            read(one, two).unwrap();
        }
    }

    #[test]
    fn what_is_wrong_within_a_platform_names_its_key() {
        let aws = "type: aws-secrets-manager, region: r";
        let ssm = "type: aws-parameter-store, region: r";
        let airbyte = "platforms: {a: {type: airbyte, backend: embedded, database: {env: A}";
        for (text, word) in [
            (
                openmetadata(ssm, ", provider: managed-aws"),
                "metadata.provider",
            ),
            (
                openmetadata("type: embedded", ", provider: gcp"),
                "metadata.provider",
            ),
            (
                openmetadata(aws, ", provider: aws, cluster: ''"),
                "metadata.cluster",
            ),
            (
                openmetadata(ssm, ", provider: aws-ssm, tags: '[team:data]'"),
                "metadata.tags",
            ),
            (
                openmetadata(&format!("{aws}, name_prefix: x"), ", provider: aws"),
                "metadata.backend",
            ),
            (
                openmetadata(aws, ", provider: managed-awz"),
                "did you mean `managed-aws`?",
            ),
            (
                openmetadata(aws, ", provider: db, clustr: x"),
                "did you mean `cluster`?",
            ),
            (
                openmetadata(aws, ", provider: db, storage: x"),
                "unknown key `storage`",
            ),
            (openmetadata(aws, ""), "`provider` is missing"),
            (
                format!("{airbyte}, cluster: x}}}}"),
                "unknown key `cluster`",
            ),
            (format!("{airbyte}, prefx: x}}}}"), "did you mean `prefix`?"),
            (
                "platforms: {a: {type: airbite}}".to_owned(),
                "did you mean `airbyte`?",
            ),
            (
                "platforms: {a: {backend: embedded}}".to_owned(),
                "`type` is missing",
            ),
        ] {
            let refused = refusal(&text, &[]);
            assert!(refused.contains(word), "{text}: {refused}");
        }
        load_text(&openmetadata(ssm, ", provider: db"), &[]).unwrap();
    }

    /// Two OpenMetadatas on one backend, each with more keys.
    fn two_openmetadatas(backend: &str, one: &str, other: &str) -> String {
        let platform = |name: &str, more: &str| {
            format!(
                "{name}: {{type: openmetadata, backend: om, database: {{env: {name}}}, \
                 fernet_key: {{file: key}}{more}}}"
            )
        };
        format!(
            "backends: {{om: {{{backend}}}}}\nplatforms: {{{}, {}}}\n",
            platform("one", one),
            platform("two", other)
        )
    }

    /// One that keeps its secrets in its database may be taken to the manager that its section names.
    #[test]
    fn of_two_openmetadatas_on_one_manager_each_has_ids_of_its_own() {
        let aws = "type: aws-secrets-manager, region: r";
        let ssm = "type: aws-parameter-store, region: r";
        let managed = ", provider: managed-aws";
        let (db, tagged) = (", provider: db", "[team:data]");
        let team = |provider: &str, tags: &str| format!("{provider}, tags: '{tags}'");
        let cluster = |provider: &str| format!("{provider}, cluster: other");
        let apart = [team(managed, tagged), team(db, "[team:ops]")];
        for (backend, [one, other], is_refused) in [
            (aws, [managed, managed], true),
            (aws, [managed, db], true),
            (aws, [db, managed], true),
            (ssm, [db, ", provider: managed-aws-ssm"], true),
            (aws, [managed, ", provider: aws"], true),
            (aws, [&*team(managed, tagged), db], true),
            (aws, [managed, &*cluster(managed)], false),
            (aws, [managed, &*cluster(db)], false),
            (aws, [&*apart[0], &*apart[1]], false),
            // Where no tags are listed they tell nothing.
            (ssm, [", provider: managed-aws-ssm", &*apart[1]], true),
            // Neither writes there; a migration refuses.
            (aws, [db, db], false),
            ("type: embedded", [db, db], false),
            // What users made nobody deletes.
            (aws, [", provider: aws", ", provider: aws"], false),
            (aws, [db, ", provider: aws"], false),
            (aws, [", provider: aws", managed], true),
        ] {
            let text = two_openmetadatas(backend, one, other);
            match load_text(&text, &[]) {
                Ok(_) => assert!(!is_refused, "{text}"),
                Err(error) => {
                    let told = format!("{error:#}");
                    assert!(
                        is_refused && told.contains("begin as this one's do"),
                        "{text}: {told}"
                    );
                }
            }
        }
    }

    #[test]
    fn one_manager_by_two_names_is_refused_before_anything_asks_it() {
        let aws = "type: aws-secrets-manager, region: eu-west-1";
        let vault = "type: vault, address: 'https://v', auth: {token: {env: T}}";
        let keys = |name: &str| {
            format!(
                "{aws}, authentication: {{keys: {{access_key_id: {{env: {name}}}, secret_access_key: {{env: K}}}}}}"
            )
        };
        let [as_one, as_another] = ["ID_OF_ONE", "ID_OF_ANOTHER"].map(keys);
        for (one, other, is_one) in [
            (
                aws,
                "type: aws-secrets-manager, region: eu-west-1, request_share: 0.25",
                true,
            ),
            (aws, "type: aws-secrets-manager, region: eu-west-2", false),
            (
                aws,
                "type: aws-secrets-manager, region: eu-west-1, role_arn: 'arn:aws:iam::1:role/r'",
                false,
            ),
            (aws, "type: aws-parameter-store, region: eu-west-1", false),
            (
                vault,
                "type: vault, address: 'https://v/', mount: secret, auth: {token: {env: U}}",
                true,
            ),
            (
                vault,
                "type: vault, address: 'https://v', mount: kv, auth: {token: {env: T}}",
                false,
            ),
            (&as_one, &as_one, true),
            (&as_one, &as_another, false),
            ("type: embedded", "type: embedded", false),
        ] {
            let text = format!("default_backend: a\nbackends:\n  a: {{{one}}}\n  b: {{{other}}}\n");
            match load_text(&text, &[]) {
                Ok(_) => assert!(!is_one, "{text}"),
                Err(error) => {
                    let told = format!("{error:#}");
                    assert!(
                        is_one && told.contains("same manager as backends.a"),
                        "{text}: {told}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_backend_is_read_with_its_defaults_and_paths_beside_the_file() {
        let configuration = load_text(
            "backends:\n  main:\n    type: vault\n    address: https://v\n    auth: {token: {file: t}}\n",
            &[("CLOAKROOM_BACKENDS__MAIN__MOUNT", "kv")],
        )
        .unwrap();
        let Some(Backend::Vault(vault)) = configuration.backends.get("main") else {
            panic!("no Vault")
        };
        assert_eq!(
            (vault.mount.as_str(), vault.prefix.as_str()),
            ("kv", "cloakroom/")
        );
        let VaultLogin::Token(SecretReference::File(path)) = &vault.auth else {
            panic!("no token file")
        };
        assert!(path.is_absolute());
    }

    #[test]
    fn a_cron_line_that_does_not_parse_names_its_field_and_line() {
        let refused = refusal("jobs:\n  verify-blobs:\n    cron: '0 25 * * *'\n", &[]);
        assert!(
            refused.contains("line 3") && refused.contains("field 2 (the hour)"),
            "{refused}"
        );
    }

    #[test]
    fn what_cannot_hold_together_is_refused() {
        for (text, word) in [
            ("reconcile: {batch: 0}", "batch"),
            ("reconcile: {guards: {largest_share: 1.5}}", "largest_share"),
            ("reconcile: {claim_deadline: 10s}", "claim_deadline"),
            ("deployment: {name: ' '}", "deployment.name"),
            ("deployment: {name: \"a\\u0000b\"}", "deployment.name"),
            ("deployment: {name: \"a\\u202Eb\"}", "deployment.name"),
            ("deployment: {name: \"a\\u200Bb\"}", "deployment.name"),
            ("deployment: {name: \"a\\uFEFF\"}", "deployment.name"),
            ("log: {level: loud}", "log.level"),
            ("log: {level: 'a=b=c'}", "log.level"),
            ("shutdown: {deadline: 0s}", "shutdown.deadline"),
            ("http: {timeout: 0s}", "http.timeout"),
            ("http: {timeout: 1d}", "http.timeout"),
            ("http: {connections: 0}", "http.connections"),
            (
                "store: {postgres: {url: {env: PG}, connections: 0}}",
                "store.postgres.connections",
            ),
            (
                "store: {postgres: {url: {env: PG}, acquire_timeout: 0s}}",
                "store.postgres.acquire_timeout",
            ),
            (
                "store: {postgres: {url: {env: PG}, statement_timeout: 0s}}",
                "store.postgres.statement_timeout",
            ),
            ("store: {sqlite: {path: ''}}", "store.sqlite.path"),
            ("jobs: {jitter: 10d}", "jobs.jitter"),
            ("documents: {expires_in: 20s}", "expires_in"),
            (
                "documents: {coordinate_scope: organization}",
                "coordinate_organization",
            ),
            (
                "documents: {coordinate_organization: 6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11}",
                "coordinate_organization",
            ),
            (
                "documents: {coordinate_scope: storage_organization, \
                 coordinate_organization: 00000000-0000-0000-0000-000000000000}",
                "nil id",
            ),
            ("default_backend: other", "default_backend"),
            (
                "workspaces: {6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11: other}",
                "workspaces",
            ),
            ("backends: {}", "backends"),
            ("backends: {Main_One: {type: embedded}}", "backends"),
        ] {
            let refused = refusal(text, &[]);
            assert!(refused.contains(word), "{text}: {refused}");
        }
        let variable = "CLOAKROOM_STORE__SQLITE__PATH";
        let refused = refusal("", &[(variable, "")]);
        assert!(refused.contains(variable), "{refused}");
    }
}
