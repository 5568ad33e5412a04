//! One partition's life: waiting, leased, staged, proven, accepted.
//!
//! Invariant (SINGLE-DECISION): once accepted, the staged attempt never changes. Pure.

use batteuse_shared::ids::AttemptId;
use batteuse_shared::span::{Exit, ExitMap, Span, StateId};
use batteuse_shared::table::ColumnType;
use batteuse_shared::task::Parsed;

/// A partition as the scheduler knows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Partition {
    /// Planned range.
    pub(super) range: Span,
    /// What is known of its exits: facts of the bytes, learned from every attempt.
    pub(super) exits: ExitMap,
    /// The current staged attempt.
    pub(super) staged: Option<(AttemptId, Box<Parsed>)>,
    /// Whether the staged attempt's start is the true one.
    pub(super) proven: bool,
    /// Whether the staged attempt is accepted.
    pub(super) accepted: bool,
    /// Whether it was parsed again for a wrong guess of its start.
    pub(super) guessed_wrong: bool,
    /// Whether it was parsed again for other types.
    pub(super) retyped: bool,
}

impl Partition {
    pub(super) fn new(range: Span) -> Self {
        Self {
            range,
            exits: ExitMap::default(),
            staged: None,
            proven: false,
            accepted: false,
            guessed_wrong: false,
            retyped: false,
        }
    }

    /// What the map says about the true start `state`.
    pub(super) fn exit(&self, state: StateId) -> Option<Exit> {
        self.exits.exit(state)
    }

    /// Compares the staged start with the true one. A wrong guess, and an attempt that did not try the true start, are taken
    /// out: their file names are returned.
    pub(super) fn prove(&mut self, state: StateId) -> Vec<String> {
        let Some((_, parsed)) = self.staged.as_ref().filter(|_| !self.proven) else { return Vec::new() };
        if self.exit(state).is_some_and(|exit| parsed.first == exit.first) {
            self.proven = true;
            return Vec::new();
        }
        self.guessed_wrong = true;
        self.take_out()
    }

    /// Compares the staged types with the settled ones. Others are taken out: their file names are returned.
    pub(super) fn fit(&mut self, types: &[ColumnType]) -> Vec<String> {
        let Some((_, parsed)) = &self.staged else { return Vec::new() };
        if !self.proven || parsed.types.as_deref() == Some(types) {
            return Vec::new();
        }
        self.retyped = true;
        self.take_out()
    }

    fn take_out(&mut self) -> Vec<String> {
        self.proven = false;
        self.staged.take().map(|(_, parsed)| keys(&parsed)).unwrap_or_default()
    }
}

/// Names of everything that an attempt staged.
pub(super) fn keys(parsed: &Parsed) -> Vec<String> {
    let part = parsed.part.iter().map(|p| p.key.clone());
    part.chain(parsed.rejects.iter().map(|r| r.key.clone())).collect()
}
