//! A column of texts as a Parquet column chunk: texts that decode has given codes keep them, others are given codes while that makes
//! the chunk smaller; those that begin as the one before are written without that beginning, the rest behind their lengths.
//!
//! Invariant: what a page is made into follows from the batches of the chunk so far alone; dictionaries that decode gives one after
//! the other keep the codes of the one before.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt16Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use parquet::basic::Encoding;
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, Compressor, DICTIONARY_BYTES, DictionaryPage, PAGE_ROWS, PageBounds, code_bits, indices};
use super::delta;
use super::pages::Pages;
use super::slots::{Head, Slots};

/// Bytes of texts at which a page ends, as in the crate's own pages.
const PAGE_BYTES: usize = 1 << 20;
/// So many texts are looked up at a time: what they are found by stays in the nearest cache.
const LOOKED_UP: usize = 256;
/// So many texts of a page tell how much each has in common with the one before.
const TEXTS_WEIGHED: usize = 1 << 10;
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
    /// Of each.
    heads: Vec<Head>,
    /// None when there are to be no more of these than decode gives.
    slots: Option<Slots>,
    /// Whether all are decode's: until texts come without codes.
    given: bool,
}

/// Texts one after the other, and where each ends.
#[derive(Default)]
pub(super) struct Written {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Written {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
    }

    #[inline]
    fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.bytes[start..self.ends[index] as usize]
    }

    /// Where each lies.
    fn places(&self) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        self.ends.iter().map(move |&end| std::mem::replace(&mut start, end as usize)..end as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places().map(|place| &self.bytes[place])
    }

    fn heads(&self) -> impl Iterator<Item = Head> {
        self.places().map(|place| Head::of(&self.bytes, place.start, place.end))
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All of them, one after the other.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes that they take in a plain page.
    fn plain_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<u32>()
    }

    /// The first texts.
    fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.bytes.truncate(self.ends.last().map_or(0, |&end| end as usize));
    }

    fn clear(&mut self) {
        self.truncate(0);
    }

    /// Of the first texts: bytes, and how many of these each has in common with the one before.
    fn alike(&self) -> (usize, usize) {
        let weighed = self.len().min(TEXTS_WEIGHED);
        let pairs = std::iter::zip(self.iter(), self.iter().skip(1)).take(weighed.saturating_sub(1));
        let alike = pairs.map(|(one, next)| delta::common(one, next)).sum();
        (weighed.checked_sub(1).map_or(0, |last| self.ends[last] as usize), alike)
    }
}

/// What the texts of a page are made into.
enum Form {
    Coded(Vec<u32>),
    /// Without what they have in common with the one before.
    Fronts,
    /// Behind their lengths.
    Lengths,
    /// There are none.
    Plain,
}

impl Known {
    fn push(&mut self, text: &[u8], head: Head) {
        self.texts.push(text);
        self.heads.push(head);
    }

    fn truncate(&mut self, count: usize) {
        self.texts.truncate(count);
        self.heads.truncate(count);
    }

    /// The code of a text with this head and hash; none when it has none and can be given none.
    #[inline]
    fn code(&mut self, text: &[u8], head: Head, hash: u32) -> Option<u32> {
        let (texts, heads) = (&self.texts, &self.heads);
        let same = |code: u32| head.same(text, heads[code as usize], || texts.get(code as usize));
        let (code, new) = self.slots.as_mut()?.code(hash, same)?;
        if new {
            self.push(text, head);
        }
        Some(code)
    }

    /// Takes in the texts that decode has given codes since.
    fn take(&mut self, texts: &StringArray) {
        for code in self.texts.len()..texts.len() {
            let text = texts.value(code).as_bytes();
            self.push(text, Head::of(text, 0, text.len()));
        }
    }

    /// Has the texts of decode's codes be found; to no avail if they are crowded.
    fn find_given(&mut self) {
        let Some(mut slots) = self.slots.take() else { return };
        let mut known = std::iter::zip(self.texts.iter(), &self.heads);
        let found = known.all(|(text, head)| matches!(slots.code(head.hash(text), |_| false), Some((_, true))));
        self.slots = found.then_some(slots);
    }

