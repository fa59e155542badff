//! What the ids of one deployment tell of its secrets.

use std::collections::BTreeMap;

use cloakroom_core::Result;
use cloakroom_core::coordinates::openmetadata::{KUBERNETES_LABELS, Manager};
use cloakroom_core::platform::{Named, NamedSecret, Owner, PlatformNaming, Shape};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::ids::{BaseKind, Ids};
use crate::options::{Options, Provider};
use crate::tags::{lists_tags, tags_as_written};

/// The names of a deployment's secrets: every id that it could have made, if it makes any. There are
/// no versions: an id is written again when something of that name is made again.
#[derive(Clone, Debug)]
pub struct DeploymentNames {
    scope: BTreeMap<String, String>,
    /// `None` where users make the secrets, or they stay in the database.
    written: Option<Written>,
}

#[derive(Clone, Debug)]
struct Written {
    ids: Ids,
    /// What every secret of the deployment bears.
    tags: BTreeMap<String, String>,
    /// Whether there are others among them than those of every OpenMetadata.
    has_own_tags: bool,
    /// What it may bear besides.
    tags_beside: BTreeMap<String, String>,
}

impl DeploymentNames {
    /// The names of the deployment that these options are of. `tags` is
    /// `secretsManagerConfiguration.tags`, as it is written there: a secret without one of them is
    /// another deployment's.
    ///
    /// # Errors
    /// Those of [`Ids::new`].
    pub fn new(options: &Options, tags: &str) -> Result<Self> {
        let written = match options.provider {
            Provider::Managed(manager) => options.naming().map(|naming| {
                let mut tags = tags_as_written(manager, tags);
                let mut tags_beside = BTreeMap::new();
                if !lists_tags(manager) {
                    // What a listing does not tell proves nothing there.
                    std::mem::swap(&mut tags, &mut tags_beside);
                }
                let has_own_tags = !tags.is_empty();
                if manager == Manager::Kubernetes {
                    // People name Secrets so, too: those that OpenMetadata wrote bear its labels.
                    let labels = KUBERNETES_LABELS.map(|(key, it)| (key.to_owned(), it.to_owned()));
                    tags.extend(labels);
                }
                Ok(Written {
                    ids: Ids::new(naming)?,
                    tags,
                    has_own_tags,
                    tags_beside,
                })
            }),
            Provider::NotManaged(_) | Provider::Database => None,
        };
        let parts = [
            ("provider", format!("{:?}", options.provider)),
            ("prefix", options.prefix.clone()),
            ("cluster", options.cluster.clone()),
            ("tags", tags.to_owned()),
        ];
        Ok(Self {
            scope: BTreeMap::from(parts.map(|(part, it)| (part.to_owned(), it))),
            written: written.transpose()?,
        })
    }

    /// The same where the backend that leads to the manager puts tags of its own on what it writes: with these a
    /// secret may be a copy that was made for the deployment.
    #[must_use]
    pub fn with_tags_of_the_backend(mut self, tags: &BTreeMap<String, String>) -> Self {
        if let Some(written) = &mut self.written {
            let mut new = tags.clone();
            new.retain(|key, value| written.tags.get(key) != Some(value));
            if !new.is_empty() {
                // What bears them is another hand's no more.
                let part = "tags of the backend".to_owned();
                self.scope.insert(part, format!("{new:?}"));
            }
            written.tags_beside.extend(new);
        }
        self
    }

    /// Whether its tags say that a secret is another deployment's, or somebody's who has nothing to do with
    /// OpenMetadata. A manager that does not tell tags says nothing.
    pub(crate) fn has_tags_of_others(&self, secret: &NamedSecret) -> bool {
        self.written
            .as_ref()
            .is_some_and(|it| it.lacks_a_tag(secret) || it.is_of_another_hand(secret))
    }
}

impl Written {
    /// Whether a secret does not bear what every one of the deployment's bears.
    fn lacks_a_tag(&self, secret: &NamedSecret) -> bool {
        let Some(tags) = &secret.tags else {
            return false;
        };
        let mut expected = self.tags.iter();
        expected.any(|(key, value)| tags.get(key) != Some(value))
    }

    /// Whether a secret bears a tag that neither OpenMetadata nor the backend writes.
    fn is_of_another_hand(&self, secret: &NamedSecret) -> bool {
        let is_known = |(key, value): (&String, &String)| {
            let mut known = [&self.tags, &self.tags_beside].into_iter();
            known.any(|tags| tags.get(key) == Some(value)) || is_of_the_cloud_or_ours(key)
        };
        secret.tags.iter().flatten().any(|tag| !is_known(tag))
    }

