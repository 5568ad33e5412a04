//! `--partition-by` and the mode `overwrite-partition`: what comes out at every cut, what is refused, and what others left in folders.
//!
//! Invariant: what is refused has changed nothing.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::{Stage, must_not_be_published};
use crate::stores::by_values::hostile;
use crate::support::binary::{Cluster, batteuse, run, write_spec};
use crate::support::published::{files, json_file, parts, table};

const BY: [&str; 2] = ["--partition-by", "k"];

#[test]
fn every_cut_makes_the_same_table() {
    let stage = Stage::new(hostile(630, &[2023, 2024, 2025]));
    let plain = stage.path("plain");
    run(&stage.source, &plain, &[]).expect(0);
    let bytes = fs::metadata(&stage.source).unwrap().len();
    let mut tables = Vec::new();
    for (partitions, workers) in [(1, "1"), (3, "1"), (3, "3"), (7, "2")] {
        let out = stage.path(&format!("by-{partitions}-{workers}"));
        let cut = bytes.div_ceil(partitions).to_string();
        let args = ["--partition-by", "k,y", "--partition-bytes", &cut, "--workers", workers];
        assert_eq!(run(&stage.source, &out, &args).expect(0).json()["partitions"], partitions);
        batteuse(["verify", out.to_str().unwrap()]).expect(0);
        tables.push(table(&out));
    }
    assert!(tables.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(tables[0].digest, table(&plain).digest, "the rows are those of a table without folders");
    let [one, other] = [table(&plain), tables.remove(0)].map(|table| {
        let at = |name: &str| table.columns.iter().position(|column| column.0 == name).unwrap();
        let order = ["id", "k", "y"].map(at);
        table.rows.iter().map(|row| order.map(|at| row[at].clone())).collect::<BTreeSet<_>>()
    });
    assert_eq!(one, other);
}

#[test]
fn a_cluster_replaces_folders() {
    let stage = Stage::new("id,k\n1,a\n2,b\n3,\n");
    let out = stage.out();
    run(&stage.source, &out, &BY).expect(0);
    let before = files(&out);
    fs::write(stage.path("second.csv"), "id,k\n4,b\n5,c\n").unwrap();
    let mut cluster = Cluster::start(&stage.path("state"));
    cluster.hire(2);
    let spec = write_spec(&stage.path("second.yaml"), &stage.path("second.csv"), &out, "");
    let text = fs::read_to_string(&spec).unwrap();
    let put = "parquet: {mode: overwrite-partition, partitionBy: [k], ";
    fs::write(&spec, text.replace("parquet: {", put)).unwrap();
    cluster.submit(&spec, &["--wait"]).expect(0);
    batteuse(["verify", out.to_str().unwrap()]).expect(0);
    let ids: Vec<_> = table(&out).rows.into_iter().map(|row| row[0].clone().unwrap()).collect();
    assert_eq!(ids, ["1", "3", "4", "5"]);
    let kept = files(&out).into_iter().filter(|file| before.get(&file.0) == Some(&file.1));
    let kept =
        kept.filter(|(path, _)| path.extension().is_some_and(|end| end == "parquet") && !path.starts_with("_batteuse"));
    assert_eq!(kept.count(), 2);
    // Under `overwrite` folders go with their files, and others may come.
    run(&stage.path("second.csv"), &out, &["--mode", "overwrite", "--partition-by", "id"]).expect(0);
    batteuse(["verify", out.to_str().unwrap()]).expect(0);
    let mut names: Vec<_> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["_SUCCESS", "_batteuse", "id=4", "id=5"]);
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let stage = Stage::new("id,k,x\n1,a,1.5\n2,b,2.5\n");
    let refused = |args: &[&str], code: i32, words: &[&str]| {
        let ended = run(&stage.source, &stage.out(), args).expect(code);
        let said = ended.err + &ended.out;
        words.iter().for_each(|word| assert!(said.contains(word), "{word}: {said}"));
        must_not_be_published(&stage.out());
    };
    refused(&["--mode", "overwrite-partition"], 12, &["--mode: ", "give partitionBy"]);
    refused(&["--partition-by", "k,k"], 12, &["--partition-by: ", "given twice"]);
    refused(&["--partition-by", "a,b,c,d,e"], 12, &["name at most 4"]);
    refused(&["--partition-by", "z"], 12, &["\\\"z\\\" is no column of the source, which has id, k, x"]);
    refused(&["--partition-by", "x"], 12, &["is of type float64", "declare it as text"]);
    refused(&["--partition-by", "k,id,x"], 12, &["partitionBy"]);
    refused(&["--partition-by", "id,k,x", "--all-text"], 12, &["every column of the table is named"]);
    run(&stage.source, &stage.out(), &["--partition-by", "x", "--all-text"]).expect(0);
    assert_eq!(parts(&stage.out()).len(), 2);
}

