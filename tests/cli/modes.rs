//! `--mode` and `output.parquet.mode`: a table that stands in the output folder is refused, added to or replaced.
//!
//! Invariant: after each run `verify` reads the folder again, and a run that is refused or fails has changed no file of the table.

use std::fs;
use std::path::Path;

use super::Stage;
use crate::support::binary::{Cluster, Process, batteuse, run, write_spec};
use crate::support::published::{files, json_file, parts, table};

const FIRST: &str = "id,nom\n1,a\n2,b\n";
const SECOND: &str = "id,nom\n3,c\n";

/// Files beside the engine's own, as they are.
fn shown(out: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    files(out).into_iter().filter(|(path, _)| !path.starts_with("_batteuse")).collect()
}

/// The ids in the table, and that all of it is as told.
fn ids(out: &Path) -> Vec<String> {
    batteuse(["verify", out.to_str().unwrap()]).expect(0);
    let mut ids: Vec<_> = table(out).rows.into_iter().map(|row| row[0].clone().unwrap()).collect();
    ids.sort();
    let success = json_file(&out.join("_SUCCESS"));
    assert_eq!(success["rows"], ids.len(), "{success}");
    let listed = success["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned());
    let mut listed: Vec<_> = listed.collect();
    listed.sort();
    let there: Vec<_> = parts(out).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(listed, there);
    ids
}

#[test]
fn a_table_is_refused_added_to_or_replaced() {
    let (stage, second) = (Stage::new(FIRST), Stage::new(SECOND));
    let out = stage.out();
    run(&stage.source, &out, &["--mode", "overwrite"]).expect(0);
    for args in [&[][..], &["--mode", "error"]] {
        run(&second.source, &out, args).expect(12).says(&["holds the table of run", "--mode"]);
    }
    run(&second.source, &out, &["--mode", "append"]).expect(0);
    assert_eq!(ids(&out), ["1", "2", "3"]);
    let names = batteuse(["manifest", out.to_str().unwrap()]).expect(0).out;
    assert_eq!(names.lines().count(), 2, "{names}");
    assert_eq!(json_file(&out.join("_SUCCESS"))["inputs"].as_array().unwrap().len(), 2);
    run(&second.source, &out, &["--mode", "append"]).expect(0);
    assert_eq!(ids(&out), ["1", "2", "3", "3"]);
    run(&second.source, &out, &["--mode", "overwrite"]).expect(0);
    assert_eq!(ids(&out), ["3"]);
    run(&stage.source, &out, &["--mode", "append"]).expect(0);
    assert_eq!(ids(&out), ["1", "2", "3"]);
}

#[test]
fn a_run_that_does_not_come_to_its_end_leaves_the_table() {
    let stage = Stage::new(FIRST);
    let out = stage.out();
    run(&stage.source, &out, &[]).expect(0);
    let before = shown(&out);
    let must_be_left = |source: &str, mode: &str, code: i32, words: &[&str]| {
        let other = Stage::new(source);
        run(&other.source, &out, &["--mode", mode]).expect(code);
        let report = batteuse(["status", out.to_str().unwrap()]).expect(0);
        words.iter().for_each(|word| assert!(report.out.contains(word), "{word}: {}", report.out));
        assert_eq!(shown(&out), before);
        assert_eq!(ids(&out), ["1", "2"]);
    };
    must_be_left("id,nom\n3,c\nx\n", "overwrite", 8, &[]);
    must_be_left("id,nom\nx,c\n", "append", 12, &["column 1 of the table", "\"id\" int64", "\"id\" text"]);
    must_be_left("id,prenom\n3,c\n", "append", 12, &["column 2 of the table"]);
    must_be_left("id\n3\n", "append", 12, &["column 2 of the table", "absent"]);
    fs::write(out.join("part-0.parquet"), "theirs").unwrap();
    for mode in ["append", "overwrite"] {
        run(&stage.source, &out, &["--mode", mode]).expect(12);
    }
    fs::remove_file(out.join("part-0.parquet")).unwrap();
    run(&stage.source, &out, &["--mode", "append"]).expect(0);
    assert_eq!(ids(&out), ["1", "1", "2", "2"]);
}

#[test]
fn a_cluster_adds_to_the_table_of_an_embedded_run_and_the_other_way_round() {
    let (stage, second) = (Stage::new(FIRST), Stage::new(SECOND));
    let out = stage.out();
    run(&stage.source, &out, &[]).expect(0);
    let mut cluster = Cluster::start(&stage.path("state"));
    cluster.hire(1);
    let spec = |mode: &str| {
        let path = write_spec(&stage.path(&format!("{mode}.yaml")), &second.source, &out, "");
        let text = fs::read_to_string(&path).unwrap().replace("parquet: {", &format!("parquet: {{mode: {mode}, "));
        fs::write(&path, text).unwrap();
        path
    };
    cluster.submit(&spec("append"), &["--wait"]).expect(0);
    assert_eq!(ids(&out), ["1", "2", "3"]);
    run(&stage.source, &out, &["--mode", "append"]).expect(0);
    assert_eq!(ids(&out), ["1", "1", "2", "2", "3"]);
    cluster.submit(&spec("overwrite"), &["--wait"]).expect(0);
    assert_eq!(ids(&out), ["3"]);
}

#[test]
fn of_runs_that_add_at_once_each_adds_once_or_not_at_all() {
    let (stage, second) = (Stage::new(FIRST), Stage::new(SECOND));
    let out = stage.out();
    run(&stage.source, &out, &[]).expect(0);
    let start = || {
        let (from, to) = (second.source.to_str().unwrap(), out.to_str().unwrap());
        Process::start(["run", "--from", from, "--to", to, "--mode", "append"])
    };
    let rivals: Vec<Process> = (0..4).map(|_| start()).collect();
    let ended: Vec<_> = rivals.into_iter().map(Process::wait).collect();
    let added = ended.iter().filter(|ended| ended.code == Some(0)).count();
    assert!(added > 0 && ended.iter().all(|ended| matches!(ended.code, Some(0 | 12))), "{ended:#?}");
    let wanted = ["1", "2"].into_iter().chain(std::iter::repeat_n("3", added)).collect::<Vec<_>>();
    assert_eq!(ids(&out), wanted);
}
