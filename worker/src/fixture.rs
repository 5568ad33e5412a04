//! For tests: a folder with source and staging in it, and a whole run without coordinator over it.

#![cfg(test)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use batteuse_shared::ids::{AttemptId, Epoch, PartitionId, RunId};
use batteuse_shared::location::{url_of_dir, url_of_file};
use batteuse_shared::manifest::{Manifest, ManifestPart};
use batteuse_shared::report::{Equation, Report, Reruns, RunState, Seams};
use batteuse_shared::span::{Span, StateId};
use batteuse_shared::spec::{Columns, Compression, Csv, Ragged};
use batteuse_shared::table::{Counts, Digest};
use batteuse_shared::task::{
    FinishTask, Finished, InspectTask, Inspected, Lease, Outcome, ParseTask, Parsed, Phases, RejectPiece, SourceRef,
    Staging, Task,
};
use batteuse_shared::{hive, layout};
use batteuse_store::{Disk, Stores};

use crate::pipeline::{self, Progress};
use crate::read::version_of;
use crate::stage::StagingDir;

/// A folder that goes away with the test.
pub struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    /// A folder whose source holds `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("source.csv"), bytes).unwrap();
        let staging = dir.path().join("out").join(layout::staging_dir(&run()));
        fs::create_dir_all(&staging).unwrap();
        fs::write(staging.join(layout::STAGING_NONCE), "nonce-1").unwrap();
        Self { dir }
    }

    pub fn source_path(&self) -> PathBuf {
        self.dir.path().join("source.csv")
    }

    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// The output folder as the engine sees it.
    pub fn output(&self) -> Arc<dyn batteuse_store::Folder> {
        Arc::new(Disk::new(self.out()))
    }

    fn staging_path(&self) -> PathBuf {
        self.out().join(layout::staging_dir(&run()))
    }

    /// Where a staged file lies in the output folder.
    pub fn staged_path(&self, key: &str) -> String {
        format!("{}/{key}", layout::staging_dir(&run()))
    }

    /// The staging folder, entered.
    pub fn entered(&self) -> StagingDir {
        StagingDir::enter(&self.staging(), &run(), &Stores::new([])).unwrap()
    }

    pub fn staged(&self, key: &str) -> PathBuf {
        self.staging_path().join(key)
    }

    /// Names of the staged files, sorted.
    pub fn staged_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.staging_path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != layout::STAGING_NONCE).collect();
        names.sort();
        names
    }

    pub fn staging(&self) -> Staging {
        Staging { output_url: url_of_dir(&self.out()).unwrap(), nonce: "nonce-1".to_owned() }
    }

    /// The source as it is now.
    pub fn source(&self) -> SourceRef {
        let path = self.source_path();
        SourceRef { url: url_of_file(&path).unwrap(), version: version_of(&path).unwrap() }
    }

    pub fn inspect_task(&self, csv: Csv, columns: Columns) -> Task {
        let (compression, staging) = (Compression::default(), self.staging());
        Task::Inspect(InspectTask { source: self.source(), csv, columns, compression, table: None, staging })
    }

    /// The task of one partition as inspection has it.
    pub fn parse_task(&self, found: &Inspected, partition: u32, range: Span, start: Option<StateId>) -> ParseTask {
        ParseTask {
            source: self.source(),
            dialect: found.dialect.clone(),
            ragged: Ragged::Reject,
            columns: found.columns.clone(),
            partition: PartitionId(partition),
            range,
            start,
            compression: Some(Compression::default()),
            partition_by: Vec::new(),
            table: None,
            staging: self.staging(),
            replaces: None,
            alone: false,
            quarantine: false,
        }
    }

    pub fn inspected(&self, csv: Csv, columns: Columns) -> Inspected {
        match execute(&lease(1, self.inspect_task(csv, columns)), &Progress::new()) {
            Outcome::Inspected(found) => *found,
            other => panic!("{other:?}"),
        }
    }
}

/// Does what the lease asks for.
pub fn execute(lease: &Lease, progress: &Progress) -> Outcome {
    pipeline::execute(lease, progress, &Stores::new([]))
}

pub fn run() -> RunId {
    RunId::new("job-1").unwrap()
}

pub fn lease(counter: u32, task: Task) -> Lease {
    Lease { run: run(), attempt: AttemptId::new(Epoch(1), counter), task }
}

pub fn parsed(lease: &Lease) -> Parsed {
    match execute(lease, &Progress::new()) {
        Outcome::Parsed(parsed) => *parsed,
        other => panic!("{other:?}"),
    }
}

/// A published table, as the coordinator would have made it.
pub struct Table {
    pub folder: Folder,
    pub manifest: Manifest,
    pub report: Report,
    pub finished: Finished,
}

