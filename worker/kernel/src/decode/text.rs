//! A column of text under construction: as a dictionary while its values are few, else written out.
//!
//! Invariant: values are appended in the order of the rows; which of the two forms a batch has is a matter of speed alone. Codes
//! of a dictionary stay what they are from batch to batch.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray, new_null_array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use batteuse_shared::limits::{
    DICTIONARIES_BYTES_MAX, DICTIONARIES_VALUES_MAX, DICTIONARY_BYTES_MAX, DICTIONARY_VALUES_FREE,
    DICTIONARY_VALUES_MAX,
};
use batteuse_shared::table::Classes;

use super::bits::Bits;
use super::column::{Block, remove};
use super::value::Nulls;
use crate::arch::{self, Codes, Known, each_bit};
use crate::frame::BLOCK_ROWS;
use crate::infer::classify;

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
    known: Codes,
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
            known: Codes::default(),
            codes: Vec::new(),
            classes: Classes::default(),
            seen: 0,
            nulls: Vec::new(),
            array: None,
        };
        Self::Dictionary(dictionary)
    }

    /// Appends a block; the word of values that are not null, of which `valid` has those of the batch so far. Joins the
    /// values' classes to `summary` until it is text.
    pub(super) fn append(
        &mut self,
        block: &mut Block<'_, '_, '_, '_>,
        valid: &Bits,
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

    /// Removes of the last `rows` values those in the word `gone`, which are nulls.
    pub(super) fn remove(&mut self, gone: u64, rows: usize) {
        match self {
            Self::Dictionary(dictionary) => remove(&mut dictionary.codes, gone, rows),
            Self::Written(written) => remove(&mut written.ends, gone, rows),
        }
    }

    /// Forgets the batch so far, which is nulls alone. False for texts written out.
    pub(super) fn forget(&mut self) -> bool {
        match self {
            Self::Dictionary(dictionary) => dictionary.codes.clear(),
            Self::Written(_) => return false,
        }
        true
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

/// An array of so many texts that are null.
pub(super) fn no_texts(rows: usize) -> ArrayRef {
    new_null_array(&DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8)), rows)
}

impl Dictionary {
    fn append(&mut self, block: &mut Block<'_, '_, '_, '_>) -> Result<u64, Full> {
        let (nulls, decimal) = (block.nulls, block.decimal);
        let mut valid = block.candidates();
        self.seen += valid.count_ones() as usize;
        let plain = block.gather_text(valid);
        block.gather_keys(plain);
        let lanes = &block.lanes;
        let mut codes = [0; BLOCK_ROWS];
        let missing = arch::look_up(block.path, &self.known, &lanes.gathered, &lanes.keys, plain, &mut codes);
        let mut left = missing | valid & !plain;
        while left != 0 {
            let row = left.trailing_zeros() as usize;
            left &= left - 1;
            let text = if plain >> row & 1 == 1 {
                block.text(row)
            } else {
                block.values.get(row, block.column).unwrap_or_default()
            };
            codes[row] = self.code(text, nulls, decimal)?;
        }
        for &null in &self.nulls {
            let codes = codes.iter().enumerate();
            valid = codes.fold(valid, |valid, (row, &code)| if code == null { valid & !(1 << row) } else { valid });
        }
        self.codes.extend_from_slice(&codes[..block.rows]);
        let distinct = self.ends.len() - 1;
        if distinct > DICTIONARY_VALUES_FREE && distinct > self.seen / 8 { Err(Full) } else { Ok(valid) }
    }

    /// The code of `text`.
    fn code(&mut self, text: &[u8], nulls: &Nulls, decimal: u8) -> Result<u16, Full> {
        match self.known.find(text, |code| self.text(code) == text) {
            Known::As(code) => Ok(code),
            Known::New => self.insert(text, nulls, decimal),
            Known::Crowded => Err(Full),
        }
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
        // At most `DICTIONARY_BYTES_MAX` bytes.
        self.known.insert(text, code);
        Ok(code)
    }

    fn text(&self, code: u16) -> &[u8] {
        &self.bytes[self.ends[code as usize] as usize..self.ends[code as usize + 1] as usize]
    }

    /// The batch so far, written out; `valid` tells which are no nulls. What is null has a code like any other, and no text.
    fn write_out(&self, valid: &Bits) -> Written {
        let mut written = Written::new(self.codes.len(), 0);
        for (row, &code) in self.codes.iter().enumerate() {
            written.bytes.extend_from_slice(if valid.get(row) { self.text(code) } else { &[] });
            written.ends.push(written.bytes.len() as i32);
        }
        written
    }

    fn finish(&mut self, rows: usize, nulls: Option<NullBuffer>) -> ArrayRef {
        let codes = std::mem::replace(&mut self.codes, Vec::with_capacity(rows + rows / 8));
        let array = self.array.get_or_insert_with(|| {
            Arc::new(Written { ends: self.ends.clone(), bytes: self.bytes.clone() }.texts(None))
        });
        let array: ArrayRef = Arc::clone(array) as ArrayRef;
        Arc::new(
            arch::arrays::coded(codes, array, nulls).expect("a code is given with its text, the first with the first"),
        )
    }
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
        let plain = block.gather_text(candidates);
        // Of the values that mean null, only empty ones are no candidates.
        let plain = if block.nulls.is_only_empty() { plain } else { 0 };
        let (mut valid, mut bytes, mut before) = (candidates, [0; BLOCK_ROWS], plain);
        arch::lengths(block.path, &block.lanes.gathered, plain, &mut bytes);
        each_bit(candidates & !plain, |row| {
            let bit = 1 << row;
            arch::append(block.path, block.fields.text, &block.lanes.gathered, before & (bit - 1), &mut self.bytes);
            before &= !(bit - 1);
            let text = block.values.get(row, block.column).unwrap_or_default();
            if block.nulls.contain(text) {
                valid &= !bit;
            } else {
                self.bytes.extend_from_slice(text);
                bytes[row] = text.len() as i32;
            }
        });
        arch::append(block.path, block.fields.text, &block.lanes.gathered, before, &mut self.bytes);
        let (from, mut end) = (self.ends.len(), self.ends.last().copied().unwrap_or(0));
        let mut ends = [0; BLOCK_ROWS];
        for (end_of, bytes) in std::iter::zip(&mut ends, bytes) {
            // A batch holds far less than 2 GiB.
            end += bytes;
            *end_of = end;
        }
        self.ends.extend_from_slice(&ends[..block.rows]);
        if let Some(classes) = summary.as_mut().filter(|classes| **classes != Classes::TEXT) {
            // Digits alone are texts that may take long to tell from numbers.
            let integers = block.short_integers(plain) & valid;
            if integers != 0 {
                *classes = classes.join(Classes::INT_SHORT);
            }
            each_bit(valid & !integers, |row| {
                if *classes != Classes::TEXT {
                    let text = self.ends[from + row - 1] as usize..self.ends[from + row] as usize;
                    *classes = classes.join(classify(&self.bytes[text], block.decimal));
                }
            });
        }
        valid
    }

    fn texts(self, nulls: Option<NullBuffer>) -> StringArray {
        arch::arrays::texts(self.ends, self.bytes, nulls)
            .expect("records are validated, and delimiters, quotes and escapes are whole characters")
    }
}
