//! Inferred types hold for the whole file: what inspection did not sample, or sampled in error, is settled by all records.

use super::{Input, Outcome};
use batteuse_shared::limits::{SAMPLE_BYTES, SAMPLE_PLACES};

/// A byte of a file of `size` bytes that lies in none of inspection's samples.
fn between_samples(size: u64, place: u64) -> usize {
    let start = |place| (size - SAMPLE_BYTES) * place / (SAMPLE_PLACES - 1);
    let (end, next) = (start(place) + SAMPLE_BYTES, start(place + 1));
    assert!(end + 4_096 < next, "the file is too small to have a place that is not sampled");
    usize::try_from(end.midpoint(next)).unwrap()
}

/// Records of a number, a date and a text, all of one length, 13 MB of them.
fn regular() -> Vec<u8> {
    let mut text = "n,jour,mot\n".to_owned();
    for i in 0..500_000 {
        text += &format!("{:06},{}-0{}-01,word {:03}\n", 100_000 + i, 1990 + i % 30, i % 9 + 1, i % 1_000);
    }
    text.into_bytes()
}

const REGULAR_RECORD: usize = "100000,1990-01-01,word 000\n".len();
const REGULAR_HEADER: usize = "n,jour,mot\n".len();

/// The offset of the record that `byte` lies in.
fn record_at(byte: usize) -> usize {
    byte - (byte - REGULAR_HEADER) % REGULAR_RECORD
}

/// Compares runs in one and in more partitions; returns the outcome and how many partitions of the last were parsed again for types.
fn settled(input: &Input) -> (Outcome, u64) {
    let (one, report) = input.run(1, 1);
    let mut again = report["reruns"]["types"].as_u64().unwrap();
    for (partitions, workers) in [(2, 3), (7, 1), (64, 3)] {
        let (other, report) = input.run(partitions, workers);
        one.must_equal(&other, &format!("{partitions} partitions, {workers} workers"));
        again = report["reruns"]["types"].as_u64().unwrap();
    }
    (one, again)
}

#[test]
fn a_value_that_no_sample_held_widens_the_type() {
    let mut bytes = regular();
    let size = bytes.len() as u64;
    let at = record_at(between_samples(size, 11));
    bytes[at..at + 6].copy_from_slice(b"1234.5");
    let at = record_at(between_samples(size, 23));
    bytes[at + 7..at + 17].copy_from_slice(b"01/02/1990");
    let input = Input::new("wider.csv", &bytes);
    let (outcome, again) = settled(&input);
    assert_eq!(outcome.code, 0);
    let types = ["n", "jour", "mot"].map(|column| outcome.table().type_of(column));
    assert_eq!(types, ["float64", "text", "text"]);
    assert_eq!(again, 64, "every partition was staged with the narrow types");
    super::values::must_hold(outcome.table(), str::from_utf8(&bytes).unwrap(), b',');
}

#[test]
fn a_value_in_the_last_record_of_the_last_partition_breaks_the_type() {
    for (last, ctype) in [("x", "text"), ("0.5", "float64"), ("1234567890123456", "int64"), ("01", "text")] {
        let mut text = "a,b\n".to_owned();
        for i in 0..3_000 {
            text += &format!("{i},{}\n", 10_000 + i);
        }
        text += &format!("{last},7");
        let input = Input::new("last.csv", &text);
        let outcome = if last == "x" { input.run_however_cut() } else { settled(&input).0 };
        assert_eq!((outcome.code, outcome.table().type_of("a"), outcome.table().type_of("b")), (0, ctype, "int64"));
        super::values::must_hold(outcome.table(), &text, b',');
    }
}

#[test]
fn a_sample_that_guessed_too_wide_settles_narrower() {
    // Samples that lie amid a long quoted field take its lines for records, in which neither column is a number.
    let mut text = "id,txt,n\n".to_owned();
    for block in 0..12 {
        text += &format!("{block},\"start\n{}end\",{block}\n", "x,fake row,y\n".repeat(70_000));
        for i in 0..1_000 {
            text += &format!("{i},plain,{i}\n");
        }
    }
    let input = Input::new("narrower.csv", &text);
    let (outcome, _) = settled(&input);
    assert_eq!(outcome.code, 0);
    let types = ["id", "txt", "n"].map(|column| outcome.table().type_of(column));
    assert_eq!(types, ["int64", "text", "int64"]);
    let (_, report) = input.run(3, 1);
    assert_eq!(report["reruns"]["types"], 3, "the guess was too wide: every partition was parsed again");
    super::values::must_hold(outcome.table(), &text, b',');
}

#[test]
fn values_of_rejected_records_do_not_widen_a_type() {
    let mut text = "a,b\n".to_owned();
    for i in 0..3_000 {
        text += &format!("{i},{}\n", if i % 100 == 50 { "x,y".to_owned() } else { i.to_string() });
    }
    let input = Input { spec: "  rejects: {tolerate: {count: 30}}\n", ..Input::new("ragged.csv", &text) };
    let outcome = input.run_however_cut();
    assert_eq!((outcome.code, outcome.rejects.len()), (4, 30));
    assert_eq!([outcome.table().type_of("a"), outcome.table().type_of("b")], ["int64", "int64"]);
}
