//! What others read: DuckDB, pyarrow, Polars, DataFusion and Spark, each over every type that we write, cell by cell, and what each of
//! them may leave unread because of our statistics.
//!
//! Invariant: cells are expected from the text of the CSV files, never from another reader's output; an engine that is not
//! installed fails its test.

mod about;
mod engine;
mod folders;
mod pages;
mod pruning;
mod rejects;
mod sheet;
mod sheets;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use self::engine::{Wanted, tell};
use self::sheet::Sheet;

/// The sheets as tables, in a folder of their own.
struct Tables {
    folder: TempDir,
    sheets: Vec<(Sheet, PathBuf)>,
}

impl Tables {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let publish = |sheet: Sheet| {
            let out = sheet.publish(folder.path());
            (sheet, out)
        };
        let sheets = sheets::all().into_iter().map(publish).collect();
        Self { folder, sheets }
    }
}

fn wanted(sheet: &Sheet) -> Wanted {
    sheet.columns.iter().map(|column| (column.name.clone(), column.ctype.clone(), column.cells())).collect()
}

impl Tables {
    fn sheet(&self, name: &str) -> &Sheet {
        &self.sheets.iter().find(|(sheet, _)| sheet.name == name).unwrap().0
    }

    fn out(&self, name: &str) -> &Path {
        &self.sheets.iter().find(|(sheet, _)| sheet.name == name).unwrap().1
    }
}

/// Has an engine read every table, and the rejects of one; then answer the questions.
fn reads_every_cell_and_prunes(engine: &'static str) {
    let tables = Tables::make();
    let dirty = rejects::publish(tables.folder.path());
    let mut jobs: Vec<_> = tables.sheets.iter().map(|(_, out)| engine::read(out)).collect();
    jobs.extend(dirty.iter().map(|(path, _)| engine::read(path)));
    jobs.extend(pruning::jobs(&tables));
    let mut told = tell(engine, &jobs);
    for (sheet, _) in &tables.sheets {
        told.must_hold(sheet.name, &wanted(sheet));
    }
    for (path, wanted) in &dirty {
        told.must_hold(&path.display().to_string(), wanted);
    }
    pruning::must_answer(engine, &tables, &mut told);
    told.must_end();
}

#[test]
fn duckdb_reads_every_cell_and_prunes() {
    reads_every_cell_and_prunes("duckdb");
}

#[test]
fn pyarrow_reads_every_cell_and_prunes() {
    reads_every_cell_and_prunes("pyarrow");
}

#[test]
fn polars_reads_every_cell_and_prunes() {
    reads_every_cell_and_prunes("polars");
}

#[test]
fn datafusion_reads_every_cell_and_prunes() {
    reads_every_cell_and_prunes("datafusion");
}

#[test]
fn spark_reads_every_cell_and_prunes() {
    reads_every_cell_and_prunes("spark");
}
