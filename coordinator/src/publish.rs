//! Publishing on a local disk: a plan is carried out as an idempotent redo.
//!
//! Order: parts, rejects, manifest, report, `_SUCCESS`; each group is durable before the next one begins, so whoever sees the
//! manifest or `_SUCCESS` sees all (VISIBLE-IS-DECIDED). Invariant: stopped anywhere and redone, it reaches the same files;
//! what it did not write itself is never replaced. Staged names stay until all is visible, and are swept before `RunDone`, so
//! that no crash leaves any behind.
//! Does not decide anything: the caller holds a durable `RunDecided` or `RunAborted` (WRITE-AHEAD).

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};

use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_shared::limits::NAME_BYTES_MAX;
use batteuse_shared::location::{BadUrl, path_of};

use crate::local::{self, LinkError, WriteError};

/// Everything that publishing a run makes visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishPlan {
    /// `file:///.../` of the output folder.
    pub output_url: String,
    /// The run.
    pub run: RunId,
    /// Accepted parts, in source order. None for a run that failed.
    pub parts: Vec<Link>,
    /// The finish task's file.
    pub rejects: Option<Link>,
    /// Text of the manifest; only with parts that may be seen.
    pub manifest: Option<String>,
    /// Text of the report.
    pub report: String,
    /// Text of `_SUCCESS`.
    pub success: Option<String>,
}

/// A staged file and the name under which it is to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name in the run's staging folder.
    pub staged: String,
    /// Its path in the output folder, with `/`.
    pub published: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Why a plan was not carried out to its end. What was published stays; the same plan can be carried out again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The output folder's URL names no path.
    #[error("the output folder: {0}")]
    BadUrl(#[from] BadUrl),
    /// A name that leads out of its folder.
    #[error("{name:?} is not the name of a file in its folder: nothing was touched")]
    BadName {
        /// The name.
        name: String,
    },
    /// A decided file is lost.
    #[error("{} and {} are both missing: put one of them back", staged.display(), published.display())]
    Gone {
        /// Where it was staged.
        staged: PathBuf,
        /// Where it was to be seen.
        published: PathBuf,
    },
    /// A staged file is not what was reported.
    #[error("{} is no regular file of {expected} bytes, as it was when it was staged: put it back", path.display())]
    Changed {
        /// The staged file.
        path: PathBuf,
        /// Its bytes when it was staged.
        expected: u64,
    },
    /// Something else has a name that this run needs. It was left as it is.
    #[error("{} is in the way and was not written by this run: move it out of the output folder", path.display())]
    Foreign {
        /// What is in the way.
        path: PathBuf,
    },
    /// The disk failed; the step may be done.
    #[error("cannot publish {}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// How.
        error: io::Error,
    },
    /// The caller broke off between two steps.
    #[error("broken off after {after}")]
    Stopped {
        /// The last step done.
        after: String,
    },
}

/// Refuses to publish into a folder that holds somebody else's table, before anything is visible.
fn nobody_else(dir: &Path, plan: &PublishPlan) -> Result<(), PublishError> {
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let name = entry.map_err(at(dir))?.file_name();
        let name = name.to_string_lossy();
        let path = dir.join(&*name);
        let strange = match &*name {
            layout::SUCCESS => fs::read_to_string(&path).ok() != plan.success,
            // Whoever reads the folder reads every file of this kind.
            name => name.ends_with(".parquet") && !plan.parts.iter().any(|part| part.published == name),
        };
        if strange {
            return Err(PublishError::Foreign { path });
        }
    }
    Ok(())
}

