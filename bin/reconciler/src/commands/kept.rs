//! What `backend check --keep` says of the test secret it leaves: until when, who deletes it, and where it is seen.

use cloakroom_backends_azure::name_of as name_in_azure;
use cloakroom_backends_kubernetes::name_of as name_in_kubernetes;
use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::{Coordinate, Timestamp};
use serde::Serialize;

use crate::configuration::Backend;

/// A test secret that was left.
#[derive(Serialize)]
pub(super) struct Kept {
    /// When its time is over, by the store's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    deleted_by: String,
    look: String,
}

impl Kept {
    pub(super) fn new(
        coordinate: &Coordinate,
        until: Option<Timestamp>,
        expiry: NativeExpiry,
        section: Option<&Backend>,
    ) -> Self {
        Self {
            until,
            deleted_by: deleted_by(expiry),
            look: look(coordinate, section),
        }
    }

    /// For a person, a line each.
    pub(super) fn lines(&self, coordinate: &str) -> [String; 3] {
        let until = self.until.map_or_else(
            || "for as long as a check's secrets live".to_owned(),
            |at| format!("until {} UTC", at.strftime("%Y-%m-%d %H:%M:%S")),
        );
        [
            format!("left {until}: {coordinate}"),
            format!("then {}", self.deleted_by),
            format!("to see it, without its value: {}", self.look),
        ]
    }
}

fn deleted_by(expiry: NativeExpiry) -> String {
    let later = "a `reconciler run expire-orphans` some minutes later deletes it, or `serve`";
    match expiry {
        NativeExpiry::Deletes => {
            "the manager deletes it by itself, or a `reconciler run expire-orphans` or `serve` some minutes later"
                .to_owned()
        }
        NativeExpiry::Hides => format!("the manager no longer gives it out; {later}"),
        NativeExpiry::Advises => {
            format!("the manager notes that it is over and keeps it; {later}")
        }
        NativeExpiry::Absent => format!("the manager keeps it, since it has no expiry; {later}"),
    }
}

/// A command of the manager's own that shows it, and where its console has it. No command prints the value.
fn look(coordinate: &Coordinate, section: Option<&Backend>) -> String {
    match section {
        Some(Backend::AwsSecretsManager(it)) => format!(
            "`aws secretsmanager describe-secret --region {0} --secret-id {1}{coordinate}`, or in the console under \
             Secrets Manager, region {0}",
            it.region, it.name_prefix
        ),
        Some(Backend::AwsParameterStore(it)) => format!(
            "`aws ssm describe-parameters --region {0} --parameter-filters Key=Name,Values={1}{coordinate}`, or in \
             the console under Systems Manager, Parameter Store, region {0}",
            it.region, it.name_prefix
        ),
        Some(Backend::Azure(it)) => format!(
            "`az keyvault secret show --id {}/secrets/{} --query attributes`, or in the portal under the vault's \
             Secrets",
            it.vault_url.trim_end_matches('/'),
            name_in_azure(&it.prefix, coordinate)
        ),
        Some(Backend::Gcp(it)) => {
            let location = it.location.as_ref();
            let location = location.map_or_else(String::new, |it| format!(" --location {it}"));
            format!(
                "`gcloud secrets describe {}{coordinate} --project {}{location}`, or in the console under Secret \
                 Manager",
                it.prefix, it.project
            )
        }
        Some(Backend::Kubernetes(it)) => format!(
            "`kubectl --namespace {} describe secret {}`",
            it.namespace,
            name_in_kubernetes(coordinate)
        ),
        Some(Backend::Vault(it)) => {
            let namespace = it.namespace.as_ref();
            let namespace = namespace.map_or_else(String::new, |it| format!(" -namespace={it}"));
            format!(
                "`vault kv metadata get -address={}{namespace} -mount={} {}{coordinate}` (or `bao`), or in its web \
                 interface under {}/",
                it.address, it.mount, it.prefix, it.mount
            )
        }
        Some(Backend::Embedded(_)) | None => {
            "nowhere, since it is sealed in the store's own database, which has no console"
                .to_owned()
        }
    }
}
