//! A column of texts that decode has given codes, as a Parquet column chunk: the codes are the indices, and no text is hashed again.
//!
//! Invariant: the chunk is what the Parquet format (version 2.11: dictionary and data pages, levels, page index) says of the values;
//! dictionaries given one after the other keep the codes of the one before. Values that come without codes follow in plain pages.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt16Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, NullBuffer};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::compression::{Codec, CodecOptions, create_codec};
use parquet::data_type::ByteArray;
use parquet::encodings::rle::RleEncoder;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// Rows of a page at most, as in the crate's own pages.
const PAGE_ROWS: usize = 20_000;
/// Bytes of plain values at which a page ends, likewise.
const PAGE_BYTES: usize = 1 << 20;
/// Bytes of a bound in statistics, likewise: longer texts are cut, and the greatest is made greater.
const BOUND_BYTES: usize = 64;

/// The least and the greatest of some texts, if there are any.
type Bounds = Option<(Vec<u8>, Vec<u8>)>;

/// A chunk under way.
pub(super) struct CodedColumn {
    column: ColumnDescPtr,
    compression: Compression,
    codec: Option<Box<dyn Codec>>,
    /// The texts, by code, as far as they are known.
    texts: StringArray,
    page: PageUnderWay,
    /// The pages so far, without the dictionary's, which is first in the chunk and known last.
    pages: TrackedWrite<Vec<u8>>,
    /// Of each: its bytes, with the header, and its rows.
    places: Vec<(usize, usize)>,
    index: ColumnIndexBuilder,
    pages_coded: i32,
    pages_plain: i32,
    uncompressed_bytes: usize,
    rows: usize,
    nulls: usize,
    text_bytes: i64,
    bounds: Bounds,
}

/// Values of one page.
struct PageUnderWay {
    valid: BooleanBufferBuilder,
    /// Of the values that are no nulls; none in a plain page.
    codes: Vec<u16>,
    /// Values as they stand in a plain page; none in a coded one.
    plain: Vec<u8>,
    bounds: Bounds,
    text_bytes: usize,
}

impl CodedColumn {
    /// An empty chunk of the column.
    ///
    /// # Errors
    /// When there is no such codec.
    pub(super) fn new(column: ColumnDescPtr, compression: Compression) -> Result<Self, ParquetError> {
        debug_assert_eq!((column.max_def_level(), column.max_rep_level()), (1, 0), "columns are flat and nullable");
        Ok(Self {
            index: ColumnIndexBuilder::new(column.physical_type()),
            column,
            compression,
            codec: create_codec(compression, &CodecOptions::default())?,
            texts: StringArray::new_null(0),
            page: PageUnderWay::new(),
            pages: TrackedWrite::new(Vec::new()),
            places: Vec::new(),
            pages_coded: 0,
            pages_plain: 0,
            uncompressed_bytes: 0,
            rows: 0,
            nulls: 0,
            text_bytes: 0,
            bounds: None,
        })
    }

    /// Appends texts, with codes or without.
    pub(super) fn append(&mut self, array: &ArrayRef) -> Result<(), ParquetError> {
        match array.as_dictionary_opt::<UInt16Type>() {
            Some(coded) => self.append_coded(coded),
            None => self.append_plain(array.as_string()),
        }
    }

