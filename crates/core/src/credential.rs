//! Credentials that are read when they are needed, so that a rotated one needs no restart.

use std::sync::Arc;

use crate::error::Result;
use crate::secret::SecretValue;

/// Where a credential is: an environment variable, a file, a constant.
///
/// Whoever uses one asks again whenever it is about to log in or a credential was refused, and
/// never keeps the answer for longer than the session made with it.
pub trait CredentialSource: Send + Sync {
    /// The credential as it is now. Fails with [`Denied`](crate::ErrorKind::Denied) where there is
    /// none, [`Unavailable`](crate::ErrorKind::Unavailable) where it cannot be read just now.
    fn read(&self) -> Result<SecretValue>;
}

/// A credential that never changes.
///
/// ```
/// use cloakroom_core::{CredentialSource, SecretValue};
/// let token = SecretValue::from("s.token".to_owned());
/// assert_eq!(token.read().unwrap(), token);
/// ```
impl CredentialSource for SecretValue {
    fn read(&self) -> Result<SecretValue> {
        Ok(self.clone())
    }
}

impl<S: CredentialSource + ?Sized> CredentialSource for Arc<S> {
    fn read(&self) -> Result<SecretValue> {
        (**self).read()
    }
}
