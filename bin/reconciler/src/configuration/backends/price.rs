//! What a secret costs a month at list price. The sources are the managers' pricing pages, read in
//! November 2026; whoever pays another price says so in the configuration.

use super::{Backend, Gcp};

/// AWS Secrets Manager, each secret, in most regions.
const AWS_SECRETS_MANAGER: f64 = 0.40;
/// Google Secret Manager, each active version and each location it is kept in.
const GCP: f64 = 0.06;

impl Backend {
    /// What one secret costs a month, in dollars.
    pub fn dollars_per_secret_month(&self) -> f64 {
        let said = match self {
            Self::AwsSecretsManager(it) | Self::AwsParameterStore(it) => {
                it.dollars_per_secret_month
            }
            Self::Azure(it) => it.dollars_per_secret_month,
            Self::Embedded(_) => None,
            Self::Gcp(it) => it.dollars_per_secret_month,
            Self::Kubernetes(it) => it.dollars_per_secret_month,
            Self::Vault(it) => it.dollars_per_secret_month,
        };
        said.unwrap_or_else(|| match self {
            Self::AwsSecretsManager(_) => AWS_SECRETS_MANAGER,
            Self::Gcp(it) => GCP * locations(it),
            // Parameter Store's standard parameters are free; which ones are advanced is not known
            // here. Key Vault charges for requests only; the rest has no price.
            Self::AwsParameterStore(_)
            | Self::Azure(_)
            | Self::Embedded(_)
            | Self::Kubernetes(_)
            | Self::Vault(_) => 0.0,
        })
    }
}

/// Automatic replication is billed as one location.
fn locations(gcp: &Gcp) -> f64 {
    gcp.replica_locations.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::super::Configuration;
    use super::super::super::load;

    fn prices(backends: &str) -> Vec<f64> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reconciler.yaml");
        std::fs::write(
            &file,
            format!("default_backend: a\nbackends: {{{backends}}}\n"),
        )
        .unwrap();
        let configuration: Configuration = load(Some(&file), &[]).unwrap().configuration;
        let backends = configuration.backends.values();
        backends
            .map(super::Backend::dollars_per_secret_month)
            .collect()
    }

    #[test]
    fn list_prices_by_manager_and_what_the_operator_says() {
        assert_eq!(
            prices("a: {type: aws-secrets-manager, region: eu-central-1}"),
            [0.40]
        );
        assert_eq!(
            prices("a: {type: aws-parameter-store, region: eu-central-1}"),
            [0.0]
        );
        assert_eq!(prices("a: {type: embedded}"), [0.0]);
        assert_eq!(prices("a: {type: gcp, project: p}"), [0.06]);
        let two = "a: {type: gcp, project: p, replica_locations: [europe-west1, europe-west4]}";
        assert_eq!(prices(two), [0.12]);
        let said = "a: {type: aws-secrets-manager, region: r, dollars_per_secret_month: 0.3}";
        assert_eq!(prices(said), [0.3]);
    }
}
