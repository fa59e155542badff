//! Configurations and their specs: where secrets are, splitting, updating, hydrating, masking.
//!
//! A spec is compiled once ([`CompiledSpec`]); [`update`], [`mask`] and [`clear_text`] walk a
//! document along it in one pass, [`hydrate`] follows the references the document has recorded, once
//! [`check_nodes`] has found that its nodes are those.
//! Where the secrets of a document are that a platform wrote, [`platform_nodes`] and [`locate`] tell.
//! Errors name the JSON Pointer and never a value.

mod bounds;
mod clear_text;
mod held;
mod hydrate;
pub mod marks;
mod mask;
mod node;
mod numbers;
mod once;
mod parse;
mod platform;
mod pointer;
mod recorded;
mod spec;
mod update;

pub use bounds::MAX_DEPTH;
pub use clear_text::clear_text;
pub use held::Held;
pub use hydrate::{Revealed, hydrate};
pub use mask::{MASK, is_mask, mask};
pub use node::{EXTERNAL_PREFIX, node, nodes};
pub use parse::{MAX_TEXT, parse_document, parse_json};
pub use platform::{Located, PlatformNode, Registered, locate, platform_nodes};
pub use pointer::push_escaped;
pub use recorded::check_nodes;
pub use spec::CompiledSpec;
pub use update::{Action, Field, Options, Previous, Update, array_digest, update};
