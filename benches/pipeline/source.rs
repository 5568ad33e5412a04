//! A generated file, its columns as others are told them, and how batteuse is asked to convert it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use batteuse_shared::layout;
use batteuse_shared::limits::PARTITIONS_PER_SLOT_MIN;
use batteuse_shared::location::{url_of_dir, url_of_file};
use batteuse_shared::manifest::{Manifest, Success};
use batteuse_shared::report::Report;
use batteuse_shared::table::{Column, ColumnType};
use serde_json::{Value, json};

use super::common::generate;
use super::meter::{Ended, Process, batteuse, remove, run};

/// Threads of each contestant.
pub const THREADS: u32 = 2;
/// The end of the name of the file's manifest, beside it.
const MANIFEST: &str = "manifest.json";

/// A generated file.
pub struct Source {
    pub shape: String,
    pub path: PathBuf,
    pub bytes: u64,
    /// Of a run: the types that it found.
    pub manifest: Manifest,
}

impl Source {
    /// Generates a file in `folder` and has it converted once.
    pub fn generate(shape: &str, bytes: &str, folder: &Path) -> Self {
        let path = folder.join(format!("{shape}-{bytes}.csv"));
        generate(shape, bytes, &path);
        let output = path.with_extension("first");
        run(begin(&path, None).arg("--to").arg(&output));
        let success: Success = serde_json::from_slice(&fs::read(output.join(layout::SUCCESS)).unwrap()).unwrap();
        fs::copy(output.join(success.manifest), path.with_extension(MANIFEST)).unwrap();
        remove(&output);
        Self::open(shape, &path)
    }

    /// A file that was generated.
    pub fn open(shape: &str, path: &Path) -> Self {
        let bytes = fs::metadata(path).unwrap().len();
        let manifest = serde_json::from_slice(&fs::read(path.with_extension(MANIFEST)).unwrap()).unwrap();
        Self { shape: shape.to_owned(), path: path.to_owned(), bytes, manifest }
    }

    pub fn folder(&self) -> &Path {
        self.path.parent().expect("it lies in a folder")
    }

    pub fn megabytes(&self) -> f64 {
        self.bytes as f64 / 1e6
    }

    /// As a file of 1 GB is cut for so many slots where nobody asks for more; whatever the size and the slots are.
    pub fn fine_partition_bytes(&self) -> u64 {
        self.bytes.div_ceil(u64::from(THREADS) * PARTITIONS_PER_SLOT_MIN)
    }

    /// Where a contestant writes: nothing is there.
    pub fn output(&self, name: &str) -> PathBuf {
        let output = self.folder().join(format!("{}-{name}", self.shape));
        remove(&output);
        output
    }

    /// Columns as the peers are told them.
    pub fn columns(&self) -> Value {
        let column = |column: &Column| match column.ctype {
            ColumnType::Timestamp => json!({"name": column.name, "type": "timestamp", "format": self.timestamps()}),
            ctype => json!({"name": column.name, "type": ctype.to_string()}),
        };
        self.manifest.columns.iter().map(column).collect()
    }

    /// How its timestamps are written.
    fn timestamps(&self) -> &'static str {
        match self.shape.as_str() {
            "sirene" => "%Y-%m-%dT%H:%M:%S%.3f",
            _ => "%Y-%m-%d %H:%M:%S",
        }
    }

    /// Starts an embedded run, which infers the types; cut as it sees fit, unless that is said.
    pub fn begin(&self, output: &Path, partition_bytes: Option<u64>) -> Process {
        Process::start(begin(&self.path, partition_bytes).arg("--to").arg(output))
    }

    /// An embedded run, from the start of its process to its end.
    pub fn convert(&self, output: &Path, partition_bytes: Option<u64>) -> (Ended, Report) {
        told(self.begin(output, partition_bytes).wait())
    }

    /// The same, finely cut, as a spec, written beside the output.
    pub fn spec(&self, output: &Path) -> PathBuf {
        let spec = json!({
            "apiVersion": "batteuse.dev/v1alpha1",
            "kind": "Ingest",
            "metadata": {"name": self.shape},
            "spec": {
                "source": {"url": url_of_file(&self.path).unwrap()},
                "partition": {"bytes": self.fine_partition_bytes()},
                "output": {"parquet": {"url": url_of_dir(output).unwrap()}},
            },
        });
        let path = output.with_extension("json");
        fs::write(&path, spec.to_string()).unwrap();
        path
    }
}

fn begin(path: &Path, partition_bytes: Option<u64>) -> Command {
    let mut run = batteuse(&["run", "-o", "json", "--workers", &THREADS.to_string(), "--from"]);
    run.arg(path);
    if let Some(bytes) = partition_bytes {
        run.args(["--partition-bytes", &bytes.to_string()]);
    }
    run
}

/// A run's end and its report, which says that all records were written.
pub fn told(ended: Ended) -> (Ended, Report) {
    let report: Report = serde_json::from_str(&ended.out).unwrap();
    assert!(report.equation.holds && report.counts.written == report.counts.read, "{}", ended.out);
    (ended, report)
}
