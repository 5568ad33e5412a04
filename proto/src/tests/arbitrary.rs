//! Strategies for every value that crosses the wire, within its bounds and biased to their edges.

use std::collections::BTreeMap;

use batteuse_shared::ids::{AttemptId, PartitionId, RunId, WorkerId};
use batteuse_shared::limits::{LEASE_TTL_MS_MAX, PARTITIONS_MAX, PHASE_US_MAX, SLOTS_MAX, SOURCE_BYTES_MAX};
use batteuse_shared::report::{Reason, RunState};
use batteuse_shared::span::{Exit, ExitMap, Span, StateId};
use batteuse_shared::spec::{
    Auto, ColumnSpec, Columns, Compression, Csv, DeclaredType, Dialect, Encoding, Ragged, TableName,
};
use batteuse_shared::status::{Waits, WorkerStatus};
use batteuse_shared::table::{Checksum, Classes, Column, ColumnType, Counts, Digest};
use batteuse_shared::task::{
    Failure, FailureClass, FinishTask, Finished, Held, InspectTask, Inspected, Lease, Measured, Outcome, ParseTask,
    Parsed, Phases, RejectPiece, RejectShown, Seam, SourceRef, SourceVersion, StagedPart, StagedRejects, StagedTable,
    Staging, TableRef, Task, TaskKey, Upload,
};
use batteuse_shared::time::Millis;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::messages::{CoordinatorSays, Hello, Progress, WorkerSays};
use crate::status::RunStatus;

fn run() -> impl Strategy<Value = RunId> {
    "[a-z0-9-]{1,100}".prop_map(|text| RunId::new(&text).expect("in the alphabet"))
}

fn attempt() -> impl Strategy<Value = AttemptId> {
    any::<u64>().prop_map(AttemptId)
}

fn size() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(SOURCE_BYTES_MAX), 0..=SOURCE_BYTES_MAX, 0..1000u64]
}

fn words() -> impl Strategy<Value = String> {
    any::<String>()
}

fn filled() -> impl Strategy<Value = String> {
    "\\PC{1,40}"
}

fn key() -> impl Strategy<Value = String> {
    "[a-z0-9-][a-z0-9.-]{0,254}"
}

fn span() -> impl Strategy<Value = Span> {
    (size(), size()).prop_map(|(a, b)| Span::new(a.min(b), a.max(b)))
}

fn state() -> impl Strategy<Value = StateId> {
    any::<u8>().prop_map(StateId)
}

fn column_type() -> impl Strategy<Value = ColumnType> {
    use ColumnType as C;
    prop_oneof![
        select(vec![C::Boolean, C::Int64, C::Float64, C::Date, C::Timestamp, C::TimestampUtc, C::Text]),
        (1..=38u8).prop_flat_map(|p| (0..=p).prop_map(move |scale| C::Decimal { precision: p, scale })),
    ]
}

fn declared_type() -> impl Strategy<Value = DeclaredType> {
    let formatted =
        ["date(%d/%m/%Y)", "date(%Y%m%d)", "timestamp(%d/%m/%Y %H:%M)", "timestamp(%%%Y-%m-%dT%H.%M.%S.%3f)"];
    let formatted = select(formatted.map(|text| text.parse().expect(text)).to_vec());
    prop_oneof![3 => column_type().prop_map(DeclaredType::from), 1 => formatted]
}

fn columns() -> impl Strategy<Value = Vec<Column>> {
    btree_map(words(), (declared_type(), any::<bool>(), vec(words(), 0..3)), 0..6).prop_map(|by_name| {
        let column = |(name, (DeclaredType { ctype, format }, declared, nulls))| Column {
            name,
            ctype,
            declared,
            format: format.filter(|_| declared),
            nulls,
        };
        by_name.into_iter().map(column).collect()
    })
}

fn counts() -> impl Strategy<Value = Counts> {
    [(); 9].map(|()| size()).prop_map(
        |[read, written, filtered, rejected, quarantined, blank, comment, lines, cut_bytes]| Counts {
            read,
            written,
            filtered,
            rejected,
            quarantined,
            blank,
            comment,
            lines,
            cut_bytes,
        },
    )
}

fn dialect() -> impl Strategy<Value = Dialect> {
    let byte = || option::of(any::<u8>());
    let encoding = select(vec![Encoding::Utf8, Encoding::Windows1252]);
    (vec(any::<u8>(), 1..=8), byte(), byte(), byte(), encoding, select(vec![b'.', b','])).prop_map(
        |(delimiter, quote, escape, comment, encoding, decimal)| Dialect {
            delimiter,
            quote,
            escape,
            comment,
            encoding,
            decimal,
        },
    )
}

