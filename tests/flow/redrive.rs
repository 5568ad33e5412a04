//! Runs that failed and are redriven, with real processes.
//!
//! Invariant: what a redriven run comes to is what an undisturbed one comes to, only what failed is read again, and what a run that failed
//! keeps is kept until it is redriven or released.

use std::fs;
use std::path::{Path, PathBuf};

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::layout;
use serde_json::Value;

use crate::recovery::{facts, run_of, state};
use crate::support::binary::{Cluster, Process, batteuse, run, until, write_spec};
use crate::support::published::{json_file, table};

const ROWS: usize = 40_000;
const PARTITION_BYTES: u64 = 100_000;

/// A source in which one record kills whoever is told so, and one is no record.
struct Ground {
    folder: tempfile::TempDir,
    source: PathBuf,
    poison: usize,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("poisoned.csv");
        let line = |row| {
            if row == 999 { "999,one,two,three\n".to_owned() } else { format!("{row},{},\"name {row}\"\n", row * 7) }
        };
        let text = format!("id,n,name\n{}", (0..ROWS).map(line).collect::<String>());
        fs::write(&source, &text).unwrap();
        let poison = text.find("\n23456,").unwrap() + 1;
        Self { folder, source, poison }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spec(&self, name: &str, to: &str) -> PathBuf {
        self.spec_with(name, to, 0)
    }

    fn spec_with(&self, name: &str, to: &str, quarantine_bytes: u64) -> PathBuf {
        let more = format!(
            "  partition: {{bytes: {PARTITION_BYTES}}}\n  rejects: {{tolerate: {{count: 1}}, quarantineBytes: {quarantine_bytes}}}\n"
        );
        write_spec(&self.path(name), &self.source, &self.path(to), &more)
    }

    /// A worker that the record kills.
    fn killed(&self, cluster: &Cluster) -> Process {
        let chaos = format!("poison={}:panic", self.poison);
        Process::start(["worker", "--slots", "1", "--coordinator", &cluster.url, "--chaos", &chaos])
    }

    /// Lets a run into `out` fail; its id.
    fn fail(&self, cluster: &Cluster) -> String {
        let worker = self.killed(cluster);
        let report = cluster.submit(&self.spec("job.yaml", "out"), &["--wait", "-o", "json"]).expect(8).json();
        assert!(worker.killed());
        report["run"].as_str().unwrap().to_owned()
    }

    fn staging(&self) -> PathBuf {
        let out = self.path("out");
        out.join(layout::staging_dir(&run_of(&out).unwrap()))
    }

    /// The table in `dir` must be an undisturbed run's.
    fn must_be_whole(&self, dir: &Path, report: &Value) {
        let undisturbed = self.path("undisturbed");
        let want = if undisturbed.exists() {
            json_file(&undisturbed.join(layout::report(&run_of(&undisturbed).unwrap())))
        } else {
            run(&self.source, &undisturbed, &["--tolerate", "1"]).expect(4).json()
        };
        for told in ["digest", "written", "rejected", "quarantined"] {
            assert_eq!(report[told], want[told], "{told}");
        }
        assert!(table(dir) == table(&undisturbed));
        assert!(!dir.join(layout::staging_dir(&run_of(dir).unwrap())).exists(), "it is swept");
    }
}

fn staged(facts: &[Fact]) -> usize {
    facts.iter().filter(|fact| matches!(fact, Fact::Staged { .. })).count()
}

#[test]
fn only_what_failed_is_read_again() {
    let ground = Ground::new();
    let (state, out) = (ground.path("state"), ground.path("out"));
    let mut cluster = Cluster::start(&state);
    let run = ground.fail(&cluster);
    let (before, report) = (staged(&facts(&state, &out)), out.join(layout::report(&run_of(&out).unwrap())));
    assert!(before > 0 && ground.staging().exists(), "what was staged is kept");
    let failed = json_file(&report);

    let swept =
        batteuse(["gc", out.to_str().unwrap(), "-o", "json"]).expect(0).says(&["batteuse redrive", "--give-up"]);
    assert_eq!((swept.json()["stagingFolders"].as_u64(), ground.staging().exists()), (Some(0), true));
    cluster.hire(1);
    let redriven = cluster.ask(&["redrive", &run, "--wait", "-o", "json"]).expect(4).json();
    ground.must_be_whole(&out, &redriven);
    assert_eq!((&redriven["redrives"], &redriven["run"]), (&Value::from(1), &Value::from(run.as_str())));
    let partitions = redriven["partitions"].as_u64().unwrap() as usize;
    let again = staged(&facts(&state, &out)) - before;
    assert_eq!(before + again, partitions, "each partition is staged once");
    assert!(again < before, "{again} again, {before} before");
    assert_eq!((json_file(&report), failed["state"].as_str()), (redriven, Some("Failed")), "the report is replaced");
    cluster
        .ask(&["redrive", &run])
        .expect(12)
        .says(&["only what failed because tasks did, or was set aside, is redriven"]);
    batteuse(["verify", out.to_str().unwrap()]).expect(0);
}

#[test]
fn a_coordinator_that_dies_after_it_was_told_goes_on() {
    let ground = Ground::new();
    let (state, out) = (ground.path("state"), ground.path("out"));
    let mut cluster = Cluster::start(&state);
    let run = ground.fail(&cluster);
    // No worker has come: it cannot end before.
    let status = cluster.ask(&["redrive", &run, "-o", "json"]).expect(0).json();
    assert_eq!(status["state"].as_str(), Some("Running"), "{status}");
    cluster.ask(&["redrive", &run]).expect(0);
    assert!(cluster.coordinator.take().unwrap().killed());
    cluster.restart();
    cluster.hire(1);
    until("the run to end", || matches!(facts(&state, &out).last(), Some(Fact::RunDone { .. })).then_some(()));
    ground.must_be_whole(&out, &json_file(&out.join(layout::report(&run_of(&out).unwrap()))));
}