    /// An id that is the same in every pass.
    fn id(&self) -> Uuid {
        let digest: [u8; 32] = Sha256::digest(self.ids.head().as_bytes()).into();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(half).into_uuid()
    }
}

impl PlatformNaming for DeploymentNames {
    fn read<'a>(&self, name: &'a str) -> Named<'a> {
        match &self.written {
            Some(written) if written.ids.check(name).is_some() => Named {
                shape: Shape::Bare,
                owner: Some(written.id()),
                ..Named::unknown(name)
            },
            _ => Named::unknown(name),
        }
    }

    fn scope(&self) -> BTreeMap<String, String> {
        self.scope.clone()
    }

    fn has_versions(&self) -> bool {
        false
    }

    fn deployment(&self) -> Option<Owner> {
        self.written.as_ref().map(|written| Owner {
            id: written.id(),
            title: Some(written.ids.head().to_owned()),
            tombstone: false,
        })
    }

    /// Where its id may be another deployment's it is taken for that one's, unless the deployment has tags of its own
    /// and the secret bears them. A tag that OpenMetadata does not write is somebody else's hand.
    fn is_foreign(&self, secret: &NamedSecret) -> bool {
        let Some(written) = &self.written else {
            return false;
        };
        let is_tagged = written.has_own_tags && secret.tags.is_some();
        self.has_tags_of_others(secret) || !is_tagged && written.ids.may_be_anothers(&secret.name)
    }

    /// Pipelines and automations are stored without their connection to the server; what was deployed of them has it.
    fn is_of_deployed_jobs(&self, name: &str) -> bool {
        let written = self.written.as_ref();
        written.is_some_and(|it| it.ids.check(name) == Some(BaseKind::ServerConnection))
    }

    /// What was deleted softly can be restored.
    fn brings_back(&self) -> bool {
        true
    }
}

