//! Staged files that a decided run loses while its coordinator is down: they are made again from the source, or nothing is published.
//!
//! Invariant: a file is taken away only from a run that is decided and not published, which is looked at first.

use std::fs;
use std::path::{Path, PathBuf};

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::layout;

use super::life::{End, Scenario, Stage, live};
use super::{facts, must_be_swept, outcome, run_of, state};
use crate::flow::Outcome;
use crate::support::binary::batteuse;

/// Takes the staged files away whose names are `lost`; tells how many there were.
pub fn lose(dir: &Path, lost: impl Fn(&str) -> bool) -> usize {
    let staging = dir.join(layout::staging_dir(&run_of(dir).unwrap()));
    let paths = fs::read_dir(staging).unwrap().map(|entry| entry.unwrap().path());
    let lost: Vec<PathBuf> = paths.filter(|path| lost(path.file_name().unwrap().to_str().unwrap())).collect();
    lost.iter().for_each(|path| fs::remove_file(path).unwrap());
    lost.len()
}

/// A run that was stopped dead between its decision and the first part, and what it comes to undisturbed.
fn decided() -> (Stage, PathBuf, Outcome) {
    let stage = Stage::new(Scenario::Whole);
    let undisturbed = stage.dir("undisturbed");
    let life = live(&stage, &undisturbed, None);
    let publish = life.actions.iter().position(|action| action == "publish").unwrap();
    let dir = stage.dir("decided");
    assert!(matches!(live(&stage, &dir, Some(publish)).end, End::Killed));
    assert!(matches!(facts(&state(&dir), &dir).last(), Some(Fact::RunDecided(_))));
    (stage, dir, outcome(&undisturbed))
}

fn replaced(dir: &Path) -> usize {
    let facts = facts(&state(dir), dir);
    facts.iter().filter(|fact| matches!(fact, Fact::PartitionReplaced { .. })).count()
}

fn part(name: &str) -> bool {
    name.ends_with(".part.tmp")
}

#[test]
fn staged_files_that_are_lost_while_the_coordinator_is_down_are_made_again() {
    let (_stage, dir, undisturbed) = decided();
    let parts = lose(&dir, part);
    assert!(parts > 1, "{parts}");
    // What the rejects were gathered from goes too: it is made again with the parts.
    assert!(lose(&dir, |name| name != layout::STAGING_NONCE) > 1);
    batteuse(["resume", "--to", dir.to_str().unwrap()]).expect(4);
    assert_eq!(replaced(&dir), parts);
    undisturbed.must_equal(&outcome(&dir), "made again");
    must_be_swept(&dir, "made again");
    batteuse(["verify", dir.to_str().unwrap()]).expect(0);
}

#[test]
fn what_is_not_the_same_any_more_is_never_published() {
    let (stage, dir, undisturbed) = decided();
    assert_eq!(lose(&dir, |name| part(name) && name.starts_with("0000002-")), 1);
    let (source, version) = (fs::read_to_string(&stage.source).unwrap(), fs::metadata(&stage.source).unwrap());
    // Another content of the same version: nobody can see that but by reading it.
    let write = |text: &str| {
        fs::write(&stage.source, text).unwrap();
        let file = fs::File::options().write(true).open(&stage.source).unwrap();
        file.set_modified(version.modified().unwrap()).unwrap();
    };
    write(&source.replace("plain 2", "paint 2"));
    let stopped = batteuse(["resume", "--to", dir.to_str().unwrap()]).expect(16);
    stopped.says(&["partition 2", "another part than the decided one", "Nothing is lost"]);
    assert!(!dir.join(layout::SUCCESS).exists());
    assert_eq!(replaced(&dir), 0);
    write(&source);
    batteuse(["resume", "--to", dir.to_str().unwrap()]).expect(4);
    assert_eq!(replaced(&dir), 1);
    undisturbed.must_equal(&outcome(&dir), "made again");
    must_be_swept(&dir, "made again");
}
