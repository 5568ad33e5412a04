//! What statistics spare: each engine answers questions about a table of three row groups that only some of them, or of their pages, can
//! answer, and tells what it read.
//!
//! Invariant: the rows of an answer and the row groups that hold them are known from the CSV file and the footer; an engine reads these
//! and no other, or is named here with what it does not prune by. Values that are bounds, or beyond what a bound can hold, are found.

use std::fs::File;
use std::ops::Range;

use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use serde_json::{Value, json};

use super::Tables;
use super::engine::{Told, ask};
use super::pages::key;
use crate::support::published::parts;

/// A column, a range of its values, and the rows of the file that these are in.
type Question = (&'static str, String, String, Range<usize>);

/// The questions; columns go up from row to row.
fn questions() -> Vec<Question> {
    let same = |column, value: String, rows| (column, value.clone(), value, rows);
    let range = |column, from: &str, to: &str, rows| (column, from.to_owned(), to.to_owned(), rows);
    let name = |row: usize| format!("{}{row:06}", "n".repeat(60));
    vec![
        range("id", "30000", "30005", 30_000..30_006),
        range("id", "72000", "90000", 72_000..72_000),
        same("code", format!("{}080", "é".repeat(31)), 32_000..32_400),
        range("name", &name(30_005), &name(30_010), 30_005..30_011),
        range("real", "-6000.5", "-5995.5", 30_000..30_005),
        range("amount", "-2000000014.25", "0.25", 35_998..36_001),
        range("day", "0800-06-01", "0800-06-02", 6_392..6_394),
        same("moment", "4000-01-01T00:00:00".to_owned(), 32_000..32_008),
        same("flag", "true".to_owned(), 40_000..72_000),
    ]
}

/// Columns of which a row group has pages that the answer is not in.
const PAGED: [&str; 3] = ["code", "name", "real"];

/// Columns by which an engine leaves out no row group, in its own files neither, and why.
const UNUSED: [(&str, &str, &str); 5] = [
    ("pyarrow", "name", "each row group has nulls in it"),
    ("pyarrow", "real", "each row group has nulls in it"),
    ("polars", "code", "bounds of long texts are not exact"),
    ("polars", "name", "bounds of long texts are not exact"),
    ("spark", "moment", "it is a timestamp without a zone"),
];

/// The first row of each row group, and the number of rows.
fn groups(tables: &Tables) -> Vec<usize> {
    let [part] = &parts(tables.out("groups"))[..] else { panic!("one partition makes one part") };
    let reader = SerializedFileReader::new(File::open(part).unwrap()).unwrap();
    let rows = reader.metadata().row_groups().iter().map(|group| group.num_rows() as usize);
    let mut ends = vec![0];
    rows.for_each(|rows| ends.push(ends[ends.len() - 1] + rows));
    assert_eq!(ends.len(), 4, "three row groups");
    ends
}

/// Values at the bounds of their chunks: the table, the column, a range of values.
fn edges() -> Vec<(&'static str, &'static str, String, String)> {
    let mut edges = Vec::new();
    let nines = "9".repeat(38);
    let single = [
        ("whole", "9223372036854775807"),
        ("whole", "-9223372036854775808"),
        ("real", "1.7976931348623157e308"),
        ("real", "-1.7976931348623157e308"),
        ("day", "0001-01-01"),
        ("day", "9999-12-31"),
        ("moment", "0001-01-01T00:00:00"),
        ("moment", "9999-12-31T23:59:59.999999"),
        ("dec_4_2", "-99.99"),
        ("dec_18_18", "-0.999999999999999999"),
        ("dec_38_38", &format!("0.{nines}")),
        ("dec_38_38", &format!("-0.{nines}")),
        ("dec_38_0", &nines),
        ("dec_38_0", &format!("-{nines}")),
    ];
    edges.extend(single.map(|(column, value)| ("types-none", column, value.to_owned(), value.to_owned())));
    let texts = [
        // Above these no text of 64 bytes is.
        ("types-none", "long", "\u{10ffff}".to_owned(), "\u{10ffff}".repeat(30)),
        ("texts", "unicode", "\u{10ffff}".to_owned(), "\u{10ffff}".repeat(30)),
        // The least and the greatest, which are cut in bounds.
        ("texts", "long", "é".repeat(60), format!("{}0", "é".repeat(60))),
        ("texts", "long", format!("{}449", "é".repeat(64)), "é".repeat(80)),
    ];
    edges.extend(texts);
    edges
}

/// The jobs of [`questions`] and [`edges`].
pub fn jobs(tables: &Tables) -> Vec<Value> {
    let questions = questions().into_iter().map(|(column, from, to, _)| ask(tables.out("groups"), column, &from, &to));
    let edges = edges().into_iter().map(|(table, column, from, to)| ask(tables.out(table), column, &from, &to));
    questions.chain(edges).collect()
}

/// Checks the answers to [`jobs`].
pub fn must_answer(engine: &str, tables: &Tables, told: &mut Told) {
    must_prune(engine, tables, told);
    for (table, name, from, to) in edges() {
        let column = tables.sheet(table).columns.iter().find(|column| column.name == name).unwrap();
        let [low, high] = [&from, &to].map(|text| key(&column.ctype, &column.cell(text)));
        let keys = column.cells().into_iter().map(|cell| cell.map(|cell| key(&column.ctype, &cell)));
        let found = keys.enumerate().filter(|(_, key)| key.as_ref().is_some_and(|key| low <= *key && *key <= high));
        let ids: Vec<usize> = found.map(|(row, _)| row).collect();
        assert!(!ids.is_empty(), "{table}: no {name} from {from} to {to}");
        assert_eq!(told.object()["ids"], json!(ids), "{engine}: {table}, {name} from {from} to {to}");
    }
}

fn must_prune(engine: &str, tables: &Tables, told: &mut Told) {
    let (ends, sheet) = (groups(tables), tables.sheet("groups"));
    for (column, from, to, rows) in questions() {
        let (what, answer) = (format!("{engine}: {column} from {from} to {to}"), told.object());
        let cells = &sheet.columns.iter().find(|c| c.name == column).unwrap().texts;
        let ids: Vec<usize> = rows.clone().filter(|&row| cells[row].is_some()).collect();
        assert_eq!(answer["ids"], json!(ids), "{what}");
        let needed = ends.windows(2).filter(|group| rows.start < group[1] && group[0] < rows.end && !rows.is_empty());
        let needed: Vec<usize> = needed.map(|group| group[1] - group[0]).collect();
        let unused = UNUSED.iter().find(|row| (row.0, row.1) == (engine, column));
        let (groups, all) = match unused {
            None => (needed.len(), needed.iter().sum()),
            Some(_) => (3, sheet.rows),
        };
        let read = &answer["read"];
        assert!(read["groups"].is_u64() || read["rows"].is_number(), "{what}: it tells what it read");
        if let Some(read) = read["groups"].as_u64() {
            assert_eq!(read, groups as u64, "{what}: row groups read, {unused:?}");
        }
        // DataFusion rounds to four digits.
        if let Some(read) = read["rows"].as_f64() {
            let paged = PAGED.contains(&column) && unused.is_none();
            let most = if paged { all - 3_000 } else { all + 5 };
            assert!(read <= most as f64, "{what}: {read} rows of {all} in {groups} row groups were read, {unused:?}");
            assert!(unused.is_none() || read as usize == all, "{what}: {read} rows were read in spite of {unused:?}");
        }
    }
}
