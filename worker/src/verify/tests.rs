//! A published table, sound and then damaged in every way that has a name.

use std::fs;

use batteuse_shared::ids::{AttemptId, Epoch};
use batteuse_shared::manifest::Share;
use batteuse_shared::spec::{Columns, Compression};
use batteuse_store::Disk;

use sha2::{Digest as _, Sha256};

use super::*;
use crate::encode::Encoder;
use crate::fixture::{Table, publish, publish_by};

fn table() -> Table {
    let mut text = "id,name\n".to_owned();
    for i in 0..300 {
        text.push_str(&if i % 50 == 7 { format!("{i}\n") } else { format!("{i},name {i}\n") });
    }
    publish(text.as_bytes(), Columns::Infer, 5)
}

fn verified(table: &Table) -> Verified {
    verify(&table.folder.output(), &Success::of(&table.manifest), &table.manifest, &table.report).unwrap()
}

/// The kinds of the discrepancies, in order.
fn kinds(table: &Table) -> Vec<String> {
    let found = verified(table).discrepancies;
    found.iter().map(|found| format!("{found:?}").split([' ', '(']).next().unwrap().to_owned()).collect()
}

fn open(path: &std::path::Path) -> Result<Reader, EncodeError> {
    let folder: Arc<dyn Folder> = Arc::new(Disk::new(path.parent().unwrap()));
    Reader::open(&folder, path.file_name().unwrap().to_str().unwrap())
}

fn file(table: &Table, at: usize) -> PathBuf {
    table.folder.out().join(table.manifest.parts[at].file.as_ref().unwrap())
}

/// Writes a part again, its batches changed, and lists its new sha256: only its rows tell.
fn rewrite(table: &mut Table, at: usize, change: impl Fn(RecordBatch) -> RecordBatch) {
    let path = file(table, at);
    let batches: Vec<_> = open(&path).unwrap().map(|batch| change(batch.unwrap())).collect();
    let staging = table.folder.entered();
    let (schema, run) = (batches[0].schema(), &table.manifest.run);
    let mut encoder = Encoder::new(&staging, "again".to_owned(), schema, Compression::default(), run).unwrap();
    for batch in &batches {
        encoder.write(batch).unwrap();
    }
    let key = encoder.finish().unwrap().unwrap().keep().0;
    fs::rename(table.folder.staged(&key), &path).unwrap();
    table.manifest.parts[at].sha256 = Some(Checksum(Sha256::digest(fs::read(path).unwrap()).into()));
}

#[test]
fn a_sound_table_has_no_discrepancy() {
    let table = table();
    let found = verified(&table);
    assert!(found.discrepancies.is_empty(), "{:?}", found.discrepancies);
    assert_eq!((found.files, found.rows, found.rejects), (5, 294, 6));
    assert_eq!((found.digest, found.bytes), (table.manifest.digest, table.report.output_bytes));
    assert!(found.equation.holds && found.equation == table.report.equation, "{:?}", found.equation);
}

#[test]
fn the_empty_spans_of_partitions_inside_one_record_are_no_discrepancy() {
    let table = publish(b"a,b\n1,\"a record over many partitions\"\n2,x\n", Columns::Infer, 20);
    let parts = &table.manifest.parts;
    assert!(parts.windows(2).any(|pair| pair[1].span.is_empty() && pair[1].span.start < pair[0].span.end));
    let found = verified(&table);
    assert!(found.discrepancies.is_empty(), "{:?}", found.discrepancies);
    assert_eq!((found.files, found.rows), (2, 2));
}

#[test]
fn a_changed_value_is_found_by_the_digests() {
    let mut table = table();
    rewrite(&mut table, 2, |batch| {
        let mut order: Vec<usize> = (0..batch.num_rows()).rev().collect();
        order[0] = 0;
        let parts: Vec<_> = order.into_iter().map(|row| batch.slice(row, 1)).collect();
        arrow_select::concat::concat_batches(&batch.schema(), &parts).unwrap()
    });
    table.manifest.parts[2].bytes = fs::metadata(file(&table, 2)).unwrap().len();
    assert_eq!(kinds(&table), ["Digest", "TableDigest", "TableDigest"]);
}

#[test]
fn a_lost_row_is_found_by_every_count() {
    let mut table = table();
    rewrite(&mut table, 1, |batch| batch.slice(1, batch.num_rows() - 1));
    let found = kinds(&table);
    let want = ["Bytes", "Rows", "Digest", "TableRows", "TableDigest", "TableRows", "TableDigest", "Equation"];
    assert_eq!(found, want);
}

