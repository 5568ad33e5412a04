//! The kernel over one range of a file, and proven attempts joined as a run joins them.
//!
//! Invariant: reads are as short and batches as small as the knobs say; what comes of it must not depend on them.

use arbitrary::{Result, Unstructured};
use arrow_array::RecordBatch;
use batteuse_kernel::arch::Path;
use batteuse_kernel::partition::{Done, PartitionParse, Plan, Progress, Reject};
use batteuse_shared::report::RejectKind;
use batteuse_shared::span::{Span, StateId};
use batteuse_shared::table::Column;
use bytes::Bytes;

use crate::case::{Case, Rejected, Truth, physical_lines};
use crate::cell::{self, Cells, cells};
use crate::draw;

/// How to parse: nothing of it may show in the result.
#[derive(Debug, Clone, Copy)]
pub struct How {
    turn: usize,
    read_bytes: usize,
    short: usize,
    index_bytes: usize,
    batch_rows_max: usize,
    batch_bytes_max: usize,
    batch_fields_max: usize,
}

impl How {
    pub fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let turn = usize::from(draw::byte(u)?);
        let (read_bytes, short) = (draw::size(u)?, usize::from(draw::byte(u)?));
        let (index_bytes, batch_rows_max) = (draw::size(u)?, draw::size(u)?);
        let (batch_bytes_max, batch_fields_max) = (draw::size(u)?, draw::size(u)?);
        Ok(Self { turn, read_bytes, short, index_bytes, batch_rows_max, batch_bytes_max, batch_fields_max })
    }

    /// The instructions whose turn it is for a range.
    pub fn path(&self, range: Span) -> Path {
        let paths = Path::available();
        paths[(self.turn + range.start as usize) % paths.len()]
    }

    /// How many bytes a read of so many gives.
    fn given(&self, bytes: usize, at: u64) -> usize {
        if self.short == 0 { bytes } else { 1 + (self.short * 31 + at as usize * 7) % bytes }
    }
}

/// What one attempt gave. Equal attempts have equal batches.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Rows as long as every guess held.
    pub rows: Vec<Cells>,
    pub rejects: Vec<Reject>,
    pub done: Done,
    /// The batches as they came.
    pub batches: Vec<RecordBatch>,
}

/// One attempt at `range` with the types of `columns`.
pub fn attempt(case: &Case, columns: &[Column], range: Span, start: Option<StateId>, path: Path, how: &How) -> Attempt {
    let mut parse = PartitionParse::new(Plan {
        dialect: case.dialect.clone(),
        ragged: case.ragged,
        columns: columns.to_vec(),
        read: (0..columns.len()).collect(),
        range,
        source_bytes: case.bytes.len() as u64,
        start,
        record_bytes_max: case.cap,
        read_bytes: how.read_bytes,
        batch_rows_max: how.batch_rows_max,
        batch_bytes_max: how.batch_bytes_max,
        batch_fields_max: how.batch_fields_max,
        placed: false,
        index_bytes: how.index_bytes,
        path,
    });
    let (mut rows, mut rejects, mut batches, mut broken) = (Vec::new(), Vec::new(), Vec::new(), false);
    loop {
        match parse.step() {
            Progress::Wants { offset, bytes } => {
                assert!(bytes > 0 && offset + bytes as u64 <= case.bytes.len() as u64, "wants bytes that are there");
                let given = how.given(bytes, offset);
                assert_eq!(parse.space().len(), bytes, "room for what it wants");
                let given = &case.bytes[offset as usize..][..given];
                if offset.is_multiple_of(3) {
                    parse.space()[..given.len()].copy_from_slice(given);
                    parse.filled(given.len());
                } else {
                    parse.lend(Bytes::copy_from_slice(given));
                }
            }
            Progress::Batch(batch) => {
                assert!(!broken || batch.rows.is_none(), "no rows once a guess is broken");
                broken = batch.rows.is_none();
                rows.extend(batch.rows.iter().flat_map(|batch| cell::rows(batch, columns)));
                rejects.extend(batch.rejects);
                batches.extend(batch.rows);
            }
            Progress::Done(done) => {
                assert_eq!(done.fits, !broken, "a broken guess shows in the batches");
                return Attempt { rows, rejects, done: *done, batches };
            }
        }
    }
}

/// Concatenates proven attempts and makes their numbers absolute, as the finish task does; it must be the truth.
pub fn must_be(case: &Case, columns: &[Column], attempts: &[&Attempt], truth: &Truth) {
    let mut joined = Truth { rows: truth.rows.clone(), ..case.nothing() };
    let mut lines = physical_lines(case.head());
    let mut at = case.data_start;
    let mut rows = &truth.rows[..];
    for Attempt { rows: found, rejects, done, .. } in attempts {
        if !done.span.is_empty() {
            assert_eq!(done.span.start, at, "TILES");
            at = done.span.end;
        }
        joined.rejects.extend(rejects.iter().map(|r| Rejected {
            line: lines + r.line + 1,
            record: joined.counts.read + r.record + 1,
            byte_offset: r.byte_offset,
            byte_length: r.byte_length,
            column: r.column,
            kind: r.kind,
            message: told(r),
            raw: r.raw.clone(),
        }));
        lines += done.counts.lines;
        joined.counts = joined.counts.plus(done.counts);
        for (all, one) in joined.summaries.iter_mut().zip(&done.summaries) {
            *all = all.join(*one);
        }
        let (own, rest) = rows.split_at(rows.len().min(done.counts.written as usize));
        let want: Option<Vec<Cells>> = own.iter().map(|row| cells(columns, row, case.dialect.decimal)).collect();
        assert_eq!(done.fits, want.is_some(), "whether every value fits");
        assert!(want.is_none_or(|want| want == *found), "rows: {found:?} for {own:?}");
        rows = rest;
    }
    assert_eq!(at, case.bytes.len() as u64, "TILES to the end");
    assert!(joined.counts.conserved(), "CONSERVATION");
    assert_eq!((rows.len(), &joined), (0, truth), "EXACT");
}

/// A reject's message; of a value that does not fit, its beginning: the words for the type are the decoder's.
fn told(reject: &Reject) -> String {
    let (message, end) = (&reject.message, ": expected ");
    match message.rfind(end).filter(|_| reject.kind == RejectKind::Cast) {
        Some(at) => message[..at].to_owned(),
        None => message.clone(),
    }
}
