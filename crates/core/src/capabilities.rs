//! What a manager can do, said before it is asked.

mod names;

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use crate::backend::Operation;
use crate::budget::RequestClass;

pub use names::{Characters, CoordinateName, NameFault, NameRules, NameShape};

/// What happens to a value when its native expiry passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NativeExpiry {
    /// The manager deletes it.
    Deletes,
    /// The manager stops giving it out.
    Hides,
    /// The manager only says so.
    Advises,
    /// There is none.
    Absent,
}

/// The order in which a manager lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListOrder {
    /// By coordinate, byte by byte, so that a listing can be merged with the ledger.
    Coordinate,
    /// In an order of its own.
    Unspecified,
}

/// The recovery a deletion leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// The shortest window the manager takes.
    pub shortest: Duration,
    /// The longest window the manager takes.
    pub longest: Duration,
}

/// Published rates, in requests a second; `None` where nothing is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Puts.
    pub write: Option<f64>,
    /// Gets.
    pub read: Option<f64>,
    /// Describes.
    pub describe: Option<f64>,
    /// Pages of a listing.
    pub list: Option<f64>,
    /// Deletions and restorations.
    pub delete: Option<f64>,
    /// Classes that the manager counts together: each is given the same rate, and they use it up together.
    pub together: &'static [&'static [RequestClass]],
}

impl Rates {
    /// Nothing is published.
    pub const NONE: Self = Self {
        write: None,
        read: None,
        describe: None,
        list: None,
        delete: None,
        together: &[],
    };

    /// The classes that are counted with one of them, itself included.
    pub fn with(&self, class: RequestClass) -> impl Iterator<Item = RequestClass> {
        let together = self.together;
        RequestClass::ALL.into_iter().filter(move |other| {
            let both = |group: &&[RequestClass]| group.contains(&class) && group.contains(other);
            *other == class || together.iter().any(both)
        })
    }
}

/// Requests of one class that an operation sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Which rate they count against.
    pub class: RequestClass,
    /// How many. One that has a lower rate of its own counts as several.
    pub requests: u32,
    /// For so many secrets together.
    pub secrets: usize,
}

impl Sent {
    /// One request for each secret.
    pub const fn one(class: RequestClass) -> Self {
        Self::several(class, 1)
    }

    /// So many requests for each secret.
    pub const fn several(class: RequestClass, requests: u32) -> Self {
        Self {
            class,
            requests,
            secrets: 1,
        }
    }

    /// One request for so many secrets.
    pub const fn batched(class: RequestClass, secrets: usize) -> Self {
        Self {
            class,
            requests: 1,
            secrets,
        }
    }

    /// How many are sent for these secrets.
    pub fn requests_for(self, secrets: usize) -> u32 {
        let calls = secrets.div_ceil(self.secrets.max(1));
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        self.requests.saturating_mul(calls)
    }
}

/// What each operation sends where nothing comes between: a put finds its name free, everything else
/// finds the secret. The scarcest class comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Calls {
    /// A put.
    pub put: &'static [Sent],
    /// A put by a platform's name.
    pub put_named: &'static [Sent],
    /// A get of one.
    pub get: &'static [Sent],
    /// A get of many.
    pub get_many: &'static [Sent],
    /// A read by a platform's names.
    pub read_named: &'static [Sent],
    /// A description.
    pub describe: &'static [Sent],
    /// What is sent besides for each secret whose description is that it is missing.
    pub describe_missing: &'static [Sent],
    /// What is sent besides for each secret that is described by a platform's name.
    pub describe_named_each: &'static [Sent],
    /// A page of the listing.
    pub list: &'static [Sent],
    /// What is sent besides for each secret on a page.
    pub list_each: &'static [Sent],
    /// A deletion that can be taken back.
    pub delete: &'static [Sent],
    /// A deletion for good, and a purge.
    pub delete_finally: &'static [Sent],
    /// A restoration.
    pub restore: &'static [Sent],
    /// Taking an expiry off.
    pub lift_expiry: &'static [Sent],
}

impl Calls {
    /// One request for each secret, of the operation's own class.
    pub const ONE: Self = Self {
        put: &[Sent::one(RequestClass::Write)],
        put_named: &[Sent::one(RequestClass::Write)],
        get: &[Sent::one(RequestClass::Read)],
        get_many: &[Sent::one(RequestClass::Read)],
        read_named: &[Sent::one(RequestClass::Read)],
        describe: &[Sent::one(RequestClass::Describe)],
        describe_missing: &[],
        describe_named_each: &[],
        list: &[Sent::one(RequestClass::List)],
        list_each: &[],
        delete: &[Sent::one(RequestClass::Delete)],
        delete_finally: &[Sent::one(RequestClass::Delete)],
        restore: &[Sent::one(RequestClass::Delete)],
        lift_expiry: &[Sent::one(RequestClass::Write)],
    };

    /// What one operation by a coordinate sends.
    pub fn of(&self, operation: Operation) -> &'static [Sent] {
        match operation {
            Operation::Put => self.put,
            Operation::Get => self.get,
            Operation::Describe => self.describe,
            Operation::List => self.list,
            Operation::Delete => self.delete,
            Operation::DeleteFinally => self.delete_finally,
            Operation::Restore => self.restore,
            Operation::LiftExpiry => self.lift_expiry,
        }
    }
}

/// What a backend can do. What it cannot answers [`ErrorKind::Unsupported`](crate::ErrorKind).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Capabilities {
    /// Smallest value, in bytes.
    pub least_bytes: usize,
    /// Largest value, in bytes.
    pub most_bytes: usize,
    /// Whether values that are not UTF-8 are kept exactly.
    pub binary: bool,
    /// Longest coordinate, in bytes.
    pub longest_name: usize,
    /// Which names the manager itself takes.
    pub names: NameRules,
    /// What the name of every secret of the backend's begins with.
    pub name_prefix: Cow<'static, str>,
    /// Values put by one call of a batched put; 1 where there is no batch.
    pub put_batch: usize,
    /// Values read by one call of a batched get; 1 where there is no batch.
    pub get_batch: usize,
    /// Secrets described by one call; 1 where there is no batch.
    pub describe_batch: usize,
    /// Secrets deleted by one call; 1 where there is no batch.
    pub delete_batch: usize,
    /// Native expiry.
    pub native_expiry: NativeExpiry,
    /// Recovery after deletion, where there is one.
    pub recovery: Option<Recovery>,
    /// Whether a deletion can be for good at once. Where it cannot (purge protection), every deletion
    /// leaves the recovery, and a name is free again when that is over.
    pub final_deletion: bool,
    /// How long a change may take to show in the listing.
    pub listing_lag: Duration,
    /// The order of the listing.
    pub list_order: ListOrder,
    /// Whether a put on a taken name is refused by the manager itself.
    pub create_only: bool,
    /// Whether describing and listing need no right to read values.
    pub describe_without_reading: bool,
    /// Whether a deletion can carry a precondition.
    pub delete_precondition: bool,
    /// Published rates.
    pub rates: Rates,
    /// What counts against them.
    pub calls: Calls,
}

impl Capabilities {
    /// The name in the manager of what a platform calls `name`.
    ///
    /// # Errors
    /// Why no secret of the backend's can have it.
    pub fn written(&self, name: &str) -> Result<String, NameFault> {
        self.names.written(&self.name_prefix, name)
    }
}
