//! The columns: names from the header or the spec, types and nulls as far as the spec declares them.
//!
//! Invariant: one column for each field of the first record, in file order, with names that differ. Names are decoded,
//! and ASCII white space at both ends is dropped (published headers have stray spaces); nothing else is changed. Column
//! `i` without name is called `column_i`, counted from 1.

use std::borrow::Cow;
use std::collections::BTreeSet;

use batteuse_shared::limits;
use batteuse_shared::spec::{ColumnSpec, Columns, Csv, DeclaredType, Encoding};
use batteuse_shared::table::{Column, ColumnType};

use super::dialect::Settled;
use super::refusal::{Names, Refusal};
use super::{Region, Stop};
use crate::automaton;

/// Names shown beside an unknown one.
const NEAREST_SHOWN: usize = 3;
/// Characters of a name that are compared: enough to tell columns apart, few enough for thousands of them.
const COMPARED_CHARS_MAX: usize = 64;

/// The columns, and where the header ends.
#[derive(Debug)]
pub(super) struct Header {
    /// Columns in file order; an inferred one has the type text for now.
    pub(super) columns: Vec<Column>,
    /// Absolute offset after the first record.
    pub(super) end: u64,
}

/// Reads the header off the head region, or names the columns where there is none.
pub(super) fn read(csv: &Csv, columns: &Columns, settled: &Settled, head: &Region<'_>) -> Result<Header, Stop> {
    let names = if csv.header { in_header(settled, head)? } else { without_header(columns, settled.first.fields)? };
    distinct(&names)?;
    known(columns, &names)?;
    let columns: Vec<Column> =
        names.into_iter().enumerate().map(|(i, name)| column(csv, columns, i, name)).collect::<Result<_, _>>()?;
    short_enough(&columns)?;
    Ok(Header { columns, end: head.offset + settled.first.end as u64 })
}

/// The names in the first record.
fn in_header(settled: &Settled, head: &Region<'_>) -> Result<Vec<String>, Refusal> {
    if settled.first.open_quote {
        return Err(Refusal::UnterminatedHeader { offset: head.offset });
    }
    let raw = &head.bytes[..settled.first.end];
    let encoding = settled.trial.dialect.encoding;
    if let (Encoding::Utf8, Err(error)) = (encoding, std::str::from_utf8(raw)) {
        return Err(Refusal::InvalidHeaderEncoding { offset: head.offset + error.valid_up_to() as u64 });
    }
    let mut parsed = automaton::parse(&settled.trial.automaton, raw, head.offset);
    let fields = parsed.records.swap_remove(0).fields;
    let mut names: Vec<String> = fields.iter().map(|field| decode(encoding, field).trim_ascii().to_owned()).collect();
    for i in 0..names.len() {
        if names[i].is_empty() {
            let name = substitute(i);
            if let Some(other) = names.iter().position(|other| *other == name) {
                return Err(Refusal::EmptyColumnName { position: i + 1, name, other: other + 1 });
            }
            names[i] = name;
        }
    }
    Ok(names)
}

/// The name of a column that has none.
fn substitute(index: usize) -> String {
    format!("column_{}", index + 1)
}

fn decode(encoding: Encoding, bytes: &[u8]) -> Cow<'_, str> {
    match encoding {
        // The raw header is valid, and its fields are cut at ASCII bytes.
        Encoding::Utf8 => String::from_utf8_lossy(bytes),
        Encoding::Windows1252 => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// The names where the file has none: those of a list, or `column_1` to `column_N`.
fn without_header(columns: &Columns, found: usize) -> Result<Vec<String>, Refusal> {
    match columns {
        Columns::All(list) if list.len() != found => Err(Refusal::ColumnCount { listed: list.len(), found }),
        Columns::All(list) => Ok(list.iter().map(|column| column.name.clone()).collect()),
        Columns::Infer | Columns::AllText | Columns::Some(_) => Ok((0..found).map(substitute).collect()),
    }
}

fn distinct(names: &[String]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            let same = names.iter().zip(1..).filter(|(other, _)| *other == name);
            let positions = Names(same.map(|(_, position): (_, usize)| position.to_string()).collect());
            return Err(Refusal::DuplicateColumns { name: name.clone(), positions });
        }
    }
    Ok(())
}

/// Whether every column that the spec names is in the file.
fn known(columns: &Columns, names: &[String]) -> Result<(), Refusal> {
    let declared: Vec<&String> = match columns {
        Columns::Infer | Columns::AllText => Vec::new(),
        Columns::Some(declared) => declared.iter().map(|(name, _)| name).collect(),
        Columns::All(list) => list.iter().map(|column| &column.name).collect(),
    };
    match declared.into_iter().find(|name| !names.contains(name)) {
        Some(name) => Err(Refusal::UnknownColumn { name: name.clone(), nearest: nearest(name, names) }),
        None => Ok(()),
    }
}

/// Whether all columns can travel in every lease.
fn short_enough(columns: &[Column]) -> Result<(), Refusal> {
    let bytes = |column: &Column| column.name.len() + column.nulls.iter().map(String::len).sum::<usize>();
    let bytes = columns.iter().map(bytes).sum();
    if bytes > limits::COLUMN_TEXT_BYTES_MAX {
        return Err(Refusal::ColumnsTooLong { columns: columns.len(), bytes });
    }
    Ok(())
}

/// The column at `index`, as far as the spec declares it.
fn column(csv: &Csv, columns: &Columns, index: usize, name: String) -> Result<Column, Refusal> {
    let (given, nulls) = match columns {
        Columns::Infer => (None, None),
        Columns::AllText => (Some(ColumnType::Text.into()), None),
        Columns::Some(declared) => (declared.iter().find(|(of, _)| *of == name).map(|&(_, given)| given), None),
        Columns::All(list) => match list.iter().find(|column| column.name == name) {
            Some(ColumnSpec { ctype, nulls, .. }) => (*ctype, nulls.clone()),
            None => return Err(Refusal::MissingInList { name, position: index + 1 }),
        },
    };
    Ok(Column {
        name,
        ctype: given.map_or(ColumnType::Text, |given| given.ctype),
        declared: given.is_some(),
        format: given.and_then(|given: DeclaredType| given.format),
        nulls: nulls.unwrap_or_else(|| csv.nulls.clone()),
    })
}

/// The names most like `name`.
fn nearest(name: &str, names: &[String]) -> Names {
    let mut by_distance: Vec<(usize, &String)> = names.iter().map(|other| (distance(name, other), other)).collect();
    by_distance.sort_by_key(|&(distance, _)| distance);
    Names(by_distance.iter().take(NEAREST_SHOWN).map(|(_, other)| format!("{other:?}")).collect())
}

/// Levenshtein's distance, without regard to case, of the first characters.
fn distance(a: &str, b: &str) -> usize {
    let chars = |s: &str| s.to_lowercase().chars().take(COMPARED_CHARS_MAX).collect::<Vec<char>>();
    let (a, b) = (chars(a), chars(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.len()]
}
