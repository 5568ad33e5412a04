//! Bugs planted on purpose, one at a time, for the simulation to find: what it cannot find it does not prove absent.
//!
//! Invariant: without the feature `mutants`, which only tests turn on, none is ever there and nothing is asked.

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// Who lost a slot of a journal goes on after it.
    NoFencing,
    /// Leases, acknowledgements and publishing come before the facts that justify them.
    ActBeforeJournal,
    /// The report of an attempt that nobody waits for is taken.
    StaleTokenAccepted,
    /// A slot that exists is taken for another writer's, without a look.
    ExistsIsLost,
    /// A slot that exists is taken for this writer's, without a look.
    ExistsIsWon,
    /// After an unclear reply the same facts are written as another slot.
    UnknownIsFailed,
    /// What an attempt had staged becomes visible when its worker goes.
    CompletedInDrop,
    /// A run is given up after it was decided.
    AbortAfterDecision,
    /// A slot of a journal is deleted while its run lives.
    LiveSlotDeleted,
    /// The start that an attempt took is not compared with the true one.
    FoldSkipped,
    /// Each range but the first begins one byte late.
    OffByOneTile,
    /// Types settle before every start is proven.
    UnprovenSummaries,
    /// A lease that was given back counts as a failure.
    PreemptionCounted,
    /// A full disk counts as a failure of the task.
    EnvironmentCounted,
    /// The finish task begins before the last partition is accepted.
    FinishEarly,
    /// A take-over begins no new epoch.
    EpochNotRaised,
    /// The staging folder is swept before its content is published.
    SweptEarly,
    /// `_SUCCESS` is written before the parts are there.
    SuccessEarly,
    /// The leases of a worker that is gone are kept.
    LeaseForEver,
    /// What an attempt that nobody waits for has staged is deleted.
    StaleIsGarbage,
    /// A failure is forgotten when a journal is read.
    FailureForgotten,
    /// The rest of a range that was given away is parsed by nobody.
    RestForgotten,
    /// A crash under a wrong guess of a range's start accuses the range.
    GuessAccuses,
    /// What kills a worker is tried on, and not in a process of its own.
    NeverAlone,
    /// A report about what a range was before its rest was given away is taken.
    OldRangeAccepted,
    /// A run that was paused is not, when its journal is read.
    PauseForgotten,
    /// A paused run leases on.
    LeasedWhilePaused,
}

/// All of them.
pub const ALL: [Mutant; 27] = [
    Mutant::NoFencing,
    Mutant::ActBeforeJournal,
    Mutant::StaleTokenAccepted,
    Mutant::ExistsIsLost,
    Mutant::ExistsIsWon,
    Mutant::UnknownIsFailed,
    Mutant::CompletedInDrop,
    Mutant::AbortAfterDecision,
    Mutant::LiveSlotDeleted,
    Mutant::FoldSkipped,
    Mutant::OffByOneTile,
    Mutant::UnprovenSummaries,
    Mutant::PreemptionCounted,
    Mutant::EnvironmentCounted,
    Mutant::FinishEarly,
    Mutant::EpochNotRaised,
    Mutant::SweptEarly,
    Mutant::SuccessEarly,
    Mutant::LeaseForEver,
    Mutant::StaleIsGarbage,
    Mutant::FailureForgotten,
    Mutant::RestForgotten,
    Mutant::OldRangeAccepted,
    Mutant::PauseForgotten,
    Mutant::LeasedWhilePaused,
    Mutant::NeverAlone,
    Mutant::GuessAccuses,
];

#[cfg(feature = "mutants")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in this thread, or takes it out.
#[cfg(feature = "mutants")]
pub fn plant(mutant: Option<Mutant>) {
    PLANTED.set(mutant);
}

/// Whether this bug is planted.
#[cfg(feature = "mutants")]
#[must_use]
pub fn planted(mutant: Mutant) -> bool {
    PLANTED.get() == Some(mutant)
}

/// Whether this bug is planted: never.
#[cfg(not(feature = "mutants"))]
#[must_use]
#[inline(always)]
pub fn planted(_: Mutant) -> bool {
    false
}
