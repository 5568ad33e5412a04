//! Every bound that is checked on the way in: one broken field each, and the whole text of its refusal.

use batteuse_shared::ids::{AttemptId, RunId, WorkerId};
use batteuse_shared::limits::{
    COLUMNS_MAX, FAILURE_MESSAGE_BYTES_MAX, HIVE_FILES_MAX, HIVE_FOLDER_BYTES_MAX, MESSAGE_BYTES_MAX, PARTITIONS_MAX,
    PHASE_US_MAX, SLOTS_MAX,
};
use batteuse_shared::span::{Exit, ExitMap, Span, StateId};
use batteuse_shared::spec::{ColumnSpec, Columns, Compression, Csv, Dialect};
use batteuse_shared::table::{Column, ColumnType, Counts};
use batteuse_shared::task::{Failure, FailureClass, Lease, Outcome, Parsed, StagedPart, Task};
use prost::Message;

use crate::control::Submission;
use crate::messages::{CoordinatorSays, WorkerSays};
use crate::status::RunStatus;
use crate::{WireError, v1};

/// Why `wire` is no `T`.
fn refusal<T: std::fmt::Debug + TryFrom<W, Error = WireError>, W>(wire: W) -> String {
    T::try_from(wire).expect_err("must be refused").to_string()
}

/// The message of an absent `field`.
fn missing(field: &str) -> String {
    format!("{field} is missing, or of a kind that this version does not know: run the same version on both sides")
}

/// The message of an unknown `value` in `field`.
fn unknown(field: &str, value: i32) -> String {
    format!("{field} is {value}, which this version does not know: run the same version on both sides")
}

fn column(name: &str) -> v1::Column {
    Column { name: name.to_owned(), ctype: ColumnType::Text, declared: false, format: None, nulls: Vec::new() }.into()
}

fn dialect() -> v1::Dialect {
    v1::Dialect {
        delimiter: b";".to_vec(),
        encoding: v1::Encoding::Utf8.into(),
        decimal: b','.into(),
        ..<_>::default()
    }
}

fn parse_task() -> v1::ParseTask {
    v1::ParseTask {
        source: Some(v1::SourceRef { url: "file:///a".to_owned(), version: Some(v1::SourceVersion::default()) }),
        dialect: Some(dialect()),
        ragged: v1::Ragged::Reject.into(),
        columns: vec![column("a"), column("b")],
        partition: PARTITIONS_MAX as u32 - 1,
        range: Some(v1::Span { start: 3, end: 3 }),
        start: Some(255),
        compression: Some(Compression::Snappy.into()),
        partition_by: vec!["b".to_owned()],
        table: None,
        staging: Some(v1::Staging { output_url: "file:///out/".to_owned(), nonce: "n".to_owned() }),
        replaces: Some(1 << 32),
        alone: true,
        quarantine: true,
    }
}

fn lease(task: v1::ParseTask) -> v1::Lease {
    let task = v1::Task { kind: Some(v1::task::Kind::Parse(task)) };
    v1::Lease { run: "communes-1".to_owned(), attempt: 1 << 32, task: Some(task) }
}

#[test]
fn a_lease_on_the_bounds_is_taken() {
    let taken = Lease::try_from(lease(parse_task())).expect("on the bounds");
    let Task::Parse(task) = taken.task else { panic!("{taken:?}") };
    assert_eq!((task.start, task.range, task.columns.len()), (Some(StateId(255)), Span::new(3, 3), 2));
}

#[test]
fn leases_off_the_bounds_are_refused() {
    let refused = |spoil: &dyn Fn(&mut v1::ParseTask)| {
        let mut task = parse_task();
        spoil(&mut task);
        refusal::<Lease, _>(lease(task))
    };
    assert_eq!(refused(&|t| t.source = None), missing("ParseTask.source"));
    assert_eq!(refused(&|t| t.dialect = None), missing("ParseTask.dialect"));
    assert_eq!(refused(&|t| t.ragged = 0), missing("ParseTask.ragged"));
    assert_eq!(refused(&|t| t.ragged = 9), unknown("ParseTask.ragged", 9));
    assert_eq!(refused(&|t| t.columns.push(column("a"))), "ParseTask.columns: column \"a\" is listed twice");
    assert_eq!(
        refused(&|t| t.columns = (0..=COLUMNS_MAX).map(|i| column(&i.to_string())).collect()),
        "ParseTask.columns: 16385 entries, where at most 16384 are allowed"
    );
    assert_eq!(refused(&|t| t.partition = 100_000), "ParseTask.partition: 100000 is not between 0 and 99999");
    assert_eq!(
        refused(&|t| t.range = Some(v1::Span { start: 9, end: 8 })),
        "Span.end: the span ends at 8, before its start 9"
    );
    assert_eq!(
        refused(&|t| t.range = Some(v1::Span { start: 0, end: u64::MAX })),
        "Span.end: 18446744073709551615 is not between 0 and 8796093022208"
    );
    assert_eq!(refused(&|t| t.start = Some(256)), "ParseTask.start: 256 is not between 0 and 255");
    assert_eq!(refused(&|t| t.compression = Some(v1::Compression { kind: None })), missing("Compression.kind"));
    assert_eq!(refused(&|t| t.staging = Some(v1::Staging::default())), missing("Staging.output_url"));
}

