//! One column of a batch under construction: values appended a block of rows at a time.
//!
//! Invariant: a value is appended as its type's value, as null, or as a placeholder of a value that does not fit, so the
//! column stays aligned with the rows. Who is rejected for a misfit is decided elsewhere.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};
use batteuse_shared::table::{Classes, ColumnType};

use super::bits::{Bits, each_bit_down, without};
use super::text::{Texts, no_texts};
use super::value::{Nulls, Values};
use crate::arch::{self, Doubles, Fields, Gathered, Keys, Longs, Path, Template, each_bit};
use crate::frame::BLOCK_ROWS;
use crate::infer::{Value, midnight, parse, parse_as, parse_decimal};

/// The Arrow type in which a column's values are held; texts may be held as a dictionary too.
pub(super) fn data_type(ctype: ColumnType) -> DataType {
    match ctype {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        // At most 38, so it fits.
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale as i8),
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Text => DataType::Utf8,
    }
}

/// The values of one column, a placeholder where one is null.
#[derive(Debug)]
enum Held {
    Boolean(Bits),
    Int64(Vec<i64>),
    /// Exact ones only, or long integers too.
    Float64(Vec<f64>, LongIntegers),
    Decimal(Vec<i128>, u8, u8),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    TimestampUtc(Vec<i64>),
    Text(Texts),
}

/// One column.
#[derive(Debug)]
pub(super) struct Cells {
    /// Nulls behind what is held, which are appended when more than nulls follows: most columns of wide tables hold nothing for long.
    nulls: usize,
    held: Held,
    /// Which values are not null; one for each that is held.
    valid: Bits,
}

/// Whether a column of doubles takes integers of more than 15 digits, which it may have to round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LongIntegers {
    Rounded,
    Refused,
}

/// What a block of values came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Appended {
    /// A bit for each row of the block whose value does not fit the type.
    pub(super) misfits: u64,
    /// The join of the values' classes (of no use for decimals, which are never inferred).
    pub(super) classes: Classes,
}

/// Where the values of a block come from. Words have a bit for each row.
pub(super) struct Block<'b, 'r, 'd, 's> {
    pub(super) values: &'b mut Values<'r, 'd, 's>,
    pub(super) column: usize,
    /// Rows of the block.
    pub(super) rows: usize,
    /// Rows whose field holds anything.
    pub(super) filled: u64,
    /// Rows whose field is there, and that are not set aside.
    pub(super) there: u64,
    /// Rows whose fields may not be as they stand between their quotes.
    pub(super) odd: u64,
    pub(super) nulls: &'b Nulls,
    pub(super) decimal: u8,
    /// Of a column with a format.
    pub(super) template: Option<&'b Template>,
    pub(super) path: Path,
    pub(super) fields: Fields<'b>,
    pub(super) lanes: &'b mut Lanes,
}

/// What 64 values are gathered into; kept over blocks, as it is large.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    pub(super) gathered: Gathered,
    pub(super) keys: Keys,
    tails: Tails,
    longs: Longs,
    doubles: Doubles,
}

/// The third eight bytes of what was gathered, where they were asked for.
#[derive(Debug)]
struct Tails([u64; BLOCK_ROWS]);

impl Default for Tails {
    fn default() -> Self {
        Self([0; BLOCK_ROWS])
    }
}

