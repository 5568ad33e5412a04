//! Chunks of coded texts, read back: values, and what the file tells of them.

use std::sync::Arc;

use arrow_array::{RecordBatch, UInt16Array};
use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_shared::location::url_of_dir;
use batteuse_shared::spec::Compression as Asked;
use batteuse_shared::task::Staging;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::reader::FileReader as _;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};

use super::*;
use crate::encode::{Encoder, Reader};
use crate::stage::StagingDir;
use batteuse_store::Stores;

/// An empty column, and what compresses its pages.
fn column() -> TextColumn {
    let text = parquet::schema::types::Type::primitive_type_builder("text", parquet::basic::Type::BYTE_ARRAY);
    let text = Arc::new(text.with_repetition(parquet::basic::Repetition::OPTIONAL).build().unwrap());
    let path = parquet::schema::types::ColumnPath::from("text");
    TextColumn::new(Arc::new(parquet::schema::types::ColumnDescriptor::new(text, 1, 0, path)), true)
}

fn compressor() -> Compressor {
    Compressor::new(parquet::basic::Compression::SNAPPY).unwrap()
}

/// One batch of a column.
#[derive(Clone)]
enum Given {
    /// Codes of the first so many texts.
    Coded(usize, Vec<Option<u16>>),
    Plain(Vec<Option<String>>),
}

/// The column that decode might hand over.
fn array(texts: &[String], given: &Given) -> ArrayRef {
    match given {
        Given::Coded(known, codes) => {
            let texts: ArrayRef = Arc::new(StringArray::from_iter_values(&texts[..*known]));
            Arc::new(DictionaryArray::new(UInt16Array::from(codes.clone()), texts))
        }
        Given::Plain(values) => Arc::new(StringArray::from(values.clone())),
    }
}

/// Writes the batches; they must come back, and what the file tells of them must hold.
fn written(texts: &[String], batches: &[Given], compression: Asked) -> Vec<(Encoding, i32)> {
    let dir = tempfile::tempdir().unwrap();
    let run = RunId::new("job-1").unwrap();
    let folder = dir.path().join(layout::staging_dir(&run));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(layout::STAGING_NONCE), "n").unwrap();
    let staging = Staging { output_url: url_of_dir(dir.path()).unwrap(), nonce: "n".to_owned() };
    let staging = StagingDir::enter(&staging, &run, &Stores::new([])).unwrap();
    let schema = Arc::new(arrow_schema::Schema::new(vec![
        arrow_schema::Field::new("text", arrow_schema::DataType::Utf8, true),
        arrow_schema::Field::new("again", arrow_schema::DataType::Utf8, true),
    ]));
    let mut encoder = Encoder::new(&staging, "p".to_owned(), schema, compression, &run).unwrap();
    let mut want: Vec<Option<String>> = Vec::new();
    for given in batches {
        let column = array(texts, given);
        encoder
            .write(
                &RecordBatch::try_from_iter_with_nullable([("text", column.clone(), true), ("again", column, true)])
                    .unwrap(),
            )
            .unwrap();
        match given {
            Given::Coded(_, codes) => {
                want.extend(codes.iter().map(|code| code.map(|code| texts[code as usize].clone())))
            }
            Given::Plain(values) => want.extend(values.iter().cloned()),
        }
    }
    encoder.finish().unwrap().unwrap().keep();
    let path = staging.place("p");
    for column in 0..2 {
        let read: Vec<Option<String>> = Reader::open(staging.output(), &staging.path_of("p"))
            .unwrap()
            .flat_map(|batch| {
                batch
                    .unwrap()
                    .column(column)
                    .as_string::<i32>()
                    .iter()
                    .map(|text| text.map(str::to_owned))
                    .collect::<Vec<_>>()
            })
            .collect();
        assert!(read == want, "{} values come back as they are", want.len());
    }
    told(&path, &want)
}

