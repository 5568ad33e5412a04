//! Records and fields of a text in memory, found and not decoded: what framing alone does.
//!
//! Invariant: the records are those of a parse from the text's first byte to its last, blank and comment lines left out. A record
//! that is cut is none.

use batteuse_shared::spec::Dialect;

use crate::arch::Path;
use crate::automaton::Automaton;
use crate::framer::{Framer, Place, Scanned, after_line_end};

/// A record as it lies in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Index of its first byte.
    pub start: usize,
    /// Index after its last byte, its line end aside.
    pub end: usize,
    /// Fields.
    pub fields: usize,
    /// Where its fields end, as far as they were asked for: each starts a delimiter behind the end of the one before.
    pub ends: &'a [u32],
}

/// Hands out each record of `text`, which holds less than 1 GiB, with the ends of its first `columns` fields.
pub fn split(
    text: &[u8],
    dialect: &Dialect,
    record_bytes_max: u64,
    path: Path,
    index_bytes: usize,
    columns: usize,
    mut take: impl FnMut(Record<'_>),
) {
    let mut framer = Framer::new(Automaton::new(dialect, record_bytes_max), dialect, path, index_bytes);
    let mut start = 0;
    while let Some(&byte) = text.get(start) {
        if matches!(byte, b'\n' | b'\r') {
            start = after_line_end(text, start, true).expect("the text is whole");
            continue;
        }
        if framer.automaton().comments(byte) {
            framer.stumble();
            start = next_line(text, start);
            continue;
        }
        let mark = framer.automaton().mark_after(framer.automaton().mark_after(start as u64));
        let place = Place { start, second_mark: usize::try_from(mark).unwrap_or(usize::MAX), eof: true, columns };
        match framer.record(text, place) {
            Scanned::Record { content, end, found, .. } => {
                let first = found.ordinal as usize + 1;
                let ends = &framer.structure().ends[first..first + found.fields.min(columns)];
                take(Record { start, end: content, fields: found.fields, ends });
                start = end;
                framer.release();
            }
            Scanned::Cut { mark } => {
                framer.stumble();
                start = next_line(text, mark);
            }
            Scanned::More => unreachable!("the text is whole"),
        }
    }
}

/// The index after the line end that comes first from `from` on.
fn next_line(text: &[u8], from: usize) -> usize {
    let end = memchr::memchr2(b'\n', b'\r', &text[from..]);
    end.map_or(text.len(), |end| after_line_end(text, from + end, true).expect("the text is whole"))
}