    /// What the texts of a page are made into. Those that are refused codes for their number end codes for all that follow.
    fn form(&mut self, page: &Written) -> Form {
        let (bytes, alike) = page.alike();
        // Less than a code takes, and a new text would take besides.
        if bytes - alike < 2 * page.len().min(TEXTS_WEIGHED) {
            return Form::Fronts;
        }
        match self.codes(page) {
            Some(codes) => Form::Coded(codes),
            None if alike >= bytes / 4 => Form::Fronts,
            None => Form::Lengths,
        }
    }

    /// Codes the texts of a page. None when that is of no use, for it and all that follow.
    fn codes(&mut self, page: &Written) -> Option<Vec<u32>> {
        if std::mem::take(&mut self.given) {
            self.find_given();
        }
        self.slots.as_ref()?;
        let before = self.texts.len();
        let bytes_before = self.texts.plain_bytes();
        let mut codes = Vec::with_capacity(page.len());
        // Hashes first: while one text is compared the processor fetches the slots of others.
        let mut texts = std::iter::zip(page.iter(), page.heads());
        let mut some = Vec::with_capacity(LOOKED_UP);
        while codes.len() < page.len() {
            some.clear();
            some.extend(texts.by_ref().take(LOOKED_UP).map(|(text, head)| (text, head, head.hash(text))));
            let before = codes.len();
            codes.extend(some.iter().map_while(|&(text, head, hash)| self.code(text, head, hash)));
            if codes.len() - before < some.len() {
                break;
            }
        }
        let coded = self.texts.plain_bytes() - bytes_before + page.len() * code_bits(self.texts.len()) as usize / 8;
        let fits = self.texts.plain_bytes() <= DICTIONARY_BYTES && codes.len() == page.len();
        if fits && coded < page.plain_bytes() {
            return Some(codes);
        }
        self.truncate(before);
        self.slots = None;
        None
    }
}

impl TextColumn {
    /// An empty chunk of the column, with a dictionary of its own or with decode's only.
    pub(super) fn new(column: ColumnDescPtr, dictionary: bool) -> Self {
        let known =
            Known { texts: Written::default(), heads: Vec::new(), slots: dictionary.then(Slots::new), given: true };
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
                self.append_each(coded.keys().iter().map(|key| key.map(|key| texts.value(key as usize))), compressor)
            }
            None => self.append_texts(array.as_string::<i32>(), compressor),
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

    /// Texts without codes, many at a time.
    fn append_texts(&mut self, array: &StringArray, compressor: &mut Compressor) -> Result<(), ParquetError> {
        let offsets = array.value_offsets();
        let (first, last) = (offsets[0] as usize, offsets[array.len()] as usize);
        let valid_bytes = |nulls: &NullBuffer| -> usize {
            nulls.valid_indices().map(|row| (offsets[row + 1] - offsets[row]) as usize).sum()
        };
        if array.nulls().is_some_and(|nulls| valid_bytes(nulls) < last - first) {
            // There are bytes behind nulls.
            return self.append_each(array.iter(), compressor);
        }
        if !self.given.is_empty() {
            self.flush(compressor)?;
        }
        let mut at = 0;
        while at < array.len() {
            let rows = (PAGE_ROWS - self.valid.len()).min(array.len() - at);
            let room = PAGE_BYTES - self.written.bytes.len();
            let begin = offsets[at] as usize;
            // Up to the text that fills the page.
            let count = (offsets[at + 1..at + rows].partition_point(|&end| end as usize - begin < room) + 1).min(rows);
            let end = offsets[at + count] as usize;
            let ends_at = self.written.bytes.len();
            let placed = |end: i32| (ends_at + end as usize - begin) as u32;
            self.written.bytes.extend_from_slice(&array.value_data()[begin..end]);
            match array.nulls().map(|nulls| nulls.slice(at, count)) {
                Some(nulls) if nulls.null_count() > 0 => {
                    self.valid.append_buffer(nulls.inner());
                    let ends = nulls.valid_indices().map(|row| placed(offsets[at + row + 1]));
                    self.written.ends.extend(ends);
                }
                _ => {
                    self.valid.append_n(count, true);
                    self.written.ends.extend(offsets[at + 1..=at + count].iter().map(|&end| placed(end)));
                }
            }
            at += count;
            if self.valid.len() == PAGE_ROWS || self.written.bytes.len() >= PAGE_BYTES {
                self.flush(compressor)?;
            }
        }
        Ok(())
    }