/// A whole run over `bytes` in at most `partitions` partitions; every start is given.
pub fn publish(bytes: &[u8], columns: Columns, partitions: u64) -> Table {
    publish_by(bytes, columns, partitions, &[])
}

/// As [`publish`], into folders by the values of these columns.
pub fn publish_by(bytes: &[u8], columns: Columns, partitions: u64, by: &[String]) -> Table {
    let folder = Folder::new(bytes);
    let found = folder.inspected(Csv::default(), columns);
    let (data_start, size) = (found.data_start, bytes.len() as u64);
    let cut = |i: u64| data_start + (size - data_start) * i / partitions;
    let (mut state, mut counts) = (found.start, Counts::default());
    let (mut parts, mut pieces) = (Vec::new(), Vec::new());
    for i in 0..partitions {
        let range = Span::new(cut(i), cut(i + 1));
        let mut task = folder.parse_task(&found, i as u32, range, Some(state));
        task.partition_by = by.to_vec();
        let lease = lease(10 + i as u32, Task::Parse(Box::new(task)));
        let parsed = parsed(&lease);
        state = parsed.exits.exit(state).expect("the given start was tried").state;
        if let Some(rejects) = parsed.rejects {
            let (lines_before, records_before) = (found.preamble_lines + counts.lines, counts.read);
            let (key, rows, content) = (rejects.key, rejects.rows, rejects.content);
            pieces.push(RejectPiece { key, rows, content, lines_before, records_before });
        }
        counts = counts.plus(parsed.counts);
        let none = ManifestPart {
            partition: PartitionId(i as u32),
            attempt: lease.attempt,
            span: parsed.span,
            file: None,
            values: Vec::new(),
            rows: 0,
            bytes: 0,
            digest: Digest::default(),
            sha256: None,
        };
        if parsed.parts.is_empty() {
            parts.push(none.clone());
        }
        for part in parsed.parts {
            let name = layout::part_in(&hive::folder(by, &part.values), parsed.span.start, lease.attempt);
            let path = folder.out().join(&name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::rename(folder.staged(&part.key), path).unwrap();
            let (values, rows, bytes, digest) = (part.values, part.rows, part.bytes, part.digest);
            let (file, sha256) = (Some(name), Some(part.sha256));
            parts.push(ManifestPart { file, values, rows, bytes, digest, sha256, ..none.clone() });
        }
    }
    let task = FinishTask { source: folder.source(), pieces, staging: folder.staging() };
    let finished = match execute(&lease(2, Task::Finish(task)), &Progress::new()) {
        Outcome::Finished(finished) => finished,
        other => panic!("{other:?}"),
    };
    let rejects = folder.out().join(layout::rejects(&run()));
    fs::create_dir_all(rejects.parent().unwrap()).unwrap();
    fs::rename(folder.staged(&finished.rejects.key), rejects).unwrap();
    let table = told(folder, found, parts, counts, finished);
    Table { manifest: Manifest { partition_by: by.to_vec(), ..table.manifest }, ..table }
}

/// The manifest and the report of what lies in `folder`.
fn told(folder: Folder, found: Inspected, parts: Vec<ManifestPart>, counts: Counts, finished: Finished) -> Table {
    let (data_start, files) = (found.data_start, parts.len() as u64);
    let rows = parts.iter().map(|part| part.rows).sum();
    let digest = parts.iter().fold(Digest::default(), |sum, part| sum.plus(part.digest));
    let source = folder.source();
    let manifest = Manifest {
        run: run(),
        job: "job".to_owned(),
        source: source.clone(),
        columns: found.columns,
        partition_by: Vec::new(),
        rows,
        digest,
        postgres: None,
        parts,
        kept: Vec::new(),
    };
    let span_bytes = manifest.spans().map(|(_, span)| span.bytes()).sum();
    let report = Report {
        run: run(),
        job: "job".to_owned(),
        state: RunState::Succeeded,
        reason: None,
        source: source.clone(),
        partitions: manifest.spans().count() as u64,
        accepted: manifest.spans().count() as u64,
        attempts: files + 2,
        redrives: 0,
        splits: 0,
        reruns: Reruns::default(),
        seams: Seams::default(),
        phases: Phases::default(),
        bytes: source.version.bytes,
        data_start,
        span_bytes,
        counts,
        digest,
        seconds: 0.0,
        files,
        output_bytes: manifest.parts.iter().map(|part| part.bytes).sum(),
        table: None,
        equation: Equation::state(&counts, data_start, span_bytes, source.version.bytes),
        quarantines: Vec::new(),
        rejects_shown: finished.shown.clone(),
    };
    Table { folder, manifest, report, finished }
}
