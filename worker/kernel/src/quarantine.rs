//! A range gone over and not parsed: what is told of records that are set aside because they kill whoever parses them.
//!
//! Invariant: first boundary, span, exits and counts of records and lines are those of [`crate::partition`]'s parse of the same plan.
//! They are found by [`Automaton::step`] alone, one byte at a time: no index, no vector instruction, no buffer that grows with a record,
//! so whatever dies of the range elsewhere is not met here.

use batteuse_shared::span::{Exit, ExitMap, Span, StateId};
use batteuse_shared::table::{Checksum, Counts};
use batteuse_shared::task::Seam;
use sha2::{Digest as _, Sha256};

use crate::automaton::{Automaton, COMMENT, CR_SEEN, RECORD_START, at_mark, base, open};
use crate::partition::Plan;

/// What a range that is set aside is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The first boundary in the range under the start state taken.
    pub first: Option<u64>,
    /// The span; empty at the range's end when `first` is none.
    pub span: Span,
    /// Exits of the range.
    pub exits: ExitMap,
    /// Counts over the span: all records that were read are quarantined.
    pub counts: Counts,
    /// How the start was known.
    pub seam: Seam,
    /// sha256 of the span's bytes.
    pub sha256: Checksum,
}

/// A start state, and what became of it.
#[derive(Debug, Clone, Copy)]
struct Start {
    state: StateId,
    first: Option<u64>,
    /// Index of the run that it has become a part of.
    run: usize,
}

/// A machine that is fed a range's bytes.
#[derive(Debug)]
pub struct QuarantineScan {
    automaton: Automaton,
    range: Span,
    source_bytes: u64,
    record_bytes_max: u64,
    given: bool,
    /// The start state of the span; none before the byte that tells the guess.
    taken: Option<StateId>,
    /// Offset of the next byte.
    at: u64,
    starts: Vec<Start>,
    runs: Vec<StateId>,
    merged_after: Option<u64>,
    first: Option<u64>,
    /// Before the next byte of the span.
    state: StateId,
    after_cr: bool,
    ended: bool,
    counts: Counts,
    sha256: Sha256,
}

impl QuarantineScan {
    /// A machine at the start of the plan's range. Of the plan only dialect, range, start and cap count.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let automaton = Automaton::new(&plan.dialect, plan.record_bytes_max);
        let tried = plan.start.map_or_else(|| automaton.states(), |state| vec![state]);
        let start = |(run, &state): (usize, &StateId)| Start { state, first: None, run };
        Self {
            range: plan.range,
            source_bytes: plan.source_bytes,
            record_bytes_max: plan.record_bytes_max,
            given: plan.start.is_some(),
            taken: plan.start,
            // The byte before the range tells the guess.
            at: if plan.start.is_some() { plan.range.start } else { plan.range.start.saturating_sub(1) },
            starts: tried.iter().enumerate().map(start).collect(),
            runs: tried,
            merged_after: None,
            first: None,
            state: automaton.record_start(),
            after_cr: false,
            ended: false,
            counts: Counts::default(),
            sha256: Sha256::new(),
            automaton,
        }
    }

    /// Offset of the next byte that it wants; none when it is done.
    #[must_use]
    pub fn wants(&self) -> Option<u64> {
        let passed = self.first.is_none() && self.at >= self.range.end;
        let done = self.ended || passed || self.at >= self.source_bytes;
        (!done).then_some(self.at)
    }

    /// Takes the bytes from [`QuarantineScan::wants`] on, as far as it wants them.
    pub fn feed(&mut self, bytes: &[u8]) {
        let begun = self.at;
        for &byte in bytes {
            if self.wants().is_none() {
                break;
            }
            self.take(byte);
        }
        // The span is what was taken last, and goes on at the next call.
        if let Some(first) = self.first {
            let taken = (self.at - begun) as usize;
            let of_span = first.max(begun) - begun;
            self.sha256.update(&bytes[of_span as usize..taken]);
        }
    }

    /// What was found, once it wants no more.
    #[must_use]
    pub fn done(self) -> Quarantined {
        debug_assert!(self.wants().is_none(), "the range and its last record were gone over");
        let b = self.range.end;
        let exit = |start: &Start| (start.state, Exit { state: self.runs[start.run], first: start.first });
        Quarantined {
            first: self.first,
            span: self.first.map_or(Span::new(b, b), |first| Span::new(first, self.at)),
            exits: ExitMap(self.starts.iter().map(exit).collect()),
            counts: Counts { quarantined: self.counts.read, ..self.counts },
            seam: Seam { given: self.given, merged_after: self.merged_after },
            sha256: Checksum(self.sha256.finalize().into()),
        }
    }

    fn take(&mut self, byte: u8) {
        if self.taken.is_none() {
            self.taken = Some(self.automaton.guess(byte));
        }
        if self.at < self.range.start {
            self.at += 1;
            return;
        }
        if self.at < self.range.end {
            self.follow(byte);
        } else if self.automaton.boundary(self.state, byte) {
            self.ended = true;
            return;
        }
        if self.first.is_some() {
            self.count(byte);
        }
        self.at += 1;
    }

    /// Every start state goes on by a byte of the range.
    fn follow(&mut self, byte: u8) {
        for start in self.starts.iter_mut().filter(|start| start.first.is_none()) {
            if self.automaton.boundary(self.runs[start.run], byte) {
                start.first = Some(self.at);
            }
        }
        if self.first.is_none() {
            self.first = self.starts.iter().find(|start| Some(start.state) == self.taken).and_then(|start| start.first);
        }
        for run in &mut self.runs {
            *run = self.automaton.step(*run, byte, self.at);
        }
        self.merge();
    }

    /// Leaves one run for each state: those that have met stay together.
    fn merge(&mut self) {
        let runs = &self.runs;
        if (1..runs.len()).all(|run| !runs[..run].contains(&runs[run])) {
            return;
        }
        let mut kept = runs.clone();
        kept.sort_unstable();
        kept.dedup();
        for start in &mut self.starts {
            start.run = kept.partition_point(|state| *state < runs[start.run]);
        }
        self.runs = kept;
        if self.runs.len() == 1 {
            self.merged_after = Some(self.at + 1 - self.range.start);
        }
    }

    /// Counts what a byte of the span begins or ends.
    fn count(&mut self, byte: u8) {
        let at_a_mark = self.at.is_multiple_of(self.record_bytes_max);
        let from = base(if at_a_mark { at_mark(self.state) } else { self.state });
        self.state = self.automaton.step(self.state, byte, self.at);
        let to = base(self.state);
        let of_cr_lf = byte == b'\n' && self.after_cr;
        if matches!(from, RECORD_START | CR_SEEN) {
            self.counts.comment += u64::from(to == COMMENT);
            self.counts.read += u64::from(open(to));
            self.counts.blank += u64::from(to != COMMENT && !open(to) && !of_cr_lf);
        }
        self.counts.lines += u64::from(matches!(byte, b'\n' | b'\r') && !of_cr_lf);
        self.after_cr = byte == b'\r';
    }
}
