//! Rows told apart by values of every type that names folders, and whole partitions written and read again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use batteuse_shared::hive::NULL_NAME;
use batteuse_shared::limits::BATCH_BYTES_MAX;
use batteuse_shared::manifest::Success;
use batteuse_shared::span::Span;
use batteuse_shared::spec::{Columns, Csv};
use batteuse_shared::table::{Checksum, Digest};
use batteuse_shared::task::{FailureClass, Outcome, Parsed, Task};

use super::*;
use crate::encode::Reader;
use crate::fixture::{self, Folder, Table, lease, parsed, publish, publish_by};
use crate::pipeline::Progress;
use crate::verify::verify;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn column(name: &str, ctype: ColumnType) -> Column {
    Column { name: name.to_owned(), ctype, declared: true, format: None, nulls: Vec::new() }
}

fn of(columns: &[(&str, ColumnType)], by: &[&str]) -> Folders {
    let columns: Vec<_> = columns.iter().map(|(name, ctype)| column(name, *ctype)).collect();
    Folders::new(&names(by), &columns)
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

#[test]
fn rows_go_into_folders_by_their_values_in_their_order() {
    use ColumnType::{Int64, Text};
    let mut folders = of(&[("n", Int64), ("t", Text)], &["t"]);
    let plain = |texts: Vec<Option<&str>>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
    let coded: ArrayRef =
        Arc::new(vec![Some("b"), None, Some("c"), Some("b")].into_iter().collect::<DictionaryArray<UInt16Type>>());
    let first = batch(vec![
        ("n", Arc::new(Int64Array::from_iter_values(0..5))),
        ("t", plain(vec![Some("b"), None, Some("a"), Some("b"), Some("a")])),
    ]);
    let second = batch(vec![("n", Arc::new(Int64Array::from_iter_values(5..9))), ("t", coded)]);
    let mut all: BTreeMap<Option<String>, Vec<i64>> = BTreeMap::new();
    for (rows, expected) in [(first, vec![0, 1, 2, 0, 2]), (second, vec![0, 1, 3, 0])] {
        let (numbers, refused) = folders.look(&rows).unwrap();
        assert_eq!((numbers, refused.len()), (expected.clone(), 0));
        let split = folders.split(&rows, &expected);
        assert_eq!(split.rows.column(1).data_type(), &DataType::Utf8, "texts have no codes of other files");
        for (number, range) in split.folders {
            let rows = split.rows.slice(range.start, range.len());
            let value = folders.values(number).pop().unwrap();
            let texts = rows.column(1).as_string::<i32>().iter();
            assert!(texts.into_iter().all(|text| text == value.as_deref()), "{value:?}");
            all.entry(value).or_default().extend(rows.column(0).as_primitive::<Int64Type>().values());
        }
    }
    let text = |text: &str| Some(text.to_owned());
    let expected = [(None, vec![1, 6]), (text("a"), vec![2, 4]), (text("b"), vec![0, 3, 5, 8]), (text("c"), vec![7])];
    assert_eq!(all, BTreeMap::from(expected));
}

#[test]
fn every_type_that_names_folders_comes_back_from_its_text() {
    let day = |text: &str| Date32Type::from_naive_date(text.parse().unwrap());
    let cases: [(ColumnType, ArrayRef, &[&str]); 4] = [
        (
            ColumnType::Int64,
            Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(0), Some(i64::MAX), None])),
            &["-9223372036854775808", "0", "9223372036854775807"],
        ),
        (
            ColumnType::Date,
            Arc::new(Date32Array::from(vec![
                Some(day("0001-01-01")),
                Some(day("1969-12-31")),
                Some(day("9999-12-31")),
                None,
            ])),
            &["0001-01-01", "1969-12-31", "9999-12-31"],
        ),
        (
            ColumnType::Boolean,
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None])),
            &["true", "false"],
        ),
        (
            ColumnType::Text,
            Arc::new(StringArray::from(vec![Some("x"), Some("01"), Some("é/"), None])),
            &["x", "01", "é/"],
        ),
    ];
    for (ctype, array, texts) in cases {
        let mut folders = of(&[("k", ctype), ("rest", ctype)], &["k"]);
        let rows = batch(vec![("k", array.clone()), ("rest", array.clone())]);
        let (numbers, refused) = folders.look(&rows).unwrap();
        assert!(refused.is_empty());
        for (row, number) in numbers.into_iter().enumerate() {
            let value = folders.values(number as usize).pop().unwrap();
            assert!(value.as_deref().is_none_or(|value| texts.contains(&value)), "{value:?}");
            let constant = constant(ctype, value.as_deref(), 1).unwrap();
            let expected = batch(vec![("k", array.slice(row, 1))]);
            let digest = |rows: &RecordBatch| batteuse_kernel::digest::rows(rows).unwrap();
            assert_eq!(digest(&batch(vec![("k", constant)])), digest(&expected), "{ctype} {value:?}");
        }
    }
    for (ctype, text) in [
        (ColumnType::Int64, "01"),
        (ColumnType::Int64, "x"),
        (ColumnType::Date, "2024-1-1"),
        (ColumnType::Boolean, "TRUE"),
        (ColumnType::Float64, "1.5"),
    ] {
        assert!(constant(ctype, Some(text), 1).is_none(), "{ctype} {text}");
    }
}

