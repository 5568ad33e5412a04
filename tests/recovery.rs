//! Recovery: a run that is killed, at any instant and however often, goes on to what an undisturbed run comes to, and nothing
//! that was staged or accepted is done again.
//!
//! Invariant: every injected fault is counted and must have hit; what a killed run left is looked at before it goes on.
//! `boundaries` and `modes` stop the driver in this process before each of its actions; `processes` and `rivals` kill and race real
//! ones; `lost` takes staged files away from a decided run.

mod boundaries;
mod crew;
mod ground;
mod ledger;
mod life;
mod lost;
mod modes;
mod processes;
mod rivals;
mod streams;
mod succession;

pub use ground::{Ground, slots};
pub use life::{dirty, dirty_over};

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batteuse_coordinator::claim;
use batteuse_coordinator::journal::{Journal, State, StateFolder};
use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_store::Disk;

use crate::flow::Outcome;
use crate::support::published;

/// What lies in the output folder of a run that has ended.
#[track_caller]
fn outcome(dir: &Path) -> Outcome {
    let run = run_of(dir).expect("a run holds the folder");
    // How a process exited is not on the disk.
    Outcome::left(0, dir, &dir.join(layout::run_dir(&run))).0
}

/// The run that holds `dir`.
pub fn run_of(dir: &Path) -> Option<RunId> {
    claim::current(&Disk::new(dir)).unwrap().map(|(_, claim)| claim.run)
}

/// The facts of the run that holds `dir`, whose state lies in `state`.
pub fn facts(state: &Path, dir: &Path) -> Vec<Fact> {
    let Some(run) = run_of(dir) else { return Vec::new() };
    let replayed = Journal::read::<Fact>(&*kept_in(state), &run).unwrap();
    replayed.facts.into_iter().map(|(_, fact)| fact).collect()
}

/// The state store that the folder `state` is.
pub fn kept_in(state: &Path) -> State {
    Arc::new(StateFolder::new(Arc::new(Disk::new(state)), ""))
}

/// The state folder of an embedded run into `dir`.
pub fn state(dir: &Path) -> PathBuf {
    dir.join(layout::EMBEDDED_STATE)
}

/// VISIBLE-IS-DECIDED: before the decision nothing is visible but the engine's folder.
#[track_caller]
fn must_show_no_more_than_decided(facts: &[Fact], dir: &Path, how: &str) {
    Shown::of(dir).must_be_decided(facts, how);
}

/// What somebody saw who looked into an output folder.
struct Shown {
    /// Names in the folder itself.
    visible: BTreeSet<String>,
    /// Whether manifest, report and rejects of the run that holds it were there.
    texts: [bool; 3],
}

impl Shown {
    fn of(dir: &Path) -> Self {
        let entries = fs::read_dir(dir).into_iter().flatten();
        let visible = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let there = |path: fn(&RunId) -> String| run_of(dir).is_some_and(|run| dir.join(path(&run)).exists());
        Self { visible, texts: [there(layout::manifest), there(layout::report), there(layout::rejects)] }
    }

    /// `facts` were read after it.
    #[track_caller]
    fn must_be_decided(&self, facts: &[Fact], how: &str) {
        let published = facts.iter().any(|fact| matches!(fact, Fact::RunDecided(d) if d.manifest_sha256.is_some()));
        let decided = facts.iter().any(|fact| matches!(fact, Fact::RunDecided(_) | Fact::RunAborted(_)));
        let Self { visible, texts } = self;
        if !published {
            assert!(visible.iter().all(|name| name == layout::ENGINE_DIR), "{how}: visible, undecided: {visible:?}");
        }
        let may_be = [published, decided, decided];
        for ((name, there), may_be) in ["the manifest", "the report", "the rejects"].iter().zip(texts).zip(may_be) {
            assert!(may_be || !there, "{how}: {name} is there, undecided");
        }
    }
}

/// A run that has ended leaves its files and nothing else: no staging folder, no temporary, no stranger.
#[track_caller]
fn must_be_swept(dir: &Path, how: &str) {
    let run = run_of(dir).expect("a run holds the folder");
    let engine = |folder: &str| format!("{}/{folder}/", layout::ENGINE_DIR);
    let own = [layout::manifest(&run), layout::report(&run), layout::rejects(&run), layout::SUCCESS.to_owned()];
    for path in published::files(dir).keys() {
        let path = path.to_str().unwrap();
        let temporary = path.ends_with(".tmp");
        // Of a run that never began, and whose place another one took, only the nonce is left.
        let never_began = path.ends_with(&format!("/staging/{}", layout::STAGING_NONCE))
            && !path.starts_with(&layout::run_dir(&run))
            && path.starts_with(&engine("runs"));
        let part = layout::is_part(path);
        let kept = path.starts_with(&engine("claims")) || path.starts_with(&engine("state"));
        let known = own.iter().any(|own| own == path) || part || kept || never_began;
        assert!(known && !temporary, "{how}: {path} is left over");
    }
    let staging = layout::staging_dir(&run);
    assert!(!dir.join(&staging).exists(), "{how}: {staging} is left over");
}

/// Chance that is the same in every run of the tests.
#[derive(Debug, Default)]
pub struct Chance(pub u64);

impl Chance {
    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}
