//! The coordinator: plans, folds, schedules, journals and publishes. It never reads a source's content.
//!
//! Invariant: `plan`, `fold`, `scheduler`, `turn` and `lead` are pure; the other modules are thin shells around them.

pub mod admit;
pub mod claim;
pub mod driver;
pub mod fold;
pub mod journal;
pub mod lead;
pub mod plan;
pub mod publish;
pub mod redrive;
pub mod room;
pub mod rpc;
pub mod scheduler;
mod standing;
pub mod turn;
