//! A column of numbers, dates or moments as a Parquet column chunk: coded while that makes it smaller, then as differences or plain.
//!
//! Invariant: what a page is made into follows from the values of the chunk so far alone.

use std::cmp::Ordering;

use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array as _, PrimitiveArray};
use arrow_buffer::{ArrowNativeType, BooleanBufferBuilder, ToByteSlice as _};
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, Compressor, DICTIONARY_BYTES, DictionaryPage, PAGE_ROWS, code_bits, indices};
use super::delta;
use super::pages::Pages;
use super::slots::{Slots, mix};

/// A value of a fixed number of bytes.
pub(super) trait Fixed: ArrowNativeType {
    /// As plain pages have it.
    type Bytes: AsRef<[u8]>;
    const BYTES: usize = size_of::<Self::Bytes>();

    fn bytes(self) -> Self::Bytes;
    /// What it is told from others by: bits, so that a NaN is one value and the zeros are two.
    fn word(self) -> u64;
    /// A number that no other value has, below [`DIRECT_MAX`] for those that tables have most of: whole numbers and hundredths that are
    /// small, and not negative. Others may share what is not below it.
    fn ordinal(self) -> usize;
    /// The least and the greatest, if there are any.
    fn bounds(values: &[Self]) -> Option<(Self, Self)>;
    /// The order of two that are given as bytes.
    fn compare(a: &[u8], b: &[u8]) -> Ordering;
    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics;
    /// The values as pages of differences have them, where there are such.
    fn differences(values: &[Self]) -> Result<Option<Bytes>, ParquetError>;
}

macro_rules! whole {
    ($type:ty, $word:ty, $statistics:path, $stored:ty) => {
        impl Fixed for $type {
            type Bytes = [u8; size_of::<Self>()];

            fn bytes(self) -> Self::Bytes {
                self.to_le_bytes()
            }

            fn word(self) -> u64 {
                u64::from(self as $word)
            }

            #[inline]
            fn ordinal(self) -> usize {
                usize::try_from(self).unwrap_or(usize::MAX)
            }

            fn bounds(values: &[Self]) -> Option<(Self, Self)> {
                let least = chosen(values, Self::MAX, Self::min);
                let greatest = chosen(values, Self::MIN, Self::max);
                (least <= greatest).then_some((least, greatest))
            }

            fn compare(a: &[u8], b: &[u8]) -> Ordering {
                let [a, b] = [a, b].map(|bytes| bytes.try_into().map(Self::from_le_bytes).expect("it is of this type"));
                a.cmp(&b)
            }

            fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics {
                let (least, greatest) = bounds.unzip();
                let statistics = ValueStatistics::new(least, greatest, None, Some(nulls), false);
                $statistics(statistics.with_backwards_compatible_min_max(true))
            }

            fn differences(values: &[Self]) -> Result<Option<Bytes>, ParquetError> {
                delta::packed::<$stored>(values).map(Some)
            }
        }
    };
}

whole!(i32, u32, Statistics::Int32, Int32Type);
whole!(i64, u64, Statistics::Int64, Int64Type);

impl Fixed for f64 {
    type Bytes = [u8; 8];

    fn bytes(self) -> [u8; 8] {
        self.to_le_bytes()
    }

    fn word(self) -> u64 {
        self.to_bits()
    }

    #[inline]
    fn ordinal(self) -> usize {
        // What a quotient rounds to is what its decimal digits are read as. NaN and the negative zero are told apart by their bits.
        let hundredths = (self * 100.0 + 0.5) as i32;
        let same = (f64::from(hundredths) / 100.0).to_bits() == self.to_bits();
        if same { usize::try_from(hundredths).unwrap_or(usize::MAX) } else { usize::MAX }
    }

    /// NaN has no place among bounds, and both zeros lie between those that are told: so the format wants it.
    fn bounds(values: &[Self]) -> Option<(Self, Self)> {
        let least = chosen(values, Self::INFINITY, |value, least| if value < least { value } else { least });
        let greatest =
            chosen(values, Self::NEG_INFINITY, |value, greatest| if value > greatest { value } else { greatest });
        // Infinities alone are kept too: then one of both is none of these.
        let seen = least <= greatest;
        seen.then_some((if least == 0.0 { -0.0 } else { least }, if greatest == 0.0 { 0.0 } else { greatest }))
    }

