//! What a generated file promises: its bytes, its size, its columns, its counts.

use super::*;

const SHAPES: [Shape; 5] = [Shape::Sirene, Shape::Taxi, Shape::Dvf, Shape::Nppes, Shape::Quotes];

fn bytes_of(shape: Shape, seed: u64, bytes_max: u64) -> (Vec<u8>, Generated) {
    let mut bytes = Vec::new();
    let generated = generate(shape, seed, bytes_max, &mut bytes).unwrap();
    assert_eq!(generated.bytes, bytes.len() as u64);
    (bytes, generated)
}

fn fnv1a_64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn bytes_are_the_same_for_ever() {
    for (shape, digest) in [
        (Shape::Sirene, 0xa5c9_b75a_33ab_ba39),
        (Shape::Taxi, 0x4da0_19b1_d39f_ed38),
        (Shape::Dvf, 0xe935_1198_802f_691c),
        (Shape::Nppes, 0x2c92_82f7_ab85_2328),
        (Shape::Quotes, 0xfba7_5a5c_859a_24bd),
    ] {
        let (bytes, _) = bytes_of(shape, 1, 1_000_000);
        assert_eq!(fnv1a_64(&bytes), digest, "{shape:?}: 0x{:016x}", fnv1a_64(&bytes));
    }
}

#[test]
fn a_smaller_file_is_a_prefix_and_no_file_exceeds_its_size() {
    for shape in SHAPES {
        let (long, _) = bytes_of(shape, 7, 3_000_000);
        for bytes_max in [900_000, 1_048_576, 2_222_222, 3_000_000] {
            let (short, _) = bytes_of(shape, 7, bytes_max);
            assert!(short.len() as u64 <= bytes_max);
            assert!(long.starts_with(&short), "{shape:?} {bytes_max}");
            let record_or_block_bytes = match shape {
                Shape::Quotes => 840_000,
                Shape::Nppes => 2_000,
                _ => 1_000,
            };
            assert!(short.len() as u64 > bytes_max - record_or_block_bytes, "{shape:?} {bytes_max} {}", short.len());
        }
    }
}

#[test]
fn the_size_is_kept_to_the_byte() {
    for shape in SHAPES {
        let (bytes, generated) = bytes_of(shape, 3, 2_000_000);
        let (same, _) = bytes_of(shape, 3, generated.bytes);
        assert_eq!(bytes.len(), same.len());
        let (_, fewer) = bytes_of(shape, 3, generated.bytes - 1);
        let step = if shape == Shape::Quotes { 1_001 } else { 1 };
        assert_eq!(fewer.rows, generated.rows - step, "{shape:?}");
    }
}

#[test]
fn too_small_a_size_is_refused_with_the_least_one() {
    for shape in SHAPES {
        let mut out = Vec::new();
        let Err(GenerateError::TooSmall { bytes_max: 0, bytes_least }) = generate(shape, 1, 0, &mut out) else {
            panic!("{shape:?}: 0 bytes were accepted");
        };
        assert!(matches!(
            generate(shape, 1, bytes_least - 1, &mut out),
            Err(GenerateError::TooSmall { bytes_least: again, .. }) if again == bytes_least
        ));
        assert!(out.is_empty());
        let (_, generated) = bytes_of(shape, 1, bytes_least);
        assert_eq!(generated.bytes, bytes_least);
        assert_eq!(generated.rows, if shape == Shape::Quotes { 1_001 } else { 1 });
    }
}

#[test]
fn seeds_differ() {
    for shape in [Shape::Sirene, Shape::Taxi, Shape::Dvf, Shape::Nppes] {
        assert_ne!(bytes_of(shape, 1, 20_000).0, bytes_of(shape, 2, 20_000).0);
    }
}

#[test]
fn every_record_has_its_columns_and_the_counts_are_those_of_a_csv_reader() {
    for (shape, delimiter, columns) in [
        (Shape::Sirene, b',', 54),
        (Shape::Taxi, b',', 19),
        (Shape::Dvf, b'|', 43),
        (Shape::Nppes, b',', 330),
        (Shape::Quotes, b',', 3),
    ] {
        let (bytes, generated) = bytes_of(shape, 1, 12_000_000);
        // Refuses records whose number of fields differs from the header's.
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(bytes.as_slice());
        assert_eq!(reader.headers().unwrap().len(), columns);
        let (mut rows, mut newlines) = (0, 0);
        for record in reader.records() {
            let record = record.unwrap();
            rows += 1;
            newlines += record.as_slice().bytes().filter(|byte| *byte == b'\n').count() as u64;
        }
        assert_eq!((rows, newlines), (generated.rows, generated.quoted_newlines), "{shape:?}");
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(lines, 1 + generated.rows + generated.quoted_newlines, "{shape:?}");
    }
}

#[test]
fn sirene_has_its_hard_cases_as_often_as_said() {
    let (bytes, generated) = bytes_of(Shape::Sirene, 1, 40_000_000);
    let expected = generated.rows as f64 / 20_000.0;
    assert!((0.3 * expected..3.0 * expected).contains(&(generated.quoted_newlines as f64)), "{generated:?}");
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(", BAT "));
    assert!(text.contains(",\"LE \"\""));
    assert!(text.contains("\nET FILS, \"\""));
}

#[test]
fn nppes_quotes_every_field_and_needs_no_quote() {
    let (bytes, generated) = bytes_of(Shape::Nppes, 1, 4_000_000);
    let text = String::from_utf8(bytes).unwrap();
    let (mut fields, mut filled) = (0, 0);
    for field in text.lines().flat_map(|line| line.split(',')) {
        let inside = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect(field);
        assert!(!inside.contains('"'), "{field}");
        fields += 1;
        filled += usize::from(!inside.is_empty());
    }
    assert_eq!(fields as u64, 330 * (1 + generated.rows));
    assert!(filled * 8 < fields, "{filled} of {fields} fields hold something");
    let names: std::collections::BTreeSet<_> = text.lines().next().unwrap().split(',').collect();
    assert_eq!(names.len(), 330);
}

#[test]
fn fifty_megabytes_of_quotes_hold_60_060_records() {
    let mut out = io::sink();
    let generated = generate(Shape::Quotes, 1, 50_000_000, &mut out).unwrap();
    let quoted_newlines = 60 * 40_001;
    assert_eq!(generated, Generated { bytes: 49_894_669, rows: 60_060, quoted_newlines });
}

#[test]
fn a_writer_that_fails_is_an_error() {
    let mut room = [0_u8; 1_000];
    let failed = generate(Shape::Taxi, 1, 2_000, &mut room.as_mut_slice());
    assert!(matches!(failed, Err(GenerateError::Write(_))));
}
