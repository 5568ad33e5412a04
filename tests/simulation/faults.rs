//! What goes wrong, by chance drawn from the seed, and how often each did.

use std::collections::BTreeMap;

use crate::recovery::Chance;

/// A fault that the simulation injects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A write is applied or not, now or later, and its reply is lost.
    ReplyLost,
    /// A write is refused.
    NotWritten,
    /// A read gets no answer.
    StoreSilent,
    /// The disk of the output fails.
    FolderFails,
    /// What was staged for a decided run goes away.
    StagedVanishes,
    /// A worker is killed.
    WorkerKilled,
    /// A worker is stopped and goes on later.
    WorkerPaused,
    /// A worker is asked to leave.
    WorkerLeaves,
    /// An attempt does nothing any more, and its worker's heartbeats go on.
    AttemptHangs,
    /// An attempt takes much longer than others.
    AttemptSlow,
    /// The rest of a range is given away; what comes of a slow attempt, and not injected.
    RangeSplit,
    /// A second attempt is begun beside another; the same.
    BackedUp,
    /// An attempt dies of a record, with its worker or alone; what is in the source, and not injected.
    Poisoned,
    /// An attempt panics.
    AttemptCrashes,
    /// An attempt finds its disk full.
    AttemptStalls,
    /// A coordinator is killed before its append.
    KilledBeforeAppend,
    /// A coordinator is killed between its append and what follows.
    KilledAfterAppend,
    /// A coordinator is killed between two actions.
    KilledBetweenActions,
    /// A coordinator is killed while it publishes.
    KilledInPublishing,
    /// A coordinator is stopped and goes on later.
    CoordinatorPaused,
    /// A coordinator is asked to leave.
    CoordinatorLeaves,
    /// A stream breaks, and both sides notice at different times.
    StreamBreaks,
    /// Nothing that is said in one direction arrives for a while.
    DirectionCut,
    /// A report is told twice.
    ToldTwice,
    /// An operator gives a run up.
    Cancelled,
    /// An operator holds a run, and lets it go on later.
    RunPaused,
    /// An operator wants a worker to leave, and tells its coordinator.
    WorkerDrained,
    /// An operator lets a run that failed go on, with what killed mended; when no faults come any more, and not injected.
    Redriven,
}

/// All of them.
pub const ALL: [Fault; 28] = [
    Fault::ReplyLost,
    Fault::NotWritten,
    Fault::StoreSilent,
    Fault::FolderFails,
    Fault::StagedVanishes,
    Fault::WorkerKilled,
    Fault::WorkerPaused,
    Fault::WorkerLeaves,
    Fault::AttemptHangs,
    Fault::AttemptSlow,
    Fault::RangeSplit,
    Fault::BackedUp,
    Fault::Poisoned,
    Fault::AttemptCrashes,
    Fault::AttemptStalls,
    Fault::KilledBeforeAppend,
    Fault::KilledAfterAppend,
    Fault::KilledBetweenActions,
    Fault::KilledInPublishing,
    Fault::CoordinatorPaused,
    Fault::CoordinatorLeaves,
    Fault::StreamBreaks,
    Fault::DirectionCut,
    Fault::ToldTwice,
    Fault::Cancelled,
    Fault::RunPaused,
    Fault::WorkerDrained,
    Fault::Redriven,
];

/// Which faults there are in one simulation, and how often they came.
#[derive(Default)]
pub struct Faults {
    pub chance: Chance,
    /// One in so many chances; none where it never comes.
    one_in: BTreeMap<Fault, u64>,
    stopped: bool,
    pub came: BTreeMap<Fault, u64>,
}

impl Faults {
    /// Of a seed: each fault is there or not, and if so more or less often.
    pub fn draw(chance: &mut Chance) -> Self {
        let mut one_in = BTreeMap::new();
        let calm = chance.below(8) == 0;
        for fault in ALL {
            let rare = match fault {
                Fault::RangeSplit | Fault::BackedUp | Fault::Poisoned | Fault::Redriven => continue,
                Fault::Cancelled => 400,
                Fault::AttemptHangs
                | Fault::AttemptCrashes
                | Fault::WorkerLeaves
                | Fault::WorkerDrained
                | Fault::RunPaused
                | Fault::CoordinatorLeaves => 60,
                _ => 12,
            };
            if chance.below(2) == 0 && !calm {
                one_in.insert(fault, rare * [1, 3, 10][chance.below(3) as usize]);
            }
        }
        Self { chance: Chance(chance.below(u64::MAX)), one_in, stopped: false, came: BTreeMap::new() }
    }

    /// Whether it comes now.
    pub fn befalls(&mut self, fault: Fault) -> bool {
        let comes = !self.stopped && self.one_in.get(&fault).is_some_and(|one_in| self.chance.below(*one_in) == 0);
        if comes {
            self.count(fault);
        }
        comes
    }

    /// It came of itself.
    pub fn count(&mut self, fault: Fault) {
        *self.came.entry(fault).or_default() += 1;
    }

    /// None comes any more.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    pub fn stopped(&self) -> bool {
        self.stopped
    }
}