/// Carries `plan` out. `between` is told each step just done, by the path of what is now visible and durable (of a part:
/// visible, durable after the last one), and may break off before the next one begins.
///
/// # Errors
/// See [`PublishError`].
pub fn publish(plan: &PublishPlan, between: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<(), PublishError> {
    let dir = path_of(&plan.output_url)?;
    for link in plan.parts.iter().chain(&plan.rejects) {
        check_name(&link.staged)?;
        check_path(&link.published)?;
    }
    real_folders(&dir, &plan.run)?;
    let run_dir = dir.join(layout::run_dir(&plan.run));
    local::create_dir_durable(&run_dir).map_err(at(&run_dir))?;
    let staging = dir.join(layout::staging_dir(&plan.run));
    let mut done = |step: &str| match between(step) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(PublishError::Stopped { after: step.to_owned() }),
    };
    if plan.success.is_some() {
        nobody_else(&dir, plan)?;
    }
    for part in &plan.parts {
        link(&dir, &staging, part)?;
        done(&part.published)?;
    }
    local::fsync_dir(&dir).map_err(at(&dir))?;
    if let Some(rejects) = &plan.rejects {
        link(&dir, &staging, rejects)?;
        local::fsync_dir(&run_dir).map_err(at(&run_dir))?;
        done(&rejects.published)?;
    }
    let texts = [
        (layout::manifest(&plan.run), plan.manifest.as_ref()),
        (layout::report(&plan.run), Some(&plan.report)),
        (layout::SUCCESS.to_owned(), plan.success.as_ref()),
    ];
    for (path, text) in texts {
        if let Some(text) = text {
            write(&dir, &path, text)?;
            done(&path)?;
        }
    }
    sweep(&dir, &plan.run)
}

fn link(dir: &Path, staging: &Path, link: &Link) -> Result<(), PublishError> {
    let (staged, published) = (staging.join(&link.staged), dir.join(&link.published));
    local::publish_by_link(&staged, &published, link.bytes).map_err(|error| match error {
        LinkError::Gone => PublishError::Gone { staged, published },
        LinkError::Foreign => PublishError::Foreign { path: published },
        LinkError::Changed { expected } => PublishError::Changed { path: staged, expected },
        LinkError::Io(error) => PublishError::Io { path: published, error },
    })
}

fn write(dir: &Path, path: &str, text: &str) -> Result<(), PublishError> {
    let (folder, name) = match path.rsplit_once('/') {
        Some((folder, name)) => (dir.join(folder), name),
        None => (dir.to_owned(), path),
    };
    local::write_if_absent_or_equal(&folder, name, text.as_bytes()).map_err(|error| match error {
        WriteError::Different => PublishError::Foreign { path: folder.join(name) },
        WriteError::Io(error) => PublishError::Io { path: folder.join(name), error },
    })
}

/// Removes the staging folder of `run` and the temporary files that crashes left. Only when nothing in it will be wanted: all
/// that was decided is published, or the run never began. What is gone already is fine.
///
/// # Errors
/// When something is there and cannot be removed.
pub fn sweep(dir: &Path, run: &RunId) -> Result<(), PublishError> {
    real_folders(dir, run)?;
    let staging = dir.join(layout::staging_dir(run));
    match fs::remove_dir_all(&staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&staging)(error)),
        _ => {}
    }
    for folder in [dir.to_owned(), dir.join(layout::run_dir(run)), dir.join(layout::CLAIMS)] {
        local::sweep_temporaries(&folder).map_err(at(&folder))?;
    }
    Ok(())
}

/// Whether `staging` is the staging folder whose nonce is `nonce`, as this process sees it.
#[must_use]
pub fn is_staging(staging: &Path, nonce: &str) -> bool {
    local::read_regular(&staging.join(layout::STAGING_NONCE), NAME_BYTES_MAX as u64)
        .is_ok_and(|found| found.is_some_and(|found| found == nonce.as_bytes()))
}

/// Removes the files `names` from the folder `staging`; missing ones are fine. Only files that no fact will ever use.
///
/// # Errors
/// When a name leads out of the folder (then nothing is removed), or a file is there and cannot be removed.
pub fn discard(staging: &Path, names: &[String]) -> Result<(), PublishError> {
    names.iter().try_for_each(|name| check_name(name))?;
    for name in names {
        let path = staging.join(name);
        local::remove_if_there(&path).map_err(at(&path))?;
    }
    Ok(())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PublishError {
    let path = path.to_owned();
    |error| PublishError::Io { path, error }
}

/// Staged names come from workers: one plain name, nothing that leads elsewhere.
fn check_name(name: &str) -> Result<(), PublishError> {
    check_path(name)?;
    if name.contains('/') { Err(PublishError::BadName { name: name.to_owned() }) } else { Ok(()) }
}

fn check_path(path: &str) -> Result<(), PublishError> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !plain { Err(PublishError::BadName { name: path.to_owned() }) } else { Ok(()) }
}

