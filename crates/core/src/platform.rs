//! Platforms whose secrets Cloakroom did not write: their database as a source of references, and
//! the names they gave to secrets in a manager.

mod named;
mod sightings;
mod source;
mod standing;

pub use named::*;
pub use sightings::*;
pub use source::*;
pub use standing::*;