fn ragged() -> impl Strategy<Value = Ragged> {
    select(vec![Ragged::Reject, Ragged::Pad])
}

fn csv() -> impl Strategy<Value = Csv> {
    // An empty text is given, not automatic: the wire must tell them apart.
    let auto = || option::of(words()).prop_map(|text| text.map_or(Auto::Auto, Auto::Given));
    let given = (auto(), auto(), option::of(words()), option::of(words()), auto(), auto());
    (given, any::<bool>(), 0..=1_000_000u64, ragged(), vec(words(), 0..3)).prop_map(
        |((delimiter, quote, escape, comment, encoding, decimal), header, skip_lines, ragged, nulls)| Csv {
            delimiter,
            quote,
            escape,
            comment,
            encoding,
            decimal,
            header,
            skip_lines,
            ragged,
            nulls,
        },
    )
}

fn given_columns() -> impl Strategy<Value = Columns> {
    let spec = (words(), option::of(declared_type()), option::of(vec(words(), 0..3)))
        .prop_map(|(name, ctype, nulls)| ColumnSpec { name, ctype, nulls });
    prop_oneof![
        Just(Columns::Infer),
        Just(Columns::AllText),
        vec((words(), declared_type()), 0..4).prop_map(Columns::Some),
        vec(spec, 0..4).prop_map(Columns::All),
    ]
}

fn source() -> impl Strategy<Value = SourceRef> {
    let version = (any::<u64>(), any::<u64>(), size());
    let version = version.prop_map(|(inode, mtime_ns, bytes)| SourceVersion { inode, mtime_ns, bytes });
    (filled(), version).prop_map(|(url, version)| SourceRef { url, version })
}

fn staging() -> impl Strategy<Value = Staging> {
    (filled(), "[a-f0-9]{1,100}").prop_map(|(output_url, nonce)| Staging { output_url, nonce })
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![Just(Compression::None), Just(Compression::Snappy), (1..=22u8).prop_map(Compression::Zstd)]
}

fn table_ref() -> impl Strategy<Value = TableRef> {
    let table = ("[a-zé ]{1,20}", "[A-Z_0-9]{1,20}").prop_map(|(schema, name)| TableName { schema, name });
    (filled(), table, vec(words(), 0..3)).prop_map(|(url, table, key)| TableRef { url, table, key })
}

fn parse_task() -> impl Strategy<Value = ParseTask> {
    let partition = (0..u32::try_from(PARTITIONS_MAX).expect("fits")).prop_map(PartitionId);
    let how = (dialect(), ragged(), columns(), option::of(compression()), option::of(table_ref()));
    let hive = (vec(filled(), 0..=4), option::of(attempt()));
    let flags = (any::<bool>(), any::<bool>());
    (source(), how, partition, span(), option::of(state()), staging(), (hive, flags)).prop_map(
        |(source, how, partition, range, start, staging, (hive, (alone, quarantine)))| {
            let (dialect, ragged, columns, compression, table) = how;
            let (partition_by, replaces) = hive;
            ParseTask {
                source,
                dialect,
                ragged,
                columns,
                partition,
                range,
                start,
                compression,
                partition_by,
                table,
                staging,
                replaces,
                alone,
                quarantine,
            }
        },
    )
}

fn finish_task() -> impl Strategy<Value = FinishTask> {
    let piece = (key(), size(), content(), size(), size());
    let piece = piece.prop_map(|(key, rows, content, lines_before, records_before)| RejectPiece {
        key,
        rows,
        content,
        lines_before,
        records_before,
    });
    (source(), vec(piece, 0..4), staging()).prop_map(|(source, pieces, staging)| FinishTask { source, pieces, staging })
}

fn task() -> impl Strategy<Value = Task> {
    let inspect = (source(), csv(), given_columns(), compression(), option::of(table_ref()), staging());
    let inspect = inspect.prop_map(|(source, csv, columns, compression, table, staging)| {
        Task::Inspect(InspectTask { source, csv, columns, compression, table, staging })
    });
    prop_oneof![inspect, parse_task().prop_map(|t| Task::Parse(Box::new(t))), finish_task().prop_map(Task::Finish)]
}

pub(super) fn lease() -> impl Strategy<Value = Lease> {
    (run(), attempt(), task()).prop_map(|(run, attempt, task)| Lease { run, attempt, task })
}

