//! The digest of rows: what two tables have in common when they hold the same rows, however they lie in files.
//!
//! Invariant: a function of the multiset of rows (names, types, values) alone: not of their order, of batch boundaries,
//! of how arrays are sliced or of what lies under a null. Doubles count by their bits. The definition is persisted in
//! manifests, so it never changes:
//!
//! * a row's bytes are its values in column order: `00` for null, else `01` and the value, little-endian: boolean 1
//!   byte, int64, float64 and timestamps 8, date 4, decimal 16 (unscaled), text 4 of its length in bytes and its UTF-8;
//! * the seed is XXH3-64 over each column's name and type (as a spec writes it), each preceded by its length in 4 bytes;
//! * the digest is the sum modulo 2^128 of XXH3-128 of each row's bytes with that seed.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType as MicrosecondType, UInt16Type,
};
use arrow_array::{Array, BooleanArray, RecordBatch, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Schema, TimeUnit};
use batteuse_shared::table::{ColumnType, Digest};
use xxhash_rust::const_xxh3::const_custom_default_secret;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_secret, xxh3_128_with_seed};

use crate::arch::each_bit;
use crate::frame::BLOCK_ROWS;

/// Texts up to this length are written at full width.
const SHORT_TEXT_BYTES: usize = size_of::<u128>();

/// Longer inputs XXH3 hashes by a secret, which with a seed it makes anew each time: its `XXH3_MIDSIZE_MAX`.
const SEEDED_BYTES_MAX: usize = 240;
/// Bytes of such a secret.
const SECRET_BYTES: usize = 192;

/// A column whose type has no canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {name:?} has the type {data_type}, which no column of the output has: it was not written by batteuse")]
pub struct NoCanonicalForm {
    /// Name of the column.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
}

/// Adds up the digest of the rows of one schema, batch after batch.
#[derive(Debug, Clone)]
pub struct RowDigester {
    seed: u64,
    /// Made of the seed.
    secret: [u8; SECRET_BYTES],
    types: Vec<ColumnType>,
    bytes: Vec<u8>,
    /// Of each column, which rows of the block under way are not null.
    valid: Vec<u64>,
    sum: Digest,
}

/// A column's nulls and values.
type Column<'a> = (Option<&'a NullBuffer>, Cells<'a>);

