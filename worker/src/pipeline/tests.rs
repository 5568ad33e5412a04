//! Attempts from lease to outcome, over real files.

use std::fmt::Write as _;
use std::fs::File;
use std::time::{Duration, Instant, SystemTime};

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use batteuse_shared::span::Span;
use batteuse_shared::spec::{Columns, Csv};
use batteuse_shared::table::{Checksum, Classes, ColumnType, Counts};
use batteuse_shared::task::{Failure, FailureClass, FinishTask};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::encode::Reader;
use crate::fixture::{self, Folder, Table, lease, parsed, publish};

/// Quoted newlines, blank lines, ragged and miscast records, two kinds of line end.
fn dirty(records: u64) -> Vec<u8> {
    let mut text = "id;when;what\r\n".to_owned();
    for i in 0..records {
        match i % 7 {
            3 => writeln!(text, "{i};2024-01-02;\"two\nlines; \"\"quoted\"\"\"").unwrap(),
            5 => write!(text, "\r\n{i};2024-01-03\r\n").unwrap(),
            6 => writeln!(text, "x{i};2024-01-04;miscast").unwrap(),
            _ => writeln!(text, "{i};2024-01-05;plain\u{e9}").unwrap(),
        }
    }
    text.into_bytes()
}

fn declared() -> Columns {
    Columns::Some(vec![("id".to_owned(), ColumnType::Int64.into())])
}

