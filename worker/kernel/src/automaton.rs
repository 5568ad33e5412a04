//! The sequential parse, defined: a byte-at-a-time automaton. It is the specification, and the oracle of every faster path, for ever.
//!
//! Invariant: the next state is a function of state, byte and offset alone, so a range of bytes is a map from states to states.
//! Literal quoting: a quote is special only at the start of a field; in a quoted field `""` is one quote; after a closing
//! quote any other byte continues the field unquoted (the rule of rust-csv and of Python's csv). It decodes nothing.

use batteuse_shared::span::StateId;
use batteuse_shared::spec::Dialect;

use crate::scan::Skip;

/// Base states. The lower four bits of a [`StateId`]; bit 4 is the *crossed* bit.
pub(crate) const RECORD_START: u8 = 0;
pub(crate) const FIELD_START: u8 = 1;
pub(crate) const UNQUOTED: u8 = 2;
pub(crate) const QUOTED: u8 = 3;
pub(crate) const QUOTE_SEEN: u8 = 4;
pub(crate) const CR_SEEN: u8 = 5;
pub(crate) const ESCAPE_SEEN: u8 = 6;
pub(crate) const COMMENT: u8 = 7;
pub(crate) const SKIPPING: u8 = 8;
/// `PARTIAL + k`: `k + 1` bytes of a multi-byte delimiter have matched.
pub(crate) const PARTIAL: u8 = 9;
const BASE_STATES: usize = 16;
const BASE: u8 = 0x0f;
const CROSSED: u8 = 0x10;

const LF: u8 = b'\n';
const CR: u8 = b'\r';

/// The automaton of one dialect.
#[derive(Debug, Clone)]
pub struct Automaton {
    next: Box<[[u8; 256]; BASE_STATES]>,
    skip: [Skip; BASE_STATES],
    states: Vec<u8>,
    delimiter_bytes: usize,
    quote: Option<u8>,
    escape: Option<u8>,
    record_bytes_max: u64,
}

impl Automaton {
    /// Builds the automaton of a dialect that passed its check. `record_bytes_max` is the cap K, at least 1.
    #[must_use]
    pub fn new(dialect: &Dialect, record_bytes_max: u64) -> Self {
        assert!(record_bytes_max >= 1, "marks lie at multiples of the cap");
        let mut next = Box::new([[UNQUOTED; 256]; BASE_STATES]);
        let mut states = vec![RECORD_START, FIELD_START, UNQUOTED, CR_SEEN, SKIPPING];
        if dialect.quote.is_some() {
            states.extend([QUOTED, QUOTE_SEEN]);
        }
        if dialect.quote.is_some() && dialect.escape.is_some() {
            states.push(ESCAPE_SEEN);
        }
        if dialect.comment.is_some() {
            states.push(COMMENT);
        }
        states.extend((1..dialect.delimiter.len()).map(|k| PARTIAL + k as u8 - 1));
        states.sort_unstable();
        for (base, row) in (0u8..).zip(next.iter_mut()) {
            for (byte, to) in (0u8..=255).zip(row.iter_mut()) {
                *to = transition(dialect, base, byte);
            }
        }
        let mut skip = [Skip::default(); BASE_STATES];
        for &base in &states {
            skip[base as usize] = Skip::of(base, &next[base as usize]);
        }
        Self {
            next,
            skip,
            states,
            delimiter_bytes: dialect.delimiter.len(),
            quote: dialect.quote,
            escape: dialect.escape,
            record_bytes_max,
        }
    }

    /// The state at a record's start.
    #[must_use]
    pub fn record_start(&self) -> StateId {
        StateId(RECORD_START)
    }

    /// Every state of this dialect, the crossed ones included: the start states of an exit map. At most 32.
    #[must_use]
    pub fn states(&self) -> Vec<StateId> {
        let open = self.states.iter().filter(|&&base| open(base)).map(|&base| StateId(base | CROSSED));
        self.states.iter().map(|&base| StateId(base)).chain(open).collect()
    }

    /// Whether `state` is one of [`Automaton::states`].
    #[must_use]
    pub fn knows(&self, state: StateId) -> bool {
        let base = state.0 & BASE;
        self.states.contains(&base) && (state.0 == base || (state.0 == base | CROSSED && open(base)))
    }

    /// The state that a parse outside quotes is in after `before`, the byte before it. A guess, never trusted.
    #[must_use]
    pub fn guess(&self, before: u8) -> StateId {
        let to = self.next[UNQUOTED as usize][before as usize];
        StateId(if to >= PARTIAL { UNQUOTED } else { to })
    }