/// Values that break what does not escape.
const HOSTILE: [&str; 14] =
    ["a/b", "a%2Fb", ".", "..", "é", "a=b", " a b ", "'\"`", "\u{1}\u{7f}\t", "a\\b", "x.", "[{*?#:^}]", "NULL", "_x"];

fn hostile(rows: usize) -> String {
    let mut text = "id,k,d\n".to_owned();
    for row in 0..rows {
        let value = HOSTILE[row % HOSTILE.len()].replace('"', "\"\"");
        match row % 17 {
            16 => writeln!(text, "{row},,2024-01-0{}", row % 9 + 1).unwrap(),
            _ => writeln!(text, "{row},\"{value}\",2024-01-0{}", row % 9 + 1).unwrap(),
        }
    }
    text
}

fn sound(table: &Table) {
    let (manifest, report) = (&table.manifest, &table.report);
    let found = verify(&table.folder.output(), &Success::of(manifest), manifest, report).unwrap();
    assert!(found.discrepancies.is_empty(), "{:?}", found.discrepancies);
    assert_eq!(
        (found.rows, found.files),
        (manifest.rows, manifest.parts.iter().filter(|part| part.file.is_some()).count() as u64)
    );
    assert!(found.equation.holds);
}

#[test]
fn a_table_in_folders_is_the_same_at_every_cut_and_is_proven_by_its_digest() {
    let text = hostile(500);
    let plain = publish(text.as_bytes(), Columns::Infer, 1);
    for by in [names(&["k"]), names(&["d", "k"])] {
        for partitions in [1, 3, 7] {
            let table = publish_by(text.as_bytes(), Columns::Infer, partitions, &by);
            sound(&table);
            assert_eq!(
                (table.manifest.rows, table.manifest.digest),
                (500, plain.manifest.digest),
                "{by:?} {partitions}"
            );
            assert_eq!(table.manifest.spans().count(), partitions as usize);
        }
    }
    let table = publish_by(text.as_bytes(), Columns::Infer, 2, &names(&["k"]));
    let mut ids: BTreeMap<Option<String>, Vec<i64>> = BTreeMap::new();
    for part in &table.manifest.parts {
        let file = part.file.as_ref().unwrap();
        let reader = Reader::open(&table.folder.output(), file).unwrap();
        assert_eq!(
            reader.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
            ["id", "d"],
            "{file}"
        );
        for batch in reader {
            ids.entry(part.values[0].clone())
                .or_default()
                .extend(batch.unwrap().column(0).as_primitive::<Int64Type>().values());
        }
    }
    assert_eq!(ids.len(), HOSTILE.len() + 1);
    for (value, ids) in ids {
        let rows = (0..500)
            .filter(|row| if row % 17 == 16 { value.is_none() } else { value.as_deref() == Some(HOSTILE[row % 14]) });
        assert_eq!(ids, rows.map(|row| row as i64).collect::<Vec<_>>(), "{value:?}: in source order");
    }
}

