//! A column of text under construction: as a dictionary while its values are few, else written out.
//!
//! Invariant: values are appended in the order of the rows; which of the two forms a batch has is a matter of speed alone. Codes
//! of a dictionary stay what they are from batch to batch.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray, new_null_array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use batteuse_shared::limits::{
    DICTIONARIES_BYTES_MAX, DICTIONARIES_VALUES_MAX, DICTIONARY_BYTES_MAX, DICTIONARY_VALUES_MAX,
};
use batteuse_shared::table::Classes;

use super::column::Block;
use super::value::Nulls;
use crate::arch::{self, each_bit};
use crate::frame::BLOCK_ROWS;
use crate::infer::classify;

/// Distinct values from which on a dictionary must pay: an eighth of the values seen at most.
const DICTIONARY_VALUES_FREE: usize = 256;
/// Slots looked at before a value is called new: more would be somebody's intent.
const PROBES_MAX: usize = 32;
/// Bytes of a text that is copied whole, whatever its length.
const SHORT_TEXT_BYTES: usize = 16;

/// The texts of one column.
#[derive(Debug)]
pub(super) enum Texts {
    Dictionary(Dictionary),
    Written(Written),
}

/// Ends of the texts, behind a zero, and the texts; validated as UTF-8 once more, whole, when the column is finished.
#[derive(Debug)]
pub(super) struct Written {
    ends: Vec<i32>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Dictionary {
    /// Most texts, and most bytes of them.
    values_max: usize,
    bytes_max: usize,
    /// Ends of the texts, by code, behind a zero.
    ends: Vec<i32>,
    /// The texts, one after the other.
    bytes: Vec<u8>,
    /// By hash. A power of two of them, at most half in use.
    slots: Vec<Slot>,
    /// Codes of the batch under way.
    codes: Vec<u16>,
    /// The join of the classes of all texts that are no nulls.
    classes: Classes,
    /// Values looked up.
    seen: usize,
    /// Codes of texts that mean null.
    nulls: Vec<u16>,
    /// The texts as an array, when it was last made.
    array: Option<Arc<StringArray>>,
}

/// Where a text is looked for.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The first sixteen bytes, all zero behind the text.
    low: u64,
    high: u64,
    /// Its length, or [`FREE`].
    bytes: u32,
    code: u16,
}

const FREE: u32 = u32::MAX;

impl Default for Slot {
    fn default() -> Self {
        Self { low: 0, high: 0, bytes: FREE, code: 0 }
    }
}

/// The dictionary has become too large.
struct Full;

impl Texts {
    /// No text yet, of one of so many columns, which share the room for dictionaries.
    pub(super) fn new(columns: usize) -> Self {
        let dictionary = Dictionary {
            values_max: DICTIONARY_VALUES_MAX.min(DICTIONARIES_VALUES_MAX / columns.max(1)),
            bytes_max: DICTIONARY_BYTES_MAX.min(DICTIONARIES_BYTES_MAX / columns.max(1)),
            ends: vec![0],
            bytes: Vec::new(),
            slots: vec![Slot::default(); 64],
            codes: Vec::new(),
            classes: Classes::default(),
            seen: 0,
            nulls: Vec::new(),
            array: None,
        };
        Self::Dictionary(dictionary)
    }

    /// Appends a block; the word of values that are not null, of which `valid` has those of the batch's earlier blocks. Joins the
    /// values' classes to `summary` until it is text.
    pub(super) fn append(
        &mut self,
        block: &mut Block<'_, '_, '_, '_>,
        valid: &[u64],
        summary: &mut Option<Classes>,
    ) -> u64 {
        if let Self::Dictionary(dictionary) = self {
            let before = dictionary.codes.len();
            match dictionary.append(block) {
                Ok(valid) => {
                    if let Some(summary) = summary {
                        *summary = summary.join(dictionary.classes);
                    }
                    return valid;
                }
                Err(Full) => {
                    dictionary.codes.truncate(before);
                    *self = Self::Written(dictionary.write_out(valid));
                }
            }
        }
        let Self::Written(written) = self else { unreachable!("it was a dictionary, and is none any more") };
        written.append(block, summary)
    }

    /// Appends nulls.
    pub(super) fn append_nulls(&mut self, rows: usize) {
        match self {
            Self::Dictionary(dictionary) => dictionary.codes.resize(dictionary.codes.len() + rows, 0),
            Self::Written(written) => written.ends.resize(written.ends.len() + rows, written.bytes.len() as i32),
        }
    }

    /// The column of the batch as an array.
    pub(super) fn finish(&mut self, rows: usize, nulls: Option<NullBuffer>) -> ArrayRef {
        match self {
            Self::Dictionary(dictionary) => dictionary.finish(rows, nulls),
            Self::Written(written) => {
                let bytes = written.bytes.len();
                let next = Written::new(rows + rows / 8, bytes + bytes / 8);
                Arc::new(std::mem::replace(written, next).texts(nulls))
            }
        }
    }
}

