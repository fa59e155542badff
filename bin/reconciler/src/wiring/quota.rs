//! Which backends a manager counts against one quota: it knows accounts, projects and vaults, not the
//! names they have here.

use std::collections::BTreeMap;

use crate::configuration::{Aws, Backend, PublishedRates};

/// The backends whose requests are counted with those of one of them, itself included, by name.
pub(super) struct Together<'a>(Vec<(&'a str, &'a Backend)>);

impl<'a> Together<'a> {
    /// Those of the backend that is called `name`.
    pub(super) fn with(name: &str, backends: &'a BTreeMap<String, Backend>) -> Self {
        let own = backends.get(name);
        let together = backends.iter().filter(|(other, backend)| {
            *other == name || own.is_some_and(|own| is_one_quota(own, backend))
        });
        Self(
            together
                .map(|(name, backend)| (name.as_str(), backend))
                .collect(),
        )
    }

    /// The same one for each of them.
    pub(super) fn first(&self) -> Option<&'a str> {
        self.0.first().map(|(name, _)| *name)
    }

    /// What the operator says they are allowed together: the least where several say something.
    pub(super) fn rates(&self) -> PublishedRates {
        let rates = self.0.iter().map(|(_, backend)| backend.published_rates());
        rates.fold(PublishedRates::default(), PublishedRates::and)
    }

    /// The share of the published rate that they use together: the smallest that is configured.
    pub(super) fn share(&self) -> f64 {
        let shares = self.0.iter().map(|(_, backend)| backend.request_share());
        shares.fold(1.0, f64::min)
    }
}

/// Whether requests to both are counted against one published rate. Vault, Kubernetes and the
/// embedded backend publish none.
fn is_one_quota(one: &Backend, other: &Backend) -> bool {
    match (one, other) {
        (Backend::AwsSecretsManager(one), Backend::AwsSecretsManager(other))
        | (Backend::AwsParameterStore(one), Backend::AwsParameterStore(other)) => {
            one.region == other.region
                && is_one_address(one.endpoint_url.as_deref(), other.endpoint_url.as_deref())
                && is_one_account(one, other)
        }
        (Backend::Gcp(one), Backend::Gcp(other)) => {
            one.project == other.project
                && one.location == other.location
                && is_one_address(one.endpoint.as_deref(), other.endpoint.as_deref())
        }
        (Backend::Azure(one), Backend::Azure(other)) => {
            is_one_address(Some(&one.vault_url), Some(&other.vault_url))
        }
        _ => false,
    }
}

/// Where the account is for AWS to tell, whoever has the same credentials is in the same one.
fn is_one_account(one: &Aws, other: &Aws) -> bool {
    match (account(one), account(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.authentication == other.authentication && one.role_arn == other.role_arn,
    }
}

/// The account, or that of the role.
fn account(aws: &Aws) -> Option<&str> {
    let of_role = || aws.role_arn.as_deref()?.split(':').nth(4);
    aws.account.as_deref().or_else(of_role)
}

fn is_one_address(one: Option<&str>, other: Option<&str>) -> bool {
    let plain = |url: Option<&str>| url.map(|url| url.trim_end_matches('/').to_lowercase());
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::load;

    /// Who counts with `a`, and what share they use.
    fn with_a(backends: &str) -> (String, f64) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reconciler.yaml");
        let text = format!("default_backend: a\nbackends:\n{backends}");
        std::fs::write(&file, text).unwrap();
        let backends = load(Some(&file), &[]).unwrap().configuration.backends;
        let together = Together::with("a", &backends);
        let names: Vec<&str> = together.0.iter().map(|(name, _)| *name).collect();
        for name in &names {
            assert_eq!(Together::with(name, &backends).first(), together.first());
        }
        (names.join(" "), together.share())
    }

    #[test]
    fn aws_counts_by_service_account_region_and_address() {
        let (names, share) = with_a(
            "
  a: {type: aws-secrets-manager, region: r, account: '111111111111', name_prefix: a-, request_share: 0.4}
  b: {type: aws-secrets-manager, region: r, account: '111111111111', name_prefix: b-, request_share: 0.2}
  by-role: {type: aws-secrets-manager, region: r, role_arn: 'arn:aws:iam::111111111111:role/x'}
  account: {type: aws-secrets-manager, region: r, account: '222222222222', request_share: 0.1}
  region: {type: aws-secrets-manager, region: other, account: '111111111111', request_share: 0.1}
  service: {type: aws-parameter-store, region: r, account: '111111111111', request_share: 0.1}
  address: {type: aws-secrets-manager, region: r, account: '111111111111', endpoint_url: 'https://x', request_share: 0.1}
",
        );
        assert_eq!((names.as_str(), share), ("a b by-role", 0.2));
    }

    #[test]
    fn who_has_the_same_credentials_is_in_the_same_account() {
        let (names, _) = with_a(
            "
  a: {type: aws-parameter-store, region: r}
  b: {type: aws-parameter-store, region: r, name_prefix: /b/}
  profile: {type: aws-parameter-store, region: r, authentication: {profile: other}}
  role: {type: aws-parameter-store, region: r, role_arn: 'arn:aws:iam::111111111111:role/x'}
",
        );
        assert_eq!(names, "a b");
    }

    #[test]
    fn google_counts_by_project_and_azure_by_vault() {
        let (names, _) = with_a(
            "
  a: {type: gcp, project: p, prefix: a}
  b: {type: gcp, project: p, prefix: b}
  other: {type: gcp, project: q}
",
        );
        assert_eq!(names, "a b");
        let (names, _) = with_a(
            "
  a: {type: azure, vault_url: 'https://x.vault.azure.net', prefix: a}
  b: {type: azure, vault_url: 'https://X.vault.azure.net/', prefix: b}
  other: {type: azure, vault_url: 'https://y.vault.azure.net'}
",
        );
        assert_eq!(names, "a b");
    }

    #[test]
    fn who_publishes_nothing_counts_alone() {
        let (names, share) = with_a(
            "
  a: {type: vault, address: 'https://v', prefix: a, request_share: 0.5, auth: {token: {env: T}}}
  b: {type: vault, address: 'https://v', prefix: b, request_share: 0.1, auth: {token: {env: T}}}
",
        );
        assert_eq!((names.as_str(), share), ("a", 0.5));
    }
}
