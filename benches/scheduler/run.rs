//! A made-up run: a job, and what true workers report of its tasks, as a function of the partition's number alone.
//!
//! Invariant: the spans tile the source, whatever was guessed. At one cut in [`INSIDE_OF`] a quoted field is open, so who guesses there
//! guesses wrong.

use std::collections::BTreeMap;

use batteuse_shared::ids::{AttemptId, PartitionId, RunId};
use batteuse_shared::layout;
use batteuse_shared::limits::{FILE_BYTES_DEFAULT, PARTITION_BYTES_DEFAULT};
use batteuse_shared::span::{Exit, ExitMap, Span, StateId};
use batteuse_shared::spec::{
    API_VERSION, Auto, Columns, Compression, Csv, Dialect, Encoding, Job, KIND, Metadata, Mode, Output, Parquet,
    Partition, Rejects, Source, Spec, Tolerance,
};
use batteuse_shared::table::{Checksum, Classes, Column, ColumnType, Counts, Digest};
use batteuse_shared::task::{
    Finished, Inspected, Measured, Outcome, ParseTask, Parsed, Phases, Seam, SourceRef, SourceVersion, StagedPart,
    StagedRejects,
};
use batteuse_shared::time::Millis;

use batteuse_coordinator::scheduler::Accepted;

/// As many as SIRENE has.
const COLUMNS: u64 = 54;
/// Bytes of the header.
const DATA_START: u64 = 1_200;
/// At one cut of so many a quoted field is open.
const INSIDE_OF: u64 = 997;
/// One partition of so many has a reject.
const REJECT_OF: u64 = 10;
/// Rows of a partition.
const ROWS: u64 = 280_000;

const RECORD_START: StateId = StateId(0);
const UNQUOTED: StateId = StateId(2);
const QUOTED: StateId = StateId(3);
/// Those that a worker tries which knows no start.
const STATES: [StateId; 6] = [RECORD_START, StateId(1), UNQUOTED, QUOTED, StateId(4), StateId(5)];

pub fn id() -> RunId {
    RunId::new("sirene-2026-11-30-1").unwrap()
}

fn size(partitions: u64) -> u64 {
    partitions * PARTITION_BYTES_DEFAULT
}

/// The run, as it is submitted.
pub fn accepted(partitions: u64) -> Accepted {
    let url = "file:///data/sirene/StockEtablissement_utf8.csv".to_owned();
    let spec = Spec {
        source: Source { url: url.clone(), csv: Csv::default() },
        partition: Partition { bytes: Auto::Given(PARTITION_BYTES_DEFAULT) },
        columns: Columns::Infer,
        output: Output::parquet(Parquet {
            url: "file:///data/tables/sirene/".to_owned(),
            compression: Compression::default(),
            file_bytes: FILE_BYTES_DEFAULT,
            mode: Mode::Error,
            partition_by: Vec::new(),
        }),
        rejects: Rejects { tolerate: Tolerance { count: None, percent: Some(1.0) }, ..Rejects::default() },
        priority: 0,
    };
    let metadata = Metadata { name: "sirene".to_owned() };
    let job = Job { api_version: API_VERSION.to_owned(), kind: KIND.to_owned(), metadata, spec };
    let version = SourceVersion { inode: 1, mtime_ns: 2, bytes: size(partitions) };
    let source = SourceRef { url, version };
    Accepted { run: id(), job, source, nonce: "0123456789abcdef".to_owned(), standing: None, at: Millis(0) }
}

fn ctype(column: u64) -> ColumnType {
    match column % 9 {
        0 => ColumnType::Int64,
        1 => ColumnType::Date,
        2 => ColumnType::Float64,
        3 => ColumnType::Boolean,
        _ => ColumnType::Text,
    }
}

/// What a partition shows of a column; some columns are empty in most partitions.
fn classes(partition: u64, column: u64) -> Classes {
    match ctype(column) {
        _ if column >= 45 && !(partition + column).is_multiple_of(5) => Classes::default(),
        ColumnType::Int64 => Classes::INT_SHORT,
        ColumnType::Date => Classes::DATE,
        ColumnType::Float64 => Classes::INT_SHORT.join(Classes::FLOAT),
        ColumnType::Boolean => Classes::BOOLEAN,
        _ => Classes::TEXT,
    }
}