    /// Texts without codes.
    fn append_each<'a>(
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
        self.chunk.bytes() + 2 * self.given.len() + self.written.bytes.len() + self.known.texts.plain_bytes()
    }

    /// Bytes that it takes in memory, about.
    pub(super) fn memory(&self) -> usize {
        let slots = self.known.slots.as_ref().map_or(0, Slots::memory);
        let texts = |written: &Written| written.bytes.capacity() + written.ends.capacity() * size_of::<u32>();
        let codes = self.given.capacity() * size_of::<u32>();
        let heads = self.known.heads.capacity() * size_of::<Head>();
        size_of::<Self>() + self.chunk.bytes() + slots + heads + texts(&self.known.texts) + texts(&self.written) + codes
    }

    /// Ends the page.
    fn flush(&mut self, compressor: &mut Compressor) -> Result<(), ParquetError> {
        if self.valid.is_empty() {
            return Ok(());
        }
        let valid = self.valid.finish();
        let form = if !self.given.is_empty() {
            Form::Coded(std::mem::take(&mut self.given))
        } else if self.written.len() > 0 {
            self.known.form(&self.written)
        } else {
            // Of nothing but nulls; plain pages need no head.
            Form::Plain
        };
        let (bounds, text_bytes) = match &form {
            Form::Coded(codes) => used(&self.known, codes),
            _ => (bounds(std::iter::zip(self.written.iter(), self.written.heads())), self.written.bytes.len()),
        };
        self.text_bytes += text_bytes as i64;
        let told = bounds.and_then(|(least, greatest)| Some((cut(least).to_vec(), cut_up(greatest)?)));
        if let Some((least, greatest)) = bounds {
            widen(&mut self.bounds, least, greatest);
        }
        let known = self.known.texts.len();
        let encoding = match form {
            Form::Coded(_) => Encoding::RLE_DICTIONARY,
            Form::Fronts => Encoding::DELTA_BYTE_ARRAY,
            Form::Lengths => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            Form::Plain => Encoding::PLAIN,
        };
        self.chunk.page(compressor, &valid, encoding, told, |out| match &form {
            Form::Coded(codes) => {
                indices(codes, known, out);
                Ok(())
            }
            Form::Fronts => delta::fronts(&self.written, out),
            Form::Lengths => delta::lengths(&self.written, out),
            Form::Plain => Ok(()),
        })?;
        self.written.clear();
        if let Form::Coded(mut codes) = form {
            // Its room is used again.
            codes.clear();
            self.given = codes;
        }
        Ok(())
    }

    /// The chunk, and what is to be said of it.
    pub(super) fn close(mut self, compressor: &mut Compressor) -> Result<(Pages, ColumnCloseResult), ParquetError> {
        self.flush(compressor)?;
        let statistics = statistics(self.bounds, self.chunk.nulls());
        let dictionary = DictionaryPage { values: self.known.texts.len(), body: plain(&self.known.texts) };
        self.chunk.close(compressor, dictionary, statistics, Some(self.text_bytes))
    }
}

fn bounds<'a>(mut texts: impl Iterator<Item = (&'a [u8], Head)>) -> Bounds<'a> {
    let keyed = |(text, head): (&'a [u8], Head)| (head.key(), text);
    let first = keyed(texts.next()?);
    let (least, greatest) = texts.map(keyed).fold((first, first), |(least, greatest), text| {
        // What is less than the least is not above the greatest.
        if text < least { (text, greatest) } else { (least, if text > greatest { text } else { greatest }) }
    });
    Some((least.1, greatest.1))
}

/// The least and the greatest text of these codes, and the bytes of all.
fn used<'a>(known: &'a Known, codes: &[u32]) -> (Bounds<'a>, usize) {
    let mut counts = vec![0_u32; known.heads.len()];
    codes.iter().for_each(|&code| counts[code as usize] += 1);
    let bytes = std::iter::zip(&counts, &known.heads).map(|(&count, head)| count as usize * head.bytes()).sum();
    let told = std::iter::zip(known.texts.iter(), &known.heads).zip(&counts);
    (bounds(told.filter(|&(_, &count)| count > 0).map(|((text, &head), _)| (text, head))), bytes)
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

/// Texts as plain pages have them: each behind its length.
fn plain(texts: &Written) -> Vec<u8> {
    let mut out = Vec::with_capacity(texts.plain_bytes());
    for text in texts.iter() {
        // A batch holds far less than 4 GiB.
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text);
    }
    out
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