#[test]
fn names_and_tasks_of_a_lease_are_checked() {
    let named = |run: &str| v1::Lease { run: run.to_owned(), ..lease(parse_task()) };
    assert_eq!(
        refusal::<Lease, _>(named("../etc")),
        "Lease.run: \"../etc\" is not a valid run id: 1 to 100 characters of a-z, 0-9 and '-'"
    );
    assert_eq!(refusal::<Lease, _>(v1::Lease { task: None, ..named("r") }), missing("Lease.task"));
    let empty = Some(v1::Task { kind: None });
    assert_eq!(refusal::<Lease, _>(v1::Lease { task: empty, ..named("r") }), missing("Task.kind"));
}

#[test]
fn dialects_types_and_compressions_are_checked() {
    assert_eq!(
        refusal::<Dialect, _>(v1::Dialect { delimiter: vec![b'|'; 9], ..dialect() }),
        "Dialect.delimiter: 9 bytes, where 1 to 8 are allowed"
    );
    assert_eq!(
        refusal::<Dialect, _>(v1::Dialect { decimal: b';'.into(), ..dialect() }),
        "Dialect.decimal: byte 59 is no decimal mark: use '.' or ','"
    );
    assert_eq!(
        refusal::<Dialect, _>(v1::Dialect { quote: Some(300), ..dialect() }),
        "Dialect.quote: 300 is not between 0 and 255"
    );
    let decimal = |precision, scale| v1::ColumnType {
        kind: Some(v1::column_type::Kind::Decimal(v1::Decimal { precision, scale })),
    };
    assert_eq!(refusal::<ColumnType, _>(decimal(39, 0)), "Decimal.precision: 39 is not between 1 and 38");
    assert_eq!(refusal::<ColumnType, _>(decimal(3, 4)), "Decimal.scale: 4 is not between 0 and 3");
    let plain = |raw| v1::ColumnType { kind: Some(v1::column_type::Kind::Plain(raw)) };
    assert_eq!(refusal::<ColumnType, _>(plain(0)), missing("ColumnType.plain"));
    assert_eq!(refusal::<ColumnType, _>(plain(8)), unknown("ColumnType.plain", 8));
    let format = |declared, format: &str| {
        let column_type = Some(ColumnType::Date.into());
        refusal::<Column, _>(v1::Column { column_type, declared, format: Some(format.to_owned()), ..column("a") })
    };
    assert_eq!(format(true, "%d/%d"), "Column.format: %d is there twice: keep one");
    assert_eq!(
        format(true, "%d/%m/%Y %H:%M"),
        "Column.format: this is how a timestamp is written: declare timestamp(%d/%m/%Y %H:%M)"
    );
    assert_eq!(format(false, "%d/%m/%Y"), "Column.format: a column whose type is not declared has no format");
    let spec = v1::ColumnSpec { format: Some("%d/%m/%Y".to_owned()), ..v1::ColumnSpec::default() };
    assert_eq!(refusal::<ColumnSpec, _>(spec), "ColumnSpec.format: a column whose type is not declared has no format");
    let zstd = |level| v1::Compression { kind: Some(v1::compression::Kind::Zstd(level)) };
    assert_eq!(refusal::<Compression, _>(zstd(0)), "Compression.zstd: 0 is not between 1 and 22");
    assert_eq!(refusal::<Compression, _>(zstd(256 + 3)), "Compression.zstd: 259 is not between 1 and 22");
    let types = vec![v1::DeclaredType::default(); COLUMNS_MAX + 1];
    assert_eq!(
        refusal::<Columns, _>(v1::Columns { kind: Some(v1::columns::Kind::Some(v1::DeclaredTypes { types })) }),
        "DeclaredTypes.types: 16385 entries, where at most 16384 are allowed"
    );
    let csv = v1::Csv { skip_lines: 1_000_001, ..Csv::default().into() };
    assert_eq!(refusal::<Csv, _>(csv), "Csv.skip_lines: 1000001 is not between 0 and 1000000");
}