fn inspected() -> impl Strategy<Value = Inspected> {
    let found = (dialect(), size(), state(), size(), columns(), size(), size());
    found.prop_map(|(dialect, data_start, start, preamble_lines, columns, read_bytes, encoded_bytes)| {
        let measured = Measured { read_bytes, encoded_bytes };
        Inspected { dialect, data_start, start, preamble_lines, columns, measured, partition_bytes: None }
    })
}

fn exits() -> impl Strategy<Value = ExitMap> {
    let exit = (state(), option::of(size())).prop_map(|(state, first)| Exit { state, first });
    btree_map(state(), exit, 0..20).prop_map(|map: BTreeMap<_, _>| ExitMap(map))
}

fn content() -> impl Strategy<Value = Option<Checksum>> {
    option::of(any::<[u8; 32]>().prop_map(Checksum))
}

fn upload() -> impl Strategy<Value = Upload> {
    let parts = vec("[a-f0-9\"-]{0,40}", 0..4);
    ("[a-z0-9/._-]{1,60}", ".{0,60}", parts).prop_map(|(key, id, parts)| Upload { key, id, parts })
}

fn staged_rejects() -> impl Strategy<Value = StagedRejects> {
    let with = |(key, rows, bytes, content, upload)| StagedRejects { key, rows, bytes, content, upload };
    (key(), size(), size(), content(), option::of(upload())).prop_map(with)
}

fn parsed() -> impl Strategy<Value = Parsed> {
    let sums = (any::<u128>(), any::<[u8; 32]>());
    let values = vec(option::of(".{0,40}"), 0..=4);
    let part = (key(), values, size(), size(), sums, option::of(upload()));
    let part = part.prop_map(|(key, values, bytes, rows, (digest, sha256), upload)| StagedPart {
        key,
        values,
        bytes,
        rows,
        digest: Digest(digest),
        sha256: Checksum(sha256),
        upload,
    });
    let table = ("[a-z0-9_]{1,63}", size(), any::<u128>());
    let table = table.prop_map(|(name, rows, digest)| StagedTable { name, rows, digest: Digest(digest) });
    let seam = (any::<bool>(), option::of(size())).prop_map(|(given, merged_after)| Seam { given, merged_after });
    let summaries = vec(any::<u16>().prop_map(Classes), 0..6);
    let found = (option::of(size()), (span(), size()), exits(), counts(), summaries);
    let staged = (vec(part, 0..4), option::of(table), option::of(staged_rejects()));
    let rest = (option::of(vec(column_type(), 0..6)), staged, seam, phases(), content());
    (found, rest).prop_map(|((first, (span, end), exits, counts, summaries), rest)| {
        let (types, staged, seam, phases, quarantined) = rest;
        Parsed {
            first,
            span,
            end,
            exits,
            counts,
            summaries,
            types,
            parts: staged.0,
            table: staged.1,
            rejects: staged.2,
            seam,
            phases,
            quarantined,
        }
    })
}

fn phases() -> impl Strategy<Value = Phases> {
    let us = || 0..=PHASE_US_MAX;
    (us(), us(), us(), us()).prop_map(|(read_us, parse_us, encode_us, stage_us)| Phases {
        read_us,
        parse_us,
        encode_us,
        stage_us,
    })
}

fn finished() -> impl Strategy<Value = Finished> {
    let shown =
        (size(), option::of(words()), words()).prop_map(|(line, column, reason)| RejectShown { line, column, reason });
    (staged_rejects(), vec(shown, 0..=3)).prop_map(|(rejects, shown)| Finished { rejects, shown })
}

fn failure() -> impl Strategy<Value = Failure> {
    use FailureClass as F;
    let classes = [F::Environment, F::Crash, F::Lost, F::Refused, F::SourceChanged, F::Released, F::Unseen, F::Hung];
    let class = select(classes.to_vec());
    (class, words()).prop_map(|(class, message)| Failure { class, message })
}

pub(super) fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        inspected().prop_map(|i| Outcome::Inspected(Box::new(i))),
        parsed().prop_map(|p| Outcome::Parsed(Box::new(p))),
        finished().prop_map(Outcome::Finished),
        failure().prop_map(Outcome::Failed),
    ]
}

fn held() -> impl Strategy<Value = Held> {
    let task = prop_oneof![
        Just(TaskKey::Inspect),
        (0..=PARTITIONS_MAX as u32).prop_map(|partition| TaskKey::Parse(PartitionId(partition))),
        Just(TaskKey::Finish),
    ];
    (run(), attempt(), task).prop_map(|(run, attempt, task)| Held { run, attempt, task })
}

