//! What several test modules share: running the kernel over a cut file, and the truth to compare it with.

use batteuse_kernel::arch::Path;
use batteuse_kernel::automaton::{self, Automaton, End};
use batteuse_kernel::infer::classify;
use batteuse_kernel::partition::{Done, PartitionParse, Plan, Progress, Reject};
use batteuse_shared::limits::REJECT_RAW_BYTES_MAX;
use batteuse_shared::report::RejectKind;
use batteuse_shared::span::{Span, StateId};
use batteuse_shared::spec::{Encoding, Ragged};
use batteuse_shared::table::{Classes, Column, ColumnType, Counts};
use bytes::Bytes;

mod attempts;
pub mod binary;
pub mod gate;
pub mod proxy;
pub mod published;
pub mod scripted;
pub mod servers;

pub use self::attempts::Attempts;
use crate::corpus::Case;

/// A reject with absolute numbers, as `rejects.parquet` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    pub line: u64,
    pub record: u64,
    pub byte_offset: u64,
    pub byte_length: u64,
    pub kind: RejectKind,
    pub raw: Vec<u8>,
}

/// Everything that must not depend on how a file is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// None is null.
    pub rows: Vec<Vec<Option<String>>>,
    pub rejects: Vec<Rejected>,
    pub counts: Counts,
    /// Of each column, over the rows; empty for a declared one.
    pub summaries: Vec<Classes>,
}

impl Truth {
    /// Nothing read yet.
    fn of(case: &Case) -> Self {
        let summaries = vec![Classes::default(); case.columns];
        Self { rows: Vec::new(), rejects: Vec::new(), counts: Counts::default(), summaries }
    }
}

/// Of every other column empty fields are null: those are not looked at one by one.
fn empty_is_null(column: usize) -> bool {
    column % 2 == 1
}

fn columns(case: &Case) -> Vec<Column> {
    let ctype = |i| if i == 0 && case.integer { ColumnType::Int64 } else { ColumnType::Text };
    let declared = |i| ctype(i) == ColumnType::Int64;
    let nulls = |i| if empty_is_null(i) { vec![String::new()] } else { Vec::new() };
    let column =
        |i| Column { name: format!("c{i}"), ctype: ctype(i), declared: declared(i), format: None, nulls: nulls(i) };
    (0..case.columns).map(column).collect()
}

/// The truth by the oracle: one byte at a time, no cut, no buffer.
pub fn sequential(case: &Case) -> Truth {
    let automaton = Automaton::new(&case.dialect, case.cap);
    let parse = automaton::parse(&automaton, &case.bytes[case.data_start as usize..], case.data_start);
    let preamble = physical_lines(&case.bytes[..case.data_start as usize]);
    let mut truth = Truth::of(case);
    for (i, record) in parse.records.iter().enumerate() {
        let whole = &case.bytes[record.start as usize..record.end as usize];
        let raw = without_line_end(whole, record, case);
        match verdict(case, record, raw) {
            Ok(row) => {
                // Nulls tell nothing.
                for ((value, summary), column) in row.iter().zip(&mut truth.summaries).zip(columns(case)) {
                    if let Some(value) = value.as_ref().filter(|_| !column.declared) {
                        *summary = summary.join(classify(value.as_bytes(), case.dialect.decimal));
                    }
                }
                truth.rows.push(row);
            }
            Err(kind) => {
                truth.counts.cut_bytes += if record.ended == End::Whole { 0 } else { whole.len() as u64 };
                truth.rejects.push(Rejected {
                    line: preamble + record.lines_before + 1,
                    record: i as u64 + 1,
                    byte_offset: record.start,
                    byte_length: whole.len() as u64,
                    kind,
                    raw: raw[..raw.len().min(kept_bytes_max(kind))].to_vec(),
                });
            }
        }
    }
    truth.counts = Counts {
        read: parse.records.len() as u64,
        written: truth.rows.len() as u64,
        rejected: truth.rejects.len() as u64,
        blank: parse.blank,
        comment: parse.comment,
        lines: parse.lines,
        ..truth.counts
    };
    truth
}

/// How much of a reject is kept.
fn kept_bytes_max(kind: RejectKind) -> usize {
    if kind == RejectKind::RecordTooLong { REJECT_RAW_BYTES_MAX } else { usize::MAX }
}

fn without_line_end<'b>(whole: &'b [u8], record: &automaton::OracleRecord, case: &Case) -> &'b [u8] {
    let at_end_of_file = whole.as_ptr_range().end == case.bytes.as_ptr_range().end;
    if record.ended == End::OpenQuote {
        return whole;
    }
    // What stands before the mark that cuts a record is content, be it the CR of a CR LF.
    let mark = (record.start / case.cap).saturating_add(2).saturating_mul(case.cap);
    if record.ended == End::Cut && record.end == mark + 1 {
        return whole.strip_suffix(b"\n").or(whole.strip_suffix(b"\r")).unwrap_or(whole);
    }
    match whole {
        [head @ .., b'\r', b'\n'] => head,
        [head @ .., b'\n' | b'\r'] => head,
        _ => {
            assert!(at_end_of_file, "only the last record has no line end");
            whole
        }
    }
}

