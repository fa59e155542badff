//! Platforms whose secrets somebody else wrote: how they are reached and cleaned, and how a report on
//! one reads.

mod destination;
mod holder;
mod openmetadata;
mod own_tables;
mod page;
mod progress;
mod shown;
mod source;
mod table;
mod view;
mod words;

#[cfg(test)]
mod tests;

pub(crate) use cloakroom_store_openmetadata::lists_tags;
pub(crate) use destination::{airbytes_prefix_of, demand_readable, prefix_of};
pub(crate) use holder::{Holder, Work, refuse_if_held};
pub(crate) use openmetadata::{manager, provider};
pub use openmetadata::{openmetadata, openmetadata_options};
pub use page::html;
pub use progress::PlatformProgress;
pub use source::{cleaner, neighbours, reader, reader_of};
pub use table::print;
pub use words::{put_off, title};
