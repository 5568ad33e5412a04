//! A run that adds to a table, or takes its place, stopped dead before each of its actions in turn.
//!
//! Invariant: before the decision the folder holds the old table, byte for byte; after it `_SUCCESS` lists the old table or the new
//! one, and all that it lists is there; at the end the new table reads as its manifest says, and nothing of the old one is left over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::layout;
use batteuse_shared::manifest::{Manifest, Success, SuccessFile};
use batteuse_shared::report::Report;
use batteuse_shared::spec::Mode;
use batteuse_shared::table::Checksum;
use batteuse_store::{Disk, Folder};
use batteuse_worker::verify::verify;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::life::{End, Scenario, Stage, held, live};
use super::{facts, state};
use crate::support::published;

/// What lies in `dir` beside the engine's folder.
fn shown(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = published::files(dir);
    files.retain(|path, _| !path.starts_with(layout::ENGINE_DIR));
    files
}

fn read<T: DeserializeOwned>(dir: &Path, path: &str) -> T {
    serde_json::from_slice(&std::fs::read(dir.join(path)).unwrap()).unwrap()
}

/// The table that `_SUCCESS` lists, all of whose files are there as listed.
fn listed(dir: &Path, how: &str) -> Success {
    let (success, shown) = (read::<Success>(dir, layout::SUCCESS), shown(dir));
    for file in &success.files {
        let content = shown.get(Path::new(&file.name)).unwrap_or_else(|| panic!("{how}: {} is not there", file.name));
        assert_eq!(file.sha256, Some(Checksum(Sha256::digest(content).into())), "{how}: {}", file.name);
    }
    success
}

/// The folder after the run's end: what a reader of names sees is what a reader of `_SUCCESS` sees, and all of it is as told.
fn ended(dir: &Path, how: &str) -> Success {
    let success = listed(dir, how);
    let mut wanted: Vec<PathBuf> = success.files.iter().map(|file| file.name.clone().into()).collect();
    wanted.push(layout::SUCCESS.into());
    wanted.sort();
    assert_eq!(shown(dir).into_keys().collect::<Vec<_>>(), wanted, "{how}");
    let (manifest, report): (Manifest, Report) =
        (read(dir, &success.manifest), read(dir, &layout::report(&success.run)));
    let folder: Arc<dyn Folder> = Arc::new(Disk::new(dir));
    let found = verify(&folder, &success, &manifest, &report).unwrap();
    assert!(found.discrepancies.is_empty(), "{how}: {:?}", found.discrepancies);
    assert_eq!((found.rows, found.digest), (success.rows, success.digest), "{how}");
    success
}

/// A folder with the table of an earlier run, and that table.
fn with_a_table(first: &Stage, dir: &Path) -> Success {
    assert!(matches!(live(first, dir, None).end, End::Ended));
    ended(dir, "the first table")
}

/// Lives on to the end of the run that is under way.
fn finish(stage: &Stage, dir: &Path, how: &str) {
    for _ in 0..4 {
        if held(dir).is_some_and(|(run, _)| run.done()) {
            let temporary = |path: &PathBuf| path.to_str().unwrap().ends_with(".tmp");
            assert!(!published::files(dir).keys().any(temporary), "{how}: something staged is left over");
            return;
        }
        live(stage, dir, None);
    }
    panic!("{how}: PROGRESS");
}

/// Stopped dead before each of its actions; what it comes to in the end is for `judge`, which is given the first table and the folder.
fn every_boundary_of(scenario: Scenario, mode: Mode, judge: impl Fn(&Success, &Path, &str)) {
    every_boundary_on(&Stage::new(Scenario::Plain), &Stage::under(scenario, mode), mode, judge);
}

/// The same of the stage's run after the first one.
fn every_boundary_on(first: &Stage, stage: &Stage, mode: Mode, judge: impl Fn(&Success, &Path, &str)) {
    let dir = stage.dir("undisturbed");
    let old = with_a_table(first, &dir);
    let actions = live(stage, &dir, None).actions;
    judge(&old, &dir, "undisturbed");
    for (kill, action) in actions.iter().enumerate() {
        let (dir, how) = (stage.dir(&format!("at-{kill}")), format!("{mode:?} killed before action {kill}, {action}"));
        let old = with_a_table(first, &dir);
        let before = shown(&dir);
        assert!(matches!(live(stage, &dir, Some(kill)).end, End::Killed), "{how}");
        let facts = facts(&state(&dir), &dir);
        if facts.iter().any(|fact| matches!(fact, Fact::RunDecided(d) if d.manifest_sha256.is_some())) {
            listed(&dir, &how);
        } else {
            assert_eq!(shown(&dir), before, "{how}: VISIBLE-IS-DECIDED");
        }
        finish(stage, &dir, &how);
        judge(&old, &dir, &how);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn a_run_that_adds_killed_at_every_boundary() {
    every_boundary_of(Scenario::Whole, Mode::Append, |old, dir, how| {
        let new = ended(dir, how);
        // Both sources hold the same.
        assert_eq!((new.rows, new.digest), (2 * old.rows, old.digest.plus(old.digest)), "{how}");
        assert!(old.files.iter().all(|file| new.files.contains(file)) && new.inputs.len() == 2, "{how}");
    });
}

#[test]
fn a_run_that_takes_the_place_killed_at_every_boundary() {
    every_boundary_of(Scenario::Whole, Mode::Overwrite, |old, dir, how| {
        let new = ended(dir, how);
        assert_eq!((new.rows, new.digest), (old.rows, old.digest), "{how}");
        assert!(old.files.iter().all(|file| !new.files.contains(file)) && new.run != old.run, "{how}");
    });
}

#[test]
fn a_run_that_fails_leaves_the_table_killed_at_every_boundary() {
    every_boundary_of(Scenario::TooManyRejects, Mode::Overwrite, |old, dir, how| {
        assert_eq!(&ended(dir, how), old, "{how}");
    });
}

#[test]
fn a_run_that_takes_the_place_of_folders_killed_at_every_boundary() {
    let (first, second) = (
        Stage::in_folders(Scenario::Plain, Mode::Error, 3),
        Stage::in_folders(Scenario::Whole, Mode::OverwritePartition, 2),
    );
    every_boundary_on(&first, &second, Mode::OverwritePartition, |old, dir, how| {
        let new = ended(dir, how);
        let third = |file: &&SuccessFile| file.name.starts_with("jour=2024-02-03/");
        let kept: Vec<_> = old.files.iter().filter(third).collect();
        assert_eq!((kept.len(), old.files.len(), new.inputs.len()), (1, 4, 2), "{how}");
        assert_eq!(new.files.iter().filter(third).collect::<Vec<_>>(), kept, "{how}");
        let shared = old.files.iter().filter(|file| new.files.contains(file)).count();
        assert_eq!(shared, 1, "{how}: all others are the new run's");
        let days = |success: &Success| {
            success.files.iter().map(|file| file.name.split('/').next().unwrap().to_owned()).collect::<BTreeSet<_>>()
        };
        assert_eq!(days(&new), days(old), "{how}");
    });
}
