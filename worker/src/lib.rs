//! The worker: does what a coordinator leases to it. Read, frame, decode, transform, encode, stage.
//!
//! Invariant: an attempt leaves staged files behind only when it reports them. Everything here blocks but the agent.

pub mod agent;
pub mod alone;
pub mod attempt;
pub mod encode;
pub mod finish;
pub mod folders;
pub mod inspect;
pub mod parts;
pub mod phases;
pub mod pipeline;
pub mod quarantine;
pub mod read;
pub mod rejects;
pub mod session;
pub mod slots;
pub mod stage;
pub mod table;
pub mod verify;

mod fixture;
