//! Secrets whose recovery window is over and that a run could not remove for good.

use cloakroom_core::BackendId;

use crate::output::count;

/// What there is to say of them, for the page and for `status`.
pub fn in_words(number: u64, backend: &BackendId, because: Option<&str>) -> String {
    let secrets = count(number, "secret", "secrets");
    let because = because.map(|it| format!(": {it}")).unwrap_or_default();
    format!(
        "{secrets} on {backend} whose recovery window is over could not be removed for good{because}"
    )
}
