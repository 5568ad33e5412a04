//! Where a file is cut, and files that have nothing to cut.

use super::{CUTS, Input, Outcome};
use crate::support::binary::{Cluster, run};
use crate::support::published::{parts, run_file, table};

/// Length of a record of [`every_cut_in_a_field`], which all cuts into [`CUTS`] partitions are multiples of.
const RECORD: usize = 701;
/// 64 and 7 divide it.
const RECORDS: usize = 448;

/// Appends one record of `bytes` bytes, nearly all of them one quoted field full of lines that look like records.
fn misleading_record(text: &mut String, id: usize, bytes: usize) {
    let (before, after) = (format!("{id},\"start\n"), format!("\nend\",{id}\n"));
    // A ragged record now and then: its line, its number and its bytes must come out right as well.
    let after = if id % 50 == 17 { after.replace(&format!(",{id}"), "") } else { after };
    let mut inside = "x,fake row,y\n".repeat(bytes / 13 + 1);
    inside.truncate(bytes - before.len() - after.len());
    *text += &(before + &inside + &after);
}

/// A file every cut of which lies amid a quoted field; whoever begins there takes the lines of the field for records.
fn every_cut_in_a_field() -> (Input, Vec<usize>) {
    let mut text = "id,txt,n\n".to_owned();
    misleading_record(&mut text, 0, RECORD / 2 - "id,txt,n\n".len());
    for id in 1..RECORDS {
        misleading_record(&mut text, id, RECORD);
    }
    let left = RECORD * RECORDS - text.len();
    misleading_record(&mut text, RECORDS, left);
    assert_eq!(text.len(), RECORD * RECORDS);
    let ragged = (0..=RECORDS).filter(|id| id % 50 == 17).collect();
    (Input { spec: "  rejects: {tolerate: {percent: 5}}\n", ..Input::new("misleading.csv", text) }, ragged)
}

#[test]
fn a_file_on_which_every_start_is_guessed_wrong() {
    let (input, ragged) = every_cut_in_a_field();
    let outcome = input.run_however_cut();
    assert_eq!(outcome.code, 4);
    let ids: Vec<usize> = (0..=RECORDS).filter(|id| !ragged.contains(id)).collect();
    let table = outcome.table();
    assert_eq!(
        [table.type_of("id"), table.type_of("n")],
        ["int64", "int64"],
        "what only looks like records says nothing"
    );
    let found: Vec<usize> = table.rows.iter().map(|row| row[0].as_ref().unwrap().parse().unwrap()).collect();
    assert_eq!(found, ids);
    let lines_of = |id: usize| if id == 0 { RECORD / 2 - 9 } else { RECORD };
    assert_eq!(outcome.rejects.len(), ragged.len());
    for (reject, &id) in outcome.rejects.iter().zip(&ragged) {
        let number = |at: usize| reject[at].as_ref().unwrap().parse::<usize>().unwrap();
        let (record, offset, length) = (number(2), number(3), number(4));
        assert_eq!((record, offset, length), (id + 1, RECORD / 2 + (id - 1) * RECORD, lines_of(id)));
        assert_eq!(reject[7].as_deref(), Some("MISSING COLUMNS"));
        let before = &input.bytes()[..offset];
        assert_eq!(number(1), before.iter().filter(|b| **b == b'\n').count() + 1, "the line of record {record}");
    }
}

#[test]
fn wrong_guesses_are_made_and_mended() {
    let (input, _) = every_cut_in_a_field();
    let (one, _) = input.run(1, 1);
    let mut cluster = Cluster::start(&input.folder.path().join("state"));
    (0..3).for_each(|_| cluster.hire(1));
    cluster.wait_for_workers(3);
    for partitions in CUTS {
        let name = format!("cluster-{partitions}");
        let ended = cluster.submit(&input.write(&name, partitions), &["--wait", "-o", "json"]);
        let (outcome, report) = Outcome::of(&ended, &input.out(&name));
        one.must_equal(&outcome, &name);
        let guesses = report["reruns"]["guesses"].as_u64().unwrap();
        // Three workers begin with the first three partitions at once; what begins later may know its start already.
        assert!((partitions.min(3) - 1..partitions).contains(&guesses), "{name}: {guesses} guessed wrong");
    }
}

#[test]
fn the_adversarial_file_by_three_worker_processes() {
    let input = Input::generated("quotes", "50MB");
    let mut cluster = Cluster::start(&input.folder.path().join("state"));
    (0..3).for_each(|_| cluster.hire(1));
    cluster.wait_for_workers(3);
    let mut first: Option<Outcome> = None;
    for partitions in CUTS {
        let name = format!("adversarial-{partitions}");
        let ended = cluster.submit(&input.write(&name, partitions), &["--wait", "-o", "json"]);
        let (outcome, report) = Outcome::of(&ended, &input.out(&name));
        assert_eq!((outcome.code, &report["read"], &report["written"]), (0, &60_060.into(), &60_060.into()), "{name}");
        assert_eq!(report["partitions"], partitions);
        match &first {
            None => first = Some(outcome),
            Some(first) => first.must_equal(&outcome, &name),
        }
    }
    super::values::must_hold(first.unwrap().table(), str::from_utf8(&input.bytes()).unwrap(), b',');
}

#[test]
fn a_header_alone_is_one_part_without_rows() {
    for text in ["a,b\n", "a,b", "\u{feff}a,b\r\n"] {
        let input = Input::new("header.csv", text);
        let out = input.out("table");
        let report = run(&input.source, &out, &[]).expect(0).json();
        assert_eq!((&report["read"], &report["files"]), (&0.into(), &1.into()), "{text:?}");
        assert_eq!(parts(&out).len(), 1);
        let table = table(&out);
        assert!(table.rows.is_empty());
        let columns: Vec<_> = table.columns.iter().map(|(name, ctype)| (name.as_str(), ctype.as_str())).collect();
        assert_eq!(columns, [("a", "text"), ("b", "text")], "{text:?}");
        assert!(run_file(&out, "rejects.parquet").exists() && out.join("_SUCCESS").exists());
    }
}

#[test]
fn one_byte_partitions() {
    let input = Input::new("small.csv", "a,b\r\n1,\"x\r\n\"\"y\"\r\n\r\n2,\u{e9}\r3\r\n");
    let (one, two) = (input.out("one"), input.out("two"));
    run(&input.source, &one, &["--tolerate", "1"]).expect(4);
    let report = run(&input.source, &two, &["--tolerate", "1", "--partition-bytes", "1"]).expect(4).json();
    assert_eq!(report["partitions"], input.bytes().len() - "a,b\r\n".len());
    assert_eq!(table(&one), table(&two));
    assert_eq!(table(&two).rows.len(), 2);
}

#[test]
fn an_empty_file_is_refused() {
    for text in ["", "\u{feff}", "\n\r\n\n"] {
        let input = Input::new("empty.csv", text);
        let ended = run(&input.source, &input.out("table"), &[]).expect(12);
        let report = ended.json();
        assert_eq!(report["reason"]["kind"], "refused", "{text:?}");
        assert!(report["reason"]["message"].as_str().unwrap().contains("the file is empty"), "{report:#}");
        assert!(parts(&input.out("table")).is_empty() && !input.out("table").join("_SUCCESS").exists());
    }
}
