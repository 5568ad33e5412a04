//! A Parquet column chunk under way: pages, their levels and indices, and what is told of them.
//!
//! Invariant: the chunk is what the Parquet format (version 2.11: dictionary and data pages, levels, page index) says of the values.
//! Coded pages are so by the one dictionary that is handed over last. What the values are it does not know.

use std::cmp::Ordering;
use std::sync::{Mutex, PoisonError};

use arrow_buffer::BooleanBuffer;
use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, PageType};
use parquet::column::page::Page;
use parquet::column::writer::ColumnCloseResult;
use parquet::compression::{Codec, CodecOptions, create_codec};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;

use super::pages::Pages;

/// Rows of a page at most, as in the crate's own pages.
pub(super) const PAGE_ROWS: usize = 20_000;
/// Bytes of a dictionary at most, likewise.
pub(super) const DICTIONARY_BYTES: usize = 1 << 20;

/// Room that a compressor keeps for the next page: what most pages take.
const BODY_BYTES_KEPT: usize = 2 << 20;

/// Compressors of one attempt: one for all its columns, so that what it works on stays in the caches, and one more for each thread that
/// helps.
pub(super) struct Compressors {
    compression: Compression,
    unused: Mutex<Vec<Compressor>>,
}

impl Compressors {
    /// # Errors
    /// When there is no such codec.
    pub(super) fn new(compression: Compression) -> Result<Self, ParquetError> {
        Ok(Self { compression, unused: Mutex::new(vec![Compressor::new(compression)?]) })
    }

    /// Lends one.
    ///
    /// # Errors
    /// As `act` has them.
    pub(super) fn with<T>(
        &self,
        act: impl FnOnce(&mut Compressor) -> Result<T, ParquetError>,
    ) -> Result<T, ParquetError> {
        let unused = || self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        let one = unused().pop();
        let mut one = one.map_or_else(|| Compressor::new(self.compression), Ok)?;
        let done = act(&mut one);
        unused().push(one);
        done
    }
}

/// What compresses pages.
pub(super) struct Compressor {
    compression: Compression,
    codec: Option<Box<dyn Codec>>,
    /// Of the page under way, uncompressed; kept for its room.
    body: Vec<u8>,
}

impl Compressor {
    /// # Errors
    /// When there is no such codec.
    pub(super) fn new(compression: Compression) -> Result<Self, ParquetError> {
        Ok(Self { compression, codec: create_codec(compression, &CodecOptions::default())?, body: Vec::new() })
    }

    fn compress(&mut self, body: &[u8]) -> Result<Bytes, ParquetError> {
        let Some(codec) = &mut self.codec else { return Ok(Bytes::copy_from_slice(body)) };
        let mut compressed = Vec::new();
        codec.compress(body, &mut compressed)?;
        Ok(compressed.into())
    }

    /// As [`Self::compress`]; a page of a chunk whose pages hardly shrink is stored as it is, where the codec has a form for that.
    fn compress_page(&mut self, body: &[u8], stored_next: &mut usize) -> Result<Bytes, ParquetError> {
        if !matches!(self.compression, Compression::ZSTD(_)) {
            return self.compress(body);
        }
        if *stored_next > 0 {
            *stored_next -= 1;
            return Ok(stored(body).into());
        }
        let compressed = self.compress(body)?;
        if compressed.len() > body.len() - body.len() / PAGE_SHRINKS_MIN {
            *stored_next = PAGES_STORED;
        }
        Ok(compressed)
    }
}

/// A page hardly shrinks when it shrinks by less than this part of it.
const PAGE_SHRINKS_MIN: usize = 16;
/// So many pages after such a one are stored as they are.
const PAGES_STORED: usize = 7;
/// Bytes of a block of a frame of Zstandard at most.
const ZSTD_BLOCK_BYTES: usize = 128 << 10;

