//! Files in folders under a budget of memory so small that row groups end all the time.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, StringArray};
use batteuse_shared::span::Span;
use batteuse_shared::spec::{Columns, Csv};

use super::*;
use crate::encode::Reader;
use crate::fixture::{Folder, run};

/// Rows `from` and on, in folders by `k`: of every hundred rows ninety lie in one of five.
fn batch(from: i64, rows: i64) -> RecordBatch {
    let folder = |id: i64| if id % 10 > 0 { 0 } else { id / 10 % 5 };
    let ids = Int64Array::from_iter_values(from..from + rows);
    let folders = StringArray::from_iter_values((from..from + rows).map(|id| format!("k{}", folder(id))));
    let texts =
        StringArray::from_iter_values((from..from + rows).map(|id| format!("a text of its own {:x}", id * 7_919)));
    let columns =
        [("id", Arc::new(ids) as _, true), ("k", Arc::new(folders) as _, true), ("t", Arc::new(texts) as _, true)];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// A partition whose rows go into folders by `k`.
fn by_k() -> (Folder, ParseTask) {
    let folder = Folder::new(b"id,k,t\n1,k0,x\n");
    let found = folder.inspected(Csv::default(), Columns::Infer);
    let mut task = folder.parse_task(&found, 0, Span::new(found.data_start, 14), Some(found.start));
    task.partition_by = vec!["k".to_owned()];
    (folder, task)
}

#[test]
fn the_largest_row_group_ends_when_all_take_too_much() {
    const ROWS: i64 = 50_000;
    let (folder, task) = by_k();
    let (staging, attempt) = (folder.entered(), AttemptId(7));
    let schema = batch(0, 1).schema();
    let mut parts = Parts::new(&staging, &task, attempt, &run(), &schema, Compression::default()).unwrap();
    parts.in_folders.as_mut().unwrap().most.0 = 1 << 18;
    let mut digester = RowDigester::new(&schema).unwrap();
    for from in (0..ROWS).step_by(1_000) {
        let rows = batch(from, 1_000);
        let (numbers, refused) = parts.look(&rows).unwrap();
        assert!(refused.is_empty());
        parts.write(&rows, &numbers, 7, &mut digester).unwrap();
        let in_folders = parts.in_folders.as_ref().unwrap();
        let memory: usize = in_folders.files.values().map(|(encoder, _)| encoder.memory()).sum();
        assert!(memory < 1 << 18, "{memory}");
    }
    // A file is begun when a row group of it ends, not before.
    assert!((1..5).contains(&folder.staged_names().len()), "{:?}", folder.staged_names());
    let sealed = parts.finish(None, Digest::default(), &Progress::new()).unwrap();
    let kept: Vec<StagedPart> = sealed.into_iter().map(SealedPart::keep).collect();
    assert_eq!(kept.iter().fold(Digest::default(), |sum, part| sum.plus(part.digest)), digester.digest());
    let (mut ids, mut groups) = (Vec::new(), Vec::new());
    for part in &kept {
        let reader = Reader::open(&folder.output(), &folder.staged_path(&part.key)).unwrap();
        let (mut before, mut batches) = (-1, 0);
        for batch in reader {
            batches += 1;
            for &id in batch.unwrap().column(0).as_primitive::<Int64Type>().values() {
                assert!(before < id, "rows keep their order");
                before = id;
                ids.push(id);
            }
        }
        // No row group is read together with another.
        groups.push((part.rows, batches));
    }
    groups.sort_unstable();
    let [others @ .., (_, largest)] = &groups[..] else { panic!("there are files") };
    assert!(others.iter().all(|(_, groups)| groups * 2 < *largest), "{groups:?}");
    ids.sort_unstable();
    assert_eq!(ids, (0..ROWS).collect::<Vec<_>>());
}

#[test]
fn what_waits_to_be_sent_is_bounded() {
    let (_folder, task) = by_k();
    let (staging, schema) = (StagingDir::in_memory(&run()), batch(0, 1).schema());
    let mut parts = Parts::new(&staging, &task, AttemptId(7), &run(), &schema, Compression::default()).unwrap();
    // A row group of each file ends with each batch, so that bytes wait; a part holds back no less than its room.
    let in_folders = parts.in_folders.as_mut().unwrap();
    in_folders.most = (1, 4 * 4_096);
    let mut digester = RowDigester::new(&schema).unwrap();
    let refused = (0..1_000).find_map(|at| {
        let rows = batch(at * 100, 100);
        let (numbers, _) = parts.look(&rows).unwrap();
        parts.write(&rows, &numbers, 7, &mut digester).err()
    });
    let error = refused.expect("some files hold back more than that");
    assert!(matches!(error, PartsError::Unsent { files: 5, .. }), "{error}");
    assert!(error.is_of_the_rows() && error.to_string().contains("give a smaller partition.bytes"), "{error}");
    let waiting: usize = parts.in_folders.as_ref().unwrap().files.values().map(|(encoder, _)| encoder.unsent()).sum();
    assert!(waiting > 4 * 4_096, "{waiting}");
}

#[test]
fn files_are_not_completed_for_an_attempt_that_is_revoked() {
    let (folder, task) = by_k();
    let (staging, schema) = (folder.entered(), batch(0, 1).schema());
    let mut parts = Parts::new(&staging, &task, AttemptId(7), &run(), &schema, Compression::default()).unwrap();
    let rows = batch(0, 100);
    let (numbers, _) = parts.look(&rows).unwrap();
    parts.write(&rows, &numbers, 7, &mut RowDigester::new(&schema).unwrap()).unwrap();
    let progress = Progress::new();
    progress.revoke();
    assert!(matches!(parts.finish(None, Digest::default(), &progress), Err(AttemptError::Revoked)));
    assert_eq!(folder.staged_names(), [""; 0], "and nothing is left");
}