/// Refuses symbolic links (and files) in place of the engine's folders: what is written or removed under them would lie
/// outside the output folder.
fn real_folders(dir: &Path, run: &RunId) -> Result<(), PublishError> {
    let staging = layout::staging_dir(run);
    let folders = staging.match_indices('/').map(|(end, _)| &staging[..end]).chain([staging.as_str()]);
    for path in folders.map(|folder| dir.join(folder)) {
        let found = local::entry(&path).map_err(at(&path))?;
        if found.is_some_and(|found| !found.is_dir()) {
            return Err(PublishError::Foreign { path });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::symlink;

    use batteuse_shared::ids::{AttemptId, Epoch, PartitionId};
    use batteuse_shared::location::url_of_dir;

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
            let staged = |staged: String, published: String, text: &str| {
                fs::write(staging.join(&staged), text).unwrap();
                Link { staged, published, bytes: text.len() as u64 }
            };
            let attempt = |n| AttemptId::new(Epoch(1), n);
            let part = |n: u32, text: &str| {
                let name = layout::staged_part(PartitionId(n), attempt(n));
                staged(name, layout::part(u64::from(n) * 100, attempt(n)), text)
            };
            let plan = PublishPlan {
                output_url: url_of_dir(root.path()).unwrap(),
                run: run.clone(),
                parts: vec![part(0, "zero"), part(1, "first"), part(2, "")],
                rejects: Some(staged(layout::staged_finish(attempt(9)), layout::rejects(&run), "rejects")),
                manifest: Some("manifest\n".into()),
                report: "report\n".into(),
                success: Some("success\n".into()),
            };
            Self { root, plan }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.root.path().join(path)
        }

        fn staged(&self, link: &Link) -> PathBuf {
            self.at(&layout::staging_dir(&self.plan.run)).join(&link.staged)
        }

        fn publish(&self) -> Result<(), PublishError> {
            publish(&self.plan, &mut |_| ControlFlow::Continue(()))
        }

        /// Stops after the `n`-th step; the steps that were done.
        fn publish_stopped(&self, n: usize) -> (Vec<String>, Result<(), PublishError>) {
            let mut steps = Vec::new();
            let outcome = publish(&self.plan, &mut |step| {
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

    fn visible(place: &Place) -> Vec<String> {
        let staging = layout::staging_dir(&place.plan.run);
        let tree = place.tree();
        let files = tree.iter().filter(|(path, content)| content.is_some() && !path.starts_with(&staging));
        files.map(|(path, _)| path.to_str().unwrap().to_owned()).collect()
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
        for folder in ["_batteuse", "_batteuse/runs", "_batteuse/runs/communes-1", "_batteuse/runs/communes-1/staging"]
        {
            let (place, other) = (Place::new(), Place::new());
            fs::remove_dir_all(place.at(folder)).unwrap();
            symlink(other.at(folder), place.at(folder)).unwrap();
            let before = (place.tree(), other.tree());
            let refused = [place.publish(), sweep(place.root.path(), &place.plan.run)];
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
        assert!(matches!(place.publish(), Err(PublishError::Gone { .. })));
        assert!(!place.at(layout::SUCCESS).exists() && !place.at(&layout::manifest(&place.plan.run)).exists());
        fs::write(&staged, "first").unwrap();
        place.publish().unwrap();
    }

    #[test]
    fn names_that_lead_elsewhere_touch_nothing() {
        for name in ["", ".", "..", "../x", "/etc/x", "a/b"] {
            let mut place = Place::new();
            place.plan.parts[2].staged = name.to_owned();
            let before = place.tree();
            let staging = place.at(&layout::staging_dir(&place.plan.run));
            let names = [place.plan.parts[0].staged.clone(), name.to_owned()];
            for refused in [place.publish(), discard(&staging, &names)] {
                assert!(matches!(refused, Err(PublishError::BadName { .. })), "{name:?}: {refused:?}");
            }
            assert_eq!(place.tree(), before);
        }
    }

    #[test]
    fn discarding_takes_the_named_files_and_is_idempotent() {
        let place = Place::new();
        let staging = place.at(&layout::staging_dir(&place.plan.run));
        let names = [place.plan.parts[0].staged.clone(), "never-staged.part.tmp".to_owned()];
        for _ in 0..2 {
            discard(&staging, &names).unwrap();
        }
        assert!(!place.staged(&place.plan.parts[0]).exists() && place.staged(&place.plan.parts[1]).exists());
    }
}
