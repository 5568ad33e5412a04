//! States of the output folder: absent, empty, foreign, unfinished, finished, failed, cancelled.

use std::fs;

use super::{Stage, must_not_be_published};
use crate::support::binary::{Cluster, batteuse, run, write_spec};
use crate::support::published::{files, run_file, table};

#[test]
fn an_absent_or_empty_folder_is_taken() {
    let stage = Stage::new("a,b\n1,2\n");
    fs::create_dir(stage.out()).unwrap();
    run(&stage.source, &stage.out(), &[]).expect(0);
    run(&stage.source, &stage.path("not/there/yet"), &[]).expect(0);
    assert_eq!(table(&stage.out()), table(&stage.path("not/there/yet")));
}

#[test]
fn a_foreign_folder_is_not_touched() {
    let stage = Stage::new("a,b\n1,2\n");
    for name in ["notes.txt", "_SUCCESS", "part-0.parquet", "_batteuse/state/x"] {
        let out = stage.path(&format!("foreign-{}", name.replace('/', "-")));
        let path = out.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "mine").unwrap();
        let before = files(&out);
        let first = name.split_once("/x").map_or(name, |(folder, _)| folder);
        run(&stage.source, &out, &[]).expect(12).says(&["is not empty", first, "name an absent or empty folder"]);
        assert_eq!(files(&out), before, "{name}");
    }
    run(&stage.source, &stage.source, &[]).expect(12).says(&["is not a folder"]);
}

#[test]
fn a_finished_run_is_not_replaced() {
    let stage = Stage::new("a,b\n1,2\n");
    run(&stage.source, &stage.out(), &[]).expect(0);
    let before = files(&stage.out());
    run(&stage.source, &stage.out(), &[]).expect(12).says(&["holds the table of run source-", "name another folder"]);
    assert_eq!(files(&stage.out()), before);
}

#[test]
fn an_unfinished_run_is_named_with_the_command_that_finishes_it() {
    let stage = Stage::long();
    stage.interrupt();
    let before = files(&stage.out());
    let refused = run(&stage.source, &stage.out(), &[]).expect(12);
    refused.says(&["holds the unfinished run source-", &format!("batteuse resume --to {}", stage.out().display())]);
    assert_eq!(files(&stage.out()), before);
    // Given up, it can be replaced; and it cannot be resumed any more.
    let out = stage.out().to_str().unwrap().to_owned();
    assert!(batteuse(["status", &out]).expect(0).out.contains("(running)"));
    batteuse(["cancel", &out]).expect(0);
    assert!(batteuse(["status", &out]).expect(0).out.contains("(cancelled)"));
    batteuse(["resume", "--to", &out]).expect(8);
    run(&stage.source, &stage.out(), &[]).expect(0);
    assert_eq!(table(&stage.out()).digest, table(&stage.undisturbed()).digest);
}

#[test]
fn a_copy_of_an_unfinished_run_is_left_alone() {
    let stage = Stage::long();
    stage.interrupt();
    let copy = stage.path("copy");
    for (path, bytes) in files(&stage.out()) {
        let to = copy.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
    let before = (files(&stage.out()), files(&copy));
    let copy_of = copy.to_str().unwrap();
    for args in [&["cancel", copy_of][..], &["resume", "--to", copy_of]] {
        batteuse(args).expect(12).says(&["which began in", stage.out().to_str().unwrap()]);
    }
    assert!((files(&stage.out()), files(&copy)) == before, "nothing is touched");
    batteuse(["resume", "--to", stage.out().to_str().unwrap()]).expect(0);
    assert!(table(&stage.out()) == table(&stage.undisturbed()));
}

#[test]
fn a_failed_runs_folder_is_taken_by_a_new_run() {
    let stage = Stage::new("a,b\n1,2\n3\n");
    run(&stage.source, &stage.out(), &[]).expect(8);
    let failed = run_file(&stage.out(), "report.json");
    must_not_be_published(&stage.out());
    run(&stage.source, &stage.out(), &[]).expect(8);
    fs::write(&stage.source, "a,b\n1,2\n3,4\n").unwrap();
    let report = run(&stage.source, &stage.out(), &[]).expect(0).json();
    assert_ne!(run_file(&stage.out(), "report.json"), failed);
    assert_eq!((&report["written"], table(&stage.out()).rows.len()), (&2.into(), 2));
    assert!(batteuse(["verify", stage.out().to_str().unwrap()]).expect(0).out.contains("verified"));
    // What inspection refused has failed too.
    let stage = Stage::new("");
    run(&stage.source, &stage.out(), &[]).expect(12);
    fs::write(&stage.source, "a,b\n1,2\n").unwrap();
    run(&stage.source, &stage.out(), &[]).expect(0);
}

#[test]
fn a_folder_held_by_a_coordinators_run_is_that_coordinators() {
    let stage = Stage::long();
    let mut cluster = Cluster::start(&stage.path("state"));
    let spec = write_spec(&stage.path("held.yaml"), &stage.source, &stage.out(), "");
    let run_id = cluster.submit(&spec, &[]).expect(0).out.trim().to_owned();
    let out = stage.out().to_str().unwrap().to_owned();
    run(&stage.source, &stage.out(), &[]).expect(12).says(&[&run_id, "of the coordinator with state"]);
    batteuse(["resume", "--to", &out]).expect(12).says(&[&run_id, "start that coordinator again"]);
    batteuse(["cancel", &out]).expect(12).says(&[&run_id, "--coordinator"]);
    cluster.hire(2);
    let waited = crate::support::binary::until("the run to succeed", || {
        let ended = cluster.ask(&["status", &run_id]).expect(0);
        ended.out.contains("(succeeded)").then_some(ended)
    });
    assert!(waited.out.contains(&out));
    assert_eq!(table(&stage.out()).digest, table(&stage.undisturbed()).digest);
}