#[test]
fn reports_off_the_bounds_are_refused() {
    let parsed = v1::Parsed {
        span: Some(v1::Span { start: 0, end: 1 }),
        counts: Some(Counts::default().into()),
        seam: Some(v1::Seam::default()),
        phases: Some(v1::Phases::default()),
        ..<_>::default()
    };
    assert!(Parsed::try_from(parsed.clone()).is_ok());
    let exit = |start, state| v1::Exit { start, state, first: None };
    assert_eq!(
        refusal::<Parsed, _>(v1::Parsed { exits: vec![exit(3, 1), exit(3, 2)], ..parsed.clone() }),
        "Parsed.exits: state 3 is listed twice"
    );
    assert_eq!(
        refusal::<Parsed, _>(v1::Parsed { summaries: vec![1, 65_536], ..parsed.clone() }),
        "Parsed.summaries: 65536 is not between 0 and 65535"
    );
    let counts = v1::Counts { lines: u64::MAX, ..<_>::default() };
    assert_eq!(
        refusal::<Parsed, _>(v1::Parsed { counts: Some(counts), ..parsed.clone() }),
        "Counts.lines: 18446744073709551615 is not between 0 and 8796093022208"
    );
    let phases = Some(v1::Phases { encode_us: PHASE_US_MAX + 1, ..<_>::default() });
    assert_eq!(
        refusal::<Parsed, _>(v1::Parsed { phases, ..parsed.clone() }),
        "Phases.encode_us: 9000000000001 is not between 0 and 9000000000000"
    );
    assert_eq!(refusal::<Parsed, _>(v1::Parsed { phases: None, ..parsed.clone() }), missing("Parsed.phases"));
    assert_eq!(
        refusal::<Parsed, _>(v1::Parsed { quarantined: Some(vec![0; 31]), ..parsed.clone() }),
        "Parsed.quarantined: 31 bytes, where 32 to 32 are allowed"
    );
    let types = Some(v1::ColumnTypes { types: vec![v1::ColumnType::default()] });
    assert_eq!(refusal::<Parsed, _>(v1::Parsed { types, ..parsed.clone() }), missing("ColumnType.kind"));
    let part = |key: &str, digest: usize| v1::StagedPart {
        key: key.to_owned(),
        digest: vec![0; digest],
        sha256: vec![0; 32],
        ..<_>::default()
    };
    assert_eq!(
        refusal::<Parsed, _>(v1::Parsed { parts: vec![part("a.part.tmp", 15)], ..parsed.clone() }),
        "StagedPart.digest: 15 bytes, where 16 to 16 are allowed"
    );
    let many = vec![part("a.part.tmp", 16); HIVE_FILES_MAX + 1];
    assert_eq!(
        refusal::<Parsed, _>(v1::Parsed { parts: many, ..parsed }),
        "Parsed.parts: 1025 entries, where at most 1024 are allowed"
    );
    let long = |bytes: usize| vec![v1::FolderValue { text: Some("x".repeat(bytes)) }];
    assert!(StagedPart::try_from(v1::StagedPart { values: long(255), ..part("a.part.tmp", 16) }).is_ok());
    assert_eq!(
        refusal::<StagedPart, _>(v1::StagedPart { values: long(256), ..part("a.part.tmp", 16) }),
        "FolderValue.text: 256 bytes, where 0 to 255 are allowed"
    );
    assert_eq!(refusal::<Outcome, _>(v1::Outcome { kind: None }), missing("Outcome.kind"));
    assert!(StagedPart::try_from(part("a.part.tmp", 16)).is_ok());
    assert_eq!(refusal::<StagedPart, _>(part("", 16)), missing("StagedPart.key"));
    for key in ["../x", "a/b", ".hidden", "..", "A", "a\0", "é", &"x".repeat(256)] {
        let why = "1 to 255 of a-z, 0-9, '-' and '.', not beginning with '.'";
        assert_eq!(
            refusal::<StagedPart, _>(part(key, 16)),
            format!("StagedPart.key: {key:?} is no name in a staging folder: {why}")
        );
    }
}

