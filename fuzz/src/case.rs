//! A file with its plan, and the truth about it: one byte at a time by the oracle, one value at a time by the grammars.
//!
//! Invariant: what is told here depends on the file and its plan alone; no cut, buffer, block or vector is known.

use std::cmp::Ordering;

use arbitrary::{Result, Unstructured};
use batteuse_kernel::automaton::{Automaton, End, OracleRecord, parse};
use batteuse_kernel::infer::classify;
use batteuse_shared::limits::{REJECT_RAW_BYTES_MAX, REJECT_VALUE_CHARS_MAX};
use batteuse_shared::report::RejectKind;
use batteuse_shared::spec::{Dialect, Encoding, Ragged};
use batteuse_shared::table::{Classes, Column, ColumnType, Counts};
use sha2::{Digest as _, Sha256};

use crate::cell::cell;
use crate::draw;

/// Precision and scale of the decimals tried.
const DECIMALS: [(u8, u8); 16] = [
    (12, 2),
    (1, 0),
    (1, 1),
    (2, 0),
    (3, 1),
    (5, 2),
    (9, 9),
    (15, 15),
    (18, 0),
    (18, 9),
    (19, 4),
    (20, 10),
    (30, 5),
    (38, 0),
    (38, 10),
    (38, 38),
];

/// Texts that may mean null, a bit each.
pub const NULLS: [&str; 8] = ["", "NA", "0", "-1", "true", "2024-01-01", "é", "x y"];

/// A file and what to do with it.
#[derive(Debug, Clone)]
pub struct Case {
    pub dialect: Dialect,
    pub cap: u64,
    pub columns: Vec<Column>,
    pub ragged: Ragged,
    pub data_start: u64,
    pub bytes: Vec<u8>,
}

/// A reject with absolute numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    pub line: u64,
    pub record: u64,
    pub byte_offset: u64,
    pub byte_length: u64,
    pub column: Option<u32>,
    pub kind: RejectKind,
    pub message: String,
    pub raw: Vec<u8>,
}

/// The decoded values of one record, none where one is null.
pub type Values = Vec<Option<String>>;

/// Everything that must not depend on how a file is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    pub rows: Vec<Values>,
    pub rejects: Vec<Rejected>,
    pub counts: Counts,
    /// Of each column, over the rows; empty for a declared one.
    pub summaries: Vec<Classes>,
}

/// Why a record is set aside.
type Wrong = (RejectKind, Option<u32>, String);

