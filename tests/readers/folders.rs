//! Tables in folders by the values of columns, read with each engine's own reading of such folders.
//!
//! Invariant: the types of these columns are told to the engine, since a path has none; every other thing is its own doing. What an
//! engine reads otherwise than it stands in the file is named here.

use super::engine::{Told, ask_folders, read_folders, tell};
use super::sheet::{Cells, Sheet};
use crate::stores::by_values::HOSTILE;

/// Engines that read the name of a folder that stands for null as a text.
const NULL_IS_TEXT: [&str; 1] = ["datafusion"];

const ROWS: usize = 400;

/// Values of every type that names folders; hostile texts; nulls.
fn sheets() -> Vec<Sheet> {
    let hostile = Sheet::new("hostile", ROWS).column("word", "text", |row| Some(format!("word {}", row % 7))).column(
        "k",
        "text",
        |row| (row % 19 > 0).then(|| HOSTILE[row % HOSTILE.len()].to_owned()),
    );
    let typed = Sheet::new("typed", ROWS)
        .column("real", "float64", |row| Some(format!("{row}.5")))
        .column("year", "int64", |row| (row % 9 > 0).then(|| (2020 + row % 3).to_string()))
        .column("day", "date", |row| Some(format!("2024-02-{:02}", 1 + row % 4)))
        .column("flag", "boolean", |row| Some((row % 2 == 0).to_string()));
    // Texts that look like numbers.
    let codes = Sheet::new("codes", ROWS).texts("code", |row| Some(format!("{:03}", row % 12)));
    let codes = codes.column("n", "int64", |row| Some(row.to_string()));
    vec![
        Sheet { partitions: 3, by: &["k"], ..hostile },
        Sheet { partitions: 2, by: &["year", "day", "flag"], ..typed },
        Sheet { by: &["code"], ..codes },
    ]
}

fn by(sheet: &Sheet) -> Vec<(String, String)> {
    let of = |name: &&str| sheet.columns.iter().find(|column| column.name == *name).unwrap();
    sheet.by.iter().map(|name| (of(name).name.clone(), of(name).ctype.clone())).collect()
}

/// The columns of the files, and then those of the folders.
fn must_hold(engine: &str, sheet: &Sheet, told: &mut Told) {
    let null = |cells: Cells| match NULL_IS_TEXT.contains(&engine) {
        true => cells.into_iter().map(|cell| cell.or(Some("__HIVE_DEFAULT_PARTITION__".to_owned()))).collect(),
        false => cells,
    };
    let is_by = |name: &str| sheet.by.contains(&name);
    let in_files = sheet.columns.iter().filter(|column| !is_by(&column.name));
    let in_files = in_files.map(|column| (column.name.clone(), column.ctype.clone(), column.cells()));
    let of = |(name, ctype): (String, String)| {
        let column = sheet.columns.iter().find(|column| column.name == name).unwrap();
        let cells = if ctype == "text" { null(column.cells()) } else { column.cells() };
        (name, ctype, cells)
    };
    told.must_hold(sheet.name, &in_files.chain(by(sheet).into_iter().map(of)).collect());
}

fn reads_folders(engine: &'static str) {
    let folder = tempfile::tempdir().unwrap();
    let mut sheets = sheets();
    if NULL_IS_TEXT.contains(&engine) {
        // As a text it is no number, and the engine refuses the table.
        sheets[1]
            .columns
            .iter_mut()
            .for_each(|column| column.texts.iter_mut().for_each(|text| *text = text.take().or(Some("0".into()))));
    }
    let outs: Vec<_> = sheets.iter().map(|sheet| sheet.publish(folder.path())).collect();
    let mut jobs: Vec<_> = std::iter::zip(&sheets, &outs).map(|(sheet, out)| read_folders(out, &by(sheet))).collect();
    jobs.push(ask_folders(&outs[0], &by(&sheets[0]), "a/b"));
    jobs.push(ask_folders(&outs[1], &by(&sheets[1]), "2021"));
    let mut told = tell(engine, &jobs);
    sheets.iter().for_each(|sheet| must_hold(engine, sheet, &mut told));
    for (sheet, value, files) in [(&sheets[0], "a/b", 3), (&sheets[1], "2021", 2 * 4)] {
        let answer = told.object();
        let column = &sheet.columns.iter().find(|column| column.name == sheet.by[0]).unwrap().texts;
        let ids: Vec<usize> = (0..ROWS).filter(|&row| column[row].as_deref() == Some(value)).collect();
        assert_eq!(answer["ids"], serde_json::json!(ids), "{engine}: {value}");
        if let Some(read) = answer["read"]["files"].as_u64() {
            assert_eq!(read, files, "{engine}: files read for {value}");
        }
    }
    told.must_end();
}

#[test]
fn duckdb_reads_folders_and_prunes() {
    reads_folders("duckdb");
}

#[test]
fn pyarrow_reads_folders_and_prunes() {
    reads_folders("pyarrow");
}

#[test]
fn polars_reads_folders() {
    reads_folders("polars");
}

#[test]
fn datafusion_reads_folders() {
    reads_folders("datafusion");
}

#[test]
fn spark_reads_folders() {
    reads_folders("spark");
}
