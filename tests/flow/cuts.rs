//! Where a file is cut, and files that have nothing to cut.

use std::collections::BTreeMap;
use std::path::Path;

use batteuse_coordinator::scheduler::Fact;
use serde_json::{Value, json};

use super::{CUTS, Input, Outcome};
use crate::recovery::facts;
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

/// Further lines of a spec that declare the types, so that nothing but a wrong guess is parsed again.
const DECLARED: &str = "  columns: [{name: id, type: int64}, {name: txt, type: text}, {name: n, type: int64}]\n  \
                        rejects: {tolerate: {percent: 5}}\n";

/// Asserts that every start that was not given was guessed wrong, is told so and cost one more parse; returns the seams told.
#[track_caller]
fn must_be_parsed_twice_at_most(report: &Value, state: &Path, out: &Path) -> Value {
    let seams = report["seams"].clone();
    let count = |name: &str| seams[name].as_u64().unwrap();
    let (partitions, wrong) = (report["partitions"].as_u64().unwrap(), count("guessedWrong"));
    assert!(count("certain") >= 1, "the first start is never guessed: {seams}");
    assert_eq!((count("guessedRight"), wrong), (0, partitions - count("certain")), "{seams}");
    assert_eq!((count("merged") + count("neverMerged"), &report["reruns"]["guesses"]), (wrong, &wrong.into()));
    let mut parses = BTreeMap::new();
    for fact in facts(state, out) {
        match fact {
            Fact::Staged { partition, .. } => *parses.entry(partition).or_insert(0) += 1,
            Fact::AttemptFailed { failure, .. } => panic!("{failure:?}"),
            _ => {}
        }
    }
    assert!(parses.values().all(|&n| n <= 2) && parses.len() as u64 == partitions, "{parses:?}");
    assert_eq!(parses.values().sum::<u64>(), partitions + wrong, "{parses:?}");
    seams
}

#[test]
fn a_wrong_guess_is_told_and_costs_one_more_parse() {
    let (input, _) = every_cut_in_a_field();
    let input = Input { spec: DECLARED, ..input };
    let (one, report) = input.run(1, 1);
    let given = json!({
        "certain": 1, "guessedRight": 0, "guessedWrong": 0, "merged": 0, "neverMerged": 0, "bytesToMerge": null
    });
    assert_eq!(report["seams"], given);
    for (partitions, workers) in [(8, 8), (64, 3)] {
        let (other, report) = input.run(partitions, workers);
        one.must_equal(&other, &format!("{partitions} partitions, {workers} workers"));
        let out = input.out(&format!("p{partitions}-w{workers}"));
        must_be_parsed_twice_at_most(&report, &crate::recovery::state(&out), &out);
    }
    let (_, report) = input.run(8, 1);
    assert_eq!(report["seams"]["certain"], 8, "one worker never guesses");
}

#[test]
fn every_start_but_the_first_is_guessed_wrong_where_all_begin_at_once() {
    let state = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(state.path());
    cluster.hire(8);
    cluster.wait_for_workers(1);
    let seams_of = |name: &str, input: Input| {
        let (one, _) = input.run(1, 1);
        let ended = cluster.submit(&input.write(name, 8), &["--wait", "-o", "json"]);
        let (other, report) = Outcome::of(&ended, &input.out(name));
        one.must_equal(&other, name);
        must_be_parsed_twice_at_most(&report, state.path(), &input.out(name))
    };
    let seams = seams_of("fields", Input { spec: DECLARED, ..every_cut_in_a_field().0 });
    assert_eq!([&seams["certain"], &seams["guessedWrong"], &seams["merged"]], [1, 7, 7]);
    let [median, max] = ["median", "max"].map(|of| seams["bytesToMerge"][of].as_u64().unwrap() as usize);
    assert!(RECORD / 2 - 20 < median && median <= max && max < 3 * RECORD, "a field ends within a record: {seams}");

    // One field over all partitions: in the last alone a quote tells inside from outside.
    let part = 1_300;
    let (before, after) = ("id,txt,n\n0,\"start\n", "\nend\",0\n");
    let mut text = before.to_owned() + &"x,fake row,y\n".repeat(8 * part / 13);
    text.truncate(8 * part - after.len());
    let csv = "{quote: '\"', delimiter: comma}";
    let seams = seams_of("field", Input { spec: DECLARED, csv, ..Input::new("field.csv", text + after) });
    assert_eq!([&seams["certain"], &seams["guessedWrong"], &seams["merged"], &seams["neverMerged"]], [1, 7, 1, 6]);
    let max = seams["bytesToMerge"]["max"].as_u64().unwrap() as usize;
    assert!(part - after.len() < max && max <= part, "{seams}");
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