#[test]
fn a_row_without_a_folder_is_a_reject_with_its_reason() {
    let text = format!("id,k\n1,x\n2,\n3,{NULL_NAME}\n4,{}\n5,\"\"\n6,y\n", "é".repeat(150));
    let folder = Folder::new(text.as_bytes());
    let mut found = folder.inspected(Csv::default(), Columns::AllText);
    // An empty field is null, by default.
    found.columns.iter_mut().for_each(|column| column.nulls = names(&["NA"]));
    let mut task = folder.parse_task(&found, 0, Span::new(found.data_start, text.len() as u64), Some(found.start));
    task.partition_by = names(&["k"]);
    let parsed = parsed(&lease(1, Task::Parse(Box::new(task))));
    assert_eq!((parsed.counts.read, parsed.counts.written, parsed.counts.rejected), (6, 2, 4));
    assert_eq!(parsed.parts.iter().map(|part| part.values[0].as_deref().unwrap()).collect::<Vec<_>>(), ["x", "y"]);
    let rejects = Reader::open(&folder.output(), &folder.staged_path(&parsed.rejects.unwrap().key)).unwrap();
    let batches: Vec<RecordBatch> = rejects.map(Result::unwrap).collect();
    let texts = |at: usize| {
        batches[0].column(at).as_string::<i32>().iter().map(|text| text.unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((texts(5), texts(6)), (vec!["k".to_owned(); 4], vec!["NO FOLDER".to_owned(); 4]));
    let messages = texts(7);
    for (message, words) in std::iter::zip(&messages, ["empty text", "stands for null", "302 bytes", "empty text"]) {
        assert!(message.contains(words), "{message}");
    }
}

/// What is decided of a part: values, rows, digest, bytes and sha256.
type Decided = (Vec<Option<String>>, u64, Digest, u64, Checksum);

fn told(parsed: &Parsed) -> Vec<Decided> {
    parsed.parts.iter().map(|part| (part.values.clone(), part.rows, part.digest, part.bytes, part.sha256)).collect()
}

/// What is lost after the decision is made again, byte for byte.
#[test]
fn an_attempt_that_guesses_its_start_makes_the_same_files() {
    let text = hostile(600_000);
    let folder = Folder::new(text.as_bytes());
    let found = folder.inspected(Csv::default(), Columns::Infer);
    let cut = found.data_start + 1_001;
    let parse = |attempt, partition, range, start| {
        let mut task = folder.parse_task(&found, partition, range, start);
        task.partition_by = names(&["k", "d"]);
        parsed(&lease(attempt, Task::Parse(Box::new(task))))
    };
    let first = parse(1, 0, Span::new(found.data_start, cut), Some(found.start));
    let state = first.exits.exit(found.start).unwrap().state;
    let rest = Span::new(cut, text.len() as u64);
    assert!(rest.bytes() > 2 * BATCH_BYTES_MAX as u64);
    let (given, guessed) = (parse(2, 1, rest, Some(state)), parse(3, 1, rest, None));
    assert_eq!(given.parts.len(), (HOSTILE.len() + 1) * 9);
    assert_eq!((given.span, told(&given)), (guessed.span, told(&guessed)));
    assert_eq!(given.parts.iter().map(|part| part.rows).sum::<u64>(), given.counts.written);
}

#[test]
fn too_many_folders_fail_the_run_only_when_the_start_is_certain() {
    let mut text = "id,k\n".to_owned();
    (0..3_000).for_each(|row| writeln!(text, "{row},v{row}").unwrap());
    let folder = Folder::new(text.as_bytes());
    let found = folder.inspected(Csv::default(), Columns::Infer);
    let range = Span::new(found.data_start, text.len() as u64);
    let lease = |attempt, start| {
        let mut task = folder.parse_task(&found, 0, range, start);
        task.partition_by = names(&["k"]);
        lease(attempt, Task::Parse(Box::new(task)))
    };
    let Outcome::Failed(failure) = fixture::execute(&lease(1, Some(found.start)), &Progress::new()) else {
        panic!("it fails")
    };
    assert_eq!(failure.class, FailureClass::Refused);
    assert!(failure.message.contains("more than 1024 different values of k"), "{}", failure.message);
    assert_eq!(folder.staged_names(), Vec::<String>::new(), "nothing is left");
    let guessed = parsed(&lease(2, None));
    assert_eq!((guessed.types, guessed.parts.len(), guessed.counts.written), (None, 0, 3_000));
}

#[test]
fn a_type_that_is_guessed_and_names_no_folder_stages_nothing() {
    let folder = Folder::new(b"id,k\n1,1.5\n2,x\n");
    let mut found = folder.inspected(Csv::default(), Columns::Infer);
    found.columns[1].ctype = ColumnType::Float64;
    let mut task = folder.parse_task(&found, 0, Span::new(found.data_start, 15), Some(found.start));
    task.partition_by = names(&["k"]);
    let parsed = parsed(&lease(1, Task::Parse(Box::new(task))));
    assert_eq!((parsed.types, parsed.parts.len(), parsed.counts.read), (None, 0, 2));
    assert_eq!(fs::read_dir(folder.out()).unwrap().count(), 1);
}
