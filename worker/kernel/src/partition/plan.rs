//! What is asked of a parse, and what it answers.
//!
//! Invariant: plain values; numbers of rejects and counts are relative to the span.

use arrow_array::RecordBatch;
use batteuse_shared::report::RejectKind;
use batteuse_shared::span::{ExitMap, Span, StateId};
use batteuse_shared::spec::{Dialect, Ragged};
use batteuse_shared::table::{Classes, Column, Counts};
use batteuse_shared::task::Seam;

use crate::arch::Path;

/// What to parse and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Settled dialect.
    pub dialect: Dialect,
    /// What to do with ragged records.
    pub ragged: Ragged,
    /// Columns, in file order.
    pub columns: Vec<Column>,
    /// Indices of the columns that somebody reads, ascending: batches have these; the others are not looked at.
    pub read: Vec<usize>,
    /// The planned range `[a, b)`.
    pub range: Span,
    /// Size of the source.
    pub source_bytes: u64,
    /// The true state before byte `a`, where it is known.
    pub start: Option<StateId>,
    /// The record cap K.
    pub record_bytes_max: u64,
    /// Bytes of one read; the buffer holds about twice this much, more only for a long record.
    pub read_bytes: usize,
    /// Most rows of one batch.
    pub batch_rows_max: usize,
    /// Bytes of records at which a batch ends.
    pub batch_bytes_max: usize,
    /// Fields at which a batch ends.
    pub batch_fields_max: usize,
    /// Whether batches tell where their rows lie.
    pub placed: bool,
    /// Bytes indexed at a time.
    pub index_bytes: usize,
    /// Vector instructions to use.
    pub path: Path,
}

/// A record set aside, with numbers relative to the span it starts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Physical lines between the span's start and the record.
    pub line: u64,
    /// Records between the span's start and the record.
    pub record: u64,
    /// Absolute offset of its first byte.
    pub byte_offset: u64,
    /// Bytes, line end included.
    pub byte_length: u64,
    /// The column to blame, from 0, where one is.
    pub column: Option<u32>,
    /// What is wrong.
    pub kind: RejectKind,
    /// What is wrong, in words.
    pub message: String,
    /// The record's bytes without its line end; of a cut record the first 64 KiB.
    pub raw: Vec<u8>,
}

/// Where a row lies, with numbers relative to the span it starts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Physical lines between the span's start and the record.
    pub line: u64,
    /// Records between the span's start and the record.
    pub record: u64,
    /// Absolute offset of its first byte.
    pub byte_offset: u64,
    /// Bytes, line end included.
    pub byte_length: u64,
}

/// Some records of the span, in order.
#[derive(Debug)]
pub struct Batch {
    /// Rows; none when a value did not fit its column's guessed type, now or earlier in this attempt. A column of text may be a
    /// dictionary of texts.
    pub rows: Option<RecordBatch>,
    /// Of each of the rows, where it lies; empty unless that is asked for.
    pub places: Vec<Placed>,
    /// Records set aside.
    pub rejects: Vec<Reject>,
}

/// The end of a parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The first boundary in the range under the start state taken.
    pub first: Option<u64>,
    /// The span; empty at the range's end when `first` is none.
    pub span: Span,
    /// Where the range ended: as planned, or where it was shortened to.
    pub end: u64,
    /// Exits of the range.
    pub exits: ExitMap,
    /// Counts over the span.
    pub counts: Counts,
    /// Summary of each column.
    pub summaries: Vec<Classes>,
    /// Whether every value fitted the types of the plan.
    pub fits: bool,
    /// How the start was known.
    pub seam: Seam,
}

/// What the machine does next.
#[derive(Debug)]
pub enum Progress {
    /// It wants up to `bytes` bytes from `offset`: fill [`space`](super::PartitionParse::space), then call [`filled`](super::PartitionParse::filled).
    Wants {
        /// Absolute offset.
        offset: u64,
        /// At least 1; never beyond the end of the source.
        bytes: usize,
    },
    /// Here are some records.
    Batch(Batch),
    /// The span is parsed to its end. Further calls say the same.
    Done(Box<Done>),
}
