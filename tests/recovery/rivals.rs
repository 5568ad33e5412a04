//! Rivals and damage: two processes that want one run or one folder, and a journal that is not what was written.
//!
//! Invariant: of rivals at most one goes on and nothing is published twice; a damaged journal is never guessed at.

use std::fs;
use std::path::{Path, PathBuf};

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::layout;
use tempfile::TempDir;

use super::life::{RAGGED_EACH, dirty};
use super::{Chance, facts, ledger, must_be_swept, outcome, run_of, state};
use crate::support::binary::{Cluster, Ended, Process, batteuse, until, write_spec};
use crate::support::published::{files, parts};

const ROWS: usize = 4_000;

/// A source and a spec that writes it into `dir`.
struct Ground {
    folder: TempDir,
    spec: PathBuf,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("dirty.csv");
        fs::write(&source, dirty(ROWS)).unwrap();
        let bytes = fs::metadata(&source).unwrap().len().div_ceil(60);
        let rejects = ROWS / RAGGED_EACH + 1;
        let more = format!("  partition: {{bytes: {bytes}}}\n  rejects: {{tolerate: {{count: {rejects}}}}}\n");
        let dir = folder.path().join("out");
        let spec = write_spec(&folder.path().join("job.yaml"), &source, &dir, &more);
        Self { folder, spec }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn run(&self) -> Process {
        Process::start(["run", "-f", self.spec.to_str().unwrap()])
    }

    fn resume(&self) -> Process {
        Process::start(["resume", "--to", self.dir().to_str().unwrap()])
    }

    fn journal(&self) -> PathBuf {
        let run = run_of(&self.dir()).unwrap();
        state(&self.dir()).join(batteuse_shared::layout::journal_dir(&run))
    }

    /// Begins a run and kills it once its journal has `slots` slots.
    fn killed(&self, slots: usize) {
        let mut process = self.run();
        let dir = self.dir();
        let count = || run_of(&dir).and_then(|_| fs::read_dir(self.journal()).ok()).map_or(0, Iterator::count);
        until("the run to be on its way", || (count() >= slots).then_some(()));
        assert!(process.kill(), "the run is too short for this test");
    }

    fn must_be_whole(&self, how: &str) {
        let facts = facts(&state(&self.dir()), &self.dir());
        ledger::must_be_lawful(&facts, &ledger::firsts(&facts), how);
        must_be_swept(&self.dir(), how);
        let other = Ground::new();
        other.run().wait().expect(4);
        let (mut found, mut want) = (outcome(&self.dir()), outcome(&other.dir()));
        // They are two files of the same content.
        found.report.as_object_mut().unwrap().remove("source");
        want.report.as_object_mut().unwrap().remove("source");
        let source = |rejects: &mut Vec<Vec<Option<String>>>| rejects.iter_mut().for_each(|row| row[0] = None);
        source(&mut found.rejects);
        source(&mut want.rejects);
        want.must_equal(&found, how);
    }
}

fn codes(ended: &[Ended]) -> Vec<Option<i32>> {
    let mut codes: Vec<_> = ended.iter().map(|ended| ended.code).collect();
    codes.sort();
    codes
}

#[test]
fn of_three_resumes_at_once_one_goes_on() {
    let ground = Ground::new();
    ground.killed(6);
    let rivals: Vec<_> = (0..3).map(|_| ground.resume()).collect();
    let ended: Vec<_> = rivals.into_iter().map(Process::wait).collect();
    assert!(ended.iter().any(|one| one.code == Some(4)), "one of them ends the run: {ended:#?}");
    for loser in ended.iter().filter(|one| one.code != Some(4)) {
        assert_eq!(loser.code, Some(16), "{loser:#?}");
        assert!(loser.err.contains("taken over by another process"), "{}", loser.err);
    }
    ground.must_be_whole("three resumes");
}

#[test]
fn of_four_runs_into_one_folder_one_wins() {
    let ground = Ground::new();
    let rivals: Vec<_> = (0..4).map(|_| ground.run()).collect();
    let ended: Vec<_> = rivals.into_iter().map(Process::wait).collect();
    assert_eq!(codes(&ended), [Some(4), Some(12), Some(12), Some(12)], "{ended:#?}");
    ground.must_be_whole("four runs");
}

