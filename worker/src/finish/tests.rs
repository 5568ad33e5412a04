//! The arithmetic of absolute numbers, and pieces that are not what was announced.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use batteuse_kernel::partition::Reject;
use batteuse_shared::report::RejectKind;
use batteuse_shared::table::{Column, ColumnType};
use batteuse_shared::task::{Failure, FailureClass, Outcome, RejectShown, SourceRef, Task};

use super::*;
use crate::encode::Sealed;
use crate::fixture::{Folder, execute, lease, run};

fn columns() -> Vec<Column> {
    let column = |name: &str| Column {
        name: name.to_owned(),
        ctype: ColumnType::Text,
        declared: true,
        format: None,
        nulls: Vec::new(),
    };
    vec![column("a"), column("b")]
}

/// The `at`-th record of a span, which begins on the line of twice its number.
fn reject(at: u64, column: Option<u32>) -> Reject {
    let message = format!("reason {at}");
    let (line, record) = (at * 2, at);
    let kind = if column.is_some() { RejectKind::Cast } else { RejectKind::MissingColumns };
    Reject { line, record, byte_offset: 1_000 + at, byte_length: 7, column, kind, message, raw: vec![0xff, at as u8] }
}

fn stage(folder: &Folder, key: &str, rejects: &[Reject]) -> u64 {
    let staging = folder.entered();
    let (schema, zstd) = (rejects::piece_schema(), Compression::default());
    let mut encoder = Encoder::new(&staging, key.to_owned(), schema, zstd, &run()).unwrap();
    for some in rejects.chunks(2) {
        encoder.write(&rejects::piece(&columns(), some)).unwrap();
    }
    let sealed: Sealed = encoder.finish().unwrap().unwrap();
    let rows = sealed.rows;
    assert_eq!(sealed.keep(), (key.to_owned(), None));
    rows
}

fn finished(folder: &Folder, pieces: Vec<RejectPiece>, progress: &Progress) -> Outcome {
    let task = FinishTask {
        source: SourceRef { url: "file:///s.csv".to_owned(), ..folder.source() },
        pieces,
        staging: folder.staging(),
    };
    execute(&lease(9, Task::Finish(task)), progress)
}

#[test]
fn numbers_become_absolute_and_count_from_1() {
    let folder = Folder::new(b"");
    let first = stage(&folder, "p0", &[reject(0, None)]);
    let second = stage(&folder, "p1", &[reject(0, Some(1)), reject(4, None), reject(5, Some(0))]);
    let piece = |key: &str, rows, lines_before, records_before| RejectPiece {
        key: key.to_owned(),
        content: None,
        rows,
        lines_before,
        records_before,
    };
    let progress = Progress::new();
    let pieces = vec![piece("p0", first, 3, 0), piece("p1", second, 100, 40)];
    let Outcome::Finished(done) = finished(&folder, pieces, &progress) else { panic!("it finishes") };
    assert!(progress.bytes_done() > 0);
    let shown = |line, column: Option<&str>, reason: &str| RejectShown {
        line,
        column: column.map(str::to_owned),
        reason: reason.to_owned(),
    };
    assert_eq!(
        done.shown,
        [shown(4, None, "reason 0"), shown(101, Some("b"), "reason 0"), shown(109, None, "reason 4")]
    );
    let key = layout::staged_finish(lease(9, Task::Finish(empty(&folder))).attempt);
    assert_eq!((done.rejects.key.as_str(), done.rejects.rows), (key.as_str(), 4));
    assert_eq!(done.rejects.bytes, std::fs::metadata(folder.staged(&key)).unwrap().len());

    let read: Vec<_> = Reader::open(&folder.output(), &folder.staged_path(&key)).unwrap().map(Result::unwrap).collect();
    let batch = arrow_select::concat::concat_batches(&rejects::schema(), &read).unwrap();
    let numbers = |name: &str| batch[name].as_primitive::<Int64Type>().values().to_vec();
    let texts = |name: &str| batch[name].as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(numbers("line"), [4, 101, 109, 111]);
    assert_eq!(numbers("record"), [1, 41, 45, 46]);
    assert_eq!(numbers("byte_offset"), [1_000, 1_000, 1_004, 1_005]);
    assert_eq!(numbers("byte_length"), [7; 4]);
    let places: Vec<_> = batch["column_idx"].as_primitive::<Int32Type>().iter().collect();
    assert_eq!(places, [None, Some(2), None, Some(1)]);
    assert_eq!(texts("column_name"), [None, Some("b".to_owned()), None, Some("a".to_owned())]);
    assert_eq!(texts("source"), vec![Some("file:///s.csv".to_owned()); 4]);
    let words = ["MISSING COLUMNS", "CAST", "MISSING COLUMNS", "CAST"].map(|word| Some(word.to_owned()));
    assert_eq!(texts("error_type"), words);
    assert_eq!(batch["raw"].as_binary::<i32>().value(2), [0xff, 4]);
}

fn empty(folder: &Folder) -> FinishTask {
    FinishTask { source: folder.source(), pieces: Vec::new(), staging: folder.staging() }
}

#[test]
fn a_run_without_rejects_has_the_file() {
    let folder = Folder::new(b"");
    let Outcome::Finished(done) = finished(&folder, Vec::new(), &Progress::new()) else { panic!("it finishes") };
    assert_eq!((done.rejects.rows, done.shown.len()), (0, 0));
    let mut reader = Reader::open(&folder.output(), &folder.staged_path(&done.rejects.key)).unwrap();
    assert_eq!(reader.fields(), rejects::schema().fields());
    assert!(reader.next().is_none());
}

#[test]
fn a_piece_that_is_not_as_announced_fails_the_task_and_leaves_nothing() {
    let folder = Folder::new(b"");
    let rows = stage(&folder, "p0", &[reject(0, None), reject(1, None), reject(2, None)]);
    std::fs::copy(folder.source_path(), folder.staged("empty")).unwrap();
    let staging = folder.entered();
    let mut other = Encoder::new(&staging, "other".to_owned(), rejects::schema(), Compression::None, &run()).unwrap();
    other.create().unwrap();
    other.finish().unwrap().unwrap().keep();
    let before = folder.staged_names();
    for (key, rows, words) in [
        ("p0", rows + 1, "hold 3 rows where 4 were announced"),
        ("p0", rows - 1, "hold 3 rows where 2 were announced"),
        ("gone", rows, "cannot open"),
        ("empty", rows, "cannot read"),
        ("other", 0, "other columns"),
    ] {
        let piece = RejectPiece { key: key.to_owned(), rows, content: None, lines_before: 0, records_before: 0 };
        let outcome = finished(&folder, vec![piece], &Progress::new());
        let Outcome::Failed(Failure { class, message }) = outcome else { panic!("{key}: {outcome:?}") };
        // What is there and is another thing does not mend itself; a disk may.
        let announced = words.starts_with("hold") || words.starts_with("other");
        assert_eq!(class, if announced { FailureClass::Crash } else { FailureClass::Environment }, "{message}");
        assert!(message.contains(words) && message.contains(key), "{message}");
        assert_eq!(folder.staged_names(), before);
    }
    let progress = Progress::new();
    progress.revoke();
    let outcome = finished(&folder, Vec::new(), &progress);
    assert!(matches!(outcome, Outcome::Failed(Failure { class: FailureClass::Released, .. })), "{outcome:?}");
    assert_eq!(folder.staged_names(), before);
}
