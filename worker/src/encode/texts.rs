//! A column of texts as a Parquet column chunk: texts that decode has given codes keep them, others are given codes while that makes
//! the chunk smaller, then they are plain.
//!
//! Invariant: what a page is made into follows from the batches of the chunk so far alone; dictionaries that decode gives one after
//! the other keep the codes of the one before.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt16Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray};
use arrow_buffer::BooleanBufferBuilder;
use bytes::Bytes;
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, Compressor, DICTIONARY_BYTES, DictionaryPage, PAGE_ROWS, PageBounds, code_bits, indices};
use super::slots::{Slots, hash, same};

/// Bytes of plain values at which a page ends, as in the crate's own pages.
const PAGE_BYTES: usize = 1 << 20;
/// Bytes of a bound in statistics, likewise: longer texts are cut, and the greatest is made greater.
const BOUND_BYTES: usize = 64;

/// The least and the greatest of some texts, if there are any.
type Bounds<'a> = Option<(&'a [u8], &'a [u8])>;

/// A chunk under way.
pub(super) struct TextColumn {
    chunk: Chunk,
    known: Known,
    text_bytes: i64,
    bounds: Option<PageBounds>,
    /// Of the page under way.
    valid: BooleanBufferBuilder,
    /// Of its values that came with codes; none in a page of others.
    given: Vec<u32>,
    /// Of its values that came without.
    written: Written,
}

/// Texts with their codes.
struct Known {
    texts: Written,
    /// None when there are to be no more of these than decode gives.
    slots: Option<Slots>,
    /// Whether all are decode's: until texts come without codes.
    given: bool,
}

/// Texts as plain pages have them, and where each begins.
#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    starts: Vec<u32>,
}

impl Written {
    fn push(&mut self, text: &[u8]) {
        self.starts.push(self.bytes.len() as u32);
        push_plain(&mut self.bytes, text);
    }

    #[inline]
    fn get(&self, index: usize) -> &[u8] {
        let end = self.starts.get(index + 1).map_or(self.bytes.len(), |&end| end as usize);
        &self.bytes[self.starts[index] as usize + size_of::<u32>()..end]
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.starts.len()).map(|index| self.get(index))
    }

    fn len(&self) -> usize {
        self.starts.len()
    }

    /// Bytes of the texts themselves.
    fn text_bytes(&self) -> usize {
        self.bytes.len() - self.starts.len() * size_of::<u32>()
    }

    fn truncate(&mut self, count: usize) {
        if let Some(&end) = self.starts.get(count) {
            self.bytes.truncate(end as usize);
            self.starts.truncate(count);
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }
}

impl Known {
    /// The code of a text with this hash; none when it has none and can be given none.
    #[inline]
    fn code(&mut self, text: &[u8], hash: u32) -> Option<u32> {
        let texts = &self.texts;
        let (code, new) = self.slots.as_mut()?.code(hash, |code| same(texts.get(code as usize), text))?;
        if new {
            self.texts.push(text);
        }
        Some(code)
    }

    /// Takes in the texts that decode has given codes since.
    fn take(&mut self, texts: &StringArray) {
        for code in self.texts.len()..texts.len() {
            self.texts.push(texts.value(code).as_bytes());
        }
    }

    /// Has the texts of decode's codes be found; to no avail if they are crowded.
    fn find_given(&mut self) {
        let (texts, Some(mut slots)) = (&self.texts, self.slots.take()) else { return };
        let found = texts.iter().all(|text| matches!(slots.code(hash(text), |_| false), Some((_, true))));
        self.slots = found.then_some(slots);
    }

    /// Codes the texts of a page. None when it is to be plain, as will be all that follow.
    fn codes(&mut self, page: &Written) -> Option<Vec<u32>> {
        if std::mem::take(&mut self.given) {
            self.find_given();
        }
        self.slots.as_ref()?;
        let before = self.texts.len();
        let bytes_before = self.texts.bytes.len();
        let mut codes = Vec::with_capacity(page.len());
        // Hashes first: while one text is compared the processor fetches the slots of others.
        let hashes: Vec<u32> = page.iter().map(hash).collect();
        codes.extend(std::iter::zip(page.iter(), hashes).map_while(|(text, hash)| self.code(text, hash)));
        let coded = self.texts.bytes.len() - bytes_before + page.len() * code_bits(self.texts.len()) as usize / 8;
        let fits = self.texts.bytes.len() <= DICTIONARY_BYTES && codes.len() == page.len();
        if fits && coded < page.bytes.len() {
            return Some(codes);
        }
        self.texts.truncate(before);
        self.slots = None;
        None
    }
}

impl TextColumn {
    /// An empty chunk of the column, with a dictionary of its own or with decode's only.
    pub(super) fn new(column: ColumnDescPtr, dictionary: bool) -> Self {
        let known = Known { texts: Written::default(), slots: dictionary.then(Slots::new), given: true };
        Self {
            chunk: Chunk::new(column, Ord::cmp),
            known,
            text_bytes: 0,
            bounds: None,
            valid: BooleanBufferBuilder::new(0),
            given: Vec::new(),
            written: Written::default(),
        }
    }

    /// Appends texts, with codes or without.
    pub(super) fn append(&mut self, array: &ArrayRef, compressor: &mut Compressor) -> Result<(), ParquetError> {
        match array.as_dictionary_opt::<UInt16Type>() {
            Some(coded) if self.known.given && self.written.len() == 0 => self.append_coded(coded, compressor),
            // The codes of this chunk are not decode's any more.
            Some(coded) => {
                let texts = coded.values().as_string::<i32>();
                self.append_texts(coded.keys().iter().map(|key| key.map(|key| texts.value(key as usize))), compressor)
            }
            None => self.append_texts(array.as_string::<i32>().iter(), compressor),
        }
    }

