//! Chunks of values of a fixed size, beside those of the crate's writer: the same values, and the same told of them.

use std::sync::Arc;

use arrow_array::types::{Date32Type, Float64Type, Int64Type};
use arrow_array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch};
use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_shared::location::url_of_dir;
use batteuse_shared::spec::Compression as Asked;
use batteuse_shared::task::Staging;
use batteuse_store::Stores;
use bytes::Bytes as Buffer;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Encoding;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::FileReader as _;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};

use super::*;
use crate::encode::Encoder;
use crate::stage::StagingDir;

/// Our file of these batches.
fn ours(batches: &[RecordBatch]) -> Buffer {
    let dir = tempfile::tempdir().unwrap();
    let run = RunId::new("job-1").unwrap();
    let folder = dir.path().join(layout::staging_dir(&run));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(layout::STAGING_NONCE), "n").unwrap();
    let staging = Staging { output_url: url_of_dir(dir.path()).unwrap(), nonce: "n".to_owned() };
    let staging = StagingDir::enter(&staging, &run, &Stores::new([])).unwrap();
    let mut encoder = Encoder::new(&staging, "p".to_owned(), batches[0].schema(), Asked::Zstd(3), &run).unwrap();
    batches.iter().for_each(|batch| encoder.write(batch).unwrap());
    encoder.finish().unwrap().unwrap().keep();
    std::fs::read(staging.place("p")).unwrap().into()
}

/// The crate's.
fn theirs(batches: &[RecordBatch]) -> Buffer {
    let properties = WriterProperties::builder().set_statistics_enabled(EnabledStatistics::Page);
    // It looks at the size of a page after so many rows only.
    let properties = properties.set_write_batch_size(PAGE_ROWS).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties)).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap().into()
}

fn metadata(file: &Buffer) -> ParquetMetaData {
    let options = ReadOptionsBuilder::new().with_page_index().with_encoding_stats_as_mask(false).build();
    SerializedFileReader::new_with_options(file.clone(), options).unwrap().metadata().clone()
}

fn read(file: &Buffer) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap().with_batch_size(1 << 20);
    reader.build().unwrap().map(Result::unwrap).collect()
}

/// Bits, of which a NaN has its own.
fn words<A: ArrowPrimitiveType>(batches: &[RecordBatch]) -> Vec<Option<u64>>
where
    A::Native: Fixed,
{
    let arrays = batches.iter().map(|batch| arrow_array::cast::AsArray::as_primitive::<A>(batch.column(0)));
    arrays.flat_map(|array| array.iter().map(|value| value.map(Fixed::word)).collect::<Vec<_>>()).collect()
}

/// Writes the batches by both. Tells the encodings of our pages.
fn both<A: ArrowPrimitiveType>(arrays: Vec<ArrayRef>) -> Vec<(Encoding, i32)>
where
    A::Native: Fixed,
{
    let batch = |array| RecordBatch::try_from_iter_with_nullable([("value", array, true)]).unwrap();
    let batches: Vec<_> = arrays.into_iter().map(batch).collect();
    let (ours, theirs) = (ours(&batches), theirs(&batches));
    assert!(words::<A>(&read(&ours)) == words::<A>(&batches), "values come back as they are");
    let (ours, theirs) = (metadata(&ours), metadata(&theirs));
    let (our_chunk, their_chunk) = (ours.row_group(0).column(0), theirs.row_group(0).column(0));
    assert_eq!(our_chunk.num_values(), their_chunk.num_values());
    // In words: what is no number is like no other.
    assert_eq!(format!("{:?}", our_chunk.statistics()), format!("{:?}", their_chunk.statistics()));
    let rows = |file: &ParquetMetaData| {
        let pages = file.offset_index().unwrap()[0][0].page_locations().iter();
        pages.map(|page| page.first_row_index).collect::<Vec<_>>()
    };
    assert_eq!(rows(&ours), rows(&theirs));
    // Histograms of levels say what the counts of nulls say.
    let index = |file: &ParquetMetaData| {
        let told = format!("{:?}", file.column_index()?[0][0]);
        let (head, rest) = told.split_once("repetition_level_histograms")?;
        Some(format!("{head}{}", rest.split_once("min_values")?.1))
    };
    if let Some(theirs) = index(&theirs) {
        assert_eq!(index(&ours), Some(theirs));
    }
    let stats = our_chunk.page_encoding_stats().unwrap();
    stats.iter().map(|stats| (stats.encoding, stats.count)).collect()
}

fn longs(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(values))
}