impl Dictionary {
    fn append(&mut self, block: &mut Block<'_, '_, '_, '_>) -> Result<u64, Full> {
        let from = self.codes.len();
        self.codes.resize(from + block.rows, 0);
        let (nulls, decimal) = (block.nulls, block.decimal);
        let mut valid = block.candidates();
        self.seen += valid.count_ones() as usize;
        let plain = block.gather_text(valid);
        block.gather_high();
        arch::keys(block.path, &block.lanes.gathered, &mut block.lanes.keys);
        let codes = &mut self.codes[from..];
        let mut missing = valid & !plain;
        let (keys, lengths, mask) = (&block.lanes.keys, &block.lanes.gathered.bytes, self.slots.len() - 1);
        each_bit(plain, |row| {
            let (low, high, bytes) = (keys.low[row], keys.high[row], lengths[row] as u32);
            let mut at = keys.hashes[row] as usize & mask;
            for _ in 0..PROBES_MAX {
                let slot = &self.slots[at];
                if slot.low == low && slot.high == high && slot.bytes == bytes && bytes <= SHORT_TEXT_BYTES as u32 {
                    codes[row] = slot.code;
                    return;
                }
                if slot.bytes == FREE {
                    break;
                }
                at = (at + 1) & mask;
            }
            missing |= 1 << row;
        });
        while missing != 0 {
            let row = missing.trailing_zeros() as usize;
            missing &= missing - 1;
            let text = if plain >> row & 1 == 1 {
                block.text(row)
            } else {
                block.values.get(row, block.column).unwrap_or_default()
            };
            let code = self.code(text, nulls, decimal)?;
            self.codes[from + row] = code;
        }
        for &null in &self.nulls {
            let codes = self.codes[from..].iter().enumerate();
            valid = codes.fold(valid, |valid, (row, &code)| if code == null { valid & !(1 << row) } else { valid });
        }
        let distinct = self.ends.len() - 1;
        if distinct > DICTIONARY_VALUES_FREE && distinct > self.seen / 8 { Err(Full) } else { Ok(valid) }
    }

    /// The code of `text`.
    fn code(&mut self, text: &[u8], nulls: &Nulls, decimal: u8) -> Result<u16, Full> {
        let (head, mask) = (head_of(text), self.slots.len() - 1);
        let mut at = arch::hash(head, text.len()) as usize & mask;
        for _ in 0..PROBES_MAX {
            let slot = &self.slots[at];
            if slot.bytes == FREE {
                return self.insert(text, nulls, decimal);
            }
            let same = [slot.low, slot.high] == head && slot.bytes as usize == text.len();
            if same && (text.len() <= SHORT_TEXT_BYTES || self.text(slot.code) == text) {
                return Ok(slot.code);
            }
            at = (at + 1) & mask;
        }
        Err(Full)
    }

    /// Takes in `text`, which is new.
    #[cold]
    fn insert(&mut self, text: &[u8], nulls: &Nulls, decimal: u8) -> Result<u16, Full> {
        let fits = self.bytes.len() + text.len() <= self.bytes_max;
        if !fits || self.ends.len() > self.values_max {
            return Err(Full);
        }
        let code = (self.ends.len() - 1) as u16;
        if nulls.contain(text) {
            self.nulls.push(code);
        } else if self.classes != Classes::TEXT {
            self.classes = self.classes.join(classify(text, decimal));
        }
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as i32);
        self.array = None;
        if 2 * (self.ends.len() - 1) > self.slots.len() {
            self.slots = vec![Slot::default(); 2 * self.slots.len()];
            (0..=code).for_each(|code| self.place(code));
        } else {
            self.place(code);
        }
        Ok(code)
    }

    /// Gives the text `code` the first free slot of its hash.
    fn place(&mut self, code: u16) {
        let text = self.text(code);
        let (head, bytes, mask) = (head_of(text), text.len(), self.slots.len() - 1);
        let mut at = arch::hash(head, bytes) as usize & mask;
        while self.slots[at].bytes != FREE {
            at = (at + 1) & mask;
        }
        let [low, high] = head;
        // At most `DICTIONARY_BYTES_MAX`.
        self.slots[at] = Slot { low, high, bytes: bytes as u32, code };
    }

    fn text(&self, code: u16) -> &[u8] {
        &self.bytes[self.ends[code as usize] as usize..self.ends[code as usize + 1] as usize]
    }

    /// The batch so far, written out; `valid` has a word for each of its blocks. What is null has a code like any other, and no text.
    fn write_out(&self, valid: &[u64]) -> Written {
        let mut written = Written::new(self.codes.len(), 0);
        for (codes, valid) in std::iter::zip(self.codes.chunks(BLOCK_ROWS), valid) {
            for (row, &code) in codes.iter().enumerate() {
                written.bytes.extend_from_slice(if valid >> row & 1 == 1 { self.text(code) } else { &[] });
                written.ends.push(written.bytes.len() as i32);
            }
        }
        written
    }

    fn finish(&mut self, rows: usize, nulls: Option<NullBuffer>) -> ArrayRef {
        let codes = std::mem::replace(&mut self.codes, Vec::with_capacity(rows + rows / 8));
        if nulls.as_ref().is_some_and(|nulls| nulls.null_count() == rows) {
            let text = Box::new(DataType::Utf8);
            return new_null_array(&DataType::Dictionary(Box::new(DataType::UInt16), text), rows);
        }
        let array = self.array.get_or_insert_with(|| {
            Arc::new(Written { ends: self.ends.clone(), bytes: self.bytes.clone() }.texts(None))
        });
        let array: ArrayRef = Arc::clone(array) as ArrayRef;
        Arc::new(
            arch::arrays::coded(codes, array, nulls).expect("a code is given with its text, the first with the first"),
        )
    }
}

