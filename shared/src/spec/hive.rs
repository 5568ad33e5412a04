//! What may be given as `output.parquet.partitionBy`.
//!
//! Invariant: pure; what depends on the source's columns is judged once they are known, by the same rules.

use std::collections::BTreeSet;

use super::check::Found;
use super::{Columns, Mode, Spec};
use crate::table::{Column, ColumnType};
use crate::{hive, limits};

pub(super) fn check(spec: &Spec, found: &mut Found) {
    let Some(parquet) = &spec.output.parquet else { return };
    let (by, path) = (&parquet.partition_by, "spec.output.parquet.partitionBy");
    if parquet.mode == Mode::OverwritePartition && by.is_empty() {
        let words = "overwrite-partition replaces the folders of partitionBy, and there are none: give partitionBy too, or use the \
                     mode overwrite";
        found.add("spec.output.parquet.mode", words);
    }
    if by.len() > limits::HIVE_COLUMNS_MAX {
        let (count, max) = (by.len(), limits::HIVE_COLUMNS_MAX);
        found.add(path, format!("{count} columns make more folders than anybody reads: name at most {max}"));
    }
    let mut seen = BTreeSet::new();
    for (i, name) in by.iter().enumerate() {
        let at = format!("{path}[{i}]");
        if name.is_empty() {
            found.add(at, "the name of a column is empty: name one of the source's columns");
        } else if !seen.insert(name) {
            found.add(at, format!("the column {name:?} is given twice: name each column once"));
        } else if let Err(message) = declared(&spec.columns, name) {
            found.add(at, message);
        }
    }
    if matches!(&spec.columns, Columns::All(list) if !by.is_empty() && seen.len() >= list.len()) {
        found.add(path, ALL);
    }
}

const ALL: &str = "every column of the table is named, and files need one that is not: leave one out";

/// What a spec that declares columns tells of one of them.
fn declared(columns: &Columns, name: &str) -> Result<(), String> {
    let ctype = match columns {
        Columns::Infer | Columns::AllText => None,
        Columns::Some(some) => some.iter().find(|(of, _)| of == name).map(|(_, declared)| declared.ctype),
        Columns::All(list) => {
            let column = list.iter().find(|column| column.name == name);
            let column = column.ok_or_else(|| format!("{name:?} is no column of spec.columns: name one of them"))?;
            column.ctype.map(|declared| declared.ctype)
        }
    };
    ctype.map_or(Ok(()), |ctype| fits(name, ctype))
}

fn fits(name: &str, ctype: ColumnType) -> Result<(), String> {
    if hive::names(ctype) {
        return Ok(());
    }
    Err(format!(
        "{name:?} is of type {ctype}, whose values have more than one text each: folders are named after columns of text, int64, date \
         or boolean; declare it as text under spec.columns if its texts are meant"
    ))
}

/// Why rows of these columns cannot lie in folders by the values of `by`. `settled`: the types are final, not guessed.
#[must_use]
pub fn unfit_columns(by: &[String], columns: &[Column], settled: bool) -> Option<String> {
    let path = "spec.output.parquet.partitionBy";
    for name in by {
        let Some(column) = columns.iter().find(|column| column.name == *name) else {
            let names: Vec<_> =
                columns.iter().take(limits::PROBLEMS_SHOWN).map(|column| column.name.as_str()).collect();
            let more = if columns.len() > names.len() { "..." } else { "" };
            return Some(format!("{path}: {name:?} is no column of the source, which has {}{more}", names.join(", ")));
        };
        if (settled || column.declared)
            && let Err(message) = fits(name, column.ctype)
        {
            return Some(format!("{path}: {message}"));
        }
    }
    (!by.is_empty() && by.len() >= columns.len()).then(|| format!("{path}: {ALL}"))
}
