//! Platforms whose secrets Cloakroom did not write: their database as a source of references, and
//! the names they gave to secrets in a manager.

mod adoption;
mod migrations;
mod moves;
mod named;
mod naming;
mod removals;
mod secret_name;
mod sightings;
mod source;
mod standing;

pub use adoption::*;
pub use migrations::*;
pub use moves::*;
pub use named::*;
pub use naming::*;
pub use removals::*;
pub use secret_name::*;
pub use sightings::*;
pub use source::*;
pub use standing::*;