/// The first sixteen bytes of a text.
fn head_of(text: &[u8]) -> [u64; 2] {
    let mut head = [0; SHORT_TEXT_BYTES];
    let length = text.len().min(SHORT_TEXT_BYTES);
    head[..length].copy_from_slice(&text[..length]);
    let both = u128::from_le_bytes(head);
    [both as u64, (both >> 64) as u64]
}

impl Written {
    /// No text, with room for so many, of so many bytes together.
    fn new(rows: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self { ends, bytes: Vec::with_capacity(bytes) }
    }

    fn append(&mut self, block: &mut Block<'_, '_, '_, '_>, summary: &mut Option<Classes>) -> u64 {
        let candidates = block.candidates();
        let from = self.ends.len();
        let plain = if block.nulls.is_only_empty() { block.gather_text(candidates) } else { 0 };
        let valid = if plain == candidates {
            self.append_plain(block, candidates);
            candidates
        } else {
            self.append_each(block, candidates, plain)
        };
        if summary.is_some_and(|classes| classes != Classes::TEXT) {
            each_bit(valid, |row| {
                let text = self.ends[from + row - 1] as usize..self.ends[from + row] as usize;
                let learnt = classify(&self.bytes[text], block.decimal);
                *summary = summary.map(|classes| classes.join(learnt));
            });
        }
        valid
    }

    /// Appends the values of `rows`, which were gathered; nothing for the others.
    fn append_plain(&mut self, block: &mut Block<'_, '_, '_, '_>, rows: u64) {
        block.gather_high();
        let gathered = &block.lanes.gathered;
        let mut at = self.bytes.len();
        let mut room = SHORT_TEXT_BYTES;
        each_bit(rows, |row| room += gathered.bytes[row] as usize);
        self.bytes.resize(at + room, 0);
        let from = self.ends.len();
        self.ends.resize(from + block.rows, 0);
        for (row, end) in self.ends[from..].iter_mut().enumerate() {
            let bytes = if rows >> row & 1 == 1 { gathered.bytes[row & 63] as usize } else { 0 };
            if bytes <= SHORT_TEXT_BYTES {
                // Most texts are short: those are copied at full width, and what is too much is written over again.
                let both = u128::from(gathered.low[row & 63]) | u128::from(gathered.high[row & 63]) << 64;
                self.bytes[at..at + SHORT_TEXT_BYTES].copy_from_slice(&both.to_le_bytes());
            } else {
                self.bytes[at..at + bytes].copy_from_slice(block.text(row));
            }
            at += bytes;
            // A batch holds far less than 2 GiB.
            *end = at as i32;
        }
        self.bytes.truncate(at);
    }

    /// Appends the values of `rows`, of which those in `plain` were gathered; the word of those that are no nulls.
    fn append_each(&mut self, block: &mut Block<'_, '_, '_, '_>, rows: u64, plain: u64) -> u64 {
        let mut valid = rows;
        for row in 0..block.rows {
            let bit = 1 << row;
            if plain & bit != 0 {
                self.bytes.extend_from_slice(block.text(row));
            } else if rows & bit != 0 {
                let text = block.values.get(row, block.column).unwrap_or_default();
                if block.nulls.contain(text) {
                    valid &= !bit;
                } else {
                    self.bytes.extend_from_slice(text);
                }
            }
            self.ends.push(self.bytes.len() as i32);
        }
        valid
    }

    fn texts(self, nulls: Option<NullBuffer>) -> StringArray {
        arch::arrays::texts(self.ends, self.bytes, nulls)
            .expect("records are validated, and delimiters, quotes and escapes are whole characters")
    }
}