    fn append_coded(
        &mut self,
        array: &DictionaryArray<UInt16Type>,
        compressor: &mut Compressor,
    ) -> Result<(), ParquetError> {
        if array.null_count() < array.len() {
            self.known.take(array.values().as_string());
        }
        let codes = array.keys().values();
        let mut at = 0;
        while at < array.len() {
            let count = (PAGE_ROWS - self.valid.len()).min(array.len() - at);
            match array.nulls().map(|nulls| nulls.slice(at, count)) {
                None => {
                    self.valid.append_n(count, true);
                    self.given.extend(codes[at..at + count].iter().map(|&code| u32::from(code)));
                }
                Some(nulls) => {
                    self.valid.append_buffer(nulls.inner());
                    self.given.extend(nulls.valid_indices().map(|row| u32::from(codes[at + row])));
                }
            }
            at += count;
            if self.valid.len() == PAGE_ROWS {
                self.flush(compressor)?;
            }
        }
        Ok(())
    }

    fn append_texts<'a>(
        &mut self,
        texts: impl Iterator<Item = Option<&'a str>>,
        compressor: &mut Compressor,
    ) -> Result<(), ParquetError> {
        if !self.given.is_empty() {
            self.flush(compressor)?;
        }
        for text in texts {
            self.valid.append(text.is_some());
            if let Some(text) = text {
                self.written.push(text.as_bytes());
            }
            if self.valid.len() == PAGE_ROWS || self.written.bytes.len() >= PAGE_BYTES {
                self.flush(compressor)?;
            }
        }
        Ok(())
    }

    /// Bytes of the pages so far, about.
    pub(super) fn bytes(&self) -> usize {
        self.chunk.bytes() + 2 * self.given.len() + self.written.bytes.len() + self.known.texts.bytes.len()
    }

    /// Bytes that it takes in memory, about.
    pub(super) fn memory(&self) -> usize {
        let slots = self.known.slots.as_ref().map_or(0, Slots::memory);
        let texts = |written: &Written| written.bytes.capacity() + written.starts.capacity() * size_of::<u32>();
        let codes = self.given.capacity() * size_of::<u32>();
        size_of::<Self>() + self.chunk.bytes() + slots + texts(&self.known.texts) + texts(&self.written) + codes
    }

    /// Ends the page.
    fn flush(&mut self, compressor: &mut Compressor) -> Result<(), ParquetError> {
        if self.valid.is_empty() {
            return Ok(());
        }
        let valid = self.valid.finish();
        let mut codes = None;
        if !self.given.is_empty() {
            codes = Some(std::mem::take(&mut self.given));
        } else if self.written.len() > 0 {
            codes = self.known.codes(&self.written);
        }
        let (bounds, text_bytes) = match &codes {
            Some(codes) => used(&self.known.texts, codes),
            None => (bounds(self.written.iter()), self.written.text_bytes()),
        };
        self.text_bytes += text_bytes as i64;
        let told = bounds.and_then(|(least, greatest)| Some((cut(least).to_vec(), cut_up(greatest)?)));
        if let Some((least, greatest)) = bounds {
            widen(&mut self.bounds, least, greatest);
        }
        let known = self.known.texts.len();
        self.chunk.page(compressor, &valid, codes.is_some(), told, |out| match &codes {
            Some(codes) => indices(codes, known, out),
            None => out.extend_from_slice(&self.written.bytes),
        })?;
        self.written.clear();
        if let Some(mut codes) = codes {
            // Its room is used again.
            codes.clear();
            self.given = codes;
        }
        Ok(())
    }

    /// The chunk, and what is to be said of it.
    pub(super) fn close(mut self, compressor: &mut Compressor) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        self.flush(compressor)?;
        let statistics = statistics(self.bounds, self.chunk.nulls());
        let dictionary = DictionaryPage { values: self.known.texts.len(), body: self.known.texts.bytes };
        self.chunk.close(compressor, dictionary, statistics, Some(self.text_bytes))
    }
}

fn bounds<'a>(mut texts: impl Iterator<Item = &'a [u8]>) -> Bounds<'a> {
    let first = texts.next()?;
    Some(texts.fold((first, first), |(least, greatest), text| {
        // What is less than the least is not above the greatest.
        if text < least { (text, greatest) } else { (least, if text > greatest { text } else { greatest }) }
    }))
}

/// The least and the greatest text of these codes, and the bytes of all.
fn used<'a>(texts: &'a Written, codes: &[u32]) -> (Bounds<'a>, usize) {
    let mut counts = vec![0_u32; texts.len()];
    codes.iter().for_each(|&code| counts[code as usize] += 1);
    let used = || counts.iter().enumerate().filter(|&(_, &count)| count > 0);
    let bytes = used().map(|(code, &count)| count as usize * texts.get(code).len()).sum();
    (bounds(used().map(|(code, _)| texts.get(code))), bytes)
}

/// Has the bounds hold these.
fn widen(bounds: &mut Option<PageBounds>, least: &[u8], greatest: &[u8]) {
    match bounds {
        None => *bounds = Some((least.to_vec(), greatest.to_vec())),
        Some(bounds) => {
            if least < &bounds.0[..] {
                bounds.0 = least.to_vec();
            }
            if greatest > &bounds.1[..] {
                bounds.1 = greatest.to_vec();
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

/// Statistics of a chunk.
fn statistics(bounds: Option<PageBounds>, nulls: usize) -> Statistics {
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
