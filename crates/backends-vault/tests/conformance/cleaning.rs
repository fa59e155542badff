//! The policy for whoever cleans what a platform wrote: enough for that and for nothing else, and each
//! right of it is needed.

use std::time::Duration;

use cloakroom_core::platform::NamedSecrets;
use cloakroom_core::{DeleteMode, ErrorKind, Result, SecretBackend as _};
use cloakroom_testkit::canary::marked;

use crate::server::{Place, backend};

const POLICY: &str = include_str!("../../../../deploy/policies/airbyte/vault-clean.hcl");

/// What a clean-up asks of a manager, in the order of its policy's rights.
const STEPS: [&str; 6] = ["list", "describe", "delete", "restore", "lift", "purge"];

/// For how long what is deleted can be brought back.
const WINDOW: DeleteMode = DeleteMode::Recoverable(Duration::from_hours(7 * 24));

impl Place {
    /// What has the name expires an hour after it is written or brought back from now on.
    pub(crate) async fn expire(&self, name: &str) {
        let path = format!("{}/metadata/{}{name}", self.mount, self.prefix);
        let notes = r#"{"delete_version_after":"1h"}"#;
        self.server.done("POST", &path, notes).await;
    }

    /// What has the name, in its first version, expires an hour from now.
    async fn let_expire(&self, name: &str) {
        self.expire(name).await;
        self.undelete(name).await;
    }

    /// Brings back what has the name, in its first version, as others do.
    pub(crate) async fn undelete(&self, name: &str) {
        let path = format!("{}/undelete/{}{name}", self.mount, self.prefix);
        self.server.done("POST", &path, r#"{"versions":[1]}"#).await;
    }

    /// Airbyte's policy as an operator writes it for this place, without the right that a line grants.
    async fn cleaner(
        &self,
        name: &str,
        without: Option<(&str, &str)>,
    ) -> cloakroom_backends_vault::VaultBackend {
        let mut policy = POLICY
            .replace("MOUNT", &self.mount)
            .replace("PREFIX", &self.prefix);
        if let Some((grants, instead)) = without {
            assert!(policy.contains(grants), "{grants} is not in the policy");
            policy = policy.replace(grants, instead);
        }
        self.server.policy(name, &policy).await;
        let mut settings = self.settings(self.token(name).await);
        settings.purge_delay = Duration::ZERO;
        backend(settings)
    }
}

/// Each step of a clean-up on a secret of the platform's, which is there before and behind each.
async fn steps(
    place: &Place,
    platform: &dyn NamedSecrets,
    cleaner: &dyn NamedSecrets,
    name: &str,
) -> Vec<Result<()>> {
    let names = [name.to_owned()];
    let mut ended = vec![
        cleaner.list_named(None).await.map(drop),
        cleaner.describe_named(&names).await.remove(0).map(drop),
        cleaner.delete_named(name, WINDOW, None).await.map(drop),
    ];
    platform.delete_named(name, WINDOW, None).await.unwrap();
    ended.push(cleaner.restore_named(name).await);
    platform.restore_named(name).await.unwrap();
    place.let_expire(name).await;
    ended.push(cleaner.lift_expiry_named(name).await);
    let purged = cleaner.delete_named(name, DeleteMode::Final, None).await;
    ended.push(purged.map(drop));
    ended
}

pub(crate) async fn a_clean_up_needs_its_policy_and_no_more(place: &Place) -> Result<()> {
    let platform = place.backend(|it| it.purge_delay = Duration::ZERO).await;
    let platform = platform.named().unwrap();
    let value = marked("a value");
    let (name, other) = ("airbyte_cleaned_v1", "somebody-elses");
    for name in [name, other] {
        platform.put_named(name, &value).await?;
    }
    place.expire(name).await;
    let whole = place.cleaner("clean", None).await;
    let cleaner = whole.named().unwrap();
    for (step, ended) in STEPS
        .iter()
        .zip(steps(place, platform, cleaner, name).await)
    {
        assert!(ended.is_ok(), "{step}: {ended:?}");
    }
    platform.put_named(name, &value).await?;
    let names = [name.to_owned(), other.to_owned()];
    let listed = cleaner.list_named(None).await?.secrets;
    assert_eq!(listed, platform.list_named(None).await?.secrets);
    let mut refused: Vec<Result<()>> = cleaner
        .read_named(&names)
        .await
        .into_iter()
        .map(|it| it.map(drop))
        .collect();
    refused.push(cleaner.put_named("airbyte_new_v1", &value).await);
    refused.push(cleaner.delete_named(other, WINDOW, None).await.map(drop));
    refused.push(
        cleaner
            .delete_named(other, DeleteMode::Final, None)
            .await
            .map(drop),
    );
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
    }
    let read = platform.read_named(&names).await;
    assert!(read.into_iter().all(|it| it.is_ok_and(|it| it == value)));

    // Each step's path and rights, what is left of them without it, and what else that takes away.
    let path = |part: &str, rights: &str| {
        let base = format!("{}/{part}/{}airbyte_*", place.mount, place.prefix);
        format!("path \"{base}\" {{\n  capabilities = [{rights}]")
    };
    let all = r#""read", "update", "list", "delete""#;
    for (missed, part, rights, left, too) in [
        ("delete", "delete", r#""update""#, r#""deny""#, ""),
        ("restore", "undelete", r#""update""#, r#""deny""#, "lift"),
        (
            "lift",
            "metadata",
            all,
            r#""read", "list", "delete""#,
            "restore",
        ),
        ("purge", "metadata", all, r#""read", "update", "list""#, ""),
    ] {
        place.expire(name).await;
        let (grants, instead) = (path(part, rights), path(part, left));
        let policy = format!("clean-without-{missed}");
        let poorer = place.cleaner(&policy, Some((&grants, &instead))).await;
        let ended = steps(place, platform, poorer.named().unwrap(), name).await;
        for (step, ended) in STEPS.iter().zip(ended) {
            let kind = ended.err().map(|error| error.kind());
            let expected = [missed, too].contains(step).then_some(ErrorKind::Denied);
            assert_eq!(kind, expected, "{step} without {missed}");
        }
        platform.put_named(name, &value).await?;
    }
    Ok(())
}
