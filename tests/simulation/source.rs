//! A source as the simulation has it: a few bytes, an automaton of three states, and what attempts at its ranges report.
//!
//! Invariant: [`Source::whole`], which reads it once from its start to its end, knows nothing of ranges; what attempts report is
//! worked out apart from it, as workers do.

use std::collections::BTreeMap;

use batteuse_shared::ids::AttemptId;
use batteuse_shared::layout;
use batteuse_shared::span::{Exit, ExitMap, Span, StateId};
use batteuse_shared::table::{Checksum, Classes, Column, ColumnType, Counts, Digest};
use batteuse_shared::task::{
    FinishTask, Finished, Inspected, Measured, ParseTask, Parsed, Phases, Seam, StagedPart, StagedRejects,
};

use crate::corpus::comma;
use crate::recovery::Chance;

/// At a record's start.
pub const START: StateId = StateId(0);
/// In a record, outside quotes.
pub const OUTSIDE: StateId = StateId(2);
/// Inside quotes.
pub const INSIDE: StateId = StateId(3);

/// Bytes before the first record.
const HEADER_BYTES: u64 = 2;

/// A file.
pub struct Source {
    bytes: Vec<u8>,
    /// The type that inspection guesses.
    guess: ColumnType,
    /// Where the record starts that kills whoever parses it.
    pub poison: Option<u64>,
    /// Whether it kills nobody any more who begins now.
    pub mended: bool,
}

/// What one reader makes of a source, or of a part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rows {
    pub counts: Counts,
    pub classes: Classes,
    pub digest: Digest,
}

fn step(state: StateId, byte: u8) -> StateId {
    match (state, byte) {
        (INSIDE, b'"') => OUTSIDE,
        (INSIDE, _) | (_, b'"') => INSIDE,
        (_, b'\n') => START,
        _ => OUTSIDE,
    }
}

impl Source {
    /// A file of some records; its last one may lack its line end.
    pub fn draw(chance: &mut Chance) -> Self {
        let records = 1 + chance.below(60);
        let (quoted, texts, rejects) = (chance.below(4), chance.below(3), chance.below(5));
        let mut bytes = b"h\n".to_vec();
        let mut starts = Vec::new();
        for record in 0..records {
            starts.push(bytes.len() as u64);
            let kind = match chance.below(20) {
                0 if rejects > 0 => b'r',
                1 if texts == 2 || record + 1 == records => b't',
                2..=4 => b'f',
                _ => b'i',
            };
            bytes.push(kind);
            bytes.extend(std::iter::repeat_n(b'a', chance.below(12) as usize));
            if quoted > 0 && chance.below(6) < quoted {
                bytes.push(b'"');
                for _ in 0..chance.below(30) {
                    bytes.push(if chance.below(4) == 0 { b'\n' } else { b'i' });
                }
                bytes.push(b'"');
            }
            bytes.push(b'\n');
        }
        if chance.below(4) == 0 {
            bytes.pop();
        }
        let poison = (chance.below(4) == 0).then(|| starts[chance.below(records) as usize]);
        let guess = [ColumnType::Int64, ColumnType::Float64, ColumnType::Text][chance.below(3) as usize];
        Self { bytes, guess, poison, mended: false }
    }

    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// One sequential read that passes over the records which start in these spans.
    pub fn whole_but(&self, aside: &[Span]) -> Rows {
        let ctype = self.read_whole(ColumnType::Text, aside).classes.settle();
        self.read_whole(ctype, aside)
    }

    /// Whether an attempt at this task dies of it.
    pub fn kills(&self, task: &ParseTask) -> bool {
        let span = self.parse(task, AttemptId(0)).span;
        !task.quarantine && !self.mended && self.poison.is_some_and(|at| span.start <= at && at < span.end)
    }

    fn read_whole(&self, ctype: ColumnType, aside: &[Span]) -> Rows {
        let mut rows = Rows::default();
        let mut begun = HEADER_BYTES as usize;
        let mut quoted = false;
        for at in HEADER_BYTES as usize..self.bytes.len() {
            quoted ^= self.bytes[at] == b'"';
            if (self.bytes[at] == b'\n' && !quoted) || at + 1 == self.bytes.len() {
                let start = begun as u64;
                let passed = aside.iter().any(|span| span.start <= start && start < span.end);
                rows.see(&self.bytes[begun..=at], start, (!passed).then_some(ctype));
                begun = at + 1;
            }
        }
        rows
    }

    pub fn inspect(&self) -> Inspected {
        let column =
            Column { name: "a".to_owned(), ctype: self.guess, declared: false, format: None, nulls: Vec::new() };
        Inspected {
            dialect: comma(),
            data_start: HEADER_BYTES,
            start: START,
            preamble_lines: 1,
            columns: vec![column],
            measured: Measured::default(),
            partition_bytes: None,
        }
    }

