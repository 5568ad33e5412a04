//! Tests of publishing into a folder on a disk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;

use batteuse_shared::ids::{AttemptId, Epoch, PartitionId};
use batteuse_shared::location::url_of_dir;
use batteuse_store::{Disk, local};

use super::*;

/// An output folder with three staged parts and staged rejects.
struct Place {
    root: tempfile::TempDir,
    plan: PublishPlan,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let run = RunId::new("communes-1").unwrap();
        let staging = root.path().join(layout::staging_dir(&run));
        fs::create_dir_all(&staging).unwrap();
        let attempt = |n| AttemptId::new(Epoch(1), n);
        let staged = |n: u32, staged: String, published: String, text: &str| {
            fs::write(staging.join(&staged), text).unwrap();
            let (staged, bytes) = (Staged { name: staged, upload: None }, text.len() as u64);
            Link { attempt: attempt(n), staged, published, bytes }
        };
        let part = |n: u32, text: &str| {
            let name = layout::staged_part(PartitionId(n), attempt(n), 0);
            staged(n, name, layout::part(u64::from(n) * 100, attempt(n)), text)
        };
        let plan = PublishPlan {
            output_url: url_of_dir(root.path()).unwrap(),
            run: run.clone(),
            before: None,
            parts: vec![part(0, "zero"), part(1, "first"), part(2, "")],
            rejects: Some(staged(9, layout::staged_finish(attempt(9)), layout::rejects(&run), "rejects")),
            table: None,
            replaces: Vec::new(),
            removes: Vec::new(),
            keeps: false,
            unwanted: vec![],
            manifest: Some("manifest\n".into()),
            report: Some("report\n".into()),
            success: Some("success\n".into()),
        };
        Self { root, plan }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn dir(&self) -> Disk {
        Disk::new(self.root.path())
    }

    fn staged(&self, link: &Link) -> PathBuf {
        self.at(&layout::staging_dir(&self.plan.run)).join(&link.staged.name)
    }

    fn publish(&self) -> Result<(), PublishError> {
        publish(&self.plan, &self.dir(), &mut |_| ControlFlow::Continue(()))
    }

