//! The backend itself: the contract of `SecretBackend` over a vault.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::budget::RequestClass::{Delete, Describe, List, Read, Write};
use cloakroom_core::capabilities::{Calls, ListOrder, NativeExpiry, Rates, Recovery, Sent};
use cloakroom_core::coordinates::MAX_LENGTH;
use cloakroom_core::platform::NamedSecrets;
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind,
    ListPage, Operation, PageToken, Precondition, PutOutcome, PutRequest, Result, SecretBackend,
    StoredSecret,
};

use crate::failure::Failure;
use crate::name::{NAMES, name_of};
use crate::sdk::{Retention, Vault, Version};
use crate::settings::AzureSettings;

/// The largest value, in bytes.
pub(crate) const MOST_BYTES: usize = 25_600;

const DAY: Duration = Duration::from_hours(24);

/// Only a new version counts as a write. A vault deletes, purges and restores in some seconds, in which it
/// is asked how far it is with pauses that double: four times a step is what that comes to.
const CALLS: Calls = Calls {
    put: &[
        Sent::one(Write),
        Sent::one(Read),
        Sent::several(Describe, 3),
    ],
    put_named: &[Sent::one(Write), Sent::one(Read), Sent::one(Describe)],
    delete: &[Sent::several(Delete, 5)],
    delete_finally: &[Sent::several(Delete, 9)],
    restore: &[Sent::several(Delete, 5)],
    lift_expiry: &[
        Sent::one(Write),
        Sent::one(Read),
        Sent::several(Describe, 2),
    ],
    ..Calls::ONE
};

/// Secrets in one Azure Key Vault, under names that begin with one prefix.
///
/// Values are text of 0 to 25,600 bytes. A vault cannot refuse a put on a taken name, so a put looks,
/// sets a disabled version, looks again and enables it once nobody else can enable theirs: five
/// requests, and more where writers meet. README and `docs/backends/azure.md` say what follows from that.
pub struct AzureBackend {
    pub(crate) id: BackendId,
    pub(crate) vault: Vault,
    pub(crate) settings: AzureSettings,
    manager: String,
    capabilities: Capabilities,
    /// What the vault last said of its deletions; it knows better than the settings.
    retention: Mutex<Option<Retention>>,
}

impl AzureBackend {
    /// The backend called `id`. Nothing is asked of vault or login yet.
    ///
    /// # Errors
    /// `Invalid` where the settings cannot be right.
    pub fn new(id: BackendId, settings: AzureSettings) -> Result<Self> {
        let named = |error: Error| error.with_backend(&id);
        settings.validate().map_err(named)?;
        let vault = Vault::new(&settings).map_err(named)?;
        Ok(Self {
            manager: format!(
                "azure key vault {} prefix {:?}",
                vault.url(),
                settings.prefix
            ),
            capabilities: capabilities(&settings),
            vault,
            settings,
            id,
            retention: Mutex::default(),
        })
    }

    /// The name that a coordinate has in the vault.
    ///
    /// ```
    /// use cloakroom_backends_azure::{AzureBackend, AzureSettings};
    /// use cloakroom_core::Coordinate;
    ///
    /// let settings = AzureSettings::new("https://example.vault.azure.net");
    /// let backend = AzureBackend::new("azure".parse()?, settings)?;
    /// let ids = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6_secret_0191d3f0-0000-7000-8000-0000000000ff";
    /// let coordinate = Coordinate::from_stored(&format!("airbyte_workspace_{ids}_v1"))?;
    /// assert_eq!(backend.secret_name(&coordinate), coordinate.as_str().replace('_', "-"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn secret_name(&self, coordinate: &Coordinate) -> String {
        name_of(&self.settings.prefix, coordinate)
    }

    /// Takes over what an answer says of the vault's deletions.
    pub(crate) fn learn(&self, version: &Version) {
        *self
            .retention
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(version.retention);
    }

    pub(crate) fn retention(&self) -> Option<Retention> {
        *self
            .retention
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// An error of this backend's about one secret.
    pub(crate) fn error<'a>(
        &'a self,
        operation: &'static str,
        name: &'a impl std::fmt::Display,
    ) -> impl FnOnce(Failure) -> Error + 'a {
        move |failure| {
            let error = failure.to_error(operation).with_backend(&self.id);
            error.with_coordinate(name)
        }
    }
}

