//! Records and fields of a buffer, as offsets: no byte is copied, nothing is decoded.
//!
//! Invariant: the records, fields, lines and verdicts are those of the automaton ([`crate::automaton::parse`]).

use crate::arch::{self, Path, Structure};

/// Most rows of a block: what is known of them for one column fits one word of bits, and their fields the nearest caches.
pub const BLOCK_ROWS: usize = 64;

/// A record's place, relative to its span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Absolute offset in the source.
    pub offset: u64,
    /// Bytes, line end included.
    pub bytes: u32,
    /// Physical lines between the span's start and this record.
    pub line: u64,
    /// Records between the span's start and this record.
    pub record: u64,
    /// Ordinal of the end before its first field.
    pub ordinal: u32,
    /// Fields, of which only as many as there are columns count; those that it lacks are null.
    pub fields: u32,
    /// Whether it may hold a field whose value is not as it stands between its quotes.
    pub odd: bool,
}

/// Some well-formed records of one buffer, at most [`BLOCK_ROWS`]: validly encoded, none with too many fields that count.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'b> {
    /// The buffer.
    pub bytes: &'b [u8],
    /// Absolute offset of the buffer's first byte.
    pub base: u64,
    /// Where the fields end.
    pub structure: &'b Structure,
    /// Fields of each row.
    pub columns: usize,
    /// Places of the records.
    pub rows: &'b [Row],
    /// Bytes of a delimiter.
    pub delimiter_bytes: u32,
    /// The quote of the dialect.
    pub quote: Option<u8>,
    /// The escape of the dialect.
    pub escape: Option<u8>,
}

impl<'b> Rows<'b> {
    /// Bounds of a field that is there, in the buffer.
    #[inline(always)]
    #[must_use]
    pub fn bounds(&self, row: usize, column: usize) -> (usize, usize) {
        let at = self.rows[row].ordinal as usize + column;
        let ends = &self.structure.ends[at..at + 2];
        // The end before a buffer's first field lies before the buffer.
        (ends[0].wrapping_add(self.delimiter_bytes) as usize, ends[1] as usize)
    }

    /// The value of a field as bytes of the source's encoding; `scratch` holds it when it must be unescaped. None for a
    /// field that its record lacks.
    #[inline]
    pub fn value<'s>(&self, row: usize, column: usize, scratch: &'s mut Vec<u8>) -> Option<&'s [u8]>
    where
        'b: 's,
    {
        let at = &self.rows[row];
        if column >= at.fields as usize {
            return None;
        }
        let (start, end) = self.bounds(row, column);
        let raw = &self.bytes[start..end];
        Some(if self.quote.is_none() || raw.first().copied() != self.quote {
            raw
        } else if !at.odd {
            &raw[1..raw.len() - 1]
        } else {
            unescape(raw, self.quote, self.escape, scratch);
            scratch
        })
    }

    /// For each of 64 columns from `column` on, as far as there are columns: the rows in which its field holds anything.
    #[must_use]
    pub fn filled(&self, path: Path, column: usize) -> [u64; BLOCK_ROWS] {
        let mut words = [0; BLOCK_ROWS];
        for (word, row) in std::iter::zip(&mut words, self.rows) {
            *word = self.structure.filled_from(row.ordinal as usize + 1 + column);
        }
        arch::transpose(path, &mut words);
        let last = self.columns.min(column + BLOCK_ROWS);
        for (row, at) in self.rows.iter().enumerate().filter(|(_, at)| (at.fields as usize) < last) {
            // What follows a short record is another one's.
            for word in words.iter_mut().skip((at.fields as usize).saturating_sub(column)) {
                *word &= !(1 << row);
            }
        }
        words
    }

    /// A row's bytes as they are in the source, without its line end.
    #[must_use]
    pub fn content(&self, row: usize) -> &'b [u8] {
        let at = &self.rows[row];
        let start = (at.offset - self.base) as usize;
        let line = &self.bytes[start..start + at.bytes as usize];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

/// Writes the value of the quoted field `raw` into `out`, by literal quoting.
pub(crate) fn unescape(raw: &[u8], quote: Option<u8>, escape: Option<u8>, out: &mut Vec<u8>) {
    out.clear();
    let mut i = 1;
    while i < raw.len() {
        let byte = raw[i];
        if Some(byte) == escape {
            out.extend(raw.get(i + 1));
            i += 2;
        } else if Some(byte) != quote {
            out.push(byte);
            i += 1;
        } else if raw.get(i + 1).copied() == quote {
            out.push(byte);
            i += 2;
        } else {
            out.extend_from_slice(&raw[i + 1..]);
            return;
        }
    }
}