#[test]
fn missing_damaged_foreign_and_misnamed_files_are_told_apart() {
    let mut table = table();
    fs::remove_file(file(&table, 0)).unwrap();
    let bytes = fs::read(file(&table, 1)).unwrap();
    fs::write(file(&table, 1), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(table.folder.out().join("stray.parquet"), "").unwrap();
    fs::write(table.folder.out().join("notes.txt"), "").unwrap();
    table.manifest.parts[3].file = Some("../source.csv".to_owned());
    table.manifest.parts[4].file = None;
    let found = kinds(&table);
    let want = ["Unreadable", "Bytes", "Sha256", "Name", "NoFile", "Unlisted", "Unlisted", "Unlisted"];
    assert_eq!(found[..8], want, "{found:?}");
    let text = verified(&table).discrepancies[0].to_string();
    assert!(text.contains(table.manifest.parts[0].file.as_ref().unwrap()) && text.contains("No such file"), "{text}");
}

#[test]
fn columns_are_compared_by_name_type_and_number() {
    let mut table = table();
    table.manifest.columns[1].ctype = ColumnType::Date;
    assert_eq!(kinds(&table), ["Columns"; 5]);
    let text = verified(&table).discrepancies[0].to_string();
    assert!(text.contains("column 2 is \"name\" Utf8, listed as \"name\" Date32"), "{text}");
    table.manifest.columns.pop();
    let text = verified(&table).discrepancies[0].to_string();
    assert!(text.contains("column 2 is \"name\" Utf8, listed as absent"), "{text}");
}

#[test]
fn spans_must_tile_the_source() {
    let mut table = table();
    table.manifest.parts[2].span.end -= 1;
    table.manifest.source.version.bytes += 1;
    assert_eq!(kinds(&table), ["Tiles", "End", "Equation"]);
    let table = Table { report: batteuse_shared::report::Report { data_start: 0, ..table.report.clone() }, ..table };
    assert!(kinds(&table).len() == 4 && verified(&table).discrepancies[0].to_string().contains("ends at 0"));
}

#[test]
fn rejects_are_counted_and_in_source_order() {
    let mut table = table();
    table.report.counts.rejected += 1;
    assert_eq!(kinds(&table), ["Rejects"]);
    let path = table.folder.out().join(layout::rejects(&table.manifest.run));
    let mut batches: Vec<_> = open(&path).unwrap().map(Result::unwrap).collect();
    batches.extend(batches.clone());
    let staging = table.folder.entered();
    let schema = rejects::schema();
    let mut encoder =
        Encoder::new(&staging, "twice".to_owned(), schema, Compression::default(), &table.manifest.run).unwrap();
    batches.iter().for_each(|batch| encoder.write(batch).unwrap());
    let key = encoder.finish().unwrap().unwrap().keep().0;
    fs::rename(table.folder.staged(&key), &path).unwrap();
    assert_eq!(kinds(&table), ["RejectsOrder", "Rejects", "Equation"]);
    fs::remove_file(&path).unwrap();
    assert_eq!(kinds(&table), ["Unreadable", "Rejects", "Equation"]);
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let table = table();
    let none = table.folder.out().join("none");
    let folder: Arc<dyn Folder> = Arc::new(Disk::new(&none));
    assert!(
        matches!(verify(&folder, &Success::of(&table.manifest), &table.manifest, &table.report), Err(VerifyError::Dir { dir, .. }) if dir == none)
    );
}

#[test]
fn what_earlier_runs_left_in_the_table_is_read_again_too() {
    let (mut table, earlier) = (table(), table());
    let mut parts = earlier.manifest.parts.clone();
    for (part, n) in parts.iter_mut().zip(1..) {
        let from = earlier.folder.out().join(part.file.as_ref().unwrap());
        part.attempt = AttemptId::new(Epoch(9), n);
        let name = layout::part(part.span.start, part.attempt);
        fs::copy(from, table.folder.out().join(&name)).unwrap();
        part.file = Some(name);
    }
    let damaged = table.folder.out().join(parts[1].file.as_ref().unwrap());
    table.manifest.kept.push(Share { run: earlier.manifest.run, source: earlier.manifest.source, parts });
    let found = verified(&table);
    assert!(found.discrepancies.is_empty(), "{:?}", found.discrepancies);
    assert_eq!((found.files, found.rows), (10, 588));
    assert_eq!(found.digest, table.manifest.digest.plus(table.manifest.digest));
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[9] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    assert_eq!(kinds(&table), ["Sha256"]);
    fs::remove_file(damaged).unwrap();
    assert_eq!(kinds(&table), ["Unreadable"]);
}

#[test]
fn a_success_that_lists_something_else_is_told() {
    let table = table();
    let mut success = Success::of(&table.manifest);
    success.files[2].sha256 = None;
    let found = verify(&table.folder.output(), &success, &table.manifest, &table.report).unwrap().discrepancies;
    assert!(matches!(&found[..], [Discrepancy::Success { .. }]), "{found:?}");
}

#[test]
fn a_folder_under_another_value_is_found_by_the_digests() {
    let mut text = "id,k\n".to_owned();
    (0..60).for_each(|i| text.push_str(&format!("{i},{}\n", ["a", "b"][i % 2])));
    let mut table = publish_by(text.as_bytes(), Columns::Infer, 2, &["k".to_owned()]);
    assert_eq!(kinds(&table), [""; 0]);
    let old = file(&table, 0);
    let part = &mut table.manifest.parts[0];
    part.values = vec![Some("c".to_owned())];
    part.file = Some(layout::part_in("k=c", part.span.start, part.attempt));
    fs::create_dir(table.folder.out().join("k=c")).unwrap();
    fs::rename(old, file(&table, 0)).unwrap();
    assert_eq!(kinds(&table), ["Digest", "TableDigest", "TableDigest"]);
    // A value that is none of its type puts back no rows.
    table.manifest.columns[1].ctype = ColumnType::Int64;
    assert!(kinds(&table).iter().filter(|kind| *kind == "Digest").count() == 4, "{:?}", kinds(&table));
    let mut gone = publish_by(text.as_bytes(), Columns::Infer, 2, &["k".to_owned()]);
    fs::write(gone.folder.out().join("k=a/part-1.parquet"), "theirs").unwrap();
    gone.manifest.parts[1].values.clear();
    assert_eq!(kinds(&gone), ["Name", "Unlisted", "TableRows", "TableDigest", "TableRows", "TableDigest", "Equation"]);
}
