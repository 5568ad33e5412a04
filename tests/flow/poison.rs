//! A record that kills whoever parses it, with real workers that really die.
//!
//! Invariant: what is left of the table is that of a file without what was set aside, and no more workers die than it takes to know.

use std::fs;
use std::path::{Path, PathBuf};

use batteuse_coordinator::scheduler::Fact;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::recovery::facts;
use crate::support::binary::{Cluster, Ended, Process, run, until, write_spec};

const ROWS: usize = 40_000;
/// A sixteenth of it is the least that is set aside.
const PARTITION_BYTES: u64 = 100_000;

struct Ground {
    folder: tempfile::TempDir,
    source: PathBuf,
    text: String,
    /// Where the record starts that kills.
    poison: usize,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("poisoned.csv");
        let lines = (0..ROWS).map(|row| format!("{row},{},\"name {row}\"\n", row * 7));
        let text = format!("id,n,name\n{}", lines.collect::<String>());
        fs::write(&source, &text).unwrap();
        let poison = text.find("\n23456,").unwrap() + 1;
        Self { folder, source, text, poison }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs it on workers that die of the record, one after the other; how it ended, and how many died.
    fn run(&self, quarantine_bytes: u64, how: &str) -> (Ended, usize) {
        let more =
            format!("  partition: {{bytes: {PARTITION_BYTES}}}\n  rejects: {{quarantineBytes: {quarantine_bytes}}}\n");
        let spec = write_spec(&self.path("job.yaml"), &self.source, &self.path("out"), &more);
        let cluster = Cluster::start(&self.path("state"));
        let args = ["submit", "-f", spec.to_str().unwrap(), "--wait", "-o", "json", "--coordinator", &cluster.url];
        let mut submitted = Process::start(args);
        let chaos = format!("poison={}:{how}", self.poison);
        let worker = || Process::start(["worker", "--slots", "1", "--coordinator", &cluster.url, "--chaos", &chaos]);
        let (mut works, mut died) = (worker(), 0);
        until("the run to end", || {
            if !works.running() {
                died += 1;
                works = worker();
            }
            (!submitted.running()).then_some(())
        });
        (submitted.wait(), died)
    }

    fn facts(&self) -> Vec<Fact> {
        facts(&self.path("state"), &self.path("out"))
    }
}

fn digest(report: &Value) -> &str {
    report["digest"].as_str().unwrap()
}

fn must_be_without(ground: &Ground, report: &Value, aside: &Value) {
    let at = |name: &str| usize::try_from(aside[name].as_u64().unwrap()).unwrap();
    let (start, end) = (at("start"), at("end"));
    assert!(start <= ground.poison && ground.poison < end, "{aside}");
    assert!((end - start) as u64 <= PARTITION_BYTES / 8, "{aside}");
    let bytes = &ground.text[start..end];
    assert_eq!(aside["sha256"].as_str().unwrap(), format!("{:x}", Sha256::digest(bytes)));
    assert_eq!(aside["records"].as_u64().unwrap(), bytes.lines().count() as u64);
    let rest = ground.path("rest.csv");
    fs::write(&rest, [&ground.text[..start], &ground.text[end..]].concat()).unwrap();
    let want = run(&rest, &ground.path("rest"), &[]).expect(0).json();
    assert_eq!((digest(report), &report["written"]), (digest(&want), &want["written"]));
}

#[test]
fn a_record_that_kills_its_workers_is_found_and_set_aside() {
    let ground = Ground::new();
    let (ended, died) = ground.run(PARTITION_BYTES, "abort");
    let report = ended.expect(4).json();
    assert_eq!(died, 2, "the third attempt is alone in a process");
    let aside = report["quarantines"].as_array().unwrap();
    assert_eq!(aside.len(), 1, "{aside:?}");
    must_be_without(&ground, &report, &aside[0]);
    let splits = ground.facts().iter().filter(|fact| matches!(fact, Fact::Split { .. })).count();
    assert_eq!((splits as u64, &report["splits"]), (4, &Value::from(4)), "halved down to a sixteenth");
    let words = aside[0]["reason"].as_str().unwrap();
    assert!(words.contains("SIGABRT"), "{words}");
}

#[test]
fn where_nothing_may_be_set_aside_the_run_fails_by_name_and_leaves_nothing_visible() {
    let ground = Ground::new();
    let (ended, died) = ground.run(0, "panic");
    let report = ended.expect(8).json();
    assert_eq!(died, 0, "a panic kills no worker");
    let reason = report["reason"]["message"].as_str().unwrap();
    for words in ["kills whoever parses it", "rejects.quarantineBytes is 0"] {
        assert!(reason.contains(words), "{reason}");
    }
    let parts =
        |dir: &Path| fs::read_dir(dir).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count();
    assert_eq!(parts(&ground.path("out")), 0);
}
