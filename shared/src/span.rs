//! Byte ranges, automaton states seen from outside, and the exit map that the fold composes.
//!
//! Invariant: offsets are absolute in the source, counted in bytes, `start <= end`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A half-open range of bytes `[start, end)` of the source: a partition's range, or a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl Span {
    /// `[start, end)`.
    #[must_use]
    pub fn new(start: u64, end: u64) -> Self {
        debug_assert!(start <= end, "a span runs forward");
        Self { start, end }
    }

    /// Length in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.end - self.start
    }

    /// Whether no byte lies in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A state of the kernel's automaton, opaque to everybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StateId(pub u8);

/// What one start state does over a partition's range `[a, b)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The state before byte `b`.
    pub state: StateId,
    /// The first boundary in `[a, b)`, if there is one.
    pub first: Option<u64>,
}

/// The exit of a partition's range under every start state that was tried.
///
/// A fact about the bytes alone: two attempts at one range never disagree on an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitMap(pub BTreeMap<StateId, Exit>);

impl ExitMap {
    /// The exit under start state `start`, if it was tried.
    #[must_use]
    pub fn exit(&self, start: StateId) -> Option<Exit> {
        self.0.get(&start).copied()
    }

    /// Adds the entries of `other`.
    pub fn learn(&mut self, other: &ExitMap) {
        for (&start, &exit) in &other.0 {
            let known = self.0.insert(start, exit);
            debug_assert!(known.is_none_or(|k| k == exit), "exit maps are facts of the bytes");
        }
    }
}