    /// The state after the byte `byte` at `offset`.
    ///
    /// At a mark (an offset divisible by the cap), before the byte is consumed: a record that is open there takes the
    /// crossed bit, and a record that has it already is cut: what follows is skipped to the next line end.
    #[must_use]
    pub fn step(&self, state: StateId, byte: u8, offset: u64) -> StateId {
        let state = if offset.is_multiple_of(self.record_bytes_max) { at_mark(state) } else { state };
        let to = self.next(state.0 & BASE, byte);
        StateId(if open(to) { to | (state.0 & CROSSED) } else { to })
    }

    /// Whether a boundary lies at `offset` when the automaton is in `state` before the byte `byte` at `offset`.
    ///
    /// At a record's start it does; after a CR it does unless the byte is the LF of the same terminator.
    #[must_use]
    pub fn boundary(&self, state: StateId, byte: u8) -> bool {
        state.0 == RECORD_START || (state.0 == CR_SEEN && byte != LF)
    }

    /// The state inside a comment line.
    pub(crate) fn in_comment(&self) -> StateId {
        StateId(COMMENT)
    }

    /// The state behind the second mark of a record.
    pub(crate) fn skipping(&self) -> StateId {
        StateId(SKIPPING)
    }

    /// Whether `byte` at a record's start begins a comment line.
    pub(crate) fn comments(&self, byte: u8) -> bool {
        self.next(RECORD_START, byte) == COMMENT
    }

    pub(crate) fn next(&self, base: u8, byte: u8) -> u8 {
        self.next[base as usize & BASE as usize][byte as usize]
    }

    pub(crate) fn skip(&self, base: u8) -> &Skip {
        &self.skip[base as usize & BASE as usize]
    }

    pub(crate) fn delimiter_bytes(&self) -> usize {
        self.delimiter_bytes
    }

    pub(crate) fn quote(&self) -> Option<u8> {
        self.quote
    }

    pub(crate) fn escape(&self) -> Option<u8> {
        self.escape
    }

    pub(crate) fn record_bytes_max(&self) -> u64 {
        self.record_bytes_max
    }

    /// The first mark after `offset`.
    pub(crate) fn mark_after(&self, offset: u64) -> u64 {
        (offset / self.record_bytes_max + 1).saturating_mul(self.record_bytes_max)
    }

    /// The mark after `mark`, which is one.
    pub(crate) fn mark_after_mark(&self, mark: u64) -> u64 {
        mark.saturating_add(self.record_bytes_max)
    }
}

/// Whether a record is open in base state `base`: only then does a mark count.
pub(crate) fn open(base: u8) -> bool {
    !matches!(base & BASE, RECORD_START | CR_SEEN | SKIPPING | COMMENT)
}

/// The state at a mark, before its byte is consumed.
pub(crate) fn at_mark(state: StateId) -> StateId {
    if !open(state.0) {
        state
    } else if state.0 & CROSSED != 0 {
        StateId(SKIPPING)
    } else {
        StateId(state.0 | CROSSED)
    }
}

pub(crate) fn base(state: StateId) -> u8 {
    state.0 & BASE
}

/// The transition function, one byte, no marks: the dialect's grammar in one place.
fn transition(d: &Dialect, base: u8, byte: u8) -> u8 {
    let line_end = match byte {
        LF => Some(RECORD_START),
        CR => Some(CR_SEEN),
        _ => None,
    };
    match base {
        QUOTED if Some(byte) == d.escape => ESCAPE_SEEN,
        QUOTED if Some(byte) == d.quote => QUOTE_SEEN,
        QUOTED | ESCAPE_SEEN => QUOTED,
        COMMENT | SKIPPING => line_end.unwrap_or(base),
        CR_SEEN if byte == LF => RECORD_START,
        CR_SEEN => transition(d, RECORD_START, byte),
        RECORD_START if Some(byte) == d.comment => COMMENT,
        RECORD_START | FIELD_START | QUOTE_SEEN if Some(byte) == d.quote => QUOTED,
        _ => line_end.unwrap_or_else(|| delimiter(d, base, byte)),
    }
}

/// A byte outside quotes that ends no line: how much of the delimiter has matched after it (KMP on self-overlap).
fn delimiter(d: &Dialect, base: u8, byte: u8) -> u8 {
    let pattern = d.delimiter.as_slice();
    let matched = if base >= PARTIAL { (base - PARTIAL + 1) as usize } else { 0 }.min(pattern.len());
    // What has been seen is `pattern[..matched]` and the byte; its longest end that is a beginning of the pattern counts.
    let ends = |k: usize| pattern[k - 1] == byte && pattern[..k - 1] == pattern[matched + 1 - k..matched];
    let longest = (1..=(matched + 1).min(pattern.len())).rev().find(|&k| ends(k));
    match longest {
        Some(k) if k == pattern.len() => FIELD_START,
        Some(k) => PARTIAL + k as u8 - 1,
        None => UNQUOTED,
    }
}

