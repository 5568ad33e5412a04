//! One engine that reads Parquet, run as one Python process over all that it is asked.
//!
//! Invariant: the process loads that engine alone; what it prints is compared with cells that were made from the CSV file, and the
//! first difference is told with its engine, table, row and column.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::sheet::Cells;
use crate::support::binary::Process;

/// A column's name, type and cells.
pub type Wanted = Vec<(String, String, Cells)>;

/// What a process printed, line by line.
pub struct Told {
    engine: &'static str,
    lines: std::vec::IntoIter<String>,
}

/// The Python of the folder `parts` in Cargo's target folder.
fn python() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let found = here.ancestors().map(|folder| folder.join("parts/python/bin/python")).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no parts/python beside {}: `make parts` installs the readers", here.display()))
}

/// A job: every cell.
pub fn read(path: &Path) -> Value {
    json!({"read": path})
}

/// A job: the rows with `column` in a range.
pub fn ask(path: &Path, column: &str, from: &str, to: &str) -> Value {
    json!({"ask": path, "column": column, "from": from, "to": to})
}

/// A job: every cell of a table in folders by the values of columns, which have these types.
pub fn read_folders(path: &Path, by: &[(String, String)]) -> Value {
    json!({"read": path, "by": by})
}

/// A job: as [`ask`], of a table in folders by the values of columns; what was read is told in files.
pub fn ask_folders(path: &Path, by: &[(String, String)], value: &str) -> Value {
    json!({"ask": path, "by": by, "column": by[0].0, "from": value, "to": value})
}

/// Has an engine do the jobs.
pub fn tell(engine: &'static str, jobs: &[Value]) -> Told {
    let mut command = Command::new(python());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/readers/read.py");
    command.args(["-B", "-X", "utf8", script, engine]).args(jobs.iter().map(Value::to_string));
    let ended = Process::spawn(command).wait();
    let missing = ["ModuleNotFoundError", "JAVA_GATEWAY_EXITED", "Java not found"];
    assert!(
        !missing.iter().any(|word| ended.err.contains(word)),
        "{engine} is not installed: `make parts` installs it\n{}",
        ended.err
    );
    assert_eq!(ended.code, Some(0), "{engine}\n{}", ended.err);
    Told { engine, lines: ended.out.lines().map(str::to_owned).collect::<Vec<_>>().into_iter() }
}

impl Told {
    fn line(&mut self) -> String {
        self.lines.next().unwrap_or_else(|| panic!("{} printed too little", self.engine))
    }

    /// The next line, which is no row.
    pub fn object(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{} printed {line:?}: {e}", self.engine))
    }

    /// Compares the next table, cell by cell.
    pub fn must_hold(&mut self, table: &str, wanted: &Wanted) {
        let (engine, head) = (self.engine, self.object());
        let columns: Vec<_> = wanted.iter().map(|(name, ctype, _)| json!([name, ctype])).collect();
        assert_eq!(head["columns"], json!(columns), "{engine}: columns of {table}");
        assert_eq!(head["voids"], 0, "{engine}: values of columns that have none, in {table}");
        let rows = wanted.first().map_or(0, |(_, _, cells)| cells.len());
        for row in 0..rows {
            let line = self.line();
            let read: Cells = serde_json::from_str(&line).unwrap_or_else(|e| {
                panic!("{engine} printed {line:?} in place of row {row} of {rows} of {table}: {e}");
            });
            assert_eq!(read.len(), wanted.len(), "{engine}: cells of row {row} of {table}");
            for (read, (name, ctype, cells)) in read.iter().zip(wanted) {
                assert_eq!(read, &cells[row], "{engine}: {table}, row {row}, column {name}, of type {ctype}");
            }
        }
    }

    /// Nothing else was printed.
    pub fn must_end(mut self) {
        assert_eq!(self.lines.next(), None, "{} printed too much", self.engine);
    }
}
