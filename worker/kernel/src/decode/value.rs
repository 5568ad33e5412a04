//! Reading the values of one column off a block of rows: where they lie, unescaped, as UTF-8, and whether they mean null.
//!
//! Invariant: a value is its bytes after unescaping and transcoding; null tokens are compared with that, quoted or not.

use batteuse_shared::format::Format;
use batteuse_shared::spec::Encoding;
use encoding_rs::WINDOWS_1252;

use crate::frame::Rows;
use crate::infer::{Value, parse_as};

/// Reads the values of one block of rows.
pub(super) struct Values<'r, 'b, 's> {
    pub(super) rows: &'r Rows<'b>,
    pub(super) encoding: Encoding,
    /// A bit for each row that is in UTF-8 as it stands: see [`plain`].
    pub(super) plain: u64,
    pub(super) scratch: &'s mut Scratch,
}

/// Holds a value that is not as it stands in the source. Kept over batches for its capacity.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    unescaped: Vec<u8>,
    transcoded: Vec<u8>,
}

impl Values<'_, '_, '_> {
    /// The value of a field as UTF-8; none for a field that its record lacks.
    #[inline(never)]
    pub(super) fn get(&mut self, row: usize, column: usize) -> Option<&[u8]> {
        let value = self.rows.value(row, column, &mut self.scratch.unescaped)?;
        if self.encoding == Encoding::Utf8 || value.is_ascii() {
            return Some(value);
        }
        transcode(value, &mut self.scratch.transcoded);
        Some(&self.scratch.transcoded)
    }
}

/// The rows that are in UTF-8 as they stand: all where the source is, else those that are ASCII. A row is looked at once, and not in
/// each of its fields.
pub(super) fn plain(rows: &Rows<'_>, encoding: Encoding) -> u64 {
    if encoding == Encoding::Utf8 {
        return u64::MAX;
    }
    (0..rows.rows.len()).fold(0, |word, row| word | u64::from(rows.content(row).is_ascii()) << row)
}

/// Windows-1252 to UTF-8.
#[inline(never)]
fn transcode(value: &[u8], out: &mut Vec<u8>) {
    out.clear();
    // A Windows-1252 character takes at most three bytes of UTF-8.
    out.resize(value.len() * 3, 0);
    let mut decoder = WINDOWS_1252.new_decoder_without_bom_handling();
    let (_, _, written, _) = decoder.decode_to_utf8(value, out, true);
    out.truncate(written);
}

/// The decoded values that mean null in one column.
#[derive(Debug)]
pub(super) struct Nulls {
    empty: bool,
    others: Vec<Vec<u8>>,
    /// Whether one of the others may be a value of some type but text: of the column's format, where it has one.
    typed: bool,
}

impl Nulls {
    /// Whether an empty value means null.
    pub(super) fn has_empty(&self) -> bool {
        self.empty
    }

    /// Whether nothing but an empty value can mean null.
    pub(super) fn is_only_empty(&self) -> bool {
        self.others.is_empty()
    }

    /// Whether a number, date or timestamp can mean null.
    pub(super) fn has_typed(&self) -> bool {
        self.typed
    }

    pub(super) fn new(tokens: &[String], format: Option<&Format>) -> Self {
        let others = tokens.iter().filter(|token| !token.is_empty()).map(|token| token.clone().into_bytes());
        let others: Vec<Vec<u8>> = others.collect();
        let typed = others.iter().any(|token| match format {
            Some(format) => parse_as(format, token) != Value::Text,
            None => token[0].is_ascii_digit() || token[0] == b'-',
        });
        Self { empty: tokens.iter().any(String::is_empty), others, typed }
    }

    #[inline]
    pub(super) fn contain(&self, value: &[u8]) -> bool {
        if value.is_empty() { self.empty } else { self.others.iter().any(|token| token == value) }
    }
}