fn doubles(values: impl IntoIterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

const CODED: Encoding = Encoding::RLE_DICTIONARY;
const PLAIN: Encoding = Encoding::PLAIN;
const DIFFERENCES: Encoding = Encoding::DELTA_BINARY_PACKED;

#[test]
fn whole_numbers_are_coded_while_it_pays() {
    let some = |i: i64| (i % 7 > 0).then_some(i % 1_000 - 500);
    assert_eq!(both::<Int64Type>(vec![longs((0..50_000).map(some))]), [(PLAIN, 1), (CODED, 3)]);
    // Ascending, all different; then descending.
    assert_eq!(both::<Int64Type>(vec![longs((0..50_000).map(Some))]), [(DIFFERENCES, 3)]);
    assert_eq!(both::<Int64Type>(vec![longs((0..50_000).map(|i| Some(-i)))]), [(DIFFERENCES, 3)]);
    // Few at first, then many.
    let few = longs((0..20_000).map(|i| Some(i % 3)));
    let many = longs((0..30_000).map(|i| Some(i64::MAX - i)));
    assert_eq!(both::<Int64Type>(vec![few, many]), [(PLAIN, 1), (CODED, 1), (DIFFERENCES, 2)]);
    // Half of them are new, but differences are small.
    assert_eq!(both::<Int64Type>(vec![longs((0..400_000).map(|i| Some(i / 2 * 7)))]), [(DIFFERENCES, 20)]);
    // The dictionary is full, and differences are as large as the values.
    let far = |i: i64| Some(mix(i as u64 / 2) as i64);
    assert_eq!(both::<Int64Type>(vec![longs((0..400_000).map(far))]), [(PLAIN, 1), (CODED, 13), (PLAIN, 7)]);
    assert_eq!(
        both::<Int64Type>(vec![longs((0..100).map(|i| Some(i64::MIN.wrapping_mul(i))))]),
        [(PLAIN, 1), (CODED, 1)]
    );
    for ends in [[i64::MIN, i64::MAX, 0], [i64::MAX, i64::MIN, -1]] {
        both::<Int64Type>(vec![longs(ends.map(Some).into_iter().chain([None]))]);
        both::<Int64Type>(vec![longs((0..20_001).map(|i| Some(ends[i % 3].wrapping_add(i as i64))))]);
    }
}

#[test]
fn pages_of_nulls_alone_have_no_bounds() {
    let nulls = || longs(std::iter::repeat_n(None, 20_000));
    both::<Int64Type>(vec![nulls()]);
    both::<Int64Type>(vec![nulls(), longs((0..40_000).map(|i| Some(i % 9))), nulls()]);
}

#[test]
fn dates_are_coded_too() {
    let days: ArrayRef = Arc::new(Date32Array::from_iter((0..50_000).map(|i| (i % 5 > 0).then_some(i % 300 - 150))));
    assert_eq!(both::<Date32Type>(vec![days.slice(3, 40_000), days]), [(PLAIN, 1), (CODED, 5)]);
    let far: ArrayRef =
        Arc::new(Date32Array::from_iter_values((0..20_001).map(|i| [i32::MIN, i32::MAX][i % 2] ^ i as i32)));
    both::<Date32Type>(vec![far]);
    let days: ArrayRef = Arc::new(Date32Array::from_iter_values((0..20_000).map(|i| mix(i) as i32 % 9_000)));
    assert_eq!(both::<Date32Type>(vec![days]), [(DIFFERENCES, 1)]);
}

#[test]
fn floats_have_bounds_without_nan_and_around_both_zeros() {
    both::<Float64Type>(vec![doubles((0..50_000).map(|i| f64::from(i % 700) / 8.0 - 3.0))]);
    both::<Float64Type>(vec![doubles([0.0, -0.0, 0.0])]);
    both::<Float64Type>(vec![doubles([-0.0, 5.0])]);
    both::<Float64Type>(vec![doubles([f64::NAN, 1.0, -f64::NAN, 2.0])]);
    both::<Float64Type>(vec![doubles([f64::INFINITY])]);
    both::<Float64Type>(vec![doubles([f64::NEG_INFINITY, f64::NAN])]);
    both::<Float64Type>(vec![doubles([f64::NAN, f64::NAN])]);
    let nan = std::iter::repeat_n(f64::NAN, 20_000);
    both::<Float64Type>(vec![doubles(nan), doubles((0..10).map(f64::from))]);
}

#[test]
fn values_with_an_ordinal_are_no_others() {
    // Neighbours of hundredths, and what their products and quotients may be rounded to.
    let mut values =
        vec![f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MAX, f64::MIN_POSITIVE, 1e300];
    for hundredths in (-70..70_000).chain([i32::MAX - 1, i32::MAX, i32::MIN]) {
        let value = f64::from(hundredths) / 100.0;
        values.extend([value, value.next_up(), value.next_down(), value + 0.005, value * 1e7]);
    }
    let mut of = vec![None; DIRECT_MAX];
    for value in values {
        if value.ordinal() < DIRECT_MAX {
            assert_eq!(*of[value.ordinal()].get_or_insert(value.to_bits()), value.to_bits(), "{value}");
        }
    }
    // All that were meant to have one, as their digits are read.
    for (ordinal, bits) in of.iter().enumerate() {
        let value: f64 = format!("{}.{:02}", ordinal / 100, ordinal % 100).parse().unwrap();
        assert_eq!((value.ordinal(), *bits), (ordinal, Some(value.to_bits())));
    }
    assert!([-1, i64::MIN, DIRECT_MAX as i64].iter().all(|value| value.ordinal() >= DIRECT_MAX));
    assert!([0, 7, DIRECT_MAX as i32 - 1].iter().all(|value| value.ordinal() == *value as usize));
    // Some with an ordinal and some without, coded in one page.
    let mixed = (0..20_000).map(|i| [-0.0, 0.0, f64::NAN, 1.25, -1.25, 400.0, 1e-9, 3.0][i % 8]);
    assert_eq!(both::<Float64Type>(vec![doubles(mixed)]), [(PLAIN, 1), (CODED, 1)]);
}
