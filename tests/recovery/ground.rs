//! A dirty source, and what an undisturbed run of it comes to: the measure of every run that is disturbed.
//!
//! Invariant: what is compared is all that a run leaves, row by row; what is seen while processes live is looked at before the journal,
//! so that nothing which is decided meanwhile is taken for undecided.

use std::fs;
use std::path::{Path, PathBuf};

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::layout;
use batteuse_store::Disk;
use tempfile::TempDir;

use super::ledger::{self, Firsts};
use super::life::{RAGGED_EACH, dirty};
use super::{Shown, facts, must_be_swept, outcome, state};
use crate::flow::Outcome;
use crate::support::binary::{batteuse, until, write_spec};

/// A source, and what an undisturbed run of it comes to.
pub struct Ground {
    pub folder: TempDir,
    pub source: PathBuf,
    rows: usize,
    partitions: u64,
    outcome: Outcome,
    firsts: Firsts,
}

impl Ground {
    /// A source of so many rows, cut into so many partitions.
    pub fn of(rows: usize, partitions: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("dirty.csv");
        fs::write(&source, dirty(rows)).unwrap();
        let dir = folder.path().join("undisturbed");
        let spec = spec(&source, &dir, rows, partitions);
        batteuse(["run", "-f", spec.to_str().unwrap()]).expect(4);
        let firsts = ledger::firsts(&facts(&state(&dir), &dir));
        assert_eq!(firsts.len() as u64, partitions, "the bytes of a partition are rounded up");
        Self { outcome: outcome(&dir), firsts, source, folder, rows, partitions }
    }

    /// The spec of a run into `dir`, written beside it.
    pub fn spec(&self, dir: &Path) -> PathBuf {
        spec(&self.source, dir, self.rows, self.partitions)
    }

    /// Looks at what is there now, by the journal in `state`; tells whether the run is not decided yet.
    #[track_caller]
    pub fn look(&self, state: &Path, dir: &Path, how: &str) -> bool {
        let shown = Shown::of(dir);
        let facts = facts(state, dir);
        shown.must_be_decided(&facts, how);
        ledger::must_be_lawful(&facts, &self.firsts, how);
        !facts.iter().any(|fact| matches!(fact, Fact::RunDecided(_)))
    }

    /// The run into `dir` is done, and all that it left is the undisturbed one's.
    #[track_caller]
    pub fn must_have_ended_well(&self, state: &Path, dir: &Path, how: &str) {
        let facts = facts(state, dir);
        assert!(matches!(facts.last(), Some(Fact::RunDone { .. })), "{how}: {:?}", facts.last());
        ledger::must_be_lawful(&facts, &self.firsts, how);
        must_be_swept(dir, how);
        self.outcome.must_equal(&outcome(dir), how);
    }
}

fn spec(source: &Path, dir: &Path, rows: usize, partitions: u64) -> PathBuf {
    let bytes = fs::metadata(source).unwrap().len().div_ceil(partitions);
    let rejects = rows / RAGGED_EACH + 1;
    let more = format!("  partition: {{bytes: {bytes}}}\n  rejects: {{tolerate: {{count: {rejects}}}}}\n");
    write_spec(&dir.with_extension("yaml"), source, dir, &more)
}

/// Slots of the journal of the run that holds `dir`.
pub fn slots(state: &Path, dir: &Path) -> u64 {
    let Ok(Some((_, claim))) = batteuse_coordinator::claim::current(&Disk::new(dir)) else { return 0 };
    fs::read_dir(state.join(layout::journal_dir(&claim.run))).map_or(0, |slots| slots.count() as u64)
}

/// Waits until so many slots are there, or the run has ended.
pub fn wait_for_slots(state: &Path, dir: &Path, wanted: u64, mut ended: impl FnMut() -> bool) {
    until("the run to go on", || (slots(state, dir) >= wanted || ended()).then_some(()));
}
