//! The oracle and those who must agree with it: a second parse that shares no code with it, the models, the `csv` crate, the
//! fast paths byte by byte, and whole cut files.
//!
//! Invariant: what is compared here was written twice, or is stepped one byte at a time. Sizes are chosen so that the
//! module takes less than a minute without optimization.

pub mod arbitrary;
mod fast;
mod model;
mod plain;
mod rust_csv;
mod split;

use batteuse_kernel::automaton::{Automaton, OracleRecord, parse};
use batteuse_shared::limits::REJECT_RAW_BYTES_MAX;
use batteuse_shared::spec::Ragged;
use proptest::prelude::*;
use proptest::sample::select;

use self::arbitrary::{CAPS, case, cuts, place, read_bytes, text};
use crate::corpus::{Case, cases, comma, told_by_others};
use crate::support::{partitioned, reasons, sequential};

#[test]
fn the_corpus_parses_as_the_plain_parse_says() {
    for case in cases() {
        let bytes = &case.bytes[case.data_start as usize..];
        for cap in CAPS.into_iter().chain([case.cap]) {
            let said = parse(&Automaton::new(&case.dialect, cap), bytes, case.data_start);
            assert_eq!(said, plain::parse(&case.dialect, cap, bytes, case.data_start), "{}, cap {cap}", case.name);
        }
    }
}

/// What other parsers are tested to read in their own files.
#[test]
fn the_tables_of_others_parse_as_they_say() {
    let tables = told_by_others();
    assert!(tables.len() >= 140, "{} files", tables.len());
    for told in tables {
        let said = parse(&Automaton::new(&told.case.dialect, u64::MAX), &told.case.bytes, 0);
        let owned =
            |record: OracleRecord| record.fields.into_iter().map(|field| String::from_utf8(field).unwrap()).collect();
        let records: Vec<Vec<String>> = said.records.into_iter().map(owned).collect();
        assert_eq!(records, told.records, "{}", told.case.name);
    }
}

/// The head that is kept, the length and the hash of a record that is cut, however it is read.
#[test]
fn a_cut_record_is_told_whole() {
    let long = "0123456789".repeat(20_000);
    let case = Case {
        name: "a record of 200 kB".to_owned(),
        bytes: format!("a,b\n{long}\r\nc,d\n").into_bytes(),
        dialect: comma(),
        data_start: 0,
        columns: 2,
        integer: false,
        ragged: Ragged::Reject,
        cap: 40_000,
    };
    let truth = sequential(&case);
    assert_eq!((truth.rejects[0].raw.len(), truth.rejects[0].byte_length), (REJECT_RAW_BYTES_MAX, 200_002));
    let message = "the record is longer than the cap allows and was cut: 200000 bytes, \
        sha256 8ddf9b2317645923bc681372ebcfc99afec63b3a6870db4b6ee7bc1bd56eb262";
    for read in [997, 4_096, 70_000, 1 << 20] {
        for cuts in [&[][..], &[3, 1_000, 80_000, 80_001, 200_005], &[120_000]] {
            assert_eq!(partitioned(&case, cuts, read), truth, "cut at {cuts:?}, read by {read}");
            assert_eq!(reasons(&case, cuts, read), [(None, message.to_owned())]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn made_up_files_parse_as_the_plain_parse_says(
        (dialect, bytes) in text(60),
        cap in select(&CAPS[..]),
        offset in prop_oneof![0..200u64, (8 << 40)..(8 << 40) + 200u64],
    ) {
        let said = parse(&Automaton::new(&dialect, cap), &bytes, offset);
        prop_assert_eq!(said, plain::parse(&dialect, cap, &bytes, offset));
    }

    #[test]
    fn cut_files_give_what_the_oracle_says(case in case(60), cuts in cuts(), read in read_bytes()) {
        let placed = place(&cuts, &case);
        prop_assert_eq!(partitioned(&case, &placed, read), sequential(&case), "cut at {:?}", placed);
        prop_assert_eq!(reasons(&case, &placed, read), reasons(&case, &[], 4096), "cut at {:?}", placed);
    }
}
