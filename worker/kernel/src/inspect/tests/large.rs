//! Files larger than what inspection reads, built on the spot, and files whose head is long.

use batteuse_shared::limits;
use batteuse_shared::spec::{Columns, Csv};

use super::{given, run, sample, show};
use crate::inspect::{Refusal, Verdict, inspect, wants};

/// A file of `bytes` bytes or a little more: a header, then `row(i)` again and again.
fn build(bytes: usize, header: &str, row: impl Fn(usize) -> String) -> Vec<u8> {
    let mut file = header.as_bytes().to_vec();
    for i in 0.. {
        if file.len() >= bytes {
            break;
        }
        file.extend_from_slice(row(i).as_bytes());
    }
    file
}

#[test]
fn inspect_sees_late_quotes_and_late_types() {
    // The first quote and the first text lie in the last tenth: far from the head, where some sample lies.
    let late = 480_000;
    let file = build(14 << 20, "id,name,n,when\n", |i| match i {
        i if i >= late && i % 7 == 0 => format!("{i},\"Foo, \"\"{i}\"\"\nbar\",x{i},2020-01-02 00:00:00\n"),
        i => format!("{i},name{i},{},2020-01-02\n", i % 10),
    });
    let found = run(&file, &Csv::default(), &Columns::Infer).expect("it is read");
    assert_eq!(show(&found), ", \\\" utf-8 . @15 +1 id:int64,name:text,n:text,when:timestamp");
}

#[test]
fn inspect_finds_lone_quotes_away_from_the_head() {
    let file = build(12 << 20, "code\tname\tbrand\tn\n", |i| match i % 5_000 {
        4_000 => format!("{i:013}\t\"Lone {i}\tx\t1\n"),
        4_500 => format!("{i:013}\t\"Bio\" milk\tx\t1\n"),
        _ => format!("{i:013}\tname{i}\tbrand\t{}\n", i % 9),
    });
    let found = run(&file, &Csv::default(), &Columns::Infer).expect("it is read");
    assert_eq!(show(&found), "\\t none utf-8 . @18 +1 code:text,name:text,brand:text,n:int64");
}

#[test]
fn inspect_finds_rare_lone_quotes_between_which_all_is_regular() {
    // One lone quote at a field's start in half of the samples: each is closed by the next one in the same column, so that the
    // record of thousands between them has the right width.
    for each in [20_000, 40_000, 300_000] {
        let file = build(20 << 20, "id\tname\tplace\tn\n", |i| match i % each {
            3_000 => format!("{i:09}\t\"name of {i}\tplace {i}\t0\n"),
            _ => format!("{i:09}\tname of {i}\tplace {i}\t0\n"),
        });
        let found = run(&file, &Csv::default(), &Columns::Infer).expect("it is read");
        assert_eq!(found.dialect.quote, None, "one in {each}");
    }
}

#[test]
fn inspect_believes_quotes_that_hide_rows() {
    // 60 quoted fields of about 0.9 MB, longer than a sample, hold lines that look like rows.
    let inner: String = (0..40_000).map(|i| format!("{i},fake row,{i}\n")).collect();
    let rows: String = (0..1_000).map(|i| format!("{i},plain,{i}\n")).collect();
    let file = build(50 << 20, "id,txt,n\n", |i| format!("{i},\"start\n{inner}end\",{i}\n{rows}"));
    let found = run(&file, &Csv::default(), &Columns::Infer).expect("it is read");
    assert_eq!(show(&found), ", \\\" utf-8 . @9 +1 id:int64,txt:text,n:int64");
}

#[test]
fn inspect_starts_samples_inside_long_quoted_fields() {
    // Nearly every sample starts in a quoted field, whose lines look like records of another width.
    let text = "one,two\nthree,\n".repeat(400);
    let file = build(20 << 20, "id,text,n\n", |i| format!("{i},\"{text}\",{}\n", i % 3));
    let found = run(&file, &Csv::default(), &Columns::Infer).expect("it is read");
    assert_eq!(show(&found), ", \\\" utf-8 . @10 +1 id:int64,text:text,n:int64");
}