/// One column's values.
enum Cells<'a> {
    Boolean(&'a BooleanArray),
    Bytes4(&'a [i32]),
    Bytes8(&'a [i64]),
    Double(&'a [f64]),
    Bytes16(&'a [i128]),
    Text(&'a [i32], &'a [u8]),
    /// Codes, and the texts that they stand for.
    Coded(&'a [u16], &'a [i32], &'a [u8]),
}

impl RowDigester {
    /// A digester of rows of this schema, at none so far. Whether fields are nullable is no part of the digest.
    ///
    /// # Errors
    /// When a column has a type that no column of the output has.
    pub fn new(schema: &Schema) -> Result<Self, NoCanonicalForm> {
        let mut header = Vec::new();
        let mut types = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let (name, data_type) = (field.name(), field.data_type());
            let ctype = column_type(data_type)
                .ok_or_else(|| NoCanonicalForm { name: name.clone(), data_type: data_type.clone() })?;
            types.push(ctype);
            for text in [name, &ctype.to_string()] {
                header.extend((text.len() as u32).to_le_bytes());
                header.extend(text.as_bytes());
            }
        }
        let seed = xxh3_64(&header);
        let (secret, sum) = (const_custom_default_secret(seed), Digest::default());
        Ok(Self { seed, secret, types, bytes: Vec::new(), valid: Vec::new(), sum })
    }

    /// Adds the rows of a batch, and returns the digest of these alone.
    ///
    /// # Panics
    /// When the batch is of another schema; where that has texts, the batch may have a dictionary of texts.
    pub fn add(&mut self, batch: &RecordBatch) -> Digest {
        let columns: Vec<_> = std::iter::zip(&self.types, batch.columns())
            .map(|(&ctype, array)| (array.nulls(), cells(ctype, array)))
            .collect();
        assert_eq!(self.types.len(), batch.num_columns(), "the batch is of the digester's schema");
        let mut sum = Digest::default();
        for start in (0..batch.num_rows()).step_by(BLOCK_ROWS) {
            let rows = start..batch.num_rows().min(start + BLOCK_ROWS);
            let (starts, ends) = self.lay_out(&columns, rows.clone());
            for (start, end) in std::iter::zip(starts, ends).take(rows.len()) {
                sum = sum.plus(Digest(hash(&self.bytes[start..end], self.seed, &self.secret)));
            }
        }
        self.sum = self.sum.plus(sum);
        sum
    }

    /// Writes the canonical bytes of some rows, at most [`BLOCK_ROWS`], column by column, and tells where each row's begin and end.
    fn lay_out(&mut self, columns: &[Column<'_>], rows: Range<usize>) -> ([usize; BLOCK_ROWS], [usize; BLOCK_ROWS]) {
        self.valid.clear();
        self.valid.extend(columns.iter().map(|(nulls, _)| word(*nulls, rows.clone())));
        // What a row takes at most. Short texts are copied at full width: what is too much of a row's last one must not reach the
        // next row.
        let fixed: usize = columns.iter().map(|(_, cells)| 1 + cells.width()).sum();
        let mut rooms = [fixed + SHORT_TEXT_BYTES; BLOCK_ROWS];
        for ((_, cells), valid) in std::iter::zip(columns, &self.valid) {
            cells.add_texts(&mut rooms, *valid, rows.clone());
        }
        let (mut starts, mut end) = ([0; BLOCK_ROWS], 0);
        for (start, room) in std::iter::zip(&mut starts, &rooms).take(rows.len()) {
            (*start, end) = (end, end + room);
        }
        // Tags of nulls are there before anything is written.
        self.bytes.clear();
        self.bytes.resize(end, 0);
        let mut at = starts;
        for ((_, cells), valid) in std::iter::zip(columns, &self.valid) {
            cells.write(&mut self.bytes, &mut at, *valid, rows.clone());
        }
        (starts, at)
    }

    /// The digest of all rows added.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.sum
    }
}

/// XXH3-128 with a seed, of which `secret` is made.
#[inline]
fn hash(bytes: &[u8], seed: u64, secret: &[u8; SECRET_BYTES]) -> u128 {
    if bytes.len() > SEEDED_BYTES_MAX { xxh3_128_with_secret(bytes, secret) } else { xxh3_128_with_seed(bytes, seed) }
}

/// The digest of the rows of one batch.
///
/// # Errors
/// When a column has a type that no column of the output has.
pub fn rows(batch: &RecordBatch) -> Result<Digest, NoCanonicalForm> {
    Ok(RowDigester::new(batch.schema_ref())?.add(batch))
}

/// The type of the output that is held as `data_type`; none where no column of the output is held so.
#[must_use]
pub fn column_type(data_type: &DataType) -> Option<ColumnType> {
    Some(match data_type {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int64 => ColumnType::Int64,
        DataType::Float64 => ColumnType::Float64,
        &DataType::Decimal128(precision, scale) => ColumnType::Decimal { precision, scale: u8::try_from(scale).ok()? },
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(TimeUnit::Microsecond, None) => ColumnType::Timestamp,
        // Whatever the zone, the values are microseconds since the Unix epoch; readers name UTC in several ways.
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => ColumnType::TimestampUtc,
        DataType::Utf8 => ColumnType::Text,
        DataType::Dictionary(key, value) if **key == DataType::UInt16 && **value == DataType::Utf8 => ColumnType::Text,
        _ => return None,
    })
}

fn cells(ctype: ColumnType, array: &dyn Array) -> Cells<'_> {
    match ctype {
        ColumnType::Boolean => Cells::Boolean(array.as_boolean()),
        ColumnType::Int64 => Cells::Bytes8(array.as_primitive::<Int64Type>().values()),
        ColumnType::Float64 => Cells::Double(array.as_primitive::<Float64Type>().values()),
        ColumnType::Decimal { .. } => Cells::Bytes16(array.as_primitive::<Decimal128Type>().values()),
        ColumnType::Date => Cells::Bytes4(array.as_primitive::<Date32Type>().values()),
        ColumnType::Timestamp | ColumnType::TimestampUtc => {
            Cells::Bytes8(array.as_primitive::<MicrosecondType>().values())
        }
        ColumnType::Text => match array.as_dictionary_opt::<UInt16Type>() {
            Some(coded) => {
                let texts: &StringArray = coded.values().as_string();
                Cells::Coded(coded.keys().values(), texts.value_offsets(), texts.value_data())
            }
            None => {
                let texts: &StringArray = array.as_string();
                Cells::Text(texts.value_offsets(), texts.value_data())
            }
        },
    }
}

/// A word of bits: which of some rows, at most [`BLOCK_ROWS`], are not null.
fn word(nulls: Option<&NullBuffer>, rows: Range<usize>) -> u64 {
    let all = u64::MAX >> (BLOCK_ROWS - rows.len());
    let Some(nulls) = nulls else { return all };
    let from = nulls.offset() + rows.start;
    let bytes = nulls.validity().get(from / 8..).and_then(|bytes| bytes.first_chunk());
    match bytes {
        Some(bytes) if from.is_multiple_of(8) => u64::from_le_bytes(*bytes) & all,
        _ => (0..).zip(rows).fold(0, |word, (bit, row)| word | u64::from(nulls.is_valid(row)) << bit),
    }
}

impl Cells<'_> {
    /// Bytes of a value that is not null, of a text only those that tell its length.
    fn width(&self) -> usize {
        match self {
            Self::Boolean(_) => 1,
            Self::Bytes4(_) | Self::Text(..) | Self::Coded(..) => 4,
            Self::Bytes8(_) | Self::Double(_) => 8,
            Self::Bytes16(_) => 16,
        }
    }

    /// Adds the bytes of texts, or more.
    fn add_texts(&self, rooms: &mut [usize; BLOCK_ROWS], valid: u64, rows: Range<usize>) {
        match self {
            // Where there is a null it may lie over some bytes.
            Self::Text(offsets, _) => {
                let ends = &offsets[rows.start..=rows.end];
                for (room, ends) in std::iter::zip(rooms, ends.windows(2)) {
                    *room += (ends[1] - ends[0]) as usize;
                }
            }
            Self::Coded(codes, offsets, _) => each_bit(valid, |i| {
                let text = codes[rows.start + i] as usize;
                rooms[i] += (offsets[text + 1] - offsets[text]) as usize;
            }),
            _ => {}
        }
    }

    /// Writes the values of some rows, each where `at` says, which moves on behind them.
    fn write(&self, bytes: &mut [u8], at: &mut [usize; BLOCK_ROWS], valid: u64, rows: Range<usize>) {
        match self {
            Self::Boolean(values) => fixed(bytes, at, valid, rows, |row| [1, u8::from(values.value(row))]),
            Self::Bytes4(values) => fixed(bytes, at, valid, rows, |row| tagged::<4, 5>(values[row].to_le_bytes())),
            Self::Bytes8(values) => fixed(bytes, at, valid, rows, |row| tagged::<8, 9>(values[row].to_le_bytes())),
            Self::Double(values) => {
                fixed(bytes, at, valid, rows, |row| tagged::<8, 9>(values[row].to_bits().to_le_bytes()));
            }
            Self::Bytes16(values) => fixed(bytes, at, valid, rows, |row| tagged::<16, 17>(values[row].to_le_bytes())),
            Self::Text(offsets, data) => texts(bytes, at, valid, rows, |row| row, offsets, data),
            Self::Coded(codes, offsets, data) => {
                texts(bytes, at, valid, rows, |row| codes[row] as usize, offsets, data);
            }
        }
    }
}

/// The tag of a value that is not null, and the value.
#[inline(always)]
fn tagged<const N: usize, const TAGGED: usize>(value: [u8; N]) -> [u8; TAGGED] {
    let mut out = [1; TAGGED];
    out[1..].copy_from_slice(&value);
    out
}

/// Has every row move on by the tag of a null, which is there.
#[inline(always)]
fn nulls(at: &mut [usize; BLOCK_ROWS]) {
    at.iter_mut().for_each(|at| *at += 1);
}

/// Writes values of a fixed number of bytes, with their tags.
#[inline(always)]
fn fixed<const N: usize>(
    bytes: &mut [u8],
    at: &mut [usize; BLOCK_ROWS],
    valid: u64,
    rows: Range<usize>,
    value: impl Fn(usize) -> [u8; N],
) {
    nulls(at);
    each_bit(valid, |i| {
        bytes[at[i] - 1..][..N].copy_from_slice(&value(rows.start + i));
        at[i] += N - 1;
    });
}

/// Writes texts behind their lengths; `text` tells which one a row has.
#[inline(always)]
fn texts(
    bytes: &mut [u8],
    at: &mut [usize; BLOCK_ROWS],
    valid: u64,
    rows: Range<usize>,
    text: impl Fn(usize) -> usize,
    offsets: &[i32],
    data: &[u8],
) {
    /// Of the tag and the length.
    const HEAD: usize = 5;
    nulls(at);
    each_bit(valid, |i| {
        let text = text(rows.start + i);
        let (start, end) = (offsets[text] as usize, offsets[text + 1] as usize);
        let length = end - start;
        let out = &mut bytes[at[i] - 1..];
        out[..HEAD].copy_from_slice(&tagged::<4, HEAD>((length as u32).to_le_bytes()));
        match data[start..].first_chunk() {
            Some(short) if length <= SHORT_TEXT_BYTES => {
                // What lies behind it here is another's; what comes behind it there may be the tag of a null.
                let text = u128::from_le_bytes(*short) & !u128::MAX.checked_shl(8 * length as u32).unwrap_or(0);
                *out[HEAD..].first_chunk_mut().expect("each row has so much room behind it") = text.to_le_bytes();
            }
            _ => out[HEAD..HEAD + length].copy_from_slice(&data[start..end]),
        }
        at[i] += HEAD - 1 + length;
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, TimestampMicrosecondArray, UInt8Array,
    };
    use arrow_buffer::{OffsetBuffer, ScalarBuffer};
    use arrow_select::concat::concat_batches;

    use super::*;

    /// One column of every type, with texts of all lengths around the short one.
    fn table(rows: usize) -> RecordBatch {
        fn column<T>(rows: usize, step: usize, value: impl Fn(usize) -> T) -> impl Iterator<Item = Option<T>> {
            (0..rows).map(move |i| (i % step != 1).then(|| value(i)))
        }
        let texts = |step| column(rows, step, |i| "aé€x".repeat(i * i % 97).chars().skip(i % 5).collect::<String>());
        let arrays: Vec<(&str, ArrayRef)> = vec![
            ("t", Arc::new(StringArray::from_iter(texts(3)))),
            ("b", Arc::new(BooleanArray::from_iter(column(rows, 4, |i| i % 3 == 0)))),
            ("i", Arc::new(Int64Array::from_iter(column(rows, 5, |i| i as i64 * 1_000_003 - 7)))),
            ("f", Arc::new(Float64Array::from_iter(column(rows, 6, |i| i as f64 / 7.0)))),
            ("d", Arc::new(Date32Array::from_iter(column(rows, 7, |i| 19_000 - i as i32)))),
            (
                "n",
                Arc::new(
                    Decimal128Array::from_iter(column(rows, 8, |i| -(i as i128) << 70))
                        .with_precision_and_scale(38, 2)
                        .expect("within 38"),
                ),
            ),
            ("m", Arc::new(TimestampMicrosecondArray::from_iter(column(rows, 9, |i| i as i64)))),
            (
                "z",
                Arc::new(TimestampMicrosecondArray::from_iter(column(rows, 9, |i| -(i as i64))).with_timezone("UTC")),
            ),
            ("u", Arc::new(StringArray::from_iter(texts(rows + 2)))),
        ];
        RecordBatch::try_from_iter(arrays).expect("columns of one length")
    }

    fn one(name: &str, array: impl Array + 'static) -> Digest {
        let batch = RecordBatch::try_from_iter([(name, Arc::new(array) as ArrayRef)]).expect("one column");
        rows(&batch).expect("a type of the output")
    }

    /// The definition, as it is written above.
    fn defined(batch: &RecordBatch) -> Digest {
        let names = [
            ("t", "text"),
            ("b", "boolean"),
            ("i", "int64"),
            ("f", "float64"),
            ("d", "date"),
            ("n", "decimal(38,2)"),
            ("m", "timestamp"),
            ("z", "timestamptz"),
            ("u", "text"),
        ];
        let prefixed = |text: &str| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        let header: Vec<u8> =
            names.iter().flat_map(|(name, ctype)| [prefixed(name), prefixed(ctype)].concat()).collect();
        let mut sum = 0u128;
        for row in 0..batch.num_rows() {
            let mut bytes = Vec::new();
            for array in batch.columns() {
                if array.is_null(row) {
                    bytes.push(0);
                    continue;
                }
                bytes.push(1);
                match array.data_type() {
                    DataType::Utf8 => bytes.extend(prefixed(array.as_string::<i32>().value(row))),
                    DataType::Boolean => bytes.push(u8::from(array.as_boolean().value(row))),
                    DataType::Int64 => bytes.extend(array.as_primitive::<Int64Type>().value(row).to_le_bytes()),
                    DataType::Float64 => bytes.extend(array.as_primitive::<Float64Type>().value(row).to_le_bytes()),
                    DataType::Date32 => bytes.extend(array.as_primitive::<Date32Type>().value(row).to_le_bytes()),
                    DataType::Decimal128(..) => {
                        bytes.extend(array.as_primitive::<Decimal128Type>().value(row).to_le_bytes());
                    }
                    _ => bytes.extend(array.as_primitive::<MicrosecondType>().value(row).to_le_bytes()),
                }
            }
            sum = sum.wrapping_add(xxh3_128_with_seed(&bytes, xxh3_64(&header)));
        }
        Digest(sum)
    }

    #[test]
    fn a_hash_is_that_with_the_seed() {
        let bytes: Vec<u8> = (0..2_000_u32).map(|i| (i * 31 % 251) as u8).collect();
        for seed in [0, 1, 0x9e37_79b9_7f4a_7c15, u64::MAX] {
            let secret = const_custom_default_secret(seed);
            for length in (0..600).chain([1_023, 1_024, 1_025, 2_000]) {
                let bytes = &bytes[..length];
                assert_eq!(hash(bytes, seed, &secret), xxh3_128_with_seed(bytes, seed), "{length}");
            }
        }
    }

    #[test]
    fn the_digest_is_the_one_defined_and_never_changes() {
        let batch = table(300);
        let digest = rows(&batch).expect("types of the output");
        assert_eq!(digest, defined(&batch));
        assert_eq!(digest.to_string(), "6e99efe336bab15d6f24925823008650");
        assert_eq!(rows(&table(0)), Ok(Digest::default()));
    }

    #[test]
    fn order_batches_and_slices_do_not_matter() {
        let batch = table(300);
        let whole = rows(&batch).expect("types of the output");
        for cut in [0, 1, 7, 8, 63, 64, 255, 299, 300] {
            let (left, right) = (batch.slice(0, cut), batch.slice(cut, 300 - cut));
            let mut digester = RowDigester::new(&batch.schema()).expect("types of the output");
            let parts = digester.add(&right).plus(digester.add(&left));
            assert_eq!((digester.digest(), parts), (whole, whole), "cut at {cut}");
            let rejoined = concat_batches(&batch.schema(), [&right, &left]).expect("one schema");
            assert_eq!(rows(&rejoined), Ok(whole), "joined the other way round at {cut}");
        }
    }

    #[test]
    fn what_lies_under_a_null_does_not_matter() {
        let nulls = Some(NullBuffer::from(vec![true, false, true]));
        let hidden = Int64Array::new(vec![1, 99, 3].into(), nulls.clone());
        assert_eq!(one("c", hidden), one("c", Int64Array::from(vec![Some(1), None, Some(3)])));
        for under in ["", "short", &"long".repeat(1_000)] {
            let end = 1 + under.len() as i32;
            let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, 1, end, end + 1]));
            let hidden = StringArray::new(offsets, format!("a{under}b").into_bytes().into(), nulls.clone());
            assert_eq!(one("c", hidden), one("c", StringArray::from(vec![Some("a"), None, Some("b")])));
        }
    }

    #[test]
    fn every_difference_counts() {
        let text = |values: Vec<Option<&str>>| one("c", StringArray::from(values));
        let two = |a: &str, b: &str| {
            let arrays = [("a", a), ("b", b)].map(|(name, v)| (name, Arc::new(StringArray::from(vec![v])) as ArrayRef));
            rows(&RecordBatch::try_from_iter(arrays).expect("two columns")).expect("text")
        };
        let micros = TimestampMicrosecondArray::from(vec![0]);
        let digests = [
            text(vec![]),
            text(vec![None]),
            text(vec![None, None]),
            text(vec![Some("")]),
            text(vec![Some("0")]),
            text(vec![Some("0"), Some("0")]),
            one("d", StringArray::from(vec!["0"])),
            one("c", Int64Array::from(vec![0])),
            one("c", Date32Array::from(vec![0])),
            one("c", micros.clone()),
            one("c", micros.with_timezone("UTC")),
            one("c", Float64Array::from(vec![0.0])),
            one("c", Float64Array::from(vec![-0.0])),
            one("c", BooleanArray::from(vec![false])),
            one("c", BooleanArray::from(vec![true])),
            one("c", Decimal128Array::from(vec![0]).with_precision_and_scale(9, 2).expect("within 38")),
            one("c", Decimal128Array::from(vec![0]).with_precision_and_scale(9, 3).expect("within 38")),
            two("ab", "c"),
            two("a", "bc"),
            two("", "abc"),
        ];
        for (i, digest) in digests.iter().enumerate() {
            assert!(!digests[..i].contains(digest), "{i} equals an earlier one");
        }
        let zone = |zone: &str| one("c", TimestampMicrosecondArray::from(vec![5]).with_timezone(zone));
        assert_eq!(zone("UTC"), zone("+00:00"), "one instant, however a reader names UTC");
    }

    #[test]
    fn a_foreign_type_is_named() {
        let batch = RecordBatch::try_from_iter([("c", Arc::new(UInt8Array::from(vec![1])) as ArrayRef)]).expect("one");
        let error = rows(&batch).expect_err("no column of the output is unsigned");
        assert_eq!(error, NoCanonicalForm { name: "c".to_owned(), data_type: DataType::UInt8 });
        assert!(error.to_string().contains("\"c\"") && error.to_string().contains("UInt8"));
    }
}