impl<'b> Block<'b, '_, '_, '_> {
    /// Rows with a value, unless it is one of the nulls that are not empty.
    #[inline(always)]
    pub(super) fn candidates(&self) -> u64 {
        if self.nulls.has_empty() { self.filled & self.there } else { self.there }
    }

    /// Gathers the rows of `rows` whose value is as it stands between its quotes; the word of those that were.
    #[inline(always)]
    pub(super) fn gather(&mut self, rows: u64) -> u64 {
        arch::gather(self.path, &self.fields, self.column as u32, rows & !self.odd, &mut self.lanes.gathered)
    }

    /// Gathers the second eight bytes of what was gathered.
    #[inline(always)]
    pub(super) fn gather_high(&mut self) {
        let Gathered { starts, high, .. } = &mut self.lanes.gathered;
        arch::gather_second(self.path, self.fields.text, 8, starts, high);
    }

    /// Gathers the third eight bytes of what was gathered.
    #[inline(always)]
    fn gather_tails(&mut self) {
        let Lanes { gathered, tails, .. } = &mut *self.lanes;
        arch::gather_second(self.path, self.fields.text, 16, &gathered.starts, &mut tails.0);
    }

    /// Gathers the candidates that are read in lanes: none where a value that they read may mean null.
    #[inline(always)]
    fn gather_typed(&mut self) -> u64 {
        if self.nulls.has_typed() { 0 } else { self.gather(self.candidates()) }
    }

    /// As [`Block::gather`], of those that are in UTF-8 too.
    #[inline(always)]
    pub(super) fn gather_text(&mut self, rows: u64) -> u64 {
        let gathered = self.gather(rows);
        let plain = gathered & self.values.plain;
        if plain == gathered { gathered } else { plain | self.ascii(gathered & !plain) }
    }

    /// Those of the gathered rows `rows` that are ASCII.
    fn ascii(&self, rows: u64) -> u64 {
        let mut ascii = 0;
        each_bit(rows, |row| ascii |= u64::from(self.text(row).is_ascii()) << row);
        ascii
    }

    /// The bytes of a value that was gathered.
    #[inline(always)]
    pub(super) fn text(&self, row: usize) -> &'b [u8] {
        let start = self.lanes.gathered.starts[row] as usize;
        &self.fields.text[start..start + self.lanes.gathered.bytes[row] as usize]
    }

    /// Makes the keys of the rows `gathered`.
    #[inline(always)]
    pub(super) fn gather_keys(&mut self, gathered: u64) {
        if !self.gather_wide(gathered) {
            self.lanes.gathered.high = [0; BLOCK_ROWS];
        }
        let Lanes { gathered, keys, .. } = &mut *self.lanes;
        arch::keys(self.path, gathered, keys);
    }

    /// Whether one of the rows `gathered` has more than eight bytes; the second eight are gathered then too.
    #[inline(always)]
    fn gather_wide(&mut self, gathered: u64) -> bool {
        let wide = arch::wide(self.path, &self.lanes.gathered) & gathered != 0;
        if wide {
            self.gather_high();
        }
        wide
    }

    /// Of the gathered rows `gathered`, those that are integers of at most 15 digits.
    #[inline(always)]
    pub(super) fn short_integers(&mut self, gathered: u64) -> u64 {
        let read = if self.gather_wide(gathered) { arch::wide_longs } else { arch::longs };
        let Lanes { gathered: from, longs, .. } = &mut *self.lanes;
        read(self.path, from, longs);
        longs.good & gathered
    }

    /// Reads the candidates of `left` one by one: puts each where `read` makes it out; the word of those that are values and fit.
    fn each<T: Copy>(
        &mut self,
        left: u64,
        out: &mut [T],
        appended: &mut Appended,
        read: impl Fn(Value, &[u8]) -> Option<T>,
    ) -> u64 {
        let mut valid = 0;
        let (column, nulls, decimal, template) = (self.column, self.nulls, self.decimal, self.template);
        each_bit(left, |row| {
            let text = self.values.get(row, column).unwrap_or_default();
            if nulls.contain(text) {
                return;
            }
            let value = match template {
                Some(template) => parse_as(template.format(), text),
                None => parse(text, decimal),
            };
            appended.classes = appended.classes.join(value.class());
            match read(value, text) {
                Some(value) => {
                    out[row] = value;
                    valid |= 1 << row;
                }
                None => appended.misfits |= 1 << row,
            }
        });
        valid
    }
}

/// Appends placeholders for `rows` values, and gives them back.
#[inline(always)]
fn placeholders<T: Copy + Default>(out: &mut Vec<T>, rows: usize) -> &mut [T] {
    let from = out.len();
    out.resize(from + rows, T::default());
    &mut out[from..]
}

