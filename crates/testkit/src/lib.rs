//! Conformance suites, fault injection and parameters for tests; never a normal dependency.
#![doc = include_str!("../README.md")]

pub mod airbyte;
pub mod canary;
pub mod clock;
pub mod conformance;
pub mod elsewhere;
pub mod fault;
pub mod faults;
pub mod memory;
pub mod named;
pub mod openmetadata;
pub mod proxy;
pub mod randomness;
pub mod silent;

pub use canary::{Canaries, Sighting};
pub use clock::ManualClock;
pub use fault::{Fault, FaultRates, FaultRecord, FaultyBackend};
pub use memory::MemoryBackend;
pub use randomness::SeededRandomness;
pub use silent::SilentProxy;