fn physical_lines(bytes: &[u8]) -> u64 {
    (0..bytes.len()).filter(|&i| bytes[i] == b'\r' || bytes[i] == b'\n' && (i == 0 || bytes[i - 1] != b'\r')).count()
        as u64
}

fn verdict(case: &Case, record: &automaton::OracleRecord, raw: &[u8]) -> Result<Vec<Option<String>>, RejectKind> {
    match record.ended {
        End::Cut => return Err(RejectKind::RecordTooLong),
        End::OpenQuote => return Err(RejectKind::UnterminatedQuote),
        End::Whole => {}
    }
    if case.dialect.encoding == Encoding::Utf8 && std::str::from_utf8(raw).is_err() {
        return Err(RejectKind::InvalidEncoding);
    }
    let mut fields = record.fields.clone();
    if case.ragged == Ragged::Pad {
        let extra_is_empty = fields.iter().skip(case.columns).all(Vec::is_empty);
        if fields.len() < case.columns || extra_is_empty {
            fields.resize(case.columns, Vec::new());
        }
    }
    match fields.len().cmp(&case.columns) {
        std::cmp::Ordering::Less => Err(RejectKind::MissingColumns),
        std::cmp::Ordering::Greater => Err(RejectKind::TooManyColumns),
        std::cmp::Ordering::Equal if case.integer && !is_integer(&fields[0]) => Err(RejectKind::Cast),
        std::cmp::Ordering::Equal => {
            // What padding added is null, whatever an empty field means.
            let given = record.fields.len();
            let is_null = |i: usize, value: &str| i >= given || value.is_empty() && empty_is_null(i);
            let values = fields.iter().map(|field| text(field, case.dialect.encoding)).enumerate();
            let mut row: Vec<_> = values.map(|(i, value)| (!is_null(i, &value)).then_some(value)).collect();
            if case.integer && row[0].as_deref() == Some("-0") {
                // A value, not its text.
                row[0] = Some("0".to_owned());
            }
            Ok(row)
        }
    }
}

fn is_integer(bytes: &[u8]) -> bool {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let plain = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && digits.iter().all(u8::is_ascii_digit);
    plain && std::str::from_utf8(bytes).is_ok_and(|text| text.parse::<i64>().is_ok())
}

