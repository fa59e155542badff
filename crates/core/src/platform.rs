//! Platforms whose secrets Cloakroom did not write: their database as a source of references, and
//! the names they gave to secrets in a manager.

mod adoption;
mod named;
mod removals;
mod sightings;
mod source;
mod standing;

pub use adoption::*;
pub use named::*;
pub use removals::*;
pub use sightings::*;
pub use source::*;
pub use standing::*;