    fn append_coded(&mut self, array: &DictionaryArray<UInt16Type>) -> Result<(), ParquetError> {
        if array.null_count() < array.len() {
            self.texts = array.values().as_string().clone();
            if !self.page.plain.is_empty() {
                self.flush()?;
            }
        }
        let codes = array.keys().values();
        let mut at = 0;
        while at < array.len() {
            let count = (PAGE_ROWS - self.page.valid.len()).min(array.len() - at);
            match array.nulls().map(|nulls| nulls.slice(at, count)) {
                None => self.page.append(&codes[at..at + count], None),
                Some(nulls) => self.page.append(&codes[at..at + count], Some(&nulls)),
            }
            at += count;
            if self.page.valid.len() == PAGE_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn append_plain(&mut self, array: &StringArray) -> Result<(), ParquetError> {
        if !self.page.codes.is_empty() {
            self.flush()?;
        }
        for text in array {
            self.page.push(text.map(str::as_bytes));
            if self.page.valid.len() == PAGE_ROWS || self.page.plain.len() >= PAGE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Bytes of the pages so far, about.
    pub(super) fn bytes(&self) -> usize {
        self.pages.bytes_written() + 2 * self.page.codes.len() + self.page.plain.len()
    }

    /// Ends the page.
    fn flush(&mut self) -> Result<(), ParquetError> {
        let mut page = std::mem::replace(&mut self.page, PageUnderWay::new());
        let rows = page.valid.len();
        if rows == 0 {
            return Ok(());
        }
        let valid = page.valid.finish();
        let nulls = rows - valid.count_set_bits();
        let mut body = levels(&valid);
        let encoding = if page.codes.is_empty() {
            body.extend_from_slice(&page.plain);
            self.pages_plain += 1;
            Encoding::PLAIN
        } else {
            let used = self.used(&page.codes);
            page.bounds = used.0;
            page.text_bytes = used.1;
            indices(&page.codes, self.texts.len(), &mut body);
            self.pages_coded += 1;
            Encoding::RLE_DICTIONARY
        };
        let (uncompressed, buf) = (body.len(), self.compress(body)?);
        let data = Page::DataPage {
            buf,
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let spec = SerializedPageWriter::new(&mut self.pages).write_page(CompressedPage::new(data, uncompressed))?;
        self.places.push((spec.compressed_size, rows));
        self.uncompressed_bytes += spec.uncompressed_size;
        self.rows += rows;
        self.nulls += nulls;
        self.text_bytes += page.text_bytes as i64;
        self.note_bounds(page.bounds, nulls);
        Ok(())
    }

    /// Bounds of a page, for the index and for the chunk.
    fn note_bounds(&mut self, bounds: Bounds, nulls: usize) {
        let Some((least, greatest)) = bounds else {
            self.index.append(true, Vec::new(), Vec::new(), nulls as i64);
            return;
        };
        match (cut(&least), cut_up(&greatest)) {
            (least, Some(greatest)) => self.index.append(false, least.to_vec(), greatest, nulls as i64),
            _ => self.index.to_invalid(),
        }
        widen(&mut self.bounds, &least);
        widen(&mut self.bounds, &greatest);
    }

    /// The least and the greatest text of these codes, and the bytes of all.
    fn used(&self, codes: &[u16]) -> (Bounds, usize) {
        let mut counts = vec![0_usize; self.texts.len()];
        codes.iter().for_each(|&code| counts[code as usize] += 1);
        let mut bounds: Option<(&[u8], &[u8])> = None;
        let mut bytes = 0;
        for (code, count) in counts.into_iter().enumerate().filter(|&(_, count)| count > 0) {
            let text = self.texts.value(code).as_bytes();
            bytes += count * text.len();
            let (least, greatest) = bounds.unwrap_or((text, text));
            bounds = Some((least.min(text), greatest.max(text)));
        }
        (bounds.map(|(least, greatest)| (least.to_vec(), greatest.to_vec())), bytes)
    }

    fn compress(&mut self, body: Vec<u8>) -> Result<Bytes, ParquetError> {
        let Some(codec) = &mut self.codec else { return Ok(body.into()) };
        let mut compressed = Vec::with_capacity(body.len() / 2);
        codec.compress(&body, &mut compressed)?;
        Ok(compressed.into())
    }

    /// The page of the dictionary, with its header; its bytes, and those it would have uncompressed.
    fn dictionary(&mut self) -> Result<(Vec<u8>, usize), ParquetError> {
        let mut body = Vec::new();
        let texts = self.texts.clone();
        texts.iter().flatten().for_each(|text| push_plain(&mut body, text.as_bytes()));
        let (uncompressed, buf) = (body.len(), self.compress(body)?);
        let num_values = self.texts.len() as u32;
        let page = Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
        let mut out = TrackedWrite::new(Vec::new());
        let spec = SerializedPageWriter::new(&mut out).write_page(CompressedPage::new(page, uncompressed))?;
        Ok((out.into_inner()?, spec.uncompressed_size))
    }

    /// The chunk, and what is to be said of it; offsets are from its first byte on.
    pub(super) fn close(mut self) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        self.flush()?;
        let (mut chunk, mut uncompressed) = (Vec::new(), self.uncompressed_bytes);
        if self.pages_coded > 0 {
            let (dictionary, bytes) = self.dictionary()?;
            uncompressed += bytes;
            chunk = dictionary;
        }
        let dictionary_bytes = chunk.len();
        chunk.extend_from_slice(&self.pages.into_inner()?);
        let mut offsets = OffsetIndexBuilder::new();
        let mut at = dictionary_bytes;
        for &(bytes, rows) in &self.places {
            offsets.append_row_count(rows as i64);
            // A chunk is smaller than a row group, which is far below 2 GiB.
            offsets.append_offset_and_size(at as i64, bytes as i32);
            at += bytes;
        }
        let stats = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
        let pages = [
            stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN, i32::from(self.pages_coded > 0)),
            stats(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, self.pages_coded),
            stats(PageType::DATA_PAGE, Encoding::PLAIN, self.pages_plain),
        ];
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        encodings.extend((self.pages_coded > 0).then_some(Encoding::RLE_DICTIONARY));
        let levels = LevelHistogram::from(vec![self.nulls as i64, (self.rows - self.nulls) as i64]);
        let metadata = ColumnChunkMetaData::builder(self.column)
            .set_encodings(encodings)
            .set_page_encoding_stats(pages.into_iter().filter(|stats| stats.count > 0).collect())
            .set_compression(self.compression)
            .set_num_values(self.rows as i64)
            .set_total_compressed_size(chunk.len() as i64)
            .set_total_uncompressed_size(uncompressed as i64)
            .set_data_page_offset(dictionary_bytes as i64)
            .set_dictionary_page_offset((dictionary_bytes > 0).then_some(0))
            .set_statistics(statistics(self.bounds, self.nulls))
            .set_unencoded_byte_array_data_bytes(Some(self.text_bytes))
            .set_definition_level_histogram(Some(levels))
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: chunk.len() as u64,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: None,
            column_index: if self.index.valid() { Some(self.index.build()?) } else { None },
            offset_index: Some(offsets.build()),
        };
        Ok((chunk.into(), close))
    }
}

impl PageUnderWay {
    fn new() -> Self {
        Self { valid: BooleanBufferBuilder::new(0), codes: Vec::new(), plain: Vec::new(), bounds: None, text_bytes: 0 }
    }

    /// Appends values with codes.
    fn append(&mut self, codes: &[u16], nulls: Option<&NullBuffer>) {
        match nulls {
            None => {
                self.valid.append_n(codes.len(), true);
                self.codes.extend_from_slice(codes);
            }
            Some(nulls) => {
                self.valid.append_buffer(nulls.inner());
                self.codes.extend(nulls.valid_indices().map(|row| codes[row]));
            }
        }
    }

    /// Appends a plain value.
    fn push(&mut self, text: Option<&[u8]>) {
        self.valid.append(text.is_some());
        if let Some(text) = text {
            push_plain(&mut self.plain, text);
            widen(&mut self.bounds, text);
            self.text_bytes += text.len();
        }
    }
}

/// Has the bounds hold `text`.
fn widen(bounds: &mut Bounds, text: &[u8]) {
    match bounds {
        None => *bounds = Some((text.to_vec(), text.to_vec())),
        Some((least, greatest)) => {
            if text < &least[..] {
                *least = text.to_vec();
            }
            if text > &greatest[..] {
                *greatest = text.to_vec();
            }
        }
    }
}

/// Appends a text as plain pages have it.
fn push_plain(out: &mut Vec<u8>, text: &[u8]) {
    // A batch holds far less than 4 GiB.
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

/// Definition levels of values of which the bits `valid` are no nulls, behind their length: one run.
fn levels(valid: &BooleanBuffer) -> Vec<u8> {
    let (rows, set) = (valid.len(), valid.count_set_bits());
    let mut out = vec![0; 4];
    if set == 0 || set == rows {
        push_varint(&mut out, (rows as u64) << 1);
        out.push(u8::from(set > 0));
    } else {
        // Bits of levels of one bit are packed just as validity is.
        push_varint(&mut out, (rows.div_ceil(8) as u64) << 1 | 1);
        out.extend_from_slice(&valid.sliced().as_slice()[..rows.div_ceil(8)]);
    }
    let bytes = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&bytes.to_le_bytes());
    out
}

/// Appends the indices of values of a dictionary of `count` texts.
fn indices(codes: &[u16], count: usize, out: &mut Vec<u8>) {
    let width = (usize::BITS - count.saturating_sub(1).leading_zeros()) as u8;
    out.push(width);
    let mut encoder = RleEncoder::new_from_buf(width, std::mem::take(out));
    codes.iter().for_each(|&code| encoder.put(u64::from(code)));
    *out = encoder.consume();
}

/// Unsigned LEB128.
fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Statistics of a chunk.
fn statistics(bounds: Bounds, nulls: usize) -> Statistics {
    let (least, greatest) = bounds.unzip();
    let least_exact = least.as_ref().is_none_or(|least| least.len() <= BOUND_BYTES);
    let greatest_exact = greatest.as_ref().is_none_or(|greatest| greatest.len() <= BOUND_BYTES);
    let least = least.map(|least| ByteArray::from(cut(&least).to_vec()));
    let greatest = greatest.and_then(|greatest| cut_up(&greatest)).map(ByteArray::from);
    let statistics = ValueStatistics::new(least, greatest, None, Some(nulls as u64), false);
    Statistics::ByteArray(statistics.with_min_is_exact(least_exact).with_max_is_exact(greatest_exact))
}

/// The first bytes of a text, in whole characters.
fn cut(text: &[u8]) -> &[u8] {
    let mut end = text.len().min(BOUND_BYTES);
    // A byte that goes on a character is no place to cut.
    while end < text.len() && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &text[..end]
}

/// The least text of at most so many bytes that is not below `text`, roughly; none when there is none.
fn cut_up(text: &[u8]) -> Option<Vec<u8>> {
    let head = cut(text);
    if head.len() == text.len() {
        return Some(head.to_vec());
    }
    let mut characters: Vec<char> = std::str::from_utf8(head).ok()?.chars().collect();
    while let Some(last) = characters.pop() {
        // The next character, if it takes no more bytes.
        let next = (last..=char::MAX).nth(1).filter(|next| next.len_utf8() == last.len_utf8());
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect::<String>().into_bytes());
        }
    }
    None
}

#[cfg(test)]
mod tests;