    /// The state before byte `end` when `start` is that before byte `range.start`, and the first boundary in the range.
    fn exit(&self, range: Span, start: StateId) -> Exit {
        let (mut state, mut first) = (start, None);
        for at in range.start..range.end {
            if state == START {
                first.get_or_insert(at);
            }
            state = step(state, self.bytes[at as usize]);
        }
        Exit { state, first }
    }

    /// The first boundary at or after `from`, when a record starts at `begin`.
    fn boundary(&self, begin: u64, from: u64) -> u64 {
        let mut state = START;
        for at in begin..self.size() {
            if state == START && at >= from {
                return at;
            }
            state = step(state, self.bytes[at as usize]);
        }
        self.size()
    }

    /// What an attempt reports.
    pub fn parse(&self, task: &ParseTask, attempt: AttemptId) -> Parsed {
        let range = task.range;
        let tried = task.start.map_or(vec![START, OUTSIDE, INSIDE], |state| vec![state]);
        let exits: BTreeMap<StateId, Exit> = tried.iter().map(|state| (*state, self.exit(range, *state))).collect();
        let before = self.bytes.get((range.start as usize).saturating_sub(1)).copied();
        let guess = task.start.unwrap_or(if before == Some(b'\n') { START } else { OUTSIDE });
        let first = exits[&guess].first;
        let asked = task.columns[0].ctype;
        let mut rows = Rows::default();
        let span = first.map_or(Span::new(range.end, range.end), |first| {
            let end = self.boundary(first, range.end);
            let mut begun = first;
            while begun < end {
                let next = self.boundary(begun, begun + 1).min(end);
                let as_type = (!task.quarantine).then_some(asked);
                rows.see(&self.bytes[begun as usize..next as usize], begun, as_type);
                begun = next;
            }
            Span::new(first, end)
        });
        let fits = match asked {
            ColumnType::Int64 => rows.classes.within(Classes::INT_SHORT),
            ColumnType::Float64 => rows.classes.within(Classes::INT_SHORT.join(Classes::FLOAT)),
            _ => true,
        };
        let wanted = fits && !task.quarantine && (rows.counts.written > 0 || task.partition.0 == 0);
        let part = StagedPart {
            key: layout::staged_part(task.partition, attempt, 0),
            values: Vec::new(),
            bytes: 10 + rows.counts.written,
            rows: rows.counts.written,
            digest: rows.digest,
            sha256: Checksum::default(),
            upload: None,
        };
        let rejects = StagedRejects {
            key: layout::staged_rejects(task.partition, attempt),
            rows: rows.counts.rejected,
            bytes: 1,
            content: Some(Checksum::default()),
            upload: None,
        };
        Parsed {
            first,
            span,
            end: range.end,
            exits: ExitMap(exits),
            counts: rows.counts,
            summaries: vec![rows.classes],
            types: fits.then(|| vec![asked]),
            parts: if wanted { vec![part] } else { Vec::new() },
            table: None,
            rejects: (rows.counts.rejected > 0).then_some(rejects),
            seam: Seam { given: task.start.is_some(), merged_after: None },
            phases: Phases::default(),
            quarantined: task.quarantine.then(Checksum::default),
        }
    }

    /// What the finish task reports.
    pub fn finish(task: &FinishTask, attempt: AttemptId) -> Finished {
        let rejects = StagedRejects {
            key: layout::staged_finish(attempt),
            rows: task.pieces.iter().map(|piece| piece.rows).sum(),
            bytes: 1,
            content: None,
            upload: None,
        };
        Finished { rejects, shown: Vec::new() }
    }
}

impl Rows {
    /// Takes in the record of these bytes, which starts at `start`, as a row of this type; none: it is passed over.
    fn see(&mut self, record: &[u8], start: u64, ctype: Option<ColumnType>) {
        let lines = record.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.counts.lines += lines;
        if record == b"\n" {
            self.counts.blank += 1;
            return;
        }
        self.counts.read += 1;
        let Some(ctype) = ctype else {
            self.counts.quarantined += 1;
            return;
        };
        if record[0] == b'r' {
            self.counts.rejected += 1;
            return;
        }
        self.counts.written += 1;
        let class = match record[0] {
            b'i' => Classes::INT_SHORT,
            b'f' => Classes::FLOAT,
            _ => Classes::TEXT,
        };
        self.classes = self.classes.join(class);
        let mut hash = u128::from(start + 1) << 8 | u128::from(type_number(ctype));
        for byte in record {
            hash = (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
        self.digest = self.digest.plus(Digest(hash));
    }
}

/// A row's digest tells the type of its column.
fn type_number(ctype: ColumnType) -> u8 {
    match ctype {
        ColumnType::Int64 => 1,
        ColumnType::Float64 => 2,
        _ => 3,
    }
}
