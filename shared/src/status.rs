//! How runs and workers stand, for operators: what a run waits for, what a worker has.
//!
//! Invariant: pictures of a moment; nothing is decided by them.

use serde::Serialize;

use crate::ids::WorkerId;
use crate::time::Millis;

/// What a run waits for that goes on with nothing else meanwhile, or with less than it could.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "for")]
pub enum Waits {
    /// For an operator: it is paused.
    Unpause,
    /// For a worker: there is none that takes leases.
    Worker,
    /// For a free slot.
    Slot {
        /// Runs whose turn comes before its.
        runs_before: u64,
    },
    /// For its disk, store or database, which failed it.
    Storage {
        /// The last failure, in words.
        message: String,
        /// Before this time it is not tried again.
        retry_at: Millis,
    },
    /// For connections to its database.
    Connections {
        /// How many it may have at once, all of which are in use.
        most: u32,
    },
}

/// How a worker stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerStatus {
    /// The worker.
    pub worker: WorkerId,
    /// Attempts that it can run at once.
    pub slots: u32,
    /// Leases that it holds.
    pub leases: u32,
    /// How long ago it was last heard. Milliseconds.
    pub silent_ms: u64,
    /// Whether its stream is open.
    pub connected: bool,
    /// Whether it takes no more leases: it was asked to drain, or leaves by itself.
    pub draining: bool,
    /// Whether it gets none for a while, because different tasks crashed on it.
    pub aside: bool,
}