/// What the file tells of the values: nulls, bounds of the chunk and of each page, encodings.
fn told(path: &std::path::Path, want: &[Option<String>]) -> Vec<(Encoding, i32)> {
    let options = ReadOptionsBuilder::new().with_page_index().with_encoding_stats_as_mask(false).build();
    let reader = SerializedFileReader::new_with_options(std::fs::File::open(path).unwrap(), options).unwrap();
    let metadata = reader.metadata();
    assert_eq!(metadata.num_row_groups(), 1);
    let chunk = metadata.row_group(0).column(0);
    let encodings = chunk.page_encoding_stats().unwrap().iter().map(|stats| (stats.encoding, stats.count)).collect();
    let statistics = chunk.statistics().unwrap();
    assert_eq!(statistics.null_count_opt(), Some(want.iter().filter(|value| value.is_none()).count() as u64));
    let bytes: usize = want.iter().flatten().map(String::len).sum();
    assert_eq!(chunk.unencoded_byte_array_data_bytes(), Some(bytes as i64));
    let least = want.iter().flatten().min().map(String::as_bytes);
    let greatest = want.iter().flatten().max().map(String::as_bytes);
    let bounds = [(statistics.min_bytes_opt(), least), (statistics.max_bytes_opt(), greatest)];
    for (bound, exact) in bounds.iter().map(|&(bound, value)| (bound.zip(value), value)).filter_map(|(pair, _)| pair) {
        assert!(bound.len() <= BOUND_BYTES && std::str::from_utf8(bound).is_ok());
        assert!(exact.len() > BOUND_BYTES || bound == exact);
    }
    assert!(
        statistics.min_bytes_opt() <= least && statistics.max_bytes_opt().is_none_or(|bound| Some(bound) >= greatest)
    );
    let offsets = &metadata.offset_index().unwrap()[0][0];
    let ColumnIndexMetaData::BYTE_ARRAY(index) = &metadata.column_index().unwrap()[0][0] else {
        assert!(
            want.iter().flatten().any(|text| text.starts_with('\u{10ffff}')),
            "bounds are told unless there are none"
        );
        return encodings;
    };
    let firsts: Vec<usize> = offsets.page_locations().iter().map(|page| page.first_row_index as usize).collect();
    for (page, &first) in firsts.iter().enumerate() {
        let rows = &want[first..firsts.get(page + 1).copied().unwrap_or(want.len())];
        assert!(rows.len() <= PAGE_ROWS);
        assert_eq!(index.null_count(page), Some(rows.iter().filter(|value| value.is_none()).count() as i64));
        assert_eq!(index.is_null_page(page), rows.iter().all(Option::is_none));
        let values = || rows.iter().flatten().map(String::as_bytes);
        assert!(
            values().all(|value| index.min_value(page).unwrap() <= value && value <= index.max_value(page).unwrap())
        );
    }
    encodings
}

/// Codes below `known`, of which some are null, by a plain generator.
fn codes(seed: &mut u64, rows: usize, known: usize, nulls: u64) -> Vec<Option<u16>> {
    let mut next = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed >> 33
    };
    (0..rows).map(|_| (next() % 100 >= nulls).then(|| (next() % known as u64) as u16)).collect()
}