impl Cells {
    /// An empty column, one of so many.
    pub(super) fn new(ctype: ColumnType, declared: bool, columns: usize) -> Self {
        let held = match ctype {
            ColumnType::Boolean => Held::Boolean(Bits::default()),
            ColumnType::Int64 => Held::Int64(Vec::new()),
            ColumnType::Float64 => {
                Held::Float64(Vec::new(), if declared { LongIntegers::Rounded } else { LongIntegers::Refused })
            }
            ColumnType::Decimal { precision, scale } => Held::Decimal(Vec::new(), precision, scale),
            ColumnType::Date => Held::Date(Vec::new()),
            ColumnType::Timestamp => Held::Timestamp(Vec::new()),
            ColumnType::TimestampUtc => Held::TimestampUtc(Vec::new()),
            ColumnType::Text => Held::Text(Texts::new(columns)),
        };
        Self { nulls: 0, held, valid: Bits::default() }
    }

    /// Appends a block of a column that is not text.
    pub(super) fn append(&mut self, block: &mut Block<'_, '_, '_, '_>) -> Appended {
        self.hold_nulls();
        let mut appended = Appended::default();
        let valid = match &mut self.held {
            Held::Boolean(out) => {
                let (valid, word) = booleans(block, &mut appended);
                out.push(word, block.rows);
                valid
            }
            Held::Int64(out) => longs(block, out, &mut appended),
            Held::Float64(out, long) => doubles(block, out, *long, &mut appended),
            Held::Decimal(out, precision, scale) => decimals(block, out, (*precision, *scale), &mut appended),
            Held::Date(out) => dates(block, out, &mut appended),
            Held::Timestamp(out) => timestamps(block, out, &mut appended),
            Held::TimestampUtc(out) => {
                block.each(block.candidates(), placeholders(out, block.rows), &mut appended, timestamp_utc)
            }
            Held::Text(..) => unreachable!("text is appended as text"),
        };
        self.valid.push(valid, block.rows);
        appended
    }

    /// Appends nulls.
    #[inline(always)]
    pub(super) fn append_nulls(&mut self, rows: usize) {
        self.nulls += rows;
    }

    /// Has all nulls so far be held.
    #[inline(always)]
    fn hold_nulls(&mut self) {
        if self.nulls > 0 {
            self.append_held_nulls();
        }
    }

    #[inline(never)]
    fn append_held_nulls(&mut self) {
        let rows = std::mem::take(&mut self.nulls);
        match &mut self.held {
            Held::Boolean(bits) => bits.push_zeros(rows),
            Held::Int64(out) | Held::Timestamp(out) | Held::TimestampUtc(out) => _ = placeholders(out, rows),
            Held::Float64(out, _) => _ = placeholders(out, rows),
            Held::Decimal(out, ..) => _ = placeholders(out, rows),
            Held::Date(out) => _ = placeholders(out, rows),
            Held::Text(texts) => texts.append_nulls(rows),
        }
        self.valid.push_zeros(rows);
    }

    /// Appends a block of a column of text; joins the values' classes to `summary` until it is text.
    pub(super) fn append_text(&mut self, block: &mut Block<'_, '_, '_, '_>, summary: &mut Option<Classes>) {
        self.hold_nulls();
        let Held::Text(texts) = &mut self.held else { unreachable!("cells are made for their column") };
        let valid = texts.append(block, &self.valid, summary);
        self.valid.push(valid, block.rows);
    }

    /// Takes the rows in the word `gone` out of the last block, which has so many.
    pub(super) fn remove(&mut self, gone: u64, rows: usize) {
        self.hold_nulls();
        match &mut self.held {
            Held::Boolean(bits) => remove_bits(bits, gone, rows),
            Held::Int64(out) | Held::Timestamp(out) | Held::TimestampUtc(out) => remove(out, gone, rows),
            Held::Float64(out, _) => remove(out, gone, rows),
            Held::Decimal(out, ..) => remove(out, gone, rows),
            Held::Date(out) => remove(out, gone, rows),
            Held::Text(texts) => texts.remove(gone, rows),
        }
        remove_bits(&mut self.valid, gone, rows);
    }

