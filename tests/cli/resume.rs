//! Ctrl-C and `resume`: what was interrupted goes on as if it had not been; what ended is told again; what changed is refused.

use std::fs;
use std::io::Write as _;

use super::{Stage, must_not_be_published, slots};
use crate::support::binary::{batteuse, run, until};
use crate::support::published::{files, json_file, run_file, table};

#[test]
fn an_interrupted_run_is_resumed_to_the_same_table() {
    let stage = Stage::long();
    stage.interrupt();
    let (before, out) = (slots(&stage.out()), stage.out().to_str().unwrap().to_owned());
    let resumed = batteuse(["resume", "--to", &out, "-o", "json"]).expect(0);
    let report = resumed.json();
    assert_eq!((&report["state"], &report["accepted"]), (&"Succeeded".into(), &400.into()));
    assert!(slots(&stage.out()) > before, "the journal goes on");
    // 400 partitions, inspection and finish task, and what was in progress: nothing that was staged is done again.
    let attempts = report["attempts"].as_u64().unwrap();
    assert!((402..=410).contains(&attempts), "{attempts} attempts");
    let (found, want) = (table(&stage.out()), table(&stage.undisturbed()));
    assert!(found == want, "a resumed run writes what an undisturbed one does");
    // A finished run: its report again, and its exit.
    let before = files(&stage.out());
    let again = batteuse(["resume", "--to", &out, "-o", "json"]).expect(0);
    assert_eq!(again.json(), report);
    assert_eq!((again.err.as_str(), files(&stage.out())), ("", before));
}

#[test]
fn it_can_be_interrupted_again_and_again_by_either_signal() {
    let stage = Stage::long();
    stage.interrupt();
    for (signal, more) in [("TERM", 30), ("INT", 60)] {
        let before = slots(&stage.out());
        let args = ["resume".to_owned(), "--to".to_owned(), stage.out().to_str().unwrap().to_owned()];
        let mut process = crate::support::binary::Process::start(args);
        until("the resumed run to go on", || (slots(&stage.out()) >= before + more).then_some(()));
        assert!(process.running(), "the run is too short for this test");
        process.signal(signal);
        process.wait().expect(130).says(&["batteuse resume --to"]);
        must_not_be_published(&stage.out());
    }
    batteuse(["resume", "--to", stage.out().to_str().unwrap(), "--workers", "1"]).expect(0);
    assert!(table(&stage.out()) == table(&stage.undisturbed()));
}

#[test]
fn ended_runs_are_told_again_and_exit_as_they_did() {
    for (flags, code, published) in [(&["--tolerate", "1"][..], 4, true), (&[], 8, false)] {
        let stage = Stage::new("a,b\n1,2\n3\n");
        let ended = run(&stage.source, &stage.out(), flags).expect(code);
        let again = batteuse(["resume", "--to", stage.out().to_str().unwrap(), "-o", "json"]).expect(code);
        assert_eq!(again.json(), ended.json());
        assert_eq!(stage.out().join("_SUCCESS").exists(), published);
    }
    let stage = Stage::new("");
    run(&stage.source, &stage.out(), &[]).expect(12);
    batteuse(["resume", "--to", stage.out().to_str().unwrap()]).expect(12);
}

#[test]
fn there_is_nothing_to_resume() {
    let stage = Stage::new("a,b\n1,2\n");
    fs::create_dir(stage.path("empty")).unwrap();
    fs::create_dir(stage.path("foreign")).unwrap();
    fs::write(stage.path("foreign/notes.txt"), "mine").unwrap();
    for name in ["absent", "empty", "foreign"] {
        let ended = batteuse(["resume", "--to", stage.path(name).to_str().unwrap()]).expect(12);
        ended.says(&[name, "nothing to resume, use run"]);
    }
    assert!(!stage.path("absent").exists());
}

#[test]
fn another_version_of_the_source_is_refused_and_nothing_published() {
    let stage = Stage::long();
    stage.interrupt();
    let size = fs::metadata(&stage.source).unwrap().len();
    let mut source = fs::OpenOptions::new().append(true).open(&stage.source).unwrap();
    source.write_all(b"1").unwrap();
    drop(source);
    let refused = batteuse(["resume", "--to", stage.out().to_str().unwrap()]).expect(12);
    refused.says(&["changed", &format!("size {size}]"), &format!("size {}]", size + 1), "Nothing is published"]);
    must_not_be_published(&stage.out());
    // Gone altogether.
    fs::rename(&stage.source, stage.path("away")).unwrap();
    batteuse(["resume", "--to", stage.out().to_str().unwrap()]).expect(12).says(&["cannot be read"]);
    must_not_be_published(&stage.out());
}

#[test]
fn kill_9_is_resumed_as_well() {
    let stage = Stage::long();
    let mut process = stage.begin(200);
    process.kill();
    drop(process);
    must_not_be_published(&stage.out());
    batteuse(["resume", "--to", stage.out().to_str().unwrap()]).expect(0);
    assert!(table(&stage.out()) == table(&stage.undisturbed()));
    assert_eq!(json_file(&run_file(&stage.out(), "report.json"))["equation"]["holds"], true);
}
