//! Secrets that an update lets go although nobody could see them in what was stored.

use serde_json::Value;

use super::previous::Stored;
use super::refused;
use crate::config::pointer::lookup;
use crate::error::Result;

/// Refuses to let go of a secret whose node the stored document lost, unless something is said at its
/// place: whoever read that document and left the field out did not know of it. `losses` are indices
/// into what was held.
pub(super) fn refuse_unseen_losses(
    config: &Value,
    losses: &[usize],
    stored: &Stored<'_>,
) -> Result<()> {
    let unseen = losses
        .iter()
        .filter(|index| stored.nodes[**index].is_none());
    for index in unseen {
        let pointer = stored.held[*index].pointer.as_str();
        let a_mask_keeps_it = stored.a_mask_keeps(*index);
        let message = match lookup(config, pointer) {
            None if a_mask_keeps_it => {
                "a secret is recorded here whose node the stored document lost; send a mask to keep it, \
                 its value, or null to let it go"
            }
            None => {
                "a secret is recorded here whose node the stored document lost, in an array, so that it may \
                 be another element's; send its value, or null to let it go"
            }
            Some(said) if stored.value(pointer) == Some(said) && a_mask_keeps_it => {
                "a secret is recorded here whose node the stored document lost, and this is what stands \
                 there instead; send a mask to keep the secret, or its value"
            }
            Some(said) if stored.value(pointer) == Some(said) => {
                "a secret is recorded here whose node the stored document lost, and this is what stands \
                 there instead; send its value"
            }
            Some(_) => continue,
        };
        return Err(refused(pointer, message));
    }
    Ok(())
}