#[test]
fn coded_texts_come_back_as_they_are() {
    let long = |text: &str, i: usize| text.repeat(20 + i % 40);
    let text = |i: usize| match i % 5 {
        0 => String::new(),
        1 => long("\u{e9}x", i),
        2 => long("\u{d7ff}", i),
        _ => format!("t{i}"),
    };
    let mut texts: Vec<String> = (0..3_000).map(text).collect();
    texts.dedup();
    let mut seed = 7;
    let mut coded = |rows, known, nulls| Given::Coded(known, codes(&mut seed, rows, known, nulls));
    let plain = |rows: usize| {
        Given::Plain((0..rows).map(|i| (i % 3 > 0).then(|| format!("{i}{}", "y".repeat(i % 90)))).collect())
    };
    let cases = [
        vec![coded(1, 1, 0)],
        vec![coded(70, 1, 0), coded(9, 2, 50)],
        vec![coded(5, 1, 100), coded(64, 3, 0)],
        vec![coded(20_000, 256, 0), coded(20_001, 257, 10), coded(3, 1_000, 100)],
        vec![coded(50_000, 3_000, 30)],
        vec![coded(100, 40, 10), plain(50_000), plain(1)],
        vec![coded(45_000, 2, 99), plain(10)],
        vec![coded(40_000, 7, 100)],
        vec![coded(10, 5, 100), plain(30), plain(0)],
    ];
    for batches in cases {
        for compression in [Asked::None, Asked::Snappy, Asked::Zstd(3)] {
            written(&texts, &batches, compression);
        }
    }
    // There is nothing above the last character.
    let last = vec!["\u{10ffff}".repeat(30)];
    written(&last, &[Given::Coded(1, vec![Some(0), None])], Asked::Zstd(3));
}

/// Texts without codes.
fn plain(rows: usize, text: impl Fn(usize) -> Option<String>) -> Given {
    Given::Plain((0..rows).map(text).collect())
}

#[test]
fn texts_are_made_into_what_is_small() {
    let of = |batches: &[Given]| written(&["a".to_owned()], batches, Asked::Zstd(3));
    let scattered = |i: usize| super::super::slots::mix(i as u64);
    // In order, as numbers of a register are: nearly all of a text is that of the one before.
    let ordered = |i: usize| (!i.is_multiple_of(9)).then(|| format!("{:09}", 300_000_000 + i * 3 / 4));
    assert_eq!(of(&[plain(50_000, ordered)]), [(Encoding::DELTA_BYTE_ARRAY, 3)]);
    // Half of it, and the rest is longer than a code.
    let half = |i: usize| Some(format!("FR-2024-{:08}", scattered(i) % 100_000_000));
    assert_eq!(of(&[plain(20_000, half)]), [(Encoding::DELTA_BYTE_ARRAY, 1)]);
    // Nothing in common.
    let none = |i: usize| Some(format!("{:x}", scattered(i)));
    assert_eq!(of(&[plain(20_001, none)]), [(Encoding::DELTA_LENGTH_BYTE_ARRAY, 2)]);
    // Few, in no order; then new ones.
    let few = |i: usize| (!i.is_multiple_of(5)).then(|| format!("{:x}", scattered(i) % 6_000 * 77_777_777));
    let coded = (Encoding::RLE_DICTIONARY, 2);
    assert_eq!(of(&[plain(40_000, few)]), [(Encoding::PLAIN, 1), coded]);
    let then = (Encoding::DELTA_LENGTH_BYTE_ARRAY, 1);
    assert_eq!(of(&[plain(40_000, few), plain(20_000, none)]), [(Encoding::PLAIN, 1), coded, then]);
    // In order for a while: codes go on behind it.
    let pages = [(Encoding::PLAIN, 1), (Encoding::RLE_DICTIONARY, 2), (Encoding::DELTA_BYTE_ARRAY, 1)];
    assert_eq!(of(&[plain(20_000, few), plain(20_000, ordered), plain(20_000, few)]), pages);
    // Pages of nothing, of nothing but nulls, and of texts that fill one by their bytes.
    assert_eq!(of(&[plain(20_000, |_| None)]), [(Encoding::PLAIN, 1)]);
    assert_eq!(of(&[plain(20_000, |_| Some(String::new()))]), [(Encoding::DELTA_BYTE_ARRAY, 1)]);
    let long = |i: usize| Some(format!("{i}").repeat(40_000));
    assert_eq!(of(&[plain(40, long), plain(40, long)]), [(Encoding::DELTA_LENGTH_BYTE_ARRAY, 5)]);
}

