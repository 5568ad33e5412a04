//! The wire between coordinator, workers and operators: the only crate that knows its form.
//!
//! Invariant: what passes a `TryFrom` here keeps every bound that its type promises; what does not is a [`WireError`]
//! that names the field, never a panic and never a default.
//!
//! It opens no connection. Whoever does sets [`batteuse_shared::limits::MESSAGE_BYTES_MAX`] on the generated clients and
//! servers, because tonic's own limit is 4 MiB, and checks [`PROTOCOL`] in the greeting.

pub mod control;
mod convert;
pub mod error;
pub mod messages;
pub mod pipe;
pub mod status;
#[cfg(test)]
mod tests;

pub use control::{Cancellation, RunList, Submission, WorkerList};
pub use error::{BadValue, WireError};
pub use messages::{CoordinatorSays, Hello, PROTOCOL, Progress, WorkerSays, wire_bytes};
pub use status::RunStatus;

/// Generated from `batteuse/v1/*.proto`: messages, clients and servers.
#[allow(missing_docs, clippy::all, clippy::too_many_lines, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("batteuse.v1");
}

/// The encoded `FileDescriptorSet` of `batteuse.v1`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("batteuse_descriptor");
