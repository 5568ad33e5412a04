//! One partition's life: waiting, leased, staged, proven, accepted.
//!
//! Invariant (SINGLE-DECISION): once accepted, the staged attempt never changes; another one may only hold its content. Pure.

use batteuse_shared::ids::AttemptId;
use batteuse_shared::mutants::{Mutant, planted};
use batteuse_shared::report::{BytesToMerge, Seams};
use batteuse_shared::span::{Exit, Span, StateId};
use batteuse_shared::table::{ColumnType, Counts};
use batteuse_shared::task::{Seam, StagedPart, StagedRejects, StagedTable};

use super::kept::{Exits, Kept, staged};
use crate::publish::Staged;

/// How a partition's true start was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    /// It was given to the first attempt that staged.
    Given,
    /// It was guessed.
    Guessed {
        /// Whether no attempt guessed wrong.
        right: bool,
        /// Bytes after which all start states had merged.
        merged_after: Option<u64>,
    },
}

/// A partition as the scheduler knows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Partition {
    /// Planned range.
    pub(super) range: Span,
    /// What is known of its exits: facts of the bytes, learned from every attempt.
    pub(super) exits: Exits,
    /// The current staged attempt.
    pub(super) staged: Option<(AttemptId, Box<Kept>)>,
    /// Whether the staged attempt's start is the true one.
    pub(super) proven: bool,
    /// Whether the staged attempt is accepted.
    pub(super) accepted: bool,
    /// The attempt whose staged parts are published in place of the accepted one's, which are lost.
    replaced_by: Option<AttemptId>,
    /// How its true start was met, once a staged attempt was compared with it.
    pub(super) met: Option<Met>,
    /// Whether it was parsed again for other types.
    pub(super) retyped: bool,
    /// Whether it is passed over unread.
    pub(super) quarantine: bool,
    /// Why; empty where it is not.
    pub(super) reason: String,
}

impl Partition {
    pub(super) fn new(range: Span) -> Self {
        Self {
            range,
            exits: Exits::default(),
            staged: None,
            proven: false,
            accepted: false,
            replaced_by: None,
            met: None,
            retyped: false,
            quarantine: false,
            reason: String::new(),
        }
    }

    /// What the map says about the true start `state`.
    pub(super) fn exit(&self, state: StateId) -> Option<Exit> {
        self.exits.exit(state)
    }

    /// Compares the staged start with the true one. A wrong guess, and an attempt that did not try the true start, are taken
    /// out: what they staged is returned.
    pub(super) fn prove(&mut self, state: StateId) -> Vec<Staged> {
        let Some((_, parsed)) = self.staged.as_ref().filter(|_| !self.proven) else { return Vec::new() };
        let right = planted(Mutant::FoldSkipped) || self.exit(state).is_some_and(|exit| parsed.first == exit.first);
        let met = match parsed.seam {
            Seam { given: true, .. } if right => Met::Given,
            Seam { merged_after, .. } => Met::Guessed { right, merged_after },
        };
        if right {
            // Later attempts, for other types, have their start given: they say nothing new.
            self.met.get_or_insert(met);
            self.proven = true;
            return Vec::new();
        }
        self.met = Some(met);
        self.take_out()
    }

    /// Whether it was parsed again for a wrong guess of its start.
    pub(super) fn guessed_wrong(&self) -> bool {
        matches!(self.met, Some(Met::Guessed { right: false, .. }))
    }

    /// Compares the staged types with the settled ones. Others are taken out: what they staged is returned.
    pub(super) fn fit(&mut self, types: &[ColumnType]) -> Vec<Staged> {
        let Some((_, parsed)) = &self.staged else { return Vec::new() };
        if !self.proven || parsed.types.as_deref() == Some(types) {
            return Vec::new();
        }
        self.retyped = true;
        self.take_out()
    }

    /// The attempt that holds the staged content.
    pub(super) fn holder(&self) -> Option<AttemptId> {
        self.replaced_by.or(self.staged.as_ref().map(|(attempt, _)| *attempt))
    }

    /// Lets `attempt` hold the content of the accepted one. Returned is what was staged before and is of no use: of several
    /// parts some may be there still.
    pub(super) fn replace(
        &mut self,
        attempt: AttemptId,
        parts: &[StagedPart],
        table: Option<&StagedTable>,
        rejects: Option<&StagedRejects>,
    ) -> Vec<Staged> {
        let Some((_, kept)) = self.staged.as_mut() else { return Vec::new() };
        self.replaced_by = Some(attempt);
        let before = std::mem::replace(&mut kept.parts, parts.into());
        kept.table = table.cloned().map(Box::new);
        let rejects = std::mem::replace(&mut kept.rejects, rejects.cloned().map(Box::new));
        // Of one part it is certain that it is gone.
        staged(if before.len() > 1 { &before } else { &[] }, rejects.as_deref())
    }

    /// Counts over what is staged.
    pub(super) fn counts(&self) -> Option<Counts> {
        self.staged.as_ref().map(|(_, kept)| kept.counts)
    }

    /// What was staged is returned.
    pub(super) fn take_out(&mut self) -> Vec<Staged> {
        self.proven = false;
        self.staged.take().map(|(_, kept)| kept.staged()).unwrap_or_default()
    }
}

/// How the true starts of `partitions` were met.
pub(super) fn seams(partitions: &[Partition]) -> Seams {
    let (mut seams, mut bytes) = (Seams::default(), Vec::new());
    for met in partitions.iter().filter_map(|p| p.met) {
        match met {
            Met::Given => seams.certain += 1,
            Met::Guessed { right, merged_after } => {
                seams.guessed_right += u64::from(right);
                seams.guessed_wrong += u64::from(!right);
                seams.never_merged += u64::from(merged_after.is_none());
                bytes.extend(merged_after);
            }
        }
    }
    seams.merged = bytes.len() as u64;
    seams.bytes_to_merge = BytesToMerge::of(bytes);
    seams
}