fn text(bytes: &[u8], encoding: Encoding) -> String {
    match encoding {
        Encoding::Utf8 => String::from_utf8(bytes.to_vec()).expect("validated"),
        Encoding::Windows1252 => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

/// Rows, rejects and the end of one attempt.
type Attempt = (Rows, Vec<Reject>, Done);

/// One attempt: the kernel over one range, read in pieces of at most `read_bytes`.
pub fn attempt(case: &Case, range: Span, start: Option<StateId>, read_bytes: usize) -> Attempt {
    attempt_by(Path::best(), case, range, start, read_bytes)
}

/// The same, if its range can be shortened to end at `end` after so many steps.
pub fn shortened(
    case: &Case,
    range: Span,
    (end, steps): (u64, usize),
    start: Option<StateId>,
    read_bytes: usize,
) -> Option<Attempt> {
    let mut parse = PartitionParse::new(plan(case, range, start, read_bytes));
    let (mut rows, mut rejects) = (Vec::new(), Vec::new());
    for _ in 0..steps {
        if go_on(&mut parse, case, read_bytes, &mut rows, &mut rejects).is_some() {
            return None;
        }
    }
    parse.shorten(end).then(|| finish(parse, case, read_bytes, rows, rejects))
}

/// Windows of the structural index.
const INDEX_BYTES_TRIED: [usize; 4] = [1, 7, 64, 100];

/// How one range is parsed with the best instructions.
pub fn plan(case: &Case, range: Span, start: Option<StateId>, read_bytes: usize) -> Plan {
    plan_by(Path::best(), case, range, start, read_bytes)
}

fn attempt_by(path: Path, case: &Case, range: Span, start: Option<StateId>, read_bytes: usize) -> Attempt {
    let parse = PartitionParse::new(plan_by(path, case, range, start, read_bytes));
    finish(parse, case, read_bytes, Vec::new(), Vec::new())
}

fn plan_by(path: Path, case: &Case, range: Span, start: Option<StateId>, read_bytes: usize) -> Plan {
    Plan {
        dialect: case.dialect.clone(),
        ragged: case.ragged,
        columns: columns(case),
        read: (0..case.columns).collect(),
        range,
        source_bytes: case.bytes.len() as u64,
        start,
        record_bytes_max: case.cap,
        read_bytes,
        // Few, so that batches end; or enough that blocks fill.
        batch_rows_max: [5, 64, 130][(range.end as usize + read_bytes) % 3],
        batch_bytes_max: [10, 100, usize::MAX][read_bytes % 3],
        batch_fields_max: [23, usize::MAX][read_bytes / 3 % 2],
        // Few, so that records and what is irregular lie over the edges.
        placed: false,
        index_bytes: INDEX_BYTES_TRIED[(range.start as usize + read_bytes) % INDEX_BYTES_TRIED.len()],
        path,
    }
}

type Rows = Vec<Vec<Option<String>>>;

fn finish(
    mut parse: PartitionParse,
    case: &Case,
    read_bytes: usize,
    mut rows: Rows,
    mut rejects: Vec<Reject>,
) -> Attempt {
    loop {
        if let Some(done) = go_on(&mut parse, case, read_bytes, &mut rows, &mut rejects) {
            return (rows, rejects, done);
        }
    }
}

/// One step; the end of the parse, if this was it.
fn go_on(
    parse: &mut PartitionParse,
    case: &Case,
    read_bytes: usize,
    rows: &mut Rows,
    rejects: &mut Vec<Reject>,
) -> Option<Done> {
    match parse.step() {
        Progress::Wants { offset, bytes } => {
            let from = &case.bytes[offset as usize..];
            let n = bytes.min(from.len());
            assert!(n > 0, "{}: wants bytes beyond the end", case.name);
            // Copied and lent, one behind the other in any order.
            if (offset as usize + read_bytes).is_multiple_of(3) {
                parse.space()[..n].copy_from_slice(&from[..n]);
                parse.filled(n);
            } else {
                parse.lend(Bytes::copy_from_slice(&from[..n]));
            }
        }
        Progress::Batch(batch) => {
            rows.extend(batch.rows.iter().flat_map(values));
            rejects.extend(batch.rejects);
        }
        Progress::Done(done) => return Some(*done),
    }
    None
}

fn values(batch: &arrow_array::RecordBatch) -> Vec<Vec<Option<String>>> {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, UInt16Type};
    let value = |column: &arrow_array::ArrayRef, row: usize| {
        column.is_valid(row).then(|| match (column.as_dictionary_opt::<UInt16Type>(), column.as_string_opt::<i32>()) {
            (Some(coded), _) => coded.values().as_string::<i32>().value(coded.keys().value(row) as usize).to_owned(),
            (_, Some(texts)) => texts.value(row).to_owned(),
            _ => column.as_primitive::<Int64Type>().value(row).to_string(),
        })
    };
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|c| value(c, row)).collect()).collect()
}

/// The file cut at `cuts`, as a run does it: proven attempts, joined. Uncut and cut once it is parsed with every set of vector
/// instructions that there is, else with one of them.
pub fn partitioned(case: &Case, cuts: &[u64], read_bytes: usize) -> Truth {
    let paths = Path::available();
    let turn = cuts.iter().sum::<u64>() as usize % paths.len();
    let chosen = if cuts.len() < 2 { &paths[..] } else { &paths[turn..=turn] };
    let mut truths = chosen.iter().map(|&path| Attempts::new(case, |_| (path, read_bytes)).truth(cuts));
    let truth = truths.next().expect("there is a path");
    for (other, path) in truths.zip(&chosen[1..]) {
        assert_eq!(other, truth, "{}: {} and {}", case.name, path.name(), chosen[0].name());
    }
    truth
}

/// Column and message of every reject of the file cut at `cuts`.
pub fn reasons(case: &Case, cuts: &[u64], read_bytes: usize) -> Vec<(Option<u32>, String)> {
    let mut attempts = Attempts::new(case, |_| (Path::best(), read_bytes));
    let rejects = attempts.proven(cuts).into_iter().flat_map(|(_, rejects, _)| rejects);
    rejects.map(|reject| (reject.column, reject.message.clone())).collect()
}

/// Concatenates proven attempts and makes their numbers absolute, as the finish task does.
fn join(case: &Case, attempts: &[&Attempt]) -> Truth {
    let mut truth = Truth::of(case);
    let mut lines = physical_lines(&case.bytes[..case.data_start as usize]);
    let mut at = case.data_start;
    for (rows, rejects, done) in attempts {
        if !done.span.is_empty() {
            assert_eq!(done.span.start, at, "{}: TILES", case.name);
            at = done.span.end;
        }
        truth.rows.extend(rows.iter().cloned());
        truth.rejects.extend(rejects.iter().map(|r| Rejected {
            line: lines + r.line + 1,
            record: truth.counts.read + r.record + 1,
            byte_offset: r.byte_offset,
            byte_length: r.byte_length,
            kind: r.kind,
            raw: r.raw.clone(),
        }));
        lines += done.counts.lines;
        truth.counts = truth.counts.plus(done.counts);
        for (all, one) in truth.summaries.iter_mut().zip(&done.summaries) {
            *all = all.join(*one);
        }
    }
    assert_eq!(at, case.bytes.len() as u64, "{}: TILES to the end", case.name);
    truth
}