#[test]
fn inspect_reads_the_encoding_of_late_samples() {
    let file = build(12 << 20, "a;b\n", |i| format!("{i};plain{i}\n"));
    let mut latin = file.clone();
    let end = latin.len();
    for at in (end - 100_000..end).filter(|at| file[*at] == b'l') {
        latin[at] = 0xE9;
    }
    let found = run(&latin, &Csv::default(), &Columns::Infer).expect("it is read");
    assert_eq!(show(&found), "; \\\" windows-1252 . @4 +1 a:int64,b:text");
    // A sample's ends may cut a sequence: that is no evidence against UTF-8.
    let accents = build(12 << 20, "a;b\n", |_| "1;ééé€€€\u{1F33E}\n".to_owned());
    for csv in [Csv::default(), Csv { header: false, ..Csv::default() }] {
        let found = run(&accents, &csv, &Columns::Infer).expect("it is read");
        assert_eq!(found.dialect.encoding, batteuse_shared::spec::Encoding::Utf8);
    }
}

#[test]
fn inspect_asks_for_more_head_and_reads_nothing_else() {
    let skipped = "x".repeat(600_000);
    let names: Vec<String> = (0..10_000).map(|i| format!("a_rather_long_column_name_{i}")).collect();
    let rows = format!("{}\n", vec!["1"; 10_000].join(";"));
    let file = build(11 << 20, &format!("{skipped}\n{}\n", names.join(";")), |_| rows.clone());
    let csv = Csv { skip_lines: 1, ..Csv::default() };
    let found = run(&file, &csv, &Columns::Infer).expect("it is read");
    assert_eq!(found.columns.len(), 10_000);
    assert_eq!(found.data_start as usize, skipped.len() + 1 + names.join(";").len() + 1);
    assert_eq!(found.preamble_lines, 2);
    // What lies outside the samples is not looked at.
    let spans = wants(file.len() as u64);
    let head = found.data_start as usize + (2 << 20);
    let mut dark = file.clone();
    for (at, byte) in dark.iter_mut().enumerate().skip(head) {
        if !spans.iter().any(|span| (span.start..span.end).contains(&(at as u64))) {
            *byte = b'"';
        }
    }
    assert_ne!(dark, file);
    assert_eq!(run(&dark, &csv, &Columns::Infer).expect("it is read"), found);
}

#[test]
fn inspect_needs_no_more_head_than_its_limits() {
    let lines = "x".repeat(limits::PREAMBLE_BYTES_MAX as usize + 10);
    let csv = Csv { skip_lines: 1, ..Csv::default() };
    let refusal = run(format!("{lines}\na,b\n1,2\n").as_bytes(), &csv, &Columns::Infer);
    assert_eq!(refusal, Err(Refusal::PreambleTooLong));
    let header = "x".repeat(limits::HEADER_BYTES_MAX as usize + 1);
    let file = build(10 << 20, &format!("{header}\n"), |_| "1\n".to_owned());
    let refusal = run(&file, &Csv::default(), &Columns::Infer).expect_err("the header is too long").to_string();
    assert!(refusal.contains("the header at byte offset 0 does not end within 1048576 bytes"), "{refusal}");
    let wide = format!("{}\n", ";".repeat(limits::COLUMNS_MAX));
    let refusal = run(wide.as_bytes(), &Csv::default(), &Columns::Infer).expect_err("it is too wide").to_string();
    assert!(refusal.contains("has 16385 fields, and at most 16384 columns are read"), "{refusal}");
}

#[test]
fn inspect_waits_for_the_line_feed_of_a_header_cut_at_the_sample() {
    let head = limits::SAMPLE_BYTES as usize;
    let header = format!("a;{}\r", "b".repeat(head - 3));
    assert_eq!(header.len(), head);
    let file = build(9 << 20, &format!("{header}\n"), |i| format!("{i};x\r\n"));
    let first = sample(&file, wants(file.len() as u64)[0]);
    let csv = Csv { delimiter: given(";"), ..Csv::default() };
    let verdict = inspect(file.len() as u64, &csv, &Columns::Infer, &[first]).expect("it is asked");
    assert!(matches!(verdict, Verdict::NeedsHead { .. }), "{verdict:?}");
    let found = run(&file, &csv, &Columns::Infer).expect("it is read");
    assert_eq!((found.data_start as usize, found.preamble_lines), (head + 1, 1));
}