fn capabilities(settings: &AzureSettings) -> Capabilities {
    let retention = DAY * u32::from(settings.retention_days);
    Capabilities {
        least_bytes: 0,
        most_bytes: MOST_BYTES,
        binary: false,
        longest_name: MAX_LENGTH,
        names: NAMES,
        name_prefix: settings.prefix.clone().into(),
        put_batch: 1,
        get_batch: 1,
        describe_batch: 1,
        delete_batch: 1,
        native_expiry: NativeExpiry::Advises,
        // The vault's own window is the only one there is.
        recovery: Some(Recovery {
            shortest: retention,
            longest: retention,
        }),
        final_deletion: !settings.purge_protection,
        listing_lag: Duration::ZERO,
        list_order: ListOrder::Unspecified,
        create_only: false,
        describe_without_reading: true,
        delete_precondition: false,
        // 300 new versions in 10 seconds, and 4,000 other transactions, whatever they do.
        rates: Rates {
            write: Some(30.0),
            read: Some(400.0),
            describe: Some(400.0),
            list: Some(400.0),
            delete: Some(400.0),
            together: &[&[Read, Describe, List, Delete]],
        },
        calls: CALLS,
    }
}

impl std::fmt::Debug for AzureBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureBackend")
            .field("id", &self.id)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SecretBackend for AzureBackend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn manager(&self) -> &str {
        &self.manager
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn named(&self) -> Option<&dyn NamedSecrets> {
        Some(self)
    }

    /// The data actions of a role. With access policies instead of roles they are called Get, List,
    /// Set, Delete, Recover and Purge.
    fn permissions(&self, operation: Operation) -> &'static [&'static str] {
        match operation {
            Operation::Put | Operation::LiftExpiry => &[
                "Microsoft.KeyVault/vaults/secrets/getSecret/action",
                "Microsoft.KeyVault/vaults/secrets/setSecret/action",
                "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
                "Microsoft.KeyVault/vaults/secrets/update/action",
            ],
            Operation::Get => &[
                "Microsoft.KeyVault/vaults/secrets/getSecret/action",
                "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
            ],
            Operation::Describe | Operation::List => {
                &["Microsoft.KeyVault/vaults/secrets/readMetadata/action"]
            }
            Operation::Delete => &[
                "Microsoft.KeyVault/vaults/secrets/delete",
                "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
            ],
            Operation::DeleteFinally => &[
                // Whether it waits, and can be purged.
                "Microsoft.KeyVault/vaults/secrets/getSecret/action",
                "Microsoft.KeyVault/vaults/secrets/delete",
                "Microsoft.KeyVault/vaults/secrets/purge/action",
                "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
            ],
            Operation::Restore => &[
                "Microsoft.KeyVault/vaults/secrets/recover/action",
                "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
            ],
        }
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        let coordinate = &request.mark.coordinate;
        let put = self.try_put(request).await;
        put.map_err(self.error("put", coordinate))
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        let found = self.try_get(coordinate).await;
        found.map_err(self.error("get", coordinate))
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        let described = self.try_describe(coordinate).await;
        described.map_err(self.error("describe", coordinate))
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        let listed = self.try_list(page).await;
        listed.map_err(|failure| failure.to_error("list").with_backend(&self.id))
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let deleted = if precondition.is_some() {
            Err(Failure::new(
                ErrorKind::Unsupported,
                "a key vault's deletions take no precondition",
            ))
        } else {
            self.try_delete(&self.secret_name(coordinate), mode).await
        };
        deleted.map_err(self.error("delete", coordinate))
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        let restored = self.try_restore(&self.secret_name(coordinate)).await;
        restored.map_err(self.error("restore", coordinate))
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        let lifted = self.try_lift_expiry(coordinate).await;
        lifted.map_err(self.error("lift the expiry of", coordinate))
    }
}
