//! The vocabulary of batteuse: the types that cross a process boundary or are persisted, and nothing else.
//!
//! Invariant: no I/O, no async, no clock, no logging. Everything here is a plain value with a serde form.

pub mod format;
pub mod hive;
pub mod ids;
pub mod layout;
pub mod limits;
pub mod location;
pub mod manifest;
pub mod mutants;
pub mod report;
pub mod span;
pub mod spec;
pub mod status;
pub mod table;
pub mod task;
pub mod time;