/// Tags that no user sets: AWS's own, and those of Cloakroom's marks.
fn is_of_the_cloud_or_ours(key: &str) -> bool {
    ["aws:", "cloakroom:", "cloakroom-", "cloakroom/"]
        .iter()
        .any(|beginning| key.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use cloakroom_core::{SecretState, SecretValue};

    use super::*;
    use crate::fernet_keys::FernetKeys;

    const OURS: &str = "/openmetadata/database/x/password";

    fn names(provider: &str, tags: &str) -> DeploymentNames {
        let secret = |text: &str| SecretValue::from(text.to_owned());
        let keys = FernetKeys::parse(&secret("no_encryption_at_rest")).unwrap();
        let provider = Provider::from_name(provider).unwrap();
        let options = Options::new(secret("postgres://db/om"), keys, provider);
        DeploymentNames::new(&options, tags).unwrap()
    }

    fn tagged(tags: Option<&[(&str, &str)]>) -> NamedSecret {
        let owned = |tags: &[(&str, &str)]| {
            let tags = tags.iter();
            tags.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        NamedSecret {
            name: OURS.to_owned(),
            marked: false,
            state: SecretState::Enabled,
            tags: tags.map(owned),
            native_expiry: None,
            created: None,
            changed: None,
            accessed: None,
            precondition: None,
        }
    }

    #[test]
    fn only_what_this_deployment_could_have_made_is_its_own() {
        let names = names("managed-aws", "");
        let owner = names.deployment().unwrap().id;
        let named = names.read(OURS);
        assert_eq!((named.shape, named.base), (Shape::Bare, OURS));
        assert_eq!((named.version, named.owner), (None, Some(owner)));
        for other in [
            "/openmetadata-2/database/x/password",
            "/openmetadata/unheard-of/x/password",
            "/openmetadata/database/X/password",
            "/openmetadata/database",
            "/openmetadata/database/x",
            "openmetadata/database/x/password",
            "airbyte_x_v1",
            "",
        ] {
            assert_eq!(names.read(other), Named::unknown(other));
        }
    }

    #[test]
    fn the_connection_to_the_server_is_of_what_was_deployed() {
        let connection = "/openmetadata/serverconnection/securityconfig/jwttoken";
        for (provider, name, is) in [
            ("managed-aws", connection, true),
            (
                "gcp",
                "openmetadata_serverconnection_sslconfig_cacertificate",
                true,
            ),
            ("managed-aws", OURS, false),
            ("managed-aws", "/openmetadata/serverconnection", false),
            (
                "managed-aws",
                "/another/serverconnection/sslconfig/sslkey",
                false,
            ),
            ("aws", connection, false),
        ] {
            let told = names(provider, "").is_of_deployed_jobs(name);
            assert_eq!(told, is, "{provider}: {name}");
        }
    }

    /// Deployments whose prefixes and cluster names begin alike share a manager.
    #[test]
    fn an_id_that_a_deployment_within_this_one_could_have_made_is_that_ones() {
        let named = |name: &str| NamedSecret {
            name: name.to_owned(),
            ..tagged(None)
        };
        let aws = names("managed-aws", "");
        for theirs in [
            "/openmetadata/search/database/x/password",
            "/openmetadata/search/bot/ingestion-bot/config/jwttoken",
            "/openmetadata/metadata/pipeline/p/sourceconfig",
            "/openmetadata/metadata/prod/database/x/authtype/password",
            "/openmetadata/search/eu/west/bot/x/config/jwttoken",
            "/openmetadata/metadata/novel/x/p",
        ] {
            assert!(aws.read(theirs).owner.is_some());
            assert!(aws.is_foreign(&named(theirs)), "{theirs}");
        }
        for ours in [
            OURS,
            "/openmetadata/search/elastic-database/password",
            "/openmetadata/database/x/database",
            "/openmetadata/database/x/connection/database/password",
        ] {
            assert!(!aws.is_foreign(&named(ours)), "{ours}");
        }
        let azure = names("managed-azure-kv", "");
        for theirs in [
            "openmetadata-search-database-x-password",
            "openmetadata-search-team-bot-ingestion-bot-config-jwttoken",
            "openmetadata-metadata-novel-x-p",
        ] {
            assert!(azure.is_foreign(&named(theirs)), "{theirs}");
        }
        assert!(!azure.is_foreign(&named("openmetadata-database-x-authtype-password")));
    }

    #[test]
    fn tags_of_its_own_alone_prove_what_may_be_anothers() {
        let named = |name: &str, tags: Option<&[(&str, &str)]>| NamedSecret {
            name: name.to_owned(),
            ..tagged(tags)
        };
        let doubtful = "/openmetadata/metadata/novel/x/p";
        let own: &[(&str, &str)] = &[("team", "data")];
        let tagging = names("managed-aws", "[team:data]");
        assert!(!tagging.is_foreign(&named(doubtful, Some(own))));
        for tags in [None, Some(&[][..]), Some(&[("team", "web")])] {
            assert!(tagging.is_foreign(&named(doubtful, tags)), "{tags:?}");
        }
        assert!(names("managed-aws", "").is_foreign(&named(doubtful, Some(own))));
        // Every OpenMetadata writes these labels.
        let doubtful = "openmetadata-metadata-novel-x-p";
        let labelled = named(doubtful, Some(&KUBERNETES_LABELS));
        assert!(names("kubernetes", "").is_foreign(&labelled));
    }

    #[test]
    fn what_users_make_is_never_the_deployments() {
        for provider in ["aws", "aws-ssm", "azure-kv", "db"] {
            let names = names(provider, "");
            assert_eq!(names.read(OURS), Named::unknown(OURS), "{provider}");
            assert_eq!(names.deployment(), None);
        }
    }

    #[test]
    fn a_secret_without_the_deployments_tags_is_anothers() {
        let tagging = names("managed-aws", "[team:data,url:http://x]");
        let own = [("team", "data"), ("url", "http")];
        assert!(!tagging.is_foreign(&tagged(Some(&own))));
        for tags in [&[][..], &own[..1], &[("team", "web"), ("url", "http")]] {
            assert!(tagging.is_foreign(&tagged(Some(tags))), "{tags:?}");
        }
        assert!(!tagging.is_foreign(&tagged(None)), "not told");
    }

    /// OpenMetadata writes no tag but those of its configuration.
    #[test]
    fn a_secret_with_a_tag_that_openmetadata_does_not_write_is_anothers() {
        let [app, by] = KUBERNETES_LABELS;
        for (provider, written) in [
            ("managed-aws", vec![]),
            ("managed-aws", vec![("team", "data")]),
            ("managed-azure-kv", vec![("team", "data")]),
            ("kubernetes", vec![app, by, ("team", "data")]),
        ] {
            let text = if written.is_empty() {
                ""
            } else {
                "[team:data]"
            };
            let plain = names(provider, text);
            let backends = BTreeMap::from([("cost".to_owned(), "1".to_owned())]);
            let beside = names(provider, text).with_tags_of_the_backend(&backends);
            let with = |more: &[(&str, &str)]| {
                let name = match provider {
                    "managed-aws" => OURS,
                    _ => "openmetadata-database-x-password",
                };
                NamedSecret {
                    name: name.to_owned(),
                    ..tagged(Some(&[written.as_slice(), more].concat()))
                }
            };
            let clouds_and_ours = [("aws:createdBy", "x"), ("cloakroom:store", "x")];
            assert!(!plain.is_foreign(&with(&clouds_and_ours)), "{provider}");
            for strange in [
                ("owner", "payroll"),
                ("cost", "1"),
                ("Team", "data"),
                ("awsome", ""),
            ] {
                assert!(
                    plain.is_foreign(&with(&[strange])),
                    "{provider}: {strange:?}"
                );
            }
            assert!(!beside.is_foreign(&with(&[("cost", "1")])), "{provider}");
            for strange in [("cost", "2"), ("owner", "payroll")] {
                assert!(
                    beside.is_foreign(&with(&[strange])),
                    "{provider}: {strange:?}"
                );
            }
        }
    }

    /// Of what is listed without tags a description tells them; which ones are missing says nothing there. On Google
    /// OpenMetadata writes none.
    #[test]
    fn where_no_listing_has_tags_those_of_another_hand_tell() {
        for (provider, name, writes_tags) in [
            ("managed-aws-ssm", OURS, true),
            ("gcp", "openmetadata_database_x_password", false),
        ] {
            let named = |tags: Option<&[(&str, &str)]>| NamedSecret {
                name: name.to_owned(),
                ..tagged(tags)
            };
            let team: &[(&str, &str)] = &[("team", "data")];
            let backends = BTreeMap::from([("team".to_owned(), "data".to_owned())]);
            let beside = names(provider, "").with_tags_of_the_backend(&backends);
            let tagging = names(provider, "[team:data]");
            assert_eq!(!tagging.is_foreign(&named(Some(team))), writes_tags);
            let known = if writes_tags {
                vec![tagging, beside]
            } else {
                vec![beside]
            };
            for names in known {
                for tags in [None, Some(&[][..]), Some(team)] {
                    assert!(!names.is_foreign(&named(tags)), "{provider}: {tags:?}");
                }
                for strange in [("team", "ops"), ("owner", "payroll")] {
                    let tags = [strange];
                    assert!(
                        names.is_foreign(&named(Some(&tags))),
                        "{provider}: {tags:?}"
                    );
                }
            }
            assert!(names(provider, "").is_foreign(&named(Some(team))));
        }
    }

    /// What the backend's tags make the deployment's own nobody has confirmed.
    #[test]
    fn the_backends_tags_are_in_the_scope_where_they_widen_it() {
        let of = |tags: &[(&str, &str)]| -> BTreeMap<String, String> {
            let owned = tags.iter();
            owned
                .map(|(key, it)| ((*key).to_owned(), (*it).to_owned()))
                .collect()
        };
        for (provider, text) in [
            ("managed-aws", ""),
            ("managed-aws", "[team:data]"),
            ("kubernetes", "[team:data]"),
        ] {
            let scope = |tags: &[(&str, &str)]| {
                let names = names(provider, text);
                names.with_tags_of_the_backend(&of(tags)).scope()
            };
            let (cost, team) = (("cost", "1"), ("team", "data"));
            let plain = names(provider, text).scope();
            assert_eq!(scope(&[]), plain, "{provider} {text}");
            let is_known = !text.is_empty();
            assert_eq!(scope(&[team]) == plain, is_known, "{provider} {text}");
            let scopes = [&[cost][..], &[("cost", "2")], &[cost, ("owner", "a")]].map(scope);
            for (at, one) in scopes.iter().enumerate() {
                assert_ne!(*one, plain, "{provider} {text}");
                assert!(!scopes[..at].contains(one), "{provider} {text}");
            }
            assert_eq!(scope(&[cost, team]), scope(&[team, cost]));
        }
        let users = names("aws", "");
        assert_eq!(
            users
                .clone()
                .with_tags_of_the_backend(&of(&[("a", "b")]))
                .scope(),
            users.scope(),
            "nothing there is the deployment's"
        );
    }

    #[test]
    fn a_secret_of_kubernetes_bears_openmetadatas_labels() {
        let names = names("kubernetes", "[team:data]");
        let [app, by] = KUBERNETES_LABELS;
        let own = ("team", "data");
        assert!(!names.is_foreign(&tagged(Some(&[app, by, own]))));
        for labels in [&[][..], &[app, by], &[app, own], &[by, own]] {
            assert!(names.is_foreign(&tagged(Some(labels))), "{labels:?}");
        }
    }
}