    fn compare(a: &[u8], b: &[u8]) -> Ordering {
        let [a, b] = [a, b].map(|bytes| bytes.try_into().map(Self::from_le_bytes).expect("it is of this type"));
        a.total_cmp(&b)
    }

    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics {
        let (least, greatest) = bounds.unzip();
        let statistics = ValueStatistics::new(least, greatest, None, Some(nulls), false);
        Statistics::Double(statistics.with_backwards_compatible_min_max(true))
    }

    fn differences(_: &[Self]) -> Result<Option<Bytes>, ParquetError> {
        Ok(None)
    }
}

/// The one of `values`, and of `none`, that `choose` chooses of two; many are looked at side by side.
fn chosen<T: Copy>(values: &[T], none: T, choose: impl Fn(T, T) -> T) -> T {
    const LANES: usize = 16;
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [none; LANES];
    for chunk in chunks {
        std::iter::zip(&mut lanes, chunk).for_each(|(lane, &value)| *lane = choose(value, *lane));
    }
    lanes.iter().chain(rest).fold(none, |chosen, &value| choose(value, chosen))
}

/// Ordinals of values whose codes are found without a hash: hundredths to 327, and days to 2059. A table of 128 KiB at most.
const DIRECT_MAX: usize = 1 << 15;

/// Values of a page from which on that table is made: files of folders have small pages, and there are many.
const DIRECT_VALUES_MIN: usize = 4_096;

/// What a page is made into.
enum Form {
    Coded,
    Differences(Bytes),
    Plain,
}

/// A chunk under way.
pub(super) struct FixedColumn<T> {
    chunk: Chunk,
    /// Values that have codes.
    known: Vec<T>,
    /// None when there are to be no more of these.
    slots: Option<Slots>,
    /// By ordinal: the code of a value that has one, and one more.
    direct: Vec<u32>,
    bounds: Option<(T, T)>,
    /// Of the page under way.
    valid: BooleanBufferBuilder,
    values: Vec<T>,
    codes: Vec<u32>,
}

impl<T: Fixed> FixedColumn<T> {
    /// An empty chunk of the column, with a dictionary or without.
    pub(super) fn new(column: ColumnDescPtr, dictionary: bool) -> Self {
        Self {
            chunk: Chunk::new(column, T::compare),
            known: Vec::new(),
            slots: dictionary.then(Slots::new),
            direct: Vec::new(),
            bounds: None,
            valid: BooleanBufferBuilder::new(0),
            values: Vec::new(),
            codes: Vec::new(),
        }
    }

    /// Appends values.
    pub(super) fn append<A>(
        &mut self,
        array: &PrimitiveArray<A>,
        compressor: &mut Compressor,
    ) -> Result<(), ParquetError>
    where
        A: ArrowPrimitiveType<Native = T>,
    {
        let mut at = 0;
        while at < array.len() {
            let count = (PAGE_ROWS - self.valid.len()).min(array.len() - at);
            let values = &array.values()[at..at + count];
            match array.nulls().map(|nulls| nulls.slice(at, count)) {
                Some(nulls) if nulls.null_count() > 0 => {
                    self.valid.append_buffer(nulls.inner());
                    self.values.extend(nulls.valid_indices().map(|row| values[row]));
                }
                _ => {
                    self.valid.append_n(count, true);
                    self.values.extend_from_slice(values);
                }
            }
            at += count;
            if self.valid.len() == PAGE_ROWS {
                self.flush(compressor)?;
            }
        }
        Ok(())
    }

    /// Bytes of the pages so far, about.
    pub(super) fn bytes(&self) -> usize {
        self.chunk.bytes() + (self.values.len() + self.known.len()) * T::BYTES
    }

    /// Bytes that it takes in memory, about.
    pub(super) fn memory(&self) -> usize {
        let slots = self.slots.as_ref().map_or(0, Slots::memory);
        let values = (self.values.capacity() + self.known.capacity()) * size_of::<T>();
        let codes = self.codes.capacity() + self.direct.capacity();
        size_of::<Self>() + self.chunk.bytes() + slots + values + codes * size_of::<u32>()
    }