    /// The rows so far as an array; the column is empty then. `none` is an array of texts that are all null, as soon as one was made.
    pub(super) fn finish(&mut self, none: &mut Option<ArrayRef>) -> ArrayRef {
        let values = self.valid.count();
        if values == 0
            && let Held::Text(texts) = &mut self.held
            && texts.forget()
        {
            let rows = self.valid.len() + std::mem::take(&mut self.nulls);
            self.valid.clear();
            return Arc::clone(none.get_or_insert_with(|| no_texts(rows)));
        }
        self.hold_nulls();
        let rows = self.valid.len();
        let nulls = if values == rows {
            self.valid.clear();
            None
        } else {
            Some(NullBuffer::new(self.valid.take()))
        };
        match &mut self.held {
            Held::Boolean(bits) => Arc::new(BooleanArray::new(bits.take(), nulls)),
            Held::Int64(values) => primitive::<Int64Type>(values, nulls, ColumnType::Int64),
            Held::Float64(values, _) => primitive::<Float64Type>(values, nulls, ColumnType::Float64),
            &mut Held::Decimal(ref mut values, precision, scale) => {
                primitive::<Decimal128Type>(values, nulls, ColumnType::Decimal { precision, scale })
            }
            Held::Date(values) => primitive::<Date32Type>(values, nulls, ColumnType::Date),
            Held::Timestamp(values) => primitive::<TimestampMicrosecondType>(values, nulls, ColumnType::Timestamp),
            Held::TimestampUtc(values) => {
                primitive::<TimestampMicrosecondType>(values, nulls, ColumnType::TimestampUtc)
            }
            Held::Text(texts) => texts.finish(rows, nulls),
        }
    }
}

/// Removes of the last `rows` values those in the word `gone`.
pub(super) fn remove<T: Copy>(out: &mut Vec<T>, gone: u64, rows: usize) {
    let from = out.len() - rows;
    each_bit_down(gone, |row| _ = out.remove(from + row));
}

/// Removes of the last `rows` bits those in the word `gone`.
fn remove_bits(bits: &mut Bits, gone: u64, rows: usize) {
    let from = bits.len() - rows;
    let word = without(bits.word_from(from), gone);
    bits.truncate(from);
    bits.push(word, rows - gone.count_ones() as usize);
}

/// The values as an array; room for as many is kept.
fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
    ctype: ColumnType,
) -> ArrayRef {
    let room = values.len() + values.len() / 8;
    let values = std::mem::replace(values, Vec::with_capacity(room));
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type(ctype)))
}

/// The words of those that are values, and of those that are true.
fn booleans(block: &mut Block<'_, '_, '_, '_>, appended: &mut Appended) -> (u64, u64) {
    let lanes = block.gather(block.candidates());
    let (yes, no) = arch::booleans(block.path, &block.lanes.gathered);
    // Nulls that are not empty may be any text.
    let (yes, no) = if block.nulls.is_only_empty() { (yes & lanes, no & lanes) } else { (0, 0) };
    if yes | no != 0 {
        appended.classes = Classes::BOOLEAN;
    }
    let mut values = [false; BLOCK_ROWS];
    let valid = block.each(block.candidates() & !(yes | no), &mut values, appended, boolean);
    ((yes | no | valid), (0..).zip(values).fold(yes, |word, (bit, value)| word | u64::from(value) << bit))
}

fn longs(block: &mut Block<'_, '_, '_, '_>, out: &mut Vec<i64>, appended: &mut Appended) -> u64 {
    let gathered = block.gather_typed();
    let good = block.short_integers(gathered);
    if good != 0 {
        appended.classes = Classes::INT_SHORT;
    }
    let from = out.len();
    out.extend_from_slice(&block.lanes.longs.values[..block.rows]);
    let out = &mut out[from..];
    good | block.each(block.candidates() & !good, out, appended, integer)
}

fn doubles(block: &mut Block<'_, '_, '_, '_>, out: &mut Vec<f64>, long: LongIntegers, appended: &mut Appended) -> u64 {
    let gathered = block.gather_typed();
    let doubles = if block.gather_wide(gathered) { arch::wide_doubles } else { arch::doubles };
    let Lanes { gathered: from, doubles: read, .. } = &mut *block.lanes;
    doubles(block.path, from, block.decimal, read);
    let good = read.good & gathered;
    for (some, class) in [(good & read.whole, Classes::INT_SHORT), (good & !read.whole, Classes::FLOAT)] {
        if some != 0 {
            appended.classes = appended.classes.join(class);
        }
    }
    let from = out.len();
    out.extend_from_slice(&read.values[..block.rows]);
    let out = &mut out[from..];
    good | block.each(block.candidates() & !good, out, appended, |value, text| double(value, text, long))
}