impl Case {
    /// A plan for a file that is yet to come.
    pub fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let (dialect, cap) = (draw::dialect(u)?, draw::cap(u)?);
        let count = draw::below(u, 8)? + 1;
        let columns = (0..count).map(|i| column(u, i)).collect::<Result<_>>()?;
        let ragged = if draw::below(u, 2)? == 0 { Ragged::Reject } else { Ragged::Pad };
        let data_start = u64::from(u.arbitrary::<u16>()?);
        Ok(Self { dialect, cap, columns, ragged, data_start, bytes: Vec::new() })
    }

    /// The file has come.
    pub fn of(self, bytes: Vec<u8>) -> Self {
        let mut at = self.data_start as usize % (bytes.len() + 1);
        // The LF of a CR LF belongs to the head.
        if at > 0 && bytes[at - 1..].starts_with(b"\r\n") {
            at += 1;
        }
        Self { data_start: at as u64, bytes, ..self }
    }

    /// What stands before the data.
    pub fn head(&self) -> &[u8] {
        &self.bytes[..self.data_start as usize]
    }

    /// Nothing read yet.
    pub fn nothing(&self) -> Truth {
        let summaries = vec![Classes::default(); self.columns.len()];
        Truth { rows: Vec::new(), rejects: Vec::new(), counts: Counts::default(), summaries }
    }

    /// The columns as they are once all values are known.
    pub fn settled(&self, truth: &Truth) -> Vec<Column> {
        let settle = |(column, seen): (&Column, &Classes)| {
            let ctype = if column.declared { column.ctype } else { seen.settle() };
            Column { ctype, ..column.clone() }
        };
        std::iter::zip(&self.columns, &truth.summaries).map(settle).collect()
    }

    /// The truth by the oracle.
    pub fn truth(&self) -> Truth {
        let automaton = Automaton::new(&self.dialect, self.cap);
        let parse = parse(&automaton, &self.bytes[self.data_start as usize..], self.data_start);
        let mut truth = self.nothing();
        for (i, record) in parse.records.iter().enumerate() {
            let whole = &self.bytes[record.start as usize..record.end as usize];
            let raw = self.without_line_end(whole, record);
            match self.verdict(record, whole, raw) {
                Ok(row) => {
                    for ((value, summary), column) in row.iter().zip(&mut truth.summaries).zip(&self.columns) {
                        let learnt = value.as_ref().filter(|_| !column.declared);
                        let class = learnt.map(|value| classify(value.as_bytes(), self.dialect.decimal));
                        *summary = summary.join(class.unwrap_or_default());
                    }
                    truth.rows.push(row);
                }
                Err((kind, column, message)) => {
                    truth.counts.cut_bytes += if record.ended == End::Whole { 0 } else { whole.len() as u64 };
                    let kept = if kind == RejectKind::RecordTooLong { REJECT_RAW_BYTES_MAX } else { usize::MAX };
                    truth.rejects.push(Rejected {
                        line: physical_lines(self.head()) + record.lines_before + 1,
                        record: i as u64 + 1,
                        byte_offset: record.start,
                        byte_length: whole.len() as u64,
                        column,
                        kind,
                        message,
                        raw: raw[..raw.len().min(kept)].to_vec(),
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

    fn without_line_end<'b>(&self, whole: &'b [u8], record: &OracleRecord) -> &'b [u8] {
        if record.ended == End::OpenQuote {
            return whole;
        }
        // What stands before the mark that cuts a record is content, be it the CR of a CR LF.
        let mark = (record.start / self.cap).saturating_add(2).saturating_mul(self.cap);
        if record.ended == End::Cut && record.end == mark + 1 {
            return whole.strip_suffix(b"\n").or(whole.strip_suffix(b"\r")).unwrap_or(whole);
        }
        match whole {
            [head @ .., b'\r', b'\n'] => head,
            [head @ .., b'\n' | b'\r'] => head,
            _ => {
                assert_eq!(record.end, self.bytes.len() as u64, "only the last record has no line end");
                whole
            }
        }
    }

    /// The values of a record, or what is wrong with it, by the first reason that holds.
    fn verdict(&self, record: &OracleRecord, whole: &[u8], raw: &[u8]) -> std::result::Result<Values, Wrong> {
        let wrong = |kind, message| Err((kind, None, message));
        match record.ended {
            End::Cut => {
                let (bytes, sha256) = (raw.len(), Sha256::digest(raw));
                let message = "the record is longer than the cap allows and was cut";
                return wrong(RejectKind::RecordTooLong, format!("{message}: {bytes} bytes, sha256 {sha256:x}"));
            }
            End::OpenQuote => {
                let message = "a quoted field is still open at the end of the file";
                return wrong(RejectKind::UnterminatedQuote, message.to_owned());
            }
            End::Whole => {}
        }
        if self.dialect.encoding == Encoding::Utf8
            && let Err(error) = std::str::from_utf8(whole)
        {
            let at = error.valid_up_to();
            return wrong(RejectKind::InvalidEncoding, format!("byte {at} of the record is not valid UTF-8"));
        }
        let (columns, found) = (self.columns.len(), record.fields.len());
        let pads = self.ragged == Ragged::Pad;
        let kind = match found.cmp(&columns) {
            Ordering::Less if !pads => Some(RejectKind::MissingColumns),
            Ordering::Greater if !pads || record.fields[columns..].iter().any(|field| !field.is_empty()) => {
                Some(RejectKind::TooManyColumns)
            }
            _ => None,
        };
        match kind {
            Some(kind) => wrong(kind, format!("expected {columns} fields, found {found}")),
            None => self.values(&record.fields),
        }
    }

    /// The values of the fields that count; those that are missing are null, whatever means null.
    fn values(&self, fields: &[Vec<u8>]) -> std::result::Result<Values, Wrong> {
        let given = fields.iter().map(|field| Some(text(field, self.dialect.encoding))).chain(std::iter::repeat(None));
        let is_value = |(column, value): (&Column, Option<String>)| value.filter(|value| !column.nulls.contains(value));
        let values: Values = std::iter::zip(&self.columns, given).map(is_value).collect();
        for (i, (column, value)) in std::iter::zip(&self.columns, &values).enumerate() {
            if let Some(value) = value.as_ref().filter(|_| column.declared)
                && cell(column, value, self.dialect.decimal).is_none()
            {
                let shown: String = value.chars().take(REJECT_VALUE_CHARS_MAX).collect();
                let cut = if shown.len() < value.len() { "..." } else { "" };
                return Err((RejectKind::Cast, Some(i as u32), format!("{shown:?}{cut} is no {}", column.ctype)));
            }
        }
        Ok(values)
    }
}

/// A column, declared or guessed, and what means null in it.
fn column(u: &mut Unstructured<'_>, i: usize) -> Result<Column> {
    let (kind, nulls) = (draw::byte(u)?, draw::byte(u)?);
    let (precision, scale) = DECIMALS[usize::from(kind >> 3 & 15)];
    let ctype = match kind & 7 {
        0 => ColumnType::Boolean,
        1 => ColumnType::Int64,
        2 => ColumnType::Float64,
        3 => ColumnType::Decimal { precision, scale },
        4 => ColumnType::Date,
        5 => ColumnType::Timestamp,
        6 => ColumnType::TimestampUtc,
        _ => ColumnType::Text,
    };
    // Decimals are never guessed.
    let declared = kind & 0x80 != 0 || matches!(ctype, ColumnType::Decimal { .. });
    let nulls = NULLS.iter().enumerate().filter(|(bit, _)| nulls >> bit & 1 == 1);
    Ok(Column {
        name: format!("c{i}"),
        ctype,
        format: None,
        declared,
        nulls: nulls.map(|(_, &null)| null.to_owned()).collect(),
    })
}

/// Line ends, LF, CR LF and lone CR.
pub fn physical_lines(bytes: &[u8]) -> u64 {
    let ends = |i: &usize| bytes[*i] == b'\r' || bytes[*i] == b'\n' && (*i == 0 || bytes[*i - 1] != b'\r');
    (0..bytes.len()).filter(ends).count() as u64
}

fn text(bytes: &[u8], encoding: Encoding) -> String {
    match encoding {
        Encoding::Utf8 => String::from_utf8(bytes.to_vec()).expect("the record is valid and its marks are characters"),
        Encoding::Windows1252 => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
}