    /// Ends the page.
    fn flush(&mut self, compressor: &mut Compressor) -> Result<(), ParquetError> {
        if self.valid.is_empty() {
            return Ok(());
        }
        let valid = self.valid.finish();
        let bounds = T::bounds(&self.values);
        let told =
            bounds.map(|(least, greatest)| (least.bytes().as_ref().to_vec(), greatest.bytes().as_ref().to_vec()));
        let form = self.form()?;
        let (codes, known, values) = (&self.codes, self.known.len(), &self.values);
        let encoding = match form {
            Form::Coded => Encoding::RLE_DICTIONARY,
            Form::Differences(_) => Encoding::DELTA_BINARY_PACKED,
            Form::Plain => Encoding::PLAIN,
        };
        self.chunk.page(compressor, &valid, encoding, told, |out| {
            match form {
                Form::Coded => indices(codes, known, out),
                Form::Differences(bytes) => out.extend_from_slice(&bytes),
                Form::Plain => write(values, out),
            }
            Ok(())
        })?;
        self.values.clear();
        self.bounds = match (self.bounds, bounds) {
            (Some((a, b)), Some((c, d))) => T::bounds(&[a, b, c, d]),
            (known, new) => known.or(new),
        };
        Ok(())
    }

    /// What the values of the page are made into. Once it is not codes it never is again in this chunk.
    fn form(&mut self) -> Result<Form, ParquetError> {
        if self.values.is_empty() {
            return Ok(Form::Plain);
        }
        let (before, coded) = (self.known.len(), self.code());
        let new = self.known.len() - before;
        // Few are new: nothing is smaller than codes.
        if coded && new * 8 <= self.values.len() {
            return Ok(Form::Coded);
        }
        let plain = self.values.len() * T::BYTES;
        let bytes = match coded {
            true => new * T::BYTES + self.values.len() * code_bits(self.known.len()) as usize / 8,
            false => plain,
        };
        let differences = T::differences(&self.values)?.filter(|differences| differences.len() < bytes);
        if coded && differences.is_none() {
            return Ok(Form::Coded);
        }
        self.known.truncate(before);
        (self.slots, self.direct) = (None, Vec::new());
        Ok(differences.map_or(Form::Plain, Form::Differences))
    }

    /// Codes the values of the page, if that is of use.
    fn code(&mut self) -> bool {
        let Some(slots) = &mut self.slots else { return false };
        let before = self.known.len();
        let known = &mut self.known;
        let direct_pays = self.values.len() >= DIRECT_VALUES_MIN;
        self.codes.clear();
        self.codes.reserve(self.values.len());
        for &value in &self.values {
            let ordinal = value.ordinal();
            let direct = self.direct.get(ordinal).copied().unwrap_or(0);
            if direct > 0 {
                self.codes.push(direct - 1);
                continue;
            }
            let word = value.word();
            let Some((code, new)) = slots.code(mix(word) as u32, |code| known[code as usize].word() == word) else {
                break;
            };
            if new {
                known.push(value);
            }
            if direct_pays && ordinal < DIRECT_MAX {
                self.direct.resize(self.direct.len().max((ordinal + 1).next_power_of_two()), 0);
                self.direct[ordinal] = code + 1;
            }
            self.codes.push(code);
        }
        // Where most values are new, those of later pages will be too; where fewer are, a dictionary is filling up.
        let filling = (known.len() - before) * 8 < self.values.len() * 7;
        filling && known.len() * T::BYTES <= DICTIONARY_BYTES && self.codes.len() == self.values.len()
    }

    /// The chunk, and what is to be said of it.
    pub(super) fn close(mut self, compressor: &mut Compressor) -> Result<(Pages, ColumnCloseResult), ParquetError> {
        self.flush(compressor)?;
        let mut body = Vec::new();
        write(&self.known, &mut body);
        let dictionary = DictionaryPage { values: self.known.len(), body };
        let statistics = T::statistics(self.bounds, self.chunk.nulls() as u64);
        self.chunk.close(compressor, dictionary, statistics, None)
    }
}

/// Appends values as plain pages have them.
fn write<T: Fixed>(values: &[T], out: &mut Vec<u8>) {
    if cfg!(target_endian = "little") {
        out.extend_from_slice(values.to_byte_slice());
    } else {
        values.iter().for_each(|value| out.extend_from_slice(value.bytes().as_ref()));
    }
}

#[cfg(test)]
mod tests;