#[test]
fn a_damaged_journal_stops_the_run_and_is_never_guessed_at() {
    let ground = Ground::new();
    ground.killed(8);
    let mut slots: Vec<_> = fs::read_dir(ground.journal()).unwrap().map(|slot| slot.unwrap().path()).collect();
    slots.retain(|slot| !slot.file_name().unwrap().to_str().unwrap().starts_with('.'));
    slots.sort();
    let resume = || ground.resume().wait();
    let refused = |ended: Ended, slot: &Path, before: &std::collections::BTreeMap<PathBuf, Vec<u8>>| {
        assert_eq!(ended.code, Some(16), "{}: {}", slot.display(), ended.err);
        assert!(
            ended.err.contains("the journal is damaged") && ended.err.contains(slot.to_str().unwrap()),
            "{}",
            ended.err
        );
        assert!(parts(&ground.dir()).is_empty(), "nothing is published");
        assert_eq!(&files(&ground.dir()), before, "nothing is changed");
    };
    for (n, slot) in slots.iter().enumerate() {
        let whole = fs::read(slot).unwrap();
        let mut flipped = whole.clone();
        let at = (n * 7919 + 13) % flipped.len();
        flipped[at] ^= 1 << (n % 8);
        fs::write(slot, &flipped).unwrap();
        refused(resume(), slot, &files(&ground.dir()));
        fs::write(slot, &whole[..whole.len() - 1]).unwrap();
        refused(resume(), slot, &files(&ground.dir()));
        if n + 1 < slots.len() {
            fs::remove_file(slot).unwrap();
            refused(resume(), slot, &files(&ground.dir()));
        }
        fs::write(slot, &whole).unwrap();
    }
    ground.resume().wait().expect(4);
    ground.must_be_whole("put back");
    // A finished run's journal, too.
    let mut bytes = fs::read(&slots[0]).unwrap();
    bytes[20] ^= 4;
    fs::write(&slots[0], bytes).unwrap();
    batteuse(["resume", "--to", ground.dir().to_str().unwrap()]).expect(16).says(&["the journal is damaged"]);
}

/// Rounds in which a run is given up while it goes on.
const CANCELS: u64 = 24;

#[test]
fn a_run_is_cancelled_or_decided_and_never_both() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("dirty.csv");
    fs::write(&source, dirty(ROWS)).unwrap();
    let bytes = fs::metadata(&source).unwrap().len().div_ceil(8);
    let more = format!("  partition: {{bytes: {bytes}}}\n  rejects: {{tolerate: {{count: {ROWS}}}}}\n");
    let spec =
        |name: &str| write_spec(&folder.path().join(format!("{name}.yaml")), &source, &folder.path().join(name), &more);
    batteuse(["run", "-f", spec("undisturbed").to_str().unwrap()]).expect(4);
    let want = outcome(&folder.path().join("undisturbed"));
    let state = folder.path().join("state");
    let mut cluster = Cluster::start(&state);
    (0..2).for_each(|_| cluster.hire(1));
    let (mut chance, mut cancelled, mut decided) = (Chance(3), 0, 0);
    for round in 0..CANCELS {
        let (name, how) = (format!("race-{round}"), format!("round {round}"));
        let dir = folder.path().join(&name);
        let run = cluster.submit(&spec(&name), &[]).expect(0).out.trim().to_owned();
        // Somewhere from its first fact to its last; some rounds at either, however fast the machine is.
        let decides = |facts: &[Fact]| facts.iter().any(|fact| matches!(fact, Fact::RunDecided(_)));
        let wanted = match round % 8 {
            0 => 1,
            1 => usize::MAX,
            _ => 1 + chance.below(30) as usize,
        };
        let ended = |facts: &[Fact]| matches!(facts.last(), Some(Fact::RunDone { .. }));
        until("the run to go on", || Some(facts(&state, &dir)).filter(|facts| facts.len() >= wanted || decides(facts)));
        let code = cluster.ask(&["cancel", &run]).code;
        let all = until("the run to end", || Some(facts(&state, &dir)).filter(|facts| ended(facts)));
        let decisions = all.iter().filter(|fact| matches!(fact, Fact::RunDecided(_) | Fact::RunAborted(_)));
        let decisions: Vec<_> = decisions.map(|fact| matches!(fact, Fact::RunAborted(_))).collect();
        assert_eq!(decisions.len(), 1, "{how}");
        must_be_swept(&dir, &how);
        if decisions[0] {
            cancelled += 1;
            assert_eq!(code, Some(0), "{how}");
            assert!(parts(&dir).is_empty() && !dir.join(layout::SUCCESS).exists(), "{how}: nothing is published");
        } else {
            decided += 1;
            assert_eq!(code, Some(8), "{how}");
            want.must_equal(&outcome(&dir), &how);
        }
    }
    assert!(cancelled >= 3 && decided >= 3, "{cancelled} cancelled, {decided} decided");
}