pub(super) fn worker_says() -> impl Strategy<Value = WorkerSays> {
    let worker = "[a-z0-9-]{1,100}".prop_map(|text| WorkerId::new(&text).expect("in the alphabet"));
    let hello = (worker, 1..=SLOTS_MAX, "[ -~]{1,100}", any::<u32>(), vec(held(), 0..4), any::<u64>());
    let hello = hello.prop_map(|(worker, slots, version, protocol, running, stream)| Hello {
        worker,
        slots,
        version,
        protocol,
        running,
        stream,
    });
    let progress = (run(), attempt(), size(), any::<u64>(), option::of(size()));
    let progress =
        progress.prop_map(|(run, attempt, bytes_done, work, end)| Progress { run, attempt, bytes_done, work, end });
    prop_oneof![
        hello.prop_map(WorkerSays::Hello),
        (0..=SLOTS_MAX).prop_map(|slots| WorkerSays::Wanted { slots }),
        (any::<u64>(), vec(progress, 0..4)).prop_map(|(beat, progress)| WorkerSays::Heartbeat { beat, progress }),
        (run(), attempt(), outcome()).prop_map(|(run, attempt, outcome)| WorkerSays::Report { run, attempt, outcome }),
    ]
}

pub(super) fn coordinator_says() -> impl Strategy<Value = CoordinatorSays> {
    prop_oneof![
        (any::<u32>(), 1..=LEASE_TTL_MS_MAX)
            .prop_map(|(protocol, lease_ttl_ms)| CoordinatorSays::Welcome { protocol, lease_ttl_ms }),
        any::<u64>().prop_map(|beat| CoordinatorSays::Alive { beat }),
        words().prop_map(|reason| CoordinatorSays::Refused { reason }),
        lease().prop_map(|lease| CoordinatorSays::Grant(Box::new(lease))),
        (run(), attempt()).prop_map(|(run, attempt)| CoordinatorSays::Revoke { run, attempt }),
        (run(), attempt()).prop_map(|(run, attempt)| CoordinatorSays::Ack { run, attempt }),
        (run(), attempt(), size()).prop_map(|(run, attempt, end)| CoordinatorSays::Shorten { run, attempt, end }),
        Just(CoordinatorSays::Drain),
    ]
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        Just(Reason::TooManyRejects),
        words().prop_map(|message| Reason::Refused { message }),
        words().prop_map(|message| Reason::SourceChanged { message }),
        words().prop_map(|message| Reason::TaskFailed { message }),
        words().prop_map(|message| Reason::Invariant { message }),
        words().prop_map(|message| Reason::Cancelled { message }),
    ]
}

fn waits() -> impl Strategy<Value = Waits> {
    prop_oneof![
        Just(Waits::Unpause),
        Just(Waits::Worker),
        any::<u64>().prop_map(|runs_before| Waits::Slot { runs_before }),
        (words(), any::<u64>()).prop_map(|(message, at)| Waits::Storage { message, retry_at: Millis(at) }),
        any::<u32>().prop_map(|most| Waits::Connections { most }),
    ]
}

pub(super) fn worker_status() -> impl Strategy<Value = WorkerStatus> {
    let figures = (any::<u32>(), any::<u32>(), any::<u64>());
    ("[a-z0-9-]{1,100}", figures, any::<bool>(), any::<(bool, bool)>()).prop_map(
        |(name, (slots, leases, silent_ms), connected, (draining, aside))| {
            let worker = WorkerId::new(&name).expect("in the alphabet");
            WorkerStatus { worker, slots, leases, silent_ms, connected, draining, aside }
        },
    )
}

pub(super) fn run_status() -> impl Strategy<Value = RunStatus> {
    use RunState as S;
    let state = select(vec![
        S::Pending,
        S::Planning,
        S::Running,
        S::Paused,
        S::Publishing,
        S::Succeeded,
        S::SucceededWithRejects,
        S::Failed,
        S::Cancelled,
    ]);
    let words = (option::of(words()), option::of(words()), option::of(waits()));
    let head = (run(), filled(), state, option::of(reason()), filled(), words);
    (head, any::<[u64; 8]>(), any::<u32>()).prop_map(
        |((run, job, state, reason, output_url, (report_json, trouble, waits)), figures, running)| {
            let [partitions, accepted, attempts, bytes, bytes_done, read, rejected, started] = figures;
            RunStatus {
                run,
                job,
                state,
                reason,
                output_url,
                partitions,
                accepted,
                attempts,
                running,
                bytes,
                bytes_done,
                read,
                rejected,
                started: Millis(started),
                report_json,
                trouble,
                waits,
            }
        },
    )
}