#[test]
fn the_widest_lease_and_report_fit_a_message() {
    let wide = |i: usize| v1::Column { nulls: vec!["NA".to_owned(); 8], ..column(&format!("{i:064}")) };
    let columns: Vec<_> = (0..COLUMNS_MAX).map(wide).collect();
    let granted = lease(v1::ParseTask { columns: columns.clone(), ..parse_task() });
    assert!(granted.encoded_len() < MESSAGE_BYTES_MAX, "{}", granted.encoded_len());
    assert!(Lease::try_from(granted).is_ok());
    let types = columns.into_iter().filter_map(|c| c.column_type).collect();
    let parsed = v1::Parsed {
        span: Some(v1::Span { start: 0, end: 1 }),
        counts: Some(Counts::default().into()),
        summaries: vec![u16::MAX.into(); COLUMNS_MAX],
        types: Some(v1::ColumnTypes { types }),
        seam: Some(v1::Seam::default()),
        phases: Some(v1::Phases::default()),
        ..<_>::default()
    };
    let value = || v1::FolderValue { text: Some("x".repeat(HIVE_FOLDER_BYTES_MAX / 4)) };
    let upload = v1::Upload { key: "x".repeat(1_024), id: "x".repeat(1_024), parts: vec!["x".repeat(40); 32] };
    let part = v1::StagedPart {
        key: "0000000-0000000100000002-0000.part.tmp".to_owned(),
        digest: vec![0; 16],
        sha256: vec![0; 32],
        upload: Some(upload),
        values: std::iter::repeat_with(value).take(4).collect(),
        ..<_>::default()
    };
    let parsed = v1::Parsed { parts: vec![part; HIVE_FILES_MAX], ..parsed };
    assert!(parsed.encoded_len() < MESSAGE_BYTES_MAX, "{}", parsed.encoded_len());
    assert!(Parsed::try_from(parsed).is_ok());
}

#[test]
fn an_exit_map_on_the_wire_holds_every_state() {
    let all = (0..=u8::MAX).map(|s| (StateId(s), Exit { state: StateId(u8::MAX - s), first: Some(u64::from(s)) }));
    let parsed = Parsed {
        first: None,
        span: Span::new(0, 0),
        end: 0,
        exits: ExitMap(all.collect()),
        counts: Counts::default(),
        summaries: Vec::new(),
        types: None,
        parts: Vec::new(),
        table: None,
        rejects: None,
        seam: <_>::default(),
        phases: <_>::default(),
        quarantined: None,
    };
    assert_eq!(Parsed::try_from(v1::Parsed::from(parsed.clone())).expect("256 states"), parsed);
}

#[test]
fn a_failure_is_cut_when_sent_and_refused_when_too_long() {
    // An odd offset puts the bound inside a two-byte character.
    let failure =
        Failure { class: FailureClass::Crash, message: format!("x{}", "é".repeat(FAILURE_MESSAGE_BYTES_MAX)) };
    let sent = v1::Failure::from(failure);
    assert_eq!(sent.message.len(), FAILURE_MESSAGE_BYTES_MAX - 1);
    assert!(Failure::try_from(sent.clone()).is_ok());
    let long = v1::Failure { message: "x".repeat(FAILURE_MESSAGE_BYTES_MAX + 1), ..sent.clone() };
    assert_eq!(refusal::<Failure, _>(long), "Failure.message: 2001 bytes, where 0 to 2000 are allowed");
    assert_eq!(refusal::<Failure, _>(v1::Failure { class: 9, ..sent }), unknown("Failure.class", 9));
}

