//! Decimal mark and types: what the values of the sampled well-formed records look like.
//!
//! Invariant: a guess that settling corrects, except for the decimal mark, which is decided here. Ragged and invalidly
//! encoded records do not count, nulls are skipped, and declared types stand.

use std::ops::ControlFlow;

use batteuse_shared::spec::{Csv, Encoding};
use batteuse_shared::table::{Classes, Column, ColumnType};

use super::Region;
use super::dialect::Settled;
use super::evidence::{Ended, Record, counts, start_in, walk};
use crate::frame::unescape;
use crate::infer::classify;

const NUMBERS: Classes = Classes::INT_SHORT.join(Classes::INT_LONG).join(Classes::FLOAT);

/// What the values of one column are under either decimal mark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Values {
    /// With `.`.
    point: Classes,
    /// With `,`.
    comma: Classes,
    /// Whether one is a float with `.` only.
    point_float: bool,
    /// Whether one is a float with `,` only, and not what an integer with thousands separators looks like.
    comma_float: bool,
}

impl Values {
    fn see(&mut self, value: &[u8]) {
        let marked = value.iter().any(|byte| matches!(byte, b'.' | b','));
        let point = classify(value, b'.');
        let comma = if marked { classify(value, b',') } else { point };
        self.point = self.point.join(point);
        self.comma = self.comma.join(comma);
        self.point_float |= point == Classes::FLOAT && comma != Classes::FLOAT;
        self.comma_float |= comma == Classes::FLOAT && point != Classes::FLOAT && !thousands(value);
    }

    /// Whether no further value can change anything: the column is text under either mark.
    fn is_text(&self) -> bool {
        Classes::TEXT.within(self.point) && Classes::TEXT.within(self.comma)
    }
}

/// Whether `value` is 1 to 3 digits, a comma and 3 digits: `1,234` in a table of English numbers.
fn thousands(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let comma = digits.len().checked_sub(4).filter(|at| (1..=3).contains(at) && digits[0] != b'0');
    comma
        .is_some_and(|at| digits.iter().enumerate().all(|(i, b)| if i == at { *b == b',' } else { b.is_ascii_digit() }))
}

/// A column whose values are looked at, and what they showed.
struct Watched {
    values: Values,
    wanted: bool,
    declared: bool,
    nulls: Vec<Vec<u8>>,
}

impl Watched {
    /// Whether `value` means null. Lengths first: most fields of wide tables are empty, and a comparison of nothing costs as any other.
    fn is_null(&self, value: &[u8]) -> bool {
        self.nulls.iter().any(|null| null.len() == value.len() && (value.is_empty() || null == value))
    }
}

/// Looks at the values of every column whose type is inferred or depends on the decimal mark.
pub(super) fn gather(csv: &Csv, settled: &Settled, columns: &[Column], regions: &[Region<'_>]) -> Vec<Values> {
    let encoding = settled.trial.dialect.encoding;
    let mut watched: Vec<Watched> = columns.iter().map(|column| watch(column, encoding)).collect();
    if watched.iter().any(|column| column.wanted) {
        for region in regions {
            let Some(start) = start_in(&settled.trial, settled.width, region) else { continue };
            look(csv, settled, region, start, &mut watched);
        }
    }
    watched.into_iter().map(|column| column.values).collect()
}

fn watch(column: &Column, encoding: Encoding) -> Watched {
    let nulls = column.nulls.iter().filter_map(|null| encode(null, encoding)).collect();
    let wanted = !column.declared || is_fractional(column.ctype);
    Watched { values: Values::default(), wanted, declared: column.declared, nulls }
}

/// A null as it stands in the file; none when the encoding cannot write it, so that it is never met.
fn encode(null: &str, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Utf8 => Some(null.as_bytes().to_vec()),
        Encoding::Windows1252 => {
            let (bytes, _, unmappable) = encoding_rs::WINDOWS_1252.encode(null);
            (!unmappable).then(|| bytes.into_owned())
        }
    }
}

fn look(csv: &Csv, settled: &Settled, region: &Region<'_>, start: usize, watched: &mut [Watched]) {
    let (bytes, dialect) = (&region.bytes[start..], &settled.trial.dialect);
    let mut scratch = Vec::new();
    walk(&settled.trial, bytes, |record| {
        let is_header = csv.header && region.head && record.start == 0;
        if is_header || !counts(region, record, bytes) || !well_formed(settled, record, bytes) {
            return ControlFlow::Continue(());
        }
        for (column, field) in watched.iter_mut().zip(record.fields) {
            if !column.wanted || (!column.declared && column.values.is_text()) {
                continue;
            }
            let raw = &bytes[field.clone()];
            let value = if dialect.quote.is_some() && raw.first().copied() == dialect.quote {
                unescape(raw, dialect.quote, dialect.escape, &mut scratch);
                &scratch
            } else {
                raw
            };
            if !column.is_null(value) {
                column.values.see(value);
            }
        }
        ControlFlow::Continue(())
    });
}

fn well_formed(settled: &Settled, record: &Record<'_>, bytes: &[u8]) -> bool {
    let (fields, width) = (record.fields.len(), settled.width);
    let empty =
        |raw: &[u8]| raw.is_empty() || (raw.len() == 2 && raw.iter().all(|&b| Some(b) == settled.trial.dialect.quote));
    let padded = || width.pad && record.fields.iter().skip(width.fields).all(|field| empty(&bytes[field.clone()]));
    let encoded = || match settled.trial.dialect.encoding {
        Encoding::Utf8 => std::str::from_utf8(&bytes[record.start..record.end]).is_ok(),
        Encoding::Windows1252 => true,
    };
    record.ended != Ended::OpenQuote && (fields == width.fields || padded()) && encoded()
}

fn is_fractional(ctype: ColumnType) -> bool {
    matches!(ctype, ColumnType::Float64 | ColumnType::Decimal { .. })
}

/// The decimal mark: `,` when the delimiter is another and at least as many columns hold floats with `,` as with `.`.
///
/// A column speaks when it is declared fractional, or all its values are numbers; one that has both marks does not.
/// `1,234` says nothing: it may be a thousand and more.
pub(super) fn decimal(delimiter: &[u8], columns: &[Column], values: &[Values]) -> u8 {
    if delimiter == b"," || delimiter == b"." {
        return if delimiter == b"," { b'.' } else { b',' };
    }
    let (mut point, mut comma) = (0, 0);
    for (column, v) in columns.iter().zip(values) {
        let declared = column.declared && is_fractional(column.ctype);
        point += u64::from(v.point_float && !v.comma_float && (declared || v.point.within(NUMBERS)));
        comma += u64::from(v.comma_float && !v.point_float && (declared || v.comma.within(NUMBERS)));
    }
    if comma > 0 && comma >= point { b',' } else { b'.' }
}

/// The columns with a guessed type where none is declared.
pub(super) fn apply(columns: Vec<Column>, values: &[Values], decimal: u8) -> Vec<Column> {
    let guess = |v: &Values| if decimal == b',' { v.comma } else { v.point }.settle();
    let typed = |(column, v): (Column, &Values)| {
        let ctype = if column.declared { column.ctype } else { guess(v) };
        Column { ctype, ..column }
    };
    columns.into_iter().zip(values).map(typed).collect()
}