    /// Stops after the `n`-th step; the steps that were done.
    fn publish_stopped(&self, n: usize) -> (Vec<String>, Result<(), PublishError>) {
        let mut steps = Vec::new();
        let outcome = publish(&self.plan, &self.dir(), &mut |step| {
            steps.push(step.to_owned());
            if steps.len() == n { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (steps, outcome)
    }

    /// Every path and its content; links are told by their target.
    fn tree(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let (mut tree, mut folders) = (BTreeMap::new(), vec![self.root.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let kind = local::entry(&path).unwrap().unwrap();
                let content = match (kind.is_dir(), kind.is_file()) {
                    (true, _) => None,
                    (_, true) => Some(fs::read(&path).unwrap()),
                    _ => Some(fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()),
                };
                tree.insert(path.strip_prefix(self.root.path()).unwrap().to_owned(), content);
                if kind.is_dir() {
                    folders.push(path);
                }
            }
        }
        tree
    }
}

fn staged(name: &str) -> Staged {
    Staged { name: name.to_owned(), upload: None }
}

fn visible(place: &Place) -> Vec<String> {
    let staging = layout::staging_dir(&place.plan.run);
    let tree = place.tree();
    let files = tree.iter().filter(|(path, content)| content.is_some() && !path.starts_with(&staging));
    files.map(|(path, _)| path.to_str().unwrap().to_owned()).collect()
}

/// Of a run that was redriven: redone after everything was swept, before anybody knew.
#[test]
fn what_an_ending_before_published_makes_room_once() {
    for same in [true, false] {
        let mut place = Place::new();
        let (rejects, report) = (layout::rejects(&place.plan.run), layout::report(&place.plan.run));
        fs::create_dir_all(place.at(&rejects).parent().unwrap()).unwrap();
        fs::write(place.at(&rejects), if same { "rejects" } else { "others" }).unwrap();
        fs::write(place.at(&report), "failed\n").unwrap();
        let claim = claim::Claim { run: place.plan.run.clone(), state: "file:///s/".into(), nonce: "n".into() };
        let dir = Disk::new(place.root.path());
        claim::claim(&dir, 0, &claim).unwrap();
        let stale = layout::part(500, AttemptId::new(Epoch(1), 77));
        fs::write(place.at(&stale), "stale").unwrap();
        let before = [&rejects, &report].map(|path| super::visible(&dir, path).unwrap().unwrap());
        (place.plan.replaces, place.plan.removes) = (before.to_vec(), vec![stale.clone()]);
        for _ in 0..3 {
            publish(&place.plan, &dir, &mut |_| ControlFlow::Continue(())).unwrap();
            assert_eq!(fs::read_to_string(place.at(&rejects)).unwrap(), "rejects");
            assert_eq!(fs::read_to_string(place.at(&report)).unwrap(), "report\n");
            assert!(!place.at(&stale).exists() && !place.at(&layout::staging_dir(&place.plan.run)).exists());
        }
    }
}

#[test]
fn the_order_is_parts_rejects_manifest_report_success() {
    let place = Place::new();
    let run = &place.plan.run;
    let (steps, outcome) = place.publish_stopped(0);
    outcome.unwrap();
    let parts = place.plan.parts.iter().map(|part| part.published.clone());
    let rest = [layout::rejects(run), layout::manifest(run), layout::report(run), layout::SUCCESS.to_owned()];
    assert_eq!(steps, parts.chain(rest).collect::<Vec<_>>());
    for (path, text) in [(steps[1].as_str(), "first"), (&steps[3], "rejects"), (layout::SUCCESS, "success\n")] {
        assert_eq!(fs::read_to_string(place.at(path)).unwrap(), text);
    }
}

#[test]
fn stopped_after_any_step_and_redone_it_reaches_the_same_tree() {
    let undisturbed = Place::new();
    undisturbed.publish().unwrap();
    let published = undisturbed.tree();
    let all = visible(&undisturbed).len();
    assert_eq!(all, 7);
    assert!(!undisturbed.at(&layout::staging_dir(&undisturbed.plan.run)).exists(), "swept");
    for n in 1..=all {
        let place = Place::new();
        let (steps, outcome) = place.publish_stopped(n);
        assert!(matches!(&outcome, Err(PublishError::Stopped { after }) if *after == steps[n - 1]), "{outcome:?}");
        let mut seen = steps.clone();
        seen.sort();
        let mut now = visible(&place);
        now.sort();
        assert_eq!(now, seen, "what is visible is what was told");
        for _ in 0..2 {
            place.publish().unwrap();
            assert_eq!(place.tree(), published, "after {n} steps; a redo after the sweep changes nothing");
        }
    }
}

#[test]
fn a_failed_run_shows_its_rejects_and_report_only() {
    let mut place = Place::new();
    place.plan = PublishPlan { parts: vec![], manifest: None, success: None, ..place.plan };
    place.publish().unwrap();
    assert_eq!(visible(&place), [layout::rejects(&place.plan.run), layout::report(&place.plan.run)]);
}

#[test]
fn what_is_not_ours_is_refused_and_left() {
    let run = Place::new().plan.run;
    let part = Place::new().plan.parts[1].published.clone();
    let texts = [layout::manifest(&run), layout::report(&run), layout::SUCCESS.to_owned()];
    for path in [part, layout::rejects(&run)].iter().chain(&texts) {
        for kind in ["file", "link", "dangling", "folder"] {
            let place = Place::new();
            let target = place.at("target");
            fs::write(&target, "theirs").unwrap();
            match kind {
                "file" => fs::write(place.at(path), "thei!").unwrap(),
                "link" => symlink(&target, place.at(path)).unwrap(),
                "dangling" => symlink("nowhere", place.at(path)).unwrap(),
                _ => fs::create_dir(place.at(path)).unwrap(),
            }
            let mut before = place.tree();
            let refused = place.publish();
            let in_the_way = place.at(path);
            assert!(
                matches!(&refused, Err(PublishError::Foreign { path }) if *path == in_the_way),
                "{kind} {refused:?}"
            );
            let after = place.tree();
            assert!(!after.contains_key(Path::new(layout::SUCCESS)) || path == layout::SUCCESS);
            // Nothing that was there is changed or gone.
            before.retain(|path, content| after.get(path) != Some(content));
            assert_eq!(before, BTreeMap::new(), "{kind} at {path}");
        }
    }
}

#[test]
fn linked_engine_folders_are_refused() {
    for folder in ["_batteuse", "_batteuse/runs", "_batteuse/runs/communes-1", "_batteuse/runs/communes-1/staging"] {
        let (place, other) = (Place::new(), Place::new());
        fs::remove_dir_all(place.at(folder)).unwrap();
        symlink(other.at(folder), place.at(folder)).unwrap();
        let before = (place.tree(), other.tree());
        let refused = [place.publish(), sweep(&place.dir(), &place.plan.run)];
        for refused in refused {
            assert!(matches!(refused, Err(PublishError::Foreign { .. })), "{folder}: {refused:?}");
        }
        assert_eq!((place.tree(), other.tree()), before);
    }
}

#[test]
fn lost_and_changed_files_are_told_apart() {
    let place = Place::new();
    let staged = place.staged(&place.plan.parts[1]);
    fs::write(&staged, "altered").unwrap();
    assert!(matches!(place.publish(), Err(PublishError::Changed { expected: 5, .. })));
    fs::remove_file(&staged).unwrap();
    fs::remove_file(place.staged(&place.plan.parts[2])).unwrap();
    fs::remove_file(place.staged(place.plan.rejects.as_ref().unwrap())).unwrap();
    let gone = place.publish().unwrap_err();
    let parts = [place.plan.parts[1].attempt, place.plan.parts[2].attempt];
    assert_eq!(gone.gone(), parts, "all that is lost of one step is told at once: {gone}");
    assert!(gone.to_string().contains("and 1 more are"), "{gone}");
    assert!(!place.at(layout::SUCCESS).exists() && !place.at(&layout::manifest(&place.plan.run)).exists());
    fs::write(&staged, "first").unwrap();
    fs::write(place.staged(&place.plan.parts[2]), "").unwrap();
    let rejects = place.plan.rejects.as_ref().unwrap();
    assert_eq!(place.publish().unwrap_err().gone(), [rejects.attempt]);
    fs::write(place.staged(rejects), "rejects").unwrap();
    place.publish().unwrap();
}

#[test]
fn names_that_lead_elsewhere_touch_nothing() {
    for name in ["", ".", "..", "../x", "/etc/x", "a/b"] {
        let mut place = Place::new();
        place.plan.parts[2].staged.name = name.to_owned();
        let before = place.tree();
        let names = [place.plan.parts[0].staged.clone(), staged(name)];
        for refused in [place.publish(), discard(&place.dir(), &place.plan.run, &names)] {
            assert!(matches!(refused, Err(PublishError::BadName { .. })), "{name:?}: {refused:?}");
        }
        assert_eq!(place.tree(), before);
    }
}

#[test]
fn discarding_takes_the_named_files_and_is_idempotent() {
    let place = Place::new();
    let names = [place.plan.parts[0].staged.clone(), staged("never-staged.part.tmp")];
    for _ in 0..2 {
        discard(&place.dir(), &place.plan.run, &names).unwrap();
    }
    assert!(!place.staged(&place.plan.parts[0]).exists() && place.staged(&place.plan.parts[1]).exists());
}