/// What is inspected: every guess of a type is right.
pub fn inspected() -> Outcome {
    let dialect = Dialect {
        delimiter: b",".to_vec(),
        quote: Some(b'"'),
        escape: None,
        comment: None,
        encoding: Encoding::Utf8,
        decimal: b'.',
    };
    let column = |at: u64| Column {
        name: format!("caractereEmployeurEtablissement{at}"),
        ctype: ctype(at),
        declared: false,
        format: None,
        nulls: Vec::new(),
    };
    Outcome::Inspected(Box::new(Inspected {
        dialect,
        data_start: DATA_START,
        start: RECORD_START,
        preamble_lines: 1,
        columns: (0..COLUMNS).map(column).collect(),
        measured: Measured::default(),
        partition_bytes: None,
    }))
}

/// The true state before a partition of so many; before the end of the source it is a record's start.
fn state(partition: u64, partitions: u64) -> StateId {
    match partition {
        0 => RECORD_START,
        _ if partition == partitions => RECORD_START,
        _ if partition % INSIDE_OF == INSIDE_OF / 2 => QUOTED,
        _ => UNQUOTED,
    }
}

/// The first boundary in a partition's range under a start.
fn first(range: Span, start: StateId) -> u64 {
    match start {
        RECORD_START => range.start,
        QUOTED => range.start + 470,
        _ => range.start + 150,
    }
}

/// A lease of a partition, as far as its report rests on it.
#[derive(Debug, Clone, Copy)]
pub struct Leased {
    pub partition: PartitionId,
    pub range: Span,
    start: Option<StateId>,
}

impl Leased {
    pub fn of(task: &ParseTask) -> Self {
        Self { partition: task.partition, range: task.range, start: task.start }
    }

    /// Whether its start is guessed, and wrong.
    pub fn guesses_wrong(&self, partitions: u64) -> bool {
        self.start.is_none() && state(u64::from(self.partition.0), partitions) == QUOTED
    }

    /// What an attempt reports.
    pub fn outcome(&self, attempt: AttemptId, partitions: u64) -> Outcome {
        let number = u64::from(self.partition.0);
        let next = state(number + 1, partitions);
        let exit = |start| (start, Exit { state: next, first: Some(first(self.range, start)) });
        let exits: BTreeMap<_, _> = match self.start {
            Some(start) => [exit(start)].into(),
            None => STATES.into_iter().map(exit).collect(),
        };
        let begins = first(self.range, self.start.unwrap_or(UNQUOTED));
        let ends = first(Span::new(self.range.end, self.range.end), next);
        let rejected = u64::from(number % REJECT_OF == 0);
        let rows = ROWS + number % 7;
        Outcome::Parsed(Box::new(Parsed {
            first: Some(begins),
            span: Span::new(begins, ends),
            end: self.range.end,
            exits: ExitMap(exits),
            counts: Counts {
                read: rows + rejected,
                written: rows,
                rejected,
                lines: rows + rejected,
                ..Counts::default()
            },
            summaries: (0..COLUMNS).map(|column| classes(number, column)).collect(),
            types: Some((0..COLUMNS).map(ctype).collect()),
            parts: vec![StagedPart {
                key: layout::staged_part(self.partition, attempt, 0),
                values: Vec::new(),
                bytes: 11_000_000 + number,
                rows,
                digest: Digest(u128::from(number) << 64),
                sha256: Checksum::default(),
                upload: None,
            }],
            table: None,
            rejects: (rejected > 0).then(|| rejects(layout::staged_rejects(self.partition, attempt), rejected)),
            seam: Seam { given: self.start.is_some(), merged_after: self.start.is_none().then_some(470) },
            phases: Phases { read_us: 20_000, parse_us: 200_000, encode_us: 250_000, stage_us: 4_000 },
            quarantined: None,
        }))
    }
}

fn rejects(key: String, rows: u64) -> StagedRejects {
    StagedRejects { key, rows, bytes: 2_000, content: Some(Checksum::default()), upload: None }
}

/// Rejects of the whole run.
pub fn rejected(partitions: u64) -> u64 {
    partitions.div_ceil(REJECT_OF)
}

/// What the finish task reports.
pub fn finished(attempt: AttemptId, partitions: u64) -> Outcome {
    let key = layout::staged_finish(attempt);
    Outcome::Finished(Finished { rejects: rejects(key, rejected(partitions)), shown: Vec::new() })
}
