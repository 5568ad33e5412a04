//! The command line, by the real binary: every exit code, what is said where, what is refused and why, and how a run goes on.
//!
//! Invariant: an exit code is never asserted alone; with it stands what is printed, and what is on disk or must not be.

mod bench;
mod chaos;
mod exits;
mod folders;
mod memory;
mod modes;
mod partition_by;
mod refusals;
mod resume;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::binary::{Process, batteuse, run, until};
use crate::support::published::parts;

/// A folder with a source in it.
struct Stage {
    folder: TempDir,
    source: PathBuf,
}

impl Stage {
    fn new(bytes: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source.csv");
        fs::write(&source, bytes).unwrap();
        Self { folder, source }
    }

    /// With generated data, which takes some time in small partitions.
    fn long() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source.csv");
        batteuse(["generate", "taxi", "--bytes", "1MB", "--to", source.to_str().unwrap()]).expect(0);
        Self { folder, source }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The output folder.
    fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// Starts a run of [`Stage::long`] in `partitions` partitions, and waits until it has journalled some attempts.
    fn begin(&self, partitions: u64) -> Process {
        let bytes = fs::metadata(&self.source).unwrap().len().div_ceil(partitions).to_string();
        let (from, to) = (self.source.to_str().unwrap(), self.out());
        let args = ["run", "--from", from, "--to", to.to_str().unwrap(), "--partition-bytes", &bytes, "--workers", "2"];
        let mut process = Process::start(args);
        until("the run to be on its way", || (slots(&self.out()) >= 8).then_some(()));
        assert!(process.running(), "the run is too short for this test");
        process
    }

    /// Starts a long run and interrupts it with Ctrl-C.
    fn interrupt(&self) {
        let process = self.begin(400);
        process.signal("INT");
        let ended = process.wait().expect(130);
        assert!(ended.err.contains(&format!("batteuse resume --to {}", self.out().display())), "{}", ended.err);
        assert_eq!(ended.out, "", "an interrupted run has no result");
        must_not_be_published(&self.out());
    }

    /// The same source, run without disturbance in one partition; its folder.
    fn undisturbed(&self) -> PathBuf {
        let out = self.path("undisturbed");
        run(&self.source, &out, &[]).expect(0);
        out
    }
}

/// Slots of the journal of the one embedded run of `out`; none when there is no run yet.
fn slots(out: &Path) -> usize {
    let runs = fs::read_dir(out.join("_batteuse/state/runs")).into_iter().flatten();
    runs.filter_map(|run| fs::read_dir(run.unwrap().path().join("journal")).ok()).map(Iterator::count).sum()
}

fn must_not_be_published(out: &Path) {
    assert!(parts(out).is_empty(), "parts of a run that is not published");
    assert!(!out.join("_SUCCESS").exists(), "_SUCCESS of a run that is not published");
}