/// A frame of Zstandard that holds `body` as it is (RFC 8878, sections 3.1.1.1 and 3.1.1.2): one segment, the size in four bytes, raw
/// blocks.
fn stored(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(body.len() + 9 + 3 * body.len().div_ceil(ZSTD_BLOCK_BYTES));
    frame.extend_from_slice(&0xfd2f_b528_u32.to_le_bytes());
    frame.push(0b1010_0000);
    // A page is far smaller than 4 GiB.
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    let blocks = body.len().div_ceil(ZSTD_BLOCK_BYTES);
    for (number, block) in body.chunks(ZSTD_BLOCK_BYTES).enumerate() {
        let header = u32::from(number + 1 == blocks) | (block.len() as u32) << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}

/// The least and the greatest value of a page as the index has them.
pub(super) type PageBounds = (Vec<u8>, Vec<u8>);

/// A dictionary as its page has it: so many values, and these written out.
pub(super) struct DictionaryPage {
    pub(super) values: usize,
    pub(super) body: Vec<u8>,
}

pub(super) struct Chunk {
    column: ColumnDescPtr,
    /// The pages so far, without the dictionary's, which is first in the chunk and known last.
    pages: Pages,
    /// Of each: its bytes, with the header, and its rows.
    places: Vec<(usize, usize)>,
    index: ColumnIndexBuilder,
    /// Order of the bounds in the index.
    compare: fn(&[u8], &[u8]) -> Ordering,
    /// Bounds of the last page that has some.
    last: Option<PageBounds>,
    ascending: bool,
    descending: bool,
    /// How many pages there are of each encoding.
    encoded: Vec<(Encoding, i32)>,
    /// So many pages that follow are stored as they are, if they have the encoding of the last one.
    stored_next: usize,
    last_encoding: Option<Encoding>,
    uncompressed_bytes: usize,
    rows: usize,
    nulls: usize,
}

impl Chunk {
    /// An empty chunk of the column.
    pub(super) fn new(column: ColumnDescPtr, compare: fn(&[u8], &[u8]) -> Ordering) -> Self {
        debug_assert_eq!((column.max_def_level(), column.max_rep_level()), (1, 0), "columns are flat and nullable");
        Self {
            index: ColumnIndexBuilder::new(column.physical_type()),
            column,
            pages: Pages::default(),
            places: Vec::new(),
            compare,
            last: None,
            ascending: true,
            descending: true,
            encoded: Vec::new(),
            stored_next: 0,
            last_encoding: None,
            uncompressed_bytes: 0,
            rows: 0,
            nulls: 0,
        }
    }

    /// Bytes of the pages so far.
    pub(super) fn bytes(&self) -> usize {
        self.pages.bytes()
    }

    /// Whether some page is coded, so that the dictionary must stay.
    pub(super) fn coded(&self) -> bool {
        self.encoded.iter().any(|&(encoding, _)| encoding == Encoding::RLE_DICTIONARY)
    }

    /// Nulls in the pages so far.
    pub(super) fn nulls(&self) -> usize {
        self.nulls
    }

    /// Appends a page of values of which the bits `valid` are no nulls. Bounds may be missing: of nulls alone there are none, and of
    /// others they may have none that can be told.
    pub(super) fn page(
        &mut self,
        compressor: &mut Compressor,
        valid: &BooleanBuffer,
        encoding: Encoding,
        bounds: Option<PageBounds>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), ParquetError>,
    ) -> Result<(), ParquetError> {
        let (rows, nulls) = (valid.len(), valid.len() - valid.count_set_bits());
        let mut body = std::mem::take(&mut compressor.body);
        body.clear();
        levels(valid, &mut body);
        write(&mut body)?;
        if self.last_encoding.replace(encoding) != Some(encoding) {
            // How far pages of another encoding shrink tells nothing of these.
            self.stored_next = 0;
        }
        let (uncompressed, buf) = (body.len(), compressor.compress_page(&body, &mut self.stored_next)?);
        body.shrink_to(BODY_BYTES_KEPT);
        compressor.body = body;
        let data = Page::DataPage {
            buf,
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let bytes = self.pages.add(data, uncompressed)?;
        self.places.push((bytes.written, rows));
        self.uncompressed_bytes += bytes.uncompressed;
        match self.encoded.iter_mut().find(|(known, _)| *known == encoding) {
            Some((_, pages)) => *pages += 1,
            None => self.encoded.push((encoding, 1)),
        }
        self.rows += rows;
        self.nulls += nulls;
        match bounds {
            None if nulls == rows => self.index.append(true, Vec::new(), Vec::new(), nulls as i64),
            None => self.index.to_invalid(),
            Some((least, greatest)) => {
                self.index.append(false, least.clone(), greatest.clone(), nulls as i64);
                self.order((least, greatest));
            }
        }
        Ok(())
    }

    /// Notes in which order the bounds stand.
    fn order(&mut self, bounds: PageBounds) {
        if let Some(last) = &self.last {
            let orders = [(self.compare)(&last.0, &bounds.0), (self.compare)(&last.1, &bounds.1)];
            self.ascending &= orders.iter().all(|order| order.is_le());
            self.descending &= orders.iter().all(|order| order.is_ge());
        }
        self.last = Some(bounds);
    }

    /// The chunk, and what is to be said of it; offsets are from its first byte on. `text_bytes` are those of a column of texts.
    pub(super) fn close(
        mut self,
        compressor: &mut Compressor,
        dictionary: DictionaryPage,
        statistics: Statistics,
        text_bytes: Option<i64>,
    ) -> Result<(Pages, ColumnCloseResult), ParquetError> {
        let mut dictionary_bytes = 0;
        if self.coded() {
            let (uncompressed, buf) = (dictionary.body.len(), compressor.compress(&dictionary.body)?);
            let num_values = dictionary.values as u32;
            let page = Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
            let bytes = self.pages.add_first(page, uncompressed)?;
            self.uncompressed_bytes += bytes.uncompressed;
            dictionary_bytes = bytes.written;
        }
        let bytes = self.pages.bytes();
        let mut offsets = OffsetIndexBuilder::new();
        let mut at = dictionary_bytes;
        for &(bytes, rows) in &self.places {
            offsets.append_row_count(rows as i64);
            // A chunk is smaller than a row group, which is far below 2 GiB.
            offsets.append_offset_and_size(at as i64, bytes as i32);
            at += bytes;
        }
        let mut encodings: Vec<_> = self.encoded.iter().map(|&(encoding, _)| encoding).collect();
        // The dictionary is plain, and levels are runs.
        encodings.extend([Encoding::PLAIN, Encoding::RLE]);
        let levels = LevelHistogram::from(vec![self.nulls as i64, (self.rows - self.nulls) as i64]);
        let metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_encodings(encodings)
            .set_page_encoding_stats(self.encoding_stats())
            .set_compression(compressor.compression)
            .set_num_values(self.rows as i64)
            .set_total_compressed_size(bytes as i64)
            .set_total_uncompressed_size(self.uncompressed_bytes as i64)
            .set_data_page_offset(dictionary_bytes as i64)
            .set_dictionary_page_offset((dictionary_bytes > 0).then_some(0))
            .set_statistics(statistics)
            .set_unencoded_byte_array_data_bytes(text_bytes)
            .set_definition_level_histogram(Some(levels))
            .build()?;
        self.index.set_boundary_order(match (self.ascending, self.descending) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        });
        let close = ColumnCloseResult {
            bytes_written: bytes as u64,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: None,
            column_index: if self.index.valid() { Some(self.index.build()?) } else { None },
            offset_index: Some(offsets.build()),
        };
        Ok((self.pages, close))
    }

    fn encoding_stats(&self) -> Vec<PageEncodingStats> {
        let stats = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
        let dictionary = self.coded().then(|| stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1));
        let pages = self.encoded.iter().map(|&(encoding, count)| stats(PageType::DATA_PAGE, encoding, count));
        dictionary.into_iter().chain(pages).collect()
    }
}

