//! How the process ends: the exit codes, and errors that carry one.
//!
//! Invariant: every way out of a command is one of these codes; schedulers rely on them.

use std::process::ExitCode;

use batteuse_shared::report::{Reason, Report, RunState};

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// All went well.
    Ok = 0,
    /// Well, with rejects within tolerance.
    Rejects = 4,
    /// The run failed; it can be redriven, or run again.
    Failed = 8,
    /// Bad spec or refused input: mend it first.
    Refused = 12,
    /// A system cannot be reached.
    Unreachable = 16,
    /// Interrupted; it can be resumed.
    Interrupted = 130,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code as u8)
    }
}

/// An error and the code that the process ends with.
#[derive(Debug)]
pub struct Stop {
    /// The code.
    pub code: Code,
    /// What happened, where, what to do.
    pub error: anyhow::Error,
}

impl Stop {
    /// Bad spec or refused input.
    pub fn refused(error: impl Into<anyhow::Error>) -> Self {
        Self { code: Code::Refused, error: error.into() }
    }

    /// A system cannot be reached.
    pub fn unreachable(error: impl Into<anyhow::Error>) -> Self {
        Self { code: Code::Unreachable, error: error.into() }
    }

    /// The command did its work and the answer is bad.
    pub fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self { code: Code::Failed, error: error.into() }
    }
}

/// The code of a run that has ended.
pub fn of(report: &Report) -> Code {
    match (report.state, &report.reason) {
        (RunState::Succeeded, _) => Code::Ok,
        (RunState::SucceededWithRejects, _) => Code::Rejects,
        (_, Some(Reason::Refused { .. } | Reason::SourceChanged { .. })) => Code::Refused,
        _ => Code::Failed,
    }
}
