//! The flow, end to end, by the real binary: what comes out of a file is a function of the file and the spec alone (EXACT),
//! and it is what an independent reader of the file finds in it.
//!
//! Invariant: outcomes are compared whole: table, types, rejects, counts, exit code; rows are read from the Parquet parts, never
//! taken from a report.

mod cluster;
mod cuts;
mod dirty;
mod operators;
mod poison;
mod redrive;
mod stragglers;
mod types;
mod values;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::binary::{Ended, batteuse, write_spec_of};
use crate::support::published::{self, Table, parts, run_file, table};

/// Numbers of partitions that every file is cut into.
const CUTS: [u64; 4] = [1, 2, 7, 64];
/// Numbers of workers that each cut is run with.
const WORKERS: [u32; 2] = [1, 3];

/// A source, and how it is to be read.
struct Input {
    folder: TempDir,
    source: PathBuf,
    /// The dialect, a YAML map.
    csv: &'static str,
    /// Further lines of the spec, each indented by two.
    spec: &'static str,
}

/// What a run came to: all that may not depend on partitions, workers and faults.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    pub code: i32,
    /// The report without what tells how it was done.
    pub report: Value,
    /// None when nothing was published.
    pub table: Option<Table>,
    /// All columns of `rejects.parquet`.
    pub rejects: Vec<Vec<Option<String>>>,
}

/// Fields of the report that tell how it was done.
const HOW: [&str; 10] =
    ["run", "job", "partitions", "accepted", "attempts", "reruns", "seams", "phases", "seconds", "files"];

impl Input {
    fn new(name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join(name);
        fs::write(&source, bytes).unwrap();
        Self { folder, source, csv: "{}", spec: "" }
    }

    /// What `batteuse generate SHAPE` writes.
    fn generated(shape: &str, bytes: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join(format!("{shape}.csv"));
        batteuse(["generate", shape, "--bytes", bytes, "--to", source.to_str().unwrap()]).expect(0);
        Self { folder, source, csv: "{}", spec: "" }
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.source).unwrap()
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    /// The spec that writes into `self.out(name)`, in `partitions` partitions.
    fn write(&self, name: &str, partitions: u64) -> PathBuf {
        let size = fs::metadata(&self.source).unwrap().len();
        let more = format!("  partition: {{bytes: {}}}\n{}", size.div_ceil(partitions), self.spec);
        let path = self.folder.path().join(format!("{name}.yaml"));
        write_spec_of(&path, &self.source, &self.out(name), self.csv, &more)
    }

    /// Runs it in one process.
    fn run(&self, partitions: u64, workers: u32) -> (Outcome, Value) {
        let name = format!("p{partitions}-w{workers}");
        let spec = self.write(&name, partitions);
        let workers = workers.to_string();
        let ended = batteuse(["run", "-f", spec.to_str().unwrap(), "--workers", &workers, "-o", "json"]);
        let (outcome, report) = Outcome::of(&ended, &self.out(&name));
        assert_eq!(report["partitions"], partitions, "{name}");
        (outcome, report)
    }

    /// Runs it however it may be cut and with few and more workers; all must come to the same, which is returned.
    fn run_however_cut(&self) -> Outcome {
        let (one, _) = self.run(1, 1);
        for partitions in CUTS {
            for workers in WORKERS.into_iter().filter(|&w| (partitions, w) != (1, 1)) {
                let (other, _) = self.run(partitions, workers);
                one.must_equal(&other, &format!("{partitions} partitions, {workers} workers"));
            }
        }
        one
    }
}

impl Outcome {
    /// What an ended `run -o json` or `submit --wait -o json` left, and its whole report.
    fn of(ended: &Ended, out: &Path) -> (Self, Value) {
        let (outcome, whole) = Self::left(ended.code.expect("an exit code"), out, &run_file(out, ""));
        assert_eq!(whole, ended.json(), "what is printed is what is kept");
        (outcome, whole)
    }

    /// What a run that exited with `code` left in `out`, and its whole report; `run` is the run's own folder in there.
    #[track_caller]
    pub fn left(code: i32, out: &Path, run: &Path) -> (Self, Value) {
        let whole = published::json_file(&run.join("report.json"));
        let mut report = whole.clone();
        let fields = report.as_object_mut().unwrap();
        for how in HOW.iter().chain(&["outputBytes"]) {
            assert!(fields.remove(*how).is_some(), "the report has no {how}: {whole:#}");
        }
        let table = (!parts(out).is_empty()).then(|| table(out));
        assert_eq!(table.is_some(), out.join("_SUCCESS").exists(), "parts and _SUCCESS go together");
        if let Some(table) = &table {
            assert_eq!(whole["digest"], table.digest.as_str(), "the digest is that of the rows");
            assert_eq!(whole["written"], table.rows.len(), "what was written is there");
        }
        let rejects = run.join("rejects.parquet");
        let rejects = if rejects.exists() { published::rejects(&rejects).1 } else { Vec::new() };
        // A cancelled run leaves its report alone.
        assert!(whole["rejected"] == rejects.len() || whole["state"] == "Cancelled", "what was rejected is there");
        (Self { code, report, table, rejects }, whole)
    }

    fn table(&self) -> &Table {
        self.table.as_ref().unwrap_or_else(|| panic!("nothing was published: {:#}", self.report))
    }

    #[track_caller]
    pub fn must_equal(&self, other: &Self, how: &str) {
        assert_eq!(self.code, other.code, "{how}: exit codes");
        assert_eq!(self.report, other.report, "{how}: reports");
        must_equal(&self.rejects, &other.rejects, &format!("{how}: rejects"));
        assert_eq!(self.table.is_some(), other.table.is_some(), "{how}: one was published");
        if let (Some(one), Some(two)) = (&self.table, &other.table) {
            assert_eq!(one.columns, two.columns, "{how}: columns");
            must_equal(&one.rows, &two.rows, &format!("{how}: rows"));
            assert_eq!(one.digest, two.digest, "{how}: digests");
        }
    }
}

/// Fails with the first row that differs, not with all of two tables.
#[track_caller]
fn must_equal(one: &[Vec<Option<String>>], two: &[Vec<Option<String>>], what: &str) {
    let differ = one.iter().zip(two).position(|(one, two)| one != two);
    if let Some(at) = differ {
        panic!("{what}: row {at} differs:\n  {:?}\n  {:?}", one[at], two[at]);
    }
    assert_eq!(one.len(), two.len(), "{what}: number of rows");
}