fn dates(block: &mut Block<'_, '_, '_, '_>, out: &mut Vec<i32>, appended: &mut Appended) -> u64 {
    let gathered = block.gather_typed();
    block.gather_high();
    if block.template.is_some_and(Template::is_long) {
        block.gather_tails();
    }
    let Lanes { gathered: from, tails, longs: read, .. } = &mut *block.lanes;
    match block.template {
        Some(template) => arch::dates_as(block.path, template, from, &tails.0, read),
        None => arch::dates(block.path, from, read),
    }
    let good = read.good & gathered;
    if good != 0 {
        appended.classes = Classes::DATE;
    }
    let from = out.len();
    // Days of the years 0001 to 9999; others are overwritten, or lie under a null.
    out.extend(read.values[..block.rows].iter().map(|&days| days as i32));
    let out = &mut out[from..];
    good | block.each(block.candidates() & !good, out, appended, date)
}

fn timestamps(block: &mut Block<'_, '_, '_, '_>, out: &mut Vec<i64>, appended: &mut Appended) -> u64 {
    let gathered = block.gather_typed();
    block.gather_high();
    block.gather_tails();
    let Lanes { gathered: from, tails, longs: read, .. } = &mut *block.lanes;
    match block.template {
        Some(template) => arch::timestamps_as(block.path, template, from, &tails.0, read),
        None => arch::timestamps(block.path, from, &tails.0, read),
    }
    let good = read.good & gathered;
    if good != 0 {
        appended.classes = Classes::TIMESTAMP;
    }
    let from = out.len();
    out.extend_from_slice(&read.values[..block.rows]);
    let out = &mut out[from..];
    good | block.each(block.candidates() & !good, out, appended, timestamp)
}

fn decimals(
    block: &mut Block<'_, '_, '_, '_>,
    out: &mut Vec<i128>,
    (precision, scale): (u8, u8),
    appended: &mut Appended,
) -> u64 {
    let (column, nulls, decimal) = (block.column, block.nulls, block.decimal);
    let out = placeholders(out, block.rows);
    let mut valid = 0;
    each_bit(block.candidates(), |row| {
        let text = block.values.get(row, column).unwrap_or_default();
        if nulls.contain(text) {
            return;
        }
        match parse_decimal(text, decimal, precision, scale) {
            Some(value) => {
                out[row] = value;
                valid |= 1 << row;
            }
            None => appended.misfits |= 1 << row,
        }
    });
    valid
}

fn boolean(value: Value, _: &[u8]) -> Option<bool> {
    if let Value::Boolean(value) = value { Some(value) } else { None }
}

fn integer(value: Value, _: &[u8]) -> Option<i64> {
    if let Value::Integer(n) = value { Some(n) } else { None }
}

fn double(value: Value, text: &[u8], long: LongIntegers) -> Option<f64> {
    match value {
        Value::Float(x) => Some(x),
        // An integer has no negative zero; a double has.
        Value::Integer(0) if text[0] == b'-' => Some(-0.0),
        Value::Integer(n) if long == LongIntegers::Rounded || value.class() == Classes::INT_SHORT => Some(n as f64),
        _ => None,
    }
}

fn date(value: Value, _: &[u8]) -> Option<i32> {
    if let Value::Date(days) = value { Some(days) } else { None }
}

fn timestamp(value: Value, _: &[u8]) -> Option<i64> {
    match value {
        Value::Timestamp(micros) => Some(micros),
        Value::Date(days) => Some(midnight(days)),
        _ => None,
    }
}

fn timestamp_utc(value: Value, _: &[u8]) -> Option<i64> {
    if let Value::TimestampUtc(micros) = value { Some(micros) } else { None }
}