fn rejects(table: &Table) -> RecordBatch {
    let reader = Reader::open(&table.folder.output(), &layout::rejects(&table.manifest.run)).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    // The source lies elsewhere in every test's folder.
    let batch = concat_batches(&rejects::schema(), &batches).unwrap();
    batch.project(&(1..batch.num_columns()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn rows_rejects_counts_and_digest_are_those_of_one_partition() {
    let bytes = dirty(700);
    let whole = publish(&bytes, declared(), 1);
    assert_eq!((whole.report.counts.read, whole.report.counts.written), (700, 500));
    assert_eq!((whole.report.counts.rejected, whole.report.counts.blank), (200, 100));
    assert!(whole.report.equation.holds, "{:?}", whole.report.equation);
    assert_eq!(whole.finished.rejects.rows, 200);
    // The header's line, five records of which one has two lines, a blank line: the sixth record starts on line 9.
    let shown: Vec<_> = whole.finished.shown.iter().map(|shown| (shown.line, shown.column.as_deref())).collect();
    assert_eq!(shown, [(9, None), (10, Some("id")), (18, None)]);
    for partitions in [2, 7, 64, 501] {
        let cut = publish(&bytes, declared(), partitions);
        assert_eq!(cut.report.counts, whole.report.counts, "{partitions}");
        assert_eq!(cut.manifest.digest, whole.manifest.digest, "{partitions}");
        assert_eq!(cut.manifest.columns, whole.manifest.columns, "{partitions}");
        assert_eq!(cut.finished.shown, whole.finished.shown, "{partitions}");
        assert_eq!(rejects(&cut), rejects(&whole), "{partitions}");
    }
}

#[test]
fn an_attempt_that_guesses_its_start_agrees_with_one_that_is_given_it() {
    let bytes = dirty(700);
    let folder = Folder::new(&bytes);
    let found = folder.inspected(Csv::default(), declared());
    let size = bytes.len() as u64;
    let cuts: Vec<_> = (0..=9).map(|i| found.data_start + (size - found.data_start) * i / 9).collect();
    let mut state = found.start;
    let mut agreed = 0;
    for (i, cut) in (0..).zip(cuts.windows(2)) {
        let range = Span::new(cut[0], cut[1]);
        let parse =
            |attempt, start| parsed(&lease(attempt, Task::Parse(Box::new(folder.parse_task(&found, i, range, start)))));
        let (given, guessed) = (parse(100 + i, Some(state)), parse(200 + i, None));
        assert_eq!((given.seam.given, guessed.seam.given), (true, false));
        let exit = given.exits.exit(state).unwrap();
        assert_eq!(guessed.exits.exit(state), Some(exit), "an exit is a fact of the bytes");
        if guessed.first == given.first {
            agreed += 1;
            assert_eq!((guessed.span, guessed.counts), (given.span, given.counts));
            // A part that is made again after the decision must be the one that was decided, byte for byte.
            let told = |parsed: &Parsed| {
                parsed.parts.iter().map(|part| (part.rows, part.digest, part.bytes, part.sha256)).collect::<Vec<_>>()
            };
            assert_eq!(told(&guessed), told(&given));
            let told = |staged: StagedRejects| (staged.rows, staged.content);
            assert_eq!(guessed.rejects.map(told), given.rejects.map(told));
        }
        state = exit.state;
    }
    assert!(agreed >= 5, "most guesses are right: {agreed}");
}

/// What is decided is told by sha256: an attempt that is made again must write the same, over many batches too.
#[test]
fn a_large_part_is_the_same_file_whether_its_start_was_guessed_or_given() {
    let bytes = dirty(500_000);
    let folder = Folder::new(&bytes);
    let found = folder.inspected(Csv::default(), declared());
    let cut = found.data_start + 1_001;
    let first = folder.parse_task(&found, 0, Span::new(found.data_start, cut), Some(found.start));
    let state = parsed(&lease(1, Task::Parse(Box::new(first)))).exits.exit(found.start).unwrap().state;
    let part = |attempt, start| {
        let task = folder.parse_task(&found, 1, Span::new(cut, bytes.len() as u64), start);
        let parsed = parsed(&lease(attempt, Task::Parse(Box::new(task))));
        (
            parsed.span,
            parsed.parts.into_iter().map(|part| (part.rows, part.digest, part.bytes, part.sha256)).collect::<Vec<_>>(),
        )
    };
    let (given, guessed) = (part(2, Some(state)), part(3, None));
    assert!(given.0.bytes() > 2 * BATCH_BYTES_MAX as u64, "{} bytes are too few", given.0.bytes());
    assert_eq!(guessed, given);
}

/// What is set aside proves its neighbours and is told by its bytes, and nothing is staged of it.
#[test]
fn a_range_set_aside_is_told_as_a_parse_tells_it_and_stages_nothing() {
    let bytes = dirty(70_000);
    let folder = Folder::new(&bytes);
    let found = folder.inspected(Csv::default(), declared());
    let (cut, size) = (found.data_start + 700_001, bytes.len() as u64);
    let (whole, first, last) =
        (Span::new(found.data_start, size), Span::new(found.data_start, cut), Span::new(cut, size));
    for (counter, (range, start)) in (1..).zip([(whole, Some(found.start)), (first, Some(found.start)), (last, None)]) {
        let mut task = folder.parse_task(&found, 0, range, start);
        let plain = parsed(&lease(counter, Task::Parse(Box::new(task.clone()))));
        (plain.parts.iter().map(|part| &part.key))
            .chain(plain.rejects.iter().map(|rejects| &rejects.key))
            .for_each(|key| std::fs::remove_file(folder.staged(key)).unwrap());
        task.quarantine = true;
        let aside = parsed(&lease(counter, Task::Parse(Box::new(task))));
        assert_eq!((aside.first, aside.span, &aside.exits), (plain.first, plain.span, &plain.exits));
        let Counts { read, blank, comment, lines, .. } = plain.counts;
        assert_eq!(aside.counts, Counts { read, quarantined: read, blank, comment, lines, ..Counts::default() });
        assert!(read > 0 && aside.counts.conserved());
        assert_eq!(aside.summaries, [Classes::default(); 3]);
        assert_eq!(aside.types, Some(found.columns.iter().map(|column| column.ctype).collect()));
        assert!(aside.parts.is_empty() && aside.table.is_none() && aside.rejects.is_none());
        let of_span = &bytes[aside.span.start as usize..aside.span.end as usize];
        assert_eq!(aside.quarantined, Some(Checksum(Sha256::digest(of_span).into())));
        assert!(folder.staged_names().is_empty(), "{:?}", folder.staged_names());
    }
}

/// What a slot has of its worker's memory bounds its row groups: the rows are the same, in more of them.
#[test]
fn an_attempt_with_little_memory_ends_its_row_groups_sooner() {
    let bytes = dirty(300_000);
    let folder = Folder::new(&bytes);
    let found = folder.inspected(Csv::default(), declared());
    let range = Span::new(found.data_start, bytes.len() as u64);
    let groups = |counter, memory_bytes| {
        let lease = lease(counter, Task::Parse(Box::new(folder.parse_task(&found, 0, range, Some(found.start)))));
        let progress = Progress::new().bounded(memory_bytes);
        let Outcome::Parsed(parsed) = fixture::execute(&lease, &progress) else { panic!("it ends") };
        let part = &parsed.parts[0];
        // No row group is read together with another.
        let batches = Reader::open(&folder.output(), &folder.staged_path(&part.key)).unwrap().count();
        (part.rows, part.digest, batches)
    };
    let (free, bounded) = (groups(1, None), groups(2, Some(1 << 20)));
    assert_eq!((free.0, free.1), (bounded.0, bounded.1));
    assert!(bounded.2 > free.2, "{} batches of few row groups, {} of many", free.2, bounded.2);
}

#[test]
fn a_table_without_rows_has_its_schema_in_partition_0_and_no_other() {
    let folder = Folder::new(b"a,b\n1,2\n");
    let mut found = folder.inspected(Csv::default(), Columns::Infer);
    found.columns[0].declared = true;
    found.columns[0].ctype = ColumnType::Boolean;
    for partition in [0, 1] {
        let task = folder.parse_task(&found, partition, Span::new(found.data_start, 8), Some(found.start));
        let parsed = parsed(&lease(1, Task::Parse(Box::new(task))));
        assert_eq!((parsed.counts.read, parsed.counts.rejected), (1, 1));
        assert_eq!(parsed.rejects.unwrap().rows, 1);
        assert_eq!(parsed.types, Some(vec![ColumnType::Boolean, ColumnType::Int64]));
        assert_eq!(parsed.parts.len(), usize::from(partition == 0));
        if let Some(part) = parsed.parts.first() {
            assert_eq!((part.rows, part.digest), (0, Digest::default()));
            let reader = Reader::open(&folder.output(), &folder.staged_path(&part.key)).unwrap();
            assert_eq!(reader.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["a", "b"]);
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what the stopwatch is compared with")]
fn an_attempt_tells_how_long_its_phases_took() {
    let bytes = dirty(70_000);
    let folder = Folder::new(&bytes);
    let found = folder.inspected(Csv::default(), declared());
    let range = Span::new(found.data_start, bytes.len() as u64);
    let began = Instant::now();
    let told = parsed(&lease(1, Task::Parse(Box::new(folder.parse_task(&found, 0, range, Some(found.start)))))).phases;
    let took = began.elapsed().as_micros() as u64;
    let Phases { read_us, parse_us, encode_us, stage_us } = told;
    assert!([read_us, parse_us, encode_us, stage_us].iter().all(|us| *us > 0), "{told:?}");
    let sum = read_us + parse_us + encode_us + stage_us;
    assert!(sum <= took, "{told:?} of {took}");
}

#[test]
fn a_misfit_drops_the_part_and_keeps_counts_summaries_and_rejects() {
    let mut text = "n,m\n".to_owned();
    for i in 0..200_000 {
        writeln!(text, "{i},1").unwrap();
    }
    text.push_str("ragged\n1.5,1\n");
    let folder = Folder::new(text.as_bytes());
    let mut found = folder.inspected(Csv::default(), Columns::Infer);
    found.columns[0].ctype = ColumnType::Int64;
    let range = Span::new(found.data_start, text.len() as u64);
    let progress = Progress::new();
    let lease = lease(1, Task::Parse(Box::new(folder.parse_task(&found, 0, range, Some(found.start)))));
    let Outcome::Parsed(parsed) = fixture::execute(&lease, &progress) else { panic!("it ends") };
    assert_eq!((parsed.parts, parsed.types), (Vec::new(), None));
    assert_eq!((parsed.counts.read, parsed.counts.written, parsed.counts.rejected), (200_002, 200_001, 1));
    assert_eq!(parsed.summaries[0], Classes::INT_SHORT.join(Classes::FLOAT));
    assert_eq!(folder.staged_names(), [layout::staged_rejects(batteuse_shared::ids::PartitionId(0), lease.attempt)]);
    assert_eq!(progress.bytes_done(), range.bytes());
}

#[test]
fn what_is_refused_says_which_file_and_why() {
    let folder = Folder::new(b"");
    let task = folder.inspect_task(Csv::default(), Columns::Infer);
    let Outcome::Failed(failure) = fixture::execute(&lease(1, task), &Progress::new()) else { panic!("an empty file") };
    assert_eq!(failure.class, FailureClass::Refused);
    assert!(failure.message.contains("source.csv") && failure.message.contains("empty"), "{}", failure.message);
}

#[test]
fn a_worker_that_does_not_see_the_staging_folder_fails_every_task_with_the_reason() {
    let folder = Folder::new(b"a,b\n1,2\n");
    let found = folder.inspected(Csv::default(), Columns::Infer);
    let parse = folder.parse_task(&found, 0, Span::new(4, 8), None);
    let finish = FinishTask { source: folder.source(), pieces: Vec::new(), staging: folder.staging() };
    let inspect = folder.inspect_task(Csv::default(), Columns::Infer);
    std::fs::write(folder.staged(layout::STAGING_NONCE), "another").unwrap();
    for task in [inspect, Task::Parse(Box::new(parse)), Task::Finish(finish)] {
        let Outcome::Failed(failure) = fixture::execute(&lease(1, task), &Progress::new()) else {
            panic!("another folder")
        };
        assert_eq!(failure.class, FailureClass::Unseen);
        assert!(failure.message.contains("shared file system"), "{}", failure.message);
        assert!(folder.staged_names().is_empty());
    }
}

/// Executes an attempt at a large partition and does `meanwhile` once it has read something. The attempt may rarely be
/// faster than that, so it is tried until the attempt has noticed.
#[expect(clippy::disallowed_methods, reason = "what disturbs an attempt does not run in it")]
fn disturbed(meanwhile: impl Fn(&Folder, &Progress) + Sync) -> (Folder, Failure) {
    let bytes = dirty(400_000);
    for _ in 0..50 {
        let folder = Folder::new(&bytes);
        let found = folder.inspected(Csv::default(), declared());
        let range = Span::new(found.data_start, bytes.len() as u64);
        let lease = lease(1, Task::Parse(Box::new(folder.parse_task(&found, 0, range, Some(found.start)))));
        let progress = Progress::new();
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                while progress.bytes_done() == 0 {
                    std::hint::spin_loop();
                }
                meanwhile(&folder, &progress);
            });
            fixture::execute(&lease, &progress)
        });
        if let Outcome::Failed(failure) = outcome {
            return (folder, failure);
        }
    }
    panic!("no attempt noticed");
}

#[test]
fn a_revoked_attempt_stops_and_leaves_nothing() {
    let (folder, failure) = disturbed(|_, progress| progress.revoke());
    assert_eq!(failure.class, FailureClass::Released);
    assert!(folder.staged_names().is_empty());
}

#[test]
fn a_source_rewritten_under_an_attempt_fails_it_with_both_versions() {
    let (folder, failure) = disturbed(|folder, _| {
        let file = File::options().write(true).open(folder.source_path()).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(7)).unwrap();
    });
    assert_eq!(failure.class, FailureClass::SourceChanged);
    assert!(failure.message.contains("mtime 7.000000000"), "{}", failure.message);
    assert_eq!(failure.message.matches("inode").count(), 2, "{}", failure.message);
    assert!(folder.staged_names().is_empty());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what disturbs an attempt does not run in it")]
fn an_attempt_gives_its_rest_away_and_another_one_parses_it() {
    let bytes = dirty(400_000);
    for _ in 0..50 {
        let folder = Folder::new(&bytes);
        let found = folder.inspected(Csv::default(), declared());
        let (range, size) = (Span::new(found.data_start, bytes.len() as u64), bytes.len() as u64);
        let of = |counter, partition, range, start| {
            lease(counter, Task::Parse(Box::new(folder.parse_task(&found, partition, range, start))))
        };
        let (first, progress) = (of(1, 0, range, Some(found.start)), Progress::new());
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                while progress.bytes_done() == 0 {
                    std::hint::spin_loop();
                }
                progress.shorten(size / 2);
            });
            fixture::execute(&first, &progress)
        });
        let Outcome::Parsed(own) = outcome else { panic!("it ends") };
        // It may have come further before it was asked.
        let Some(end) = progress.end() else { continue };
        assert_eq!((end, own.end), (size / 2, size / 2));
        let state = own.exits.exit(found.start).map(|exit| exit.state);
        let rest = fixture::parsed(&of(2, 1, Span::new(end, size), state));
        assert_eq!(own.span.end, rest.span.start);
        let whole = fixture::parsed(&of(3, 0, range, Some(found.start)));
        assert_eq!(own.counts.plus(rest.counts), whole.counts);
        assert_eq!(own.rows().1.plus(rest.rows().1), whole.rows().1, "the digests of both make that of the whole");
        return;
    }
    panic!("no attempt was shortened");
}
