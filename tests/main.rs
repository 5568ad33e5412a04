//! The one integration-test binary.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "support functions of tests start processes, wait and unwrap"
)]

mod alone;
mod chaos;
mod cli;
mod corpus;
mod flow;
mod oracle;
mod readers;
mod recovery;
mod seams;
mod servers;
mod simulation;
mod stores;
mod support;
mod tidy;
mod turmoil;
