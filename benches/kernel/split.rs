//! Records and fields split, nothing decoded: ours by literal quoting, simd-csv without copies, csveee by toggling at every quote.
//!
//! All take the header as a record and know the number of fields of each. csveee hands fields out without their quotes and from
//! buffers of its own, as many as it is told at compile time; the others hand out what lies in the text. Each is used as it is
//! fastest on one thread here: simd-csv with a buffer of 128 KiB (1 to 5 % over its own choice) and no check of the number of
//! fields, csveee as bytes, by its stream, which has no chunk to guess a start of and was as fast as its slice.

use std::hint::black_box;
use std::time::Instant;

use batteuse_kernel::arch::Path as Instructions;
use batteuse_kernel::split::split;
use batteuse_shared::limits::{COLUMNS_MAX, INDEX_BYTES, RECORD_BYTES_MAX};
use csveee::{ParserBackend, ParserBuilder};
use simd_csv::ZeroCopyReaderBuilder;

use super::table::Row;
use super::typed::plain_dialect;

const SIMD_CSV_BUFFER_BYTES: usize = 128 << 10;

/// What was found. The checksum adds up the squares of lengths, so that a boundary that moves changes it: of every field (`EACH`,
/// not timed) or of every record without its line end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    records: u64,
    fields: u64,
    checksum: u64,
}

impl Found {
    #[inline]
    fn record(&mut self, fields: usize) {
        self.records += 1;
        self.fields += fields as u64;
    }

    #[inline]
    fn length(&mut self, bytes: usize) {
        self.checksum += (bytes * bytes) as u64;
    }
}

/// A file of `N` columns.
pub fn lines<const N: usize>(shape: &str, text: &[u8]) {
    let measure = format!("{shape}: records and fields split");
    let (whole, decoded) = (split_ours::<true>(text), decoded(text));
    assert_eq!(whole, simd_csv::<true>(text), "{shape}: simd-csv");
    assert_eq!(decoded, csveee::<true, N>(text), "{shape}: csveee");
    assert_eq!((whole.records, whole.fields), (decoded.records, decoded.fields), "{shape}: rust-csv");
    let records = split_ours::<false>(text);
    assert_eq!(records, simd_csv::<false>(text), "{shape}: simd-csv, records");

    let row = |peer, target| Row {
        measure: &measure,
        peer,
        amount: text.len() as f64 / 1e9,
        unit: "GB/s",
        target: Some(target),
    };
    let ours = || timed(|| assert_eq!(split_ours::<false>(text), records));
    row("simd-csv zero-copy", 1.3).time(ours, || timed(|| assert_eq!(simd_csv::<false>(text), records)));
    let theirs = || timed(|| assert_eq!(csveee::<false, N>(text).fields, records.fields));
    row("csveee toggling", 2.0).time(ours, theirs);
}

fn timed(run: impl Fn()) -> f64 {
    let began = Instant::now();
    run();
    began.elapsed().as_secs_f64()
}

/// Ours, by the framing of a parse.
fn split_ours<const EACH: bool>(text: &[u8]) -> Found {
    let (dialect, mut found) = (plain_dialect(), Found::default());
    let path = Instructions::best();
    split(text, &dialect, RECORD_BYTES_MAX, path, INDEX_BYTES, COLUMNS_MAX, |record| {
        found.record(record.fields);
        if EACH {
            let mut from = record.start;
            for &end in record.ends {
                found.length(end as usize - from);
                from = end as usize + 1;
            }
        } else {
            found.length(black_box(&text[record.start..record.end]).len());
        }
    });
    found
}

fn simd_csv<const EACH: bool>(text: &[u8]) -> Found {
    let mut builder = ZeroCopyReaderBuilder::with_capacity(SIMD_CSV_BUFFER_BYTES);
    let mut reader = builder.has_headers(false).flexible(true).from_reader(text);
    let mut found = Found::default();
    while let Some(record) = reader.read_byte_record().unwrap() {
        found.record(record.len());
        if EACH {
            record.iter().for_each(|field| found.length(field.len()));
        } else {
            found.length(black_box(record.as_slice()).len());
        }
    }
    found
}

fn csveee<const EACH: bool, const N: usize>(text: &[u8]) -> Found {
    let mut parser = ParserBuilder::new().bytes().has_headers(false).parser_backend(ParserBackend::Simd).build();
    let take = |found: &mut Found, fields: [&mut [u8]; N]| {
        found.record(fields.len());
        if EACH {
            fields.iter().for_each(|field| found.length(field.len()));
        } else {
            black_box(&*fields[N - 1]);
        }
        Ok(())
    };
    parser.parse_stream(text, Found::default, take, |all| all[0]).unwrap()
}

/// By rust-csv, which shares no code with the others and strips quotes as csveee does.
fn decoded(text: &[u8]) -> Found {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text);
    let (mut found, mut record) = (Found::default(), csv::ByteRecord::new());
    while reader.read_byte_record(&mut record).unwrap() {
        found.record(record.len());
        record.iter().for_each(|field| found.length(field.len()));
    }
    found
}