#[test]
fn greetings_and_heartbeats_are_checked() {
    let says = |kind| v1::WorkerMessage { kind: Some(kind) };
    let hello = v1::Hello { worker: "w".to_owned(), slots: 1, version: "0.1".to_owned(), ..<_>::default() };
    let greet = |hello| refusal::<WorkerSays, _>(says(v1::worker_message::Kind::Hello(hello)));
    assert_eq!(greet(v1::Hello { slots: 0, ..hello.clone() }), "Hello.slots: 0 is not between 1 and 1024");
    assert_eq!(greet(v1::Hello { version: String::new(), ..hello.clone() }), missing("Hello.version"));
    assert_eq!(
        greet(v1::Hello { version: "v".repeat(101), ..hello.clone() }),
        "Hello.version: 101 bytes, where 0 to 100 are allowed"
    );
    assert_eq!(
        greet(v1::Hello { worker: "W 1".to_owned(), ..hello.clone() }),
        "Hello.worker: \"W 1\" is not a valid worker id: 1 to 100 characters of a-z, 0-9 and '-'"
    );
    let (run, attempt) = (RunId::new("r").expect("valid"), AttemptId(1));
    let task = Some(v1::held::Task::Inspect(v1::Nothing {}));
    let running = vec![v1::Held { run: run.into(), attempt: attempt.0, task }; SLOTS_MAX as usize + 1];
    assert_eq!(greet(v1::Hello { running, ..hello }), "Hello.running: 1025 entries, where at most 1024 are allowed");
    let wanted = v1::worker_message::Kind::Wanted(v1::Wanted { slots: 1025 });
    assert_eq!(refusal::<WorkerSays, _>(says(wanted)), "Wanted.slots: 1025 is not between 0 and 1024");
    let progress = vec![v1::Progress::default(); SLOTS_MAX as usize + 1];
    let heartbeat = v1::worker_message::Kind::Heartbeat(v1::Heartbeat { progress, beat: 1 });
    assert_eq!(
        refusal::<WorkerSays, _>(says(heartbeat)),
        "Heartbeat.progress: 1025 entries, where at most 1024 are allowed"
    );
    let welcome = v1::coordinator_message::Kind::Welcome(v1::Welcome { protocol: 1, lease_ttl_ms: 0 });
    assert_eq!(
        refusal::<CoordinatorSays, _>(v1::CoordinatorMessage { kind: Some(welcome) }),
        "Welcome.lease_ttl_ms: 0 is not between 1 and 3600000"
    );
    assert_eq!(refusal::<WorkerSays, _>(v1::WorkerMessage::default()), missing("WorkerMessage.kind"));
    assert_eq!(refusal::<CoordinatorSays, _>(v1::CoordinatorMessage::default()), missing("CoordinatorMessage.kind"));
}

#[test]
fn requests_and_statuses_are_checked() {
    let submit = |job: &str| v1::SubmitRequest { job: job.to_owned(), client_request_id: "1".to_owned() };
    assert_eq!(refusal::<Submission, _>(submit("")), missing("SubmitRequest.job"));
    let refused = refusal::<Submission, _>(submit("{\"kind\": \"Ingest\", \"colour\": 1}"));
    assert!(refused.starts_with("SubmitRequest.job: no valid job: unknown field `colour`"), "{refused}");
    assert_eq!(
        refusal::<Submission, _>(submit(&" ".repeat((1 << 20) + 1))),
        "SubmitRequest.job: 1048577 bytes, where 0 to 1048576 are allowed"
    );
    let status = v1::StatusRequest { run: "Run".to_owned() };
    assert_eq!(
        refusal::<RunId, _>(status),
        "StatusRequest.run: \"Run\" is not a valid run id: 1 to 100 characters of a-z, 0-9 and '-'"
    );
    let status = v1::RunStatus { run: "r".to_owned(), job: "j".to_owned(), ..<_>::default() };
    assert_eq!(refusal::<RunStatus, _>(status.clone()), missing("RunStatus.state"));
    assert_eq!(refusal::<RunStatus, _>(v1::RunStatus { state: 10, ..status.clone() }), unknown("RunStatus.state", 10));
    let head = v1::RunStatus { state: 1, output_url: "file:///out/".to_owned(), ..status };
    let waits = |kind| v1::RunStatus { waits: Some(v1::Waits { kind }), ..head.clone() };
    assert_eq!(refusal::<RunStatus, _>(waits(None)), missing("Waits.kind"));
    let storage = v1::WaitsStorage { message: "x".repeat(2_001), retry_at_ms: 1 };
    assert_eq!(
        refusal::<RunStatus, _>(waits(Some(v1::waits::Kind::Storage(storage)))),
        "WaitsStorage.message: 2001 bytes, where 0 to 2000 are allowed"
    );
    assert_eq!(
        refusal::<WorkerId, _>(v1::DrainRequest { worker: String::new() }),
        "DrainRequest.worker: \"\" is not a valid worker id: 1 to 100 characters of a-z, 0-9 and '-'"
    );
}
