//! Reading single values off a buffer: unescaped, as UTF-8, and whether they mean null.
//!
//! Invariant: a value is its bytes after unescaping and transcoding; null tokens are compared with that, quoted or not.

use batteuse_shared::spec::Encoding;
use encoding_rs::WINDOWS_1252;

use crate::frame::Rows;

/// Bytes of a text that is copied whole, whatever its length.
const SHORT_TEXT_BYTES: usize = 16;

/// Reads the values of one buffer.
pub(super) struct Values<'r, 'b, 's> {
    pub(super) rows: &'r Rows<'b>,
    pub(super) encoding: Encoding,
    pub(super) scratch: &'s mut Scratch,
}

/// Holds a value that is not as it stands in the source. Kept over batches for its capacity.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    unescaped: Vec<u8>,
    transcoded: Vec<u8>,
}

impl Values<'_, '_, '_> {
    /// The value of a field as UTF-8; none for a field that padding added. Inlined because it runs on every field: a tenth of decoding's time.
    #[inline(always)]
    pub(super) fn get(&mut self, row: usize, column: usize) -> Option<&[u8]> {
        let value = self.rows.value(row, column, &mut self.scratch.unescaped)?;
        if self.encoding == Encoding::Utf8 || value.is_ascii() {
            return Some(value);
        }
        transcode(value, &mut self.scratch.transcoded);
        Some(&self.scratch.transcoded)
    }

    /// The first bytes of a short field of a source in UTF-8, and its length: see [`Rows::head`].
    #[inline(always)]
    pub(super) fn short_text(&self, row: usize, column: usize) -> Option<([u8; SHORT_TEXT_BYTES], usize)> {
        if self.encoding == Encoding::Utf8 { self.rows.head(row, column) } else { None }
    }

    /// A field of one to eight bytes as a word, the first byte the lowest, and its length: see [`Rows::head`].
    #[inline(always)]
    pub(super) fn word(&self, row: usize, column: usize) -> Option<(u64, usize)> {
        let (bytes, length) = self.rows.head(row, column).filter(|&(_, length)| length > 0)?;
        Some((u64::from_le_bytes(bytes), length))
    }
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

    pub(super) fn new(tokens: &[String]) -> Self {
        let others = tokens.iter().filter(|token| !token.is_empty()).map(|token| token.clone().into_bytes()).collect();
        Self { empty: tokens.iter().any(String::is_empty), others }
    }

    #[inline]
    pub(super) fn contain(&self, value: &[u8]) -> bool {
        if value.is_empty() { self.empty } else { self.others.iter().any(|token| token == value) }
    }
}
