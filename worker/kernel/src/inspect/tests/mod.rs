//! Tests of inspection: a table of small files, and large files built on the spot.

mod cases;
mod large;

use std::ops::ControlFlow;

use batteuse_shared::span::Span;
use batteuse_shared::spec::{Auto, Columns, Csv, Encoding};
use batteuse_shared::task::Inspected;
use proptest::prelude::*;

use super::evidence::{Ended, Trial, walk};
use super::{Refusal, Sample, Verdict, inspect, wants};
use crate::automaton::{self, End};

fn sample(file: &[u8], span: Span) -> Sample {
    Sample { span, bytes: file[span.start as usize..span.end as usize].to_vec() }
}

/// Inspects a file as a caller does, reading only what is asked for.
fn run(file: &[u8], csv: &Csv, columns: &Columns) -> Result<Inspected, Refusal> {
    let source_bytes = file.len() as u64;
    let mut samples: Vec<Sample> = wants(source_bytes).into_iter().map(|span| sample(file, span)).collect();
    loop {
        let verdict = inspect(source_bytes, csv, columns, &samples)?;
        assert_eq!(inspect(source_bytes, csv, columns, &samples).as_ref(), Ok(&verdict), "the same twice");
        match verdict {
            Verdict::Inspected(found) => return Ok(*found),
            Verdict::NeedsHead { bytes } => {
                assert!(bytes > samples[0].span.end && bytes <= source_bytes, "a longer head, within the file");
                samples[0] = sample(file, Span::new(0, bytes));
            }
        }
    }
}

fn given(text: &str) -> Auto<String> {
    Auto::Given(text.to_owned())
}

/// Delimiter, quote, encoding, decimal mark, `data_start`, preamble lines and columns, in one line.
fn show(found: &Inspected) -> String {
    let d = &found.dialect;
    let encoding = match d.encoding {
        Encoding::Utf8 => "utf-8",
        Encoding::Windows1252 => "windows-1252",
    };
    let quote = d.quote.map_or("none".to_owned(), |byte| byte.escape_ascii().to_string());
    let columns: Vec<_> = found.columns.iter().map(|c| format!("{}:{}", c.name, c.ctype)).collect();
    format!(
        "{} {quote} {encoding} {} @{} +{} {}",
        d.delimiter.escape_ascii(),
        char::from(d.decimal),
        found.data_start,
        found.preamble_lines,
        columns.join(",")
    )
}

#[test]
fn wants_are_sorted_disjoint_and_hold_head_and_tail() {
    let full = 32 * 256 * 1024_u64;
    for size in [0, 1, 5, full - 1, full, full + 1, full + 31, full * 3 + 17, 1 << 33, 8 << 40] {
        let spans = wants(size);
        assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start), "{size}");
        assert!(spans.iter().map(|span| span.bytes()).sum::<u64>() <= full, "{size}");
        assert_eq!(spans.first().map(|span| span.start), (size > 0).then_some(0), "{size}");
        assert_eq!(spans.last().map(|span| span.end), (size > 0).then_some(size), "{size}");
        assert_eq!(spans.len(), if size > full { 32 } else { usize::from(size > 0) }, "{size}");
    }
}

proptest! {
    /// The walk over samples finds the records and fields of the oracle.
    #[test]
    fn inspect_walk_agrees_with_the_oracle(
        bytes in prop::collection::vec(prop::sample::select(b",;\"\n\ra\\#:".to_vec()), 0..60),
        delimiter in prop::sample::select(vec![",", ";", "::", ":,:"]),
        quote in prop::sample::select(vec![None, Some(b'"')]),
        escape in prop::sample::select(vec![None, Some(b'\\')]),
        comment in prop::sample::select(vec![None, Some(b'#')]),
    ) {
        let dialect = batteuse_shared::spec::Dialect {
            delimiter: delimiter.as_bytes().to_vec(),
            quote,
            escape,
            comment,
            encoding: Encoding::Utf8,
            decimal: b'.',
        };
        let trial = Trial::new(dialect);
        let want = automaton::parse(&trial.automaton, &bytes, 1).records;
        let mut found = Vec::new();
        walk(&trial, &bytes, |record| {
            let lf = record.ended == Ended::Whole && bytes[record.end - 1] == b'\r' && bytes.get(record.end) == Some(&b'\n');
            let values: Vec<Vec<u8>> = record.fields.iter().map(|field| value(&trial, &bytes[field.clone()])).collect();
            let ended = if record.ended == Ended::OpenQuote { End::OpenQuote } else { End::Whole };
            found.push((record.start as u64 + 1, (record.end + usize::from(lf)) as u64 + 1, ended, values));
            ControlFlow::Continue(())
        });
        let want: Vec<_> = want.into_iter().map(|r| (r.start, r.end, r.ended, r.fields)).collect();
        prop_assert_eq!(found, want);
    }
}

proptest! {
    /// Whatever the bytes, there is an answer, and it keeps its promises.
    #[test]
    fn inspect_always_answers(
        bytes in prop::collection::vec(prop::sample::select(b",;|\t\"\n\r a1.\xc3\xa9\0#\\".to_vec()), 0..80),
        delimiter in prop::sample::select(vec!["auto", ",", ";", "ab", "::"]),
        quote in prop::sample::select(vec!["auto", "none", "\""]),
        (header, skip_lines, comment) in (any::<bool>(), 0..3_u64, any::<bool>()),
    ) {
        let auto_or = |text: &str| if text == "auto" { Auto::Auto } else { given(text) };
        let csv = Csv {
            delimiter: auto_or(delimiter),
            quote: auto_or(quote),
            comment: comment.then(|| "#".to_owned()),
            header,
            skip_lines,
            ..Csv::default()
        };
        match run(&bytes, &csv, &Columns::Infer) {
            Err(refusal) => prop_assert!(!refusal.to_string().is_empty()),
            Ok(found) => {
                let trial = Trial::new(found.dialect.clone());
                let names: std::collections::BTreeSet<_> = found.columns.iter().map(|column| &column.name).collect();
                prop_assert_eq!(names.len(), found.columns.len());
                let before = automaton::parse(&trial.automaton, &bytes[..found.data_start as usize], 0);
                prop_assert_eq!(before.lines, found.preamble_lines);
                let records = automaton::parse(&trial.automaton, &bytes[found.data_start as usize..], found.data_start).records;
                prop_assert!(header || records[0].fields.len() == found.columns.len());
            }
        }
    }
}

fn value(trial: &Trial, raw: &[u8]) -> Vec<u8> {
    let mut out = raw.to_vec();
    if trial.dialect.quote.is_some() && raw.first().copied() == trial.dialect.quote {
        crate::frame::unescape(raw, trial.dialect.quote, trial.dialect.escape, &mut out);
    }
    out
}

#[test]
fn columns_that_no_lease_can_carry_are_refused() {
    let header = (0..5_000).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",");
    let file = format!("{header}\n{}\n", vec!["1"; 5_000].join(","));
    let csv = Csv { nulls: (0..20).map(|i| format!("{i:060}")).collect(), ..Csv::default() };
    let refused = run(file.as_bytes(), &csv, &Columns::Infer).unwrap_err().to_string();
    assert!(refused.contains("5000 columns take 602") && refused.contains("`nulls`"), "{refused}");
    run(file.as_bytes(), &Csv::default(), &Columns::Infer).expect("columns alone are carried");
}
