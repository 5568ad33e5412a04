//! The seam: what a range of bytes does to *every* state it may be entered in, without knowing which one is true.
//!
//! Invariant: exits and first boundaries equal those of the automaton run alone from each start state. Runs that meet in
//! one state at one offset stay together for ever, so each meeting leaves one run less to advance.

use batteuse_shared::span::{Exit, ExitMap, StateId};

use crate::automaton::Automaton;
use crate::scan;

/// Bytes of the first block after which runs are compared; blocks double from there.
const BLOCK_BYTES_MIN: usize = 64;
/// Largest block between comparisons.
const BLOCK_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Clone, Copy)]
struct Start {
    state: StateId,
    first: Option<u64>,
    run: usize,
}

/// All start states of a range, advanced in lockstep.
#[derive(Debug, Clone)]
pub struct Lockstep {
    starts: Vec<Start>,
    runs: Vec<StateId>,
    from: u64,
    at: u64,
    block: usize,
    merged_after: Option<u64>,
}

impl Lockstep {
    /// Runs from `starts`, all standing before the byte at `from`.
    #[must_use]
    pub fn new(starts: &[StateId], from: u64) -> Self {
        let each = |(run, &state): (usize, &StateId)| Start { state, first: None, run };
        Self {
            starts: starts.iter().enumerate().map(each).collect(),
            runs: starts.to_vec(),
            from,
            at: from,
            block: BLOCK_BYTES_MIN,
            merged_after: None,
        }
    }

    /// The offset before which every run stands.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Whether all runs have met and every first boundary is known: then one parse alone tells the rest.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.runs.len() == 1 && self.starts.iter().all(|s| s.first.is_some())
    }

    /// Bytes after which all runs had met, if they have and there were several.
    #[must_use]
    pub fn merged_after(&self) -> Option<u64> {
        self.merged_after
    }

    /// The first boundary met under start state `state`.
    #[must_use]
    pub fn first(&self, state: StateId) -> Option<u64> {
        self.starts.iter().find(|s| s.state == state).and_then(|s| s.first)
    }

    /// Advances over `bytes`, the first of which lies at [`Lockstep::at`]; stops early once settled.
    pub fn feed(&mut self, automaton: &Automaton, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.settled() {
            let (block, tail) = rest.split_at(self.block.min(rest.len()));
            self.advance(automaton, block);
            self.block = (self.block * 2).min(BLOCK_BYTES_MAX);
            rest = tail;
        }
    }

    /// Jumps to `at`, where a parse from a certain boundary found the merged run in `state`, and advances over `bytes`.
    pub fn resume(&mut self, automaton: &Automaton, state: StateId, at: u64, bytes: &[u8]) {
        debug_assert!(self.settled(), "only a settled seam may skip bytes");
        self.runs = vec![scan::advance(automaton, state, bytes, at)];
        self.at = at + bytes.len() as u64;
    }

    /// The exit map of the bytes from the start to [`Lockstep::at`].
    #[must_use]
    pub fn exits(&self) -> ExitMap {
        let exit = |s: &Start| (s.state, Exit { state: self.runs[s.run], first: s.first });
        ExitMap(self.starts.iter().map(exit).collect())
    }

    fn advance(&mut self, automaton: &Automaton, block: &[u8]) {
        for run in 0..self.runs.len() {
            let waiting = self.starts.iter().any(|s| s.run == run && s.first.is_none());
            if waiting {
                let (state, boundary) = scan::run(automaton, self.runs[run], block, self.at);
                self.runs[run] = state;
                for start in self.starts.iter_mut().filter(|s| s.run == run && s.first.is_none()) {
                    start.first = boundary;
                }
            } else {
                self.runs[run] = scan::advance(automaton, self.runs[run], block, self.at);
            }
        }
        self.at += block.len() as u64;
        self.merge();
    }

    /// Leaves one run for each state.
    fn merge(&mut self) {
        if self.runs.len() == 1 {
            return;
        }
        let mut kept: Vec<StateId> = Vec::with_capacity(self.runs.len());
        let place: Vec<usize> = self
            .runs
            .iter()
            .map(|state| {
                kept.iter().position(|k| k == state).unwrap_or_else(|| {
                    kept.push(*state);
                    kept.len() - 1
                })
            })
            .collect();
        for start in &mut self.starts {
            start.run = place[start.run];
        }
        self.runs = kept;
        if self.runs.len() == 1 {
            self.merged_after = Some(self.at - self.from);
        }
    }
}