#[test]
fn a_type_that_turns_out_late_is_refused_and_one_that_turns_out_text_is_not() {
    let rows = |last: &str| {
        let mut text = "id,k\n".to_owned();
        (0..300).for_each(|row| text += &format!("{row},{}\n", row % 3));
        text + last
    };
    let (float, text) = (Stage::new(rows("300,1.5\n")), Stage::new(rows("300,1.5\n301,x\n")));
    let cut = ["--partition-by", "k", "--partition-bytes", "500"];
    let ended = run(&float.source, &float.out(), &cut).expect(12);
    assert!(ended.out.contains("is of type float64"), "{}", ended.out);
    must_not_be_published(&float.out());
    run(&text.source, &text.out(), &cut).expect(0);
    batteuse(["verify", text.out().to_str().unwrap()]).expect(0);
    assert_eq!(table(&text.out()).rows.len(), 302);
}

#[test]
fn rows_without_a_folder_are_rejects_and_a_table_without_rows_has_no_file() {
    let long = "x".repeat(300);
    let stage = Stage::new(format!("id,k\n1,{long}\n2,__HIVE_DEFAULT_PARTITION__\n"));
    let report = run(&stage.source, &stage.out(), &["--partition-by", "k", "--tolerate", "2"]).expect(4).json();
    assert_eq!((&report["rejected"], &report["files"]), (&2.into(), &0.into()));
    assert!(stage.out().join("_SUCCESS").exists() && parts(&stage.out()).is_empty());
    batteuse(["verify", stage.out().to_str().unwrap()]).expect(0);
    fs::write(&stage.source, "id,k\n1,a\n").unwrap();
    run(&stage.source, &stage.out(), &["--partition-by", "k", "--mode", "append"]).expect(0);
    assert_eq!(json_file(&stage.out().join("_SUCCESS"))["rows"], 1);
}

#[test]
fn a_table_with_other_folders_and_what_others_left_are_not_touched() {
    let stage = Stage::new("id,k\n1,a\n2,b\n");
    let out = stage.out();
    run(&stage.source, &out, &BY).expect(0);
    let refused = |args: &[&str], words: &[&str]| {
        let before = files(&out);
        run(&stage.source, &out, args).expect(12).says(words);
        assert_eq!(files(&out), before, "{args:?}");
    };
    refused(&["--mode", "append"], &["folders by k", "no folders by columns"]);
    refused(&["--mode", "overwrite-partition", "--partition-by", "id"], &["folders by k", "folders by id"]);
    let deep = "k=a/b=1/c=2/d=3/e=4/x.parquet";
    let verify = |code: i32| batteuse(["verify", out.to_str().unwrap()]).expect(code);
    let unlisted = |name: &str| {
        let ended = verify(8);
        assert!(ended.out.contains(name), "{name}: {}", ended.out);
    };
    for name in ["k=a/theirs.parquet", "k=z/notes.txt", "k=a/sub/x.parquet", "other=/part.parquet", deep] {
        let path = out.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "theirs").unwrap();
        let top = if name.starts_with("k=a/sub") { "k=a/sub" } else { name.strip_suffix("/x.parquet").unwrap_or(name) };
        refused(&["--mode", "append", "--partition-by", "k"], &[top]);
        if name.ends_with(".parquet") {
            unlisted(top);
        }
        fs::remove_file(&path).unwrap();
        let mut above = path.parent().unwrap();
        while fs::remove_dir(above).is_ok() {
            above = above.parent().unwrap();
        }
    }
    let nameless = out.join(OsStr::from_bytes(b"k=\xff"));
    fs::create_dir(&nameless).unwrap();
    fs::write(nameless.join("theirs.parquet"), "theirs").unwrap();
    refused(&["--mode", "append", "--partition-by", "k"], &["k=\u{fffd}"]);
    unlisted("k=\u{fffd}");
    fs::remove_dir_all(&nameless).unwrap();
    fs::create_dir(stage.path("elsewhere")).unwrap();
    symlink(stage.path("elsewhere"), out.join("k=c")).unwrap();
    refused(&["--mode", "append", "--partition-by", "k"], &["k=c"]);
    unlisted("k=c");
    fs::remove_file(out.join("k=c")).unwrap();
    // An empty folder is what a crash leaves, and no stranger.
    fs::create_dir(out.join("k=c")).unwrap();
    run(&stage.source, &out, &["--mode", "append", "--partition-by", "k"]).expect(0);
    verify(0);
    assert_eq!(fs::read_dir(stage.path("elsewhere")).unwrap().count(), 0);
}