/// How a record ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At a line end or at the end of the file.
    Whole,
    /// At the end of the file with a quote open.
    OpenQuote,
    /// At its second mark; it reaches to the next line end.
    Cut,
}

/// A record as the oracle sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OracleRecord {
    /// Absolute offset of its first byte.
    pub start: u64,
    /// Absolute offset after its line end.
    pub end: u64,
    /// Physical lines that end before it, from where the parse began.
    pub lines_before: u64,
    /// Its fields, unquoted and unescaped; empty for a cut record.
    pub fields: Vec<Vec<u8>>,
    /// How it ended.
    pub ended: End,
}

/// What the oracle found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OracleParse {
    /// Records in order.
    pub records: Vec<OracleRecord>,
    /// Blank lines.
    pub blank: u64,
    /// Comment lines.
    pub comment: u64,
    /// Physical lines: ends at LF, CR LF or a lone CR, inside quotes or not.
    pub lines: u64,
}

/// The specification, run: parses `bytes`, whose first byte lies at `offset` and starts a record, to their end.
///
/// Slow and plain: for tests, and for samples of a few hundred kilobytes.
#[must_use]
pub fn parse(automaton: &Automaton, bytes: &[u8], offset: u64) -> OracleParse {
    let mut out = OracleParse::default();
    let mut state = automaton.record_start();
    let mut open_record: Option<OracleRecord> = None;
    let mut field = Vec::new();
    let mut comment_open = false;
    for (i, &byte) in bytes.iter().enumerate() {
        let at = offset + i as u64;
        if at.is_multiple_of(automaton.record_bytes_max) && base(at_mark(state)) == SKIPPING && base(state) != SKIPPING
        {
            let record = open_record.as_mut().expect("only an open record meets a second mark");
            record.ended = End::Cut;
        }
        let from = base(if at.is_multiple_of(automaton.record_bytes_max) { at_mark(state) } else { state });
        state = automaton.step(state, byte, at);
        let to = base(state);
        let starts = matches!(from, RECORD_START | CR_SEEN) && (open(to) || to == COMMENT);
        if starts && to == COMMENT {
            comment_open = true;
        } else if starts {
            let fields = Vec::new();
            open_record = Some(OracleRecord { start: at, end: at, lines_before: out.lines, fields, ended: End::Whole });
        }
        if let Some(record) = open_record.as_mut() {
            consume(automaton, record, &mut field, from, to, byte);
        }
        let ends = matches!(to, RECORD_START | CR_SEEN);
        let lf_of_crlf = byte == LF && i > 0 && bytes[i - 1] == CR;
        if ends && from == CR_SEEN && byte == LF {
            if let Some(last) = out.records.last_mut().filter(|r| r.end == at) {
                last.end = at + 1;
            }
        } else if ends && let Some(mut record) = open_record.take() {
            record.end = at + 1;
            out.records.push(record);
        } else if ends && comment_open {
            comment_open = false;
            out.comment += 1;
        } else if ends {
            out.blank += 1;
        }
        if matches!(byte, LF | CR) && !lf_of_crlf {
            out.lines += 1;
        }
    }
    finish(&mut out, open_record, field, state, comment_open, offset + bytes.len() as u64);
    out
}

/// Adds one byte to the open record.
fn consume(automaton: &Automaton, record: &mut OracleRecord, field: &mut Vec<u8>, from: u8, to: u8, byte: u8) {
    if record.ended == End::Cut {
        record.fields.clear();
        field.clear();
        return;
    }
    let content = match (from, to) {
        (QUOTED, QUOTED) | (ESCAPE_SEEN, QUOTED) | (QUOTE_SEEN, QUOTED) => true,
        (_, UNQUOTED) => true,
        (_, to) if to >= PARTIAL => true,
        _ => false,
    };
    if content {
        field.push(byte);
    } else if to == FIELD_START {
        // The delimiter's earlier bytes were taken for content until its last one came.
        field.truncate(field.len() + 1 - automaton.delimiter_bytes);
        record.fields.push(std::mem::take(field));
    } else if matches!(to, RECORD_START | CR_SEEN) {
        record.fields.push(std::mem::take(field));
    }
}

/// The end of the bytes: an open record ends there.
fn finish(
    out: &mut OracleParse,
    open_record: Option<OracleRecord>,
    field: Vec<u8>,
    state: StateId,
    comment_open: bool,
    end: u64,
) {
    if let Some(mut record) = open_record {
        record.end = end;
        match (record.ended, base(state)) {
            (End::Cut, _) => {}
            (_, QUOTED | ESCAPE_SEEN) => {
                record.fields.push(field);
                record.ended = End::OpenQuote;
            }
            _ => record.fields.push(field),
        }
        out.records.push(record);
    } else if comment_open {
        out.comment += 1;
    }
}