#[test]
fn whoever_takes_the_folder_releases_the_run() {
    let ground = Ground::new();
    let out = ground.path("out");
    let mut cluster = Cluster::start(&ground.path("state"));
    let run = ground.fail(&cluster);
    let kept = ground.staging();
    cluster.hire(1);
    let report = cluster.submit(&ground.spec("other.yaml", "out"), &["--wait", "-o", "json"]).expect(4).json();
    ground.must_be_whole(&out, &report);
    assert!(!kept.exists(), "nobody keeps it any more");
    let words = ["cannot be redriven any more", report["run"].as_str().unwrap(), "took its output folder"];
    cluster.ask(&["redrive", &run]).expect(12).says(&words);
    cluster.ask(&["redrive", "nothing-1"]).expect(12).says(&["no run nothing-1 here"]);
}

#[test]
fn what_is_given_up_or_has_another_source_is_not_redriven() {
    let ground = Ground::new();
    let (source, text) = (&ground.source, fs::read(&ground.source).unwrap());
    let cluster = Cluster::start(&ground.path("state"));
    let run = ground.fail(&cluster);
    let moved = ground.path("moved.csv");
    fs::rename(source, &moved).unwrap();
    fs::write(source, &text).unwrap();
    cluster.ask(&["redrive", &run]).expect(12).says(&["changed since the run began", "Put the old file back"]);
    fs::rename(&moved, source).unwrap();
    let swept = batteuse(["gc", ground.path("out").to_str().unwrap(), "--give-up", "-o", "json"]).expect(0).json();
    assert_eq!((swept["stagingFolders"].as_u64(), ground.staging().exists()), (Some(1), false));
    cluster.ask(&["redrive", &run]).expect(12).says(&["cannot be redriven any more", "given up by `batteuse gc`"]);
}

/// A run that is published without what was set aside: its table stands until the whole one takes its place.
#[test]
fn what_was_set_aside_is_read_and_published() {
    let ground = Ground::new();
    let (state, out) = (ground.path("state"), ground.path("out"));
    let mut cluster = Cluster::start(&state);
    let worker = ground.killed(&cluster);
    let spec = ground.spec_with("job.yaml", "out", PARTITION_BYTES);
    let first = cluster.submit(&spec, &["--wait", "-o", "json"]).expect(4).json();
    let aside = first["quarantined"].as_u64().unwrap();
    assert!(aside > 0, "{first}");
    let before = table(&out);
    let run = first["run"].as_str().unwrap();
    // What kills is not mended yet: it is set aside again.
    let again = cluster.ask(&["redrive", run, "--wait", "-o", "json"]).expect(4).json();
    assert_eq!((&again["quarantined"], &again["digest"]), (&first["quarantined"], &first["digest"]));
    assert!(table(&out) == before);
    batteuse(["verify", out.to_str().unwrap()]).expect(0);
    assert!(worker.killed());
    assert_eq!(cluster.ask(&["redrive", run, "-o", "json"]).expect(0).json()["state"].as_str(), Some("Running"));
    assert!(table(&out) == before, "it stands until the next one takes its place");
    cluster.submit(&ground.spec("other.yaml", "out"), &[]).expect(12).says(&["holds the unfinished run"]);
    cluster.hire(1);
    until("the run to end", || matches!(facts(&state, &out).last(), Some(Fact::RunDone { .. })).then_some(()));
    let report = json_file(&out.join(layout::report(&run_of(&out).unwrap())));
    ground.must_be_whole(&out, &report);
    assert_eq!(
        (report["redrives"].as_u64(), report["written"].as_u64()),
        (Some(2), first["written"].as_u64().map(|n| n + aside))
    );
    batteuse(["verify", out.to_str().unwrap()]).expect(0);
    cluster.ask(&["redrive", run]).expect(12).says(&["has ended"]);
}

/// A run whose state lies in its output folder is redriven without a coordinator; what was staged may be gone by then.
#[test]
fn in_its_folder_it_goes_on_in_one_process() {
    let ground = Ground::new();
    let out = ground.path("out");
    let elsewhere = ground.path("elsewhere");
    ground.fail(&Cluster::start(&elsewhere));
    // As of a run in one process, which nothing lets fail by its tasks.
    fs::rename(&elsewhere, state(&out)).unwrap();
    let claim = out.join(layout::CLAIMS).join(layout::slot(0));
    let mut claimed = json_file(&claim);
    claimed["state"] = Value::from(layout::EMBEDDED_STATE);
    fs::write(&claim, claimed.to_string()).unwrap();
    let staging = ground.staging();
    let pieces = |suffix: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(&staging).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.to_str().unwrap().ends_with(suffix)).collect()
    };
    // The rejects of one partition and the part of another.
    for gone in [&pieces(".rejects.tmp")[0], &pieces(".part.tmp")[3]] {
        fs::remove_file(gone).unwrap();
    }
    batteuse(["resume", "--to", out.to_str().unwrap()]).expect(8);
    let copy = ground.path("copy");
    assert!(std::process::Command::new("cp").arg("-r").args([&out, &copy]).status().unwrap().success());
    batteuse(["redrive", copy.to_str().unwrap()]).expect(12).says(&["which began in"]);
    let report = batteuse(["redrive", out.to_str().unwrap(), "-o", "json"]).expect(4).json();
    ground.must_be_whole(&out, &report);
    batteuse(["redrive", out.to_str().unwrap()]).expect(12).says(&["has ended"]);
}
