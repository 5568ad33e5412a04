//! A third opinion: the `csv` crate, on files where its definitions and ours agree.
//!
//! What is left out, and why. It knows no record cap: here the cap is infinite. Its delimiter is one byte. It takes a UTF-8
//! byte order mark off the front; with us that is done before the first record. Its comments end at LF only, ours at a lone
//! CR too, and one that ends with the file makes a phantom record: comments only in files without a lone CR that end with LF.
//! An open quote at the end of the file is no exception: the fields are the same, only our verdict differs.

use batteuse_kernel::automaton::{Automaton, OracleParse, parse};
use batteuse_shared::spec::Dialect;
use csv::{ByteRecord, ReaderBuilder};
use proptest::prelude::*;

use super::arbitrary::text;
use crate::corpus::cases;

/// Whether both define the parse of `bytes` in the same way.
fn agreed(dialect: &Dialect, bytes: &[u8]) -> bool {
    dialect.delimiter.len() == 1
        && !bytes.starts_with(b"\xef\xbb\xbf")
        && (dialect.comment.is_none() || (!has_a_lone_cr(bytes) && bytes.ends_with(b"\n")))
}

fn has_a_lone_cr(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n')
}

fn by_the_crate(dialect: &Dialect, bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(dialect.delimiter[0])
        .quoting(dialect.quote.is_some())
        .quote(dialect.quote.unwrap_or(b'"'))
        .escape(dialect.escape)
        .comment(dialect.comment)
        .from_reader(bytes);
    let fields = |record: ByteRecord| record.iter().map(<[u8]>::to_vec).collect();
    reader.byte_records().map(|record| fields(record.unwrap())).collect()
}

fn ours(parse: &OracleParse) -> Vec<Vec<Vec<u8>>> {
    parse.records.iter().map(|record| record.fields.clone()).collect()
}

#[test]
fn the_corpus_parses_as_the_csv_crate_says() {
    let mut compared = 0;
    for case in cases() {
        let bytes = &case.bytes[case.data_start as usize..];
        if agreed(&case.dialect, bytes) {
            let automaton = Automaton::new(&case.dialect, u64::MAX);
            let parse = parse(&automaton, bytes, case.data_start);
            assert_eq!(ours(&parse), by_the_crate(&case.dialect, bytes), "{}", case.name);
            compared += 1;
        }
    }
    assert!(compared >= 650, "{compared} files compared");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 6_000, ..ProptestConfig::default() })]

    #[test]
    fn made_up_files_parse_as_the_csv_crate_says((dialect, bytes) in text(60), delimiter in prop::sample::select(&b",;|"[..])) {
        let mut dialect = Dialect { delimiter: vec![delimiter], ..dialect };
        dialect.comment = dialect.comment.filter(|_| agreed(&dialect, &bytes));
        prop_assert!(agreed(&dialect, &bytes));
        let parse = parse(&Automaton::new(&dialect, u64::MAX), &bytes, 0);
        prop_assert_eq!(ours(&parse), by_the_crate(&dialect, &bytes));
    }
}