#[test]
fn pages_behind_codes_that_hardly_shrink_are_compressed() {
    let zstd = parquet::basic::ZstdLevel::try_new(3).unwrap();
    let mut compressor = Compressor::new(parquet::basic::Compression::ZSTD(zstd)).unwrap();
    let mut column = column();
    // Decode gives codes while there are few; these are as good as noise.
    let texts: Vec<String> = (0..4_096).map(|i| format!("{:x}", super::super::slots::mix(i))).collect();
    let noise = codes(&mut 7, 4_000, texts.len(), 0);
    column.append(&array(&texts, &Given::Coded(texts.len(), noise)), &mut compressor).unwrap();
    let alike = plain(20_000, |i| Some(format!("{}{}", super::super::slots::mix(i as u64), "the same in all of them")));
    column.append(&array(&texts, &alike), &mut compressor).unwrap();
    let (bytes, told) = column.close(&mut compressor).unwrap();
    let uncompressed = told.metadata.uncompressed_size() as usize;
    assert!(bytes.bytes() < uncompressed * 3 / 4, "{} of {uncompressed}", bytes.bytes());
}

#[test]
fn bytes_behind_nulls_are_no_texts() {
    let texts = StringArray::from(vec!["one", "two", "three"]);
    let (offsets, values, _) = texts.into_parts();
    let hidden: ArrayRef = Arc::new(StringArray::new(offsets, values, Some(vec![true, false, true].into())));
    let mut column = column();
    column.append(&hidden, &mut compressor()).unwrap();
    assert_eq!(column.written.iter().collect::<Vec<_>>(), [&b"one"[..], b"three"]);
}

#[test]
fn slices_of_texts_are_written_as_they_are() {
    let texts: ArrayRef = Arc::new(StringArray::from_iter((0..90).map(|i| (i % 4 > 0).then(|| format!("{i}")))));
    for (at, rows) in [(0, 90), (1, 80), (63, 20), (8, 0)] {
        let mut column = column();
        let slice = texts.slice(at, rows);
        column.append(&slice, &mut compressor()).unwrap();
        let want: Vec<&[u8]> = slice.as_string::<i32>().iter().flatten().map(str::as_bytes).collect();
        assert_eq!(column.written.iter().collect::<Vec<_>>(), want);
        assert_eq!(column.valid.len(), rows);
    }
}

#[test]
fn the_least_and_the_greatest_are_told_by_all_bytes() {
    let mut texts: Vec<Vec<u8>> = vec![b"".to_vec(), b"\0".to_vec(), b"12345678".to_vec(), b"12345678\0".to_vec()];
    texts.extend((0..300_u32).map(|i| format!("{:b}", i * 7919 % 512).into_bytes()));
    for rotated in 0..texts.len() {
        texts.rotate_left(rotated);
        for some in texts.chunks(1 + rotated % 7) {
            let want = (some.iter().min().unwrap(), some.iter().max().unwrap());
            let head = |text: &Vec<u8>| Head::of(text, 0, text.len());
            let (least, greatest) = bounds(some.iter().map(|text| (&text[..], head(text)))).unwrap();
            assert_eq!((least, greatest), (&want.0[..], &want.1[..]));
        }
    }
}

#[test]
fn bounds_are_cut_between_characters_and_upwards() {
    assert_eq!(cut("a".repeat(70).as_bytes()).len(), BOUND_BYTES);
    assert_eq!(cut(format!("{}\u{e9}", "a".repeat(63)).as_bytes()).len(), 63);
    assert_eq!(cut_up(b"abc"), Some(b"abc".to_vec()));
    assert_eq!(cut_up("a".repeat(70).as_bytes()), Some([&b"a".repeat(63)[..], b"b"].concat()));
    let high = |last: &str| cut_up(format!("{}{last}zzzz", "a".repeat(64 - last.len())).as_bytes()).unwrap();
    // The next character may take no more bytes, and is no surrogate.
    assert_eq!(high("\u{7f}"), [&b"a".repeat(62)[..], b"b"].concat());
    assert_eq!(high("\u{d7ff}"), [&b"a".repeat(61)[..], "\u{e000}".as_bytes()].concat());
    assert_eq!(cut_up("\u{10ffff}".repeat(17).as_bytes()), None);
}