/// Writes the definition levels of values of which the bits `valid` are no nulls, behind their length: one run.
fn levels(valid: &BooleanBuffer, out: &mut Vec<u8>) {
    let (rows, set, at) = (valid.len(), valid.count_set_bits(), out.len());
    out.extend_from_slice(&[0; 4]);
    if set == 0 || set == rows {
        push_varint(out, (rows as u64) << 1);
        out.push(u8::from(set > 0));
    } else {
        // Bits of levels of one bit are packed just as validity is.
        push_varint(out, (rows.div_ceil(8) as u64) << 1 | 1);
        out.extend_from_slice(&valid.sliced().as_slice()[..rows.div_ceil(8)]);
    }
    let bytes = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
}

/// Bits of a code of a dictionary of `count` values.
pub(super) fn code_bits(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros()
}

/// Appends the codes of values of a dictionary of `count` values, of which the last has been given out.
///
/// Runs begin where a group of eight does: eight or more equal codes are one run, groups between these are packed bit by bit.
pub(super) fn indices(codes: &[u32], count: usize, out: &mut Vec<u8>) {
    let bits = code_bits(count);
    out.push(bits as u8);
    let mut at = 0;
    while at < codes.len() {
        let packed = at;
        while codes.len() - at >= 8 && !alike(&codes[at..at + 8]) {
            at += 8;
        }
        if codes.len() - at < 8 && (at > packed || !alike(&codes[at..])) {
            at = codes.len();
        }
        pack(&codes[packed..at], bits, out);
        if let Some(&code) = codes.get(at) {
            let run = codes[at..].iter().take_while(|&&other| other == code).count();
            push_varint(out, (run as u64) << 1);
            out.extend_from_slice(&code.to_le_bytes()[..bits.div_ceil(8) as usize]);
            at += run;
        }
    }
}

fn alike(codes: &[u32]) -> bool {
    let first = codes[0];
    codes.iter().fold(true, |alike, &code| alike & (code == first))
}

/// Appends codes, filled up to groups of eight, packed.
fn pack(codes: &[u32], bits: u32, out: &mut Vec<u8>) {
    if codes.is_empty() {
        return;
    }
    let groups = codes.len().div_ceil(8);
    push_varint(out, (groups as u64) << 1 | 1);
    let end = out.len() + groups * bits as usize;
    let (mut word, mut filled) = (0_u64, 0);
    for &code in codes {
        word |= u64::from(code) << filled;
        filled += bits;
        if filled >= 32 {
            out.extend_from_slice(&(word as u32).to_le_bytes());
            word >>= 32;
            filled -= 32;
        }
    }
    out.extend_from_slice(&word.to_le_bytes());
    out.resize(end, 0);
}

/// Unsigned LEB128.
fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests;
