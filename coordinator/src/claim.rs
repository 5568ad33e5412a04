//! Whose an output folder is: numbered claims in it, of which the highest tells.
//!
//! Invariant: every claim slot has one winner, and a claim is made before anything else is written into the folder; so a
//! folder with content but without a claim, or with content that no run writes, is somebody else's and is not touched.
//! Does not know whether the run of a claim goes on, failed or ended: that is in its journal, which may lie elsewhere.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use batteuse_shared::ids::RunId;
use batteuse_shared::limits::CLAIM_BYTES_MAX;
use batteuse_shared::{hive, layout};
use batteuse_store::{CreateError, Created, Entry, Folder, Kind, ListError, ReadError, Stores, tree};
use serde::{Deserialize, Serialize};

use crate::journal::{self, State, StateError, StateFolder, slot_number};

/// What one claim says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The run that owns the folder.
    pub run: RunId,
    /// The state store that holds its journal: a URL, or a path relative to the claimed folder, so that a folder which holds its
    /// own state may be moved.
    pub state: String,
    /// Drawn by the claimant, once: by it a claim is known again after an unclear reply.
    pub nonce: String,
}

impl Claim {
    /// The state store of a claim on `dir`.
    ///
    /// # Errors
    /// When it is a URL that cannot be opened.
    pub fn state(&self, dir: &Arc<dyn Folder>, stores: &Stores) -> Result<State, StateError> {
        if self.state.contains("://") {
            return journal::state_at(&self.state, stores);
        }
        Ok(Arc::new(StateFolder::new(dir.clone(), &self.state)))
    }
}

/// What an output folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holding {
    /// It does not exist.
    Absent,
    /// Nothing, or the leftovers of a claim that was never made.
    Empty,
    /// A run's files and nothing else.
    Claimed {
        /// The slot of the claim; the next one is `seq + 1`.
        seq: u64,
        /// The claim.
        claim: Claim,
    },
    /// Something that is not ours, with or without a claim.
    Foreign {
        /// Its path in the folder; of several, the first by name.
        name: String,
    },
}

/// How [`claim`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// The folder is the claimant's, durably.
    Won,
    /// Another claim has that slot.
    Lost {
        /// The winner.
        by: Claim,
    },
}

/// Why the owner of an output folder cannot be told or changed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Not a folder.
    #[error("{} is not a folder: name another output folder", path.display())]
    NotAFolder {
        /// Where.
        path: PathBuf,
    },
    /// A claim that is no regular file, is too long, or says nothing that we understand.
    #[error("the claim {} cannot be read ({reason}): put back its content, or name another output folder", path.display())]
    Damaged {
        /// The claim.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk failed before anything was written.
    #[error("{}: {error}: check that the folder exists and can be written", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// How.
        error: io::Error,
    },
    /// The claim may have been made: claim the same slot with the same nonce again.
    #[error("it is unknown whether the claim {} was made: {error}", path.display())]
    Unknown {
        /// The claim.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
}

impl ClaimError {
    /// Whether the disk is to blame, not what is on it.
    #[must_use]
    pub fn is_environment(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Unknown { .. })
    }
}

/// What `dir` holds.
///
/// # Errors
/// When it is no folder, cannot be listed, or its highest claim cannot be read.
pub fn look(dir: &dyn Folder) -> Result<Holding, ClaimError> {
    let Some(entries) = tree(dir).map_err(unlisted(dir, ""))? else { return Ok(Holding::Absent) };
    // A link in its place is not followed: it is a stranger.
    let engine = entries.iter().any(|entry| entry.name == layout::ENGINE_DIR && entry.kind == Kind::Folder);
    let claimed = if engine { current(dir)? } else { None };
    let mut strangers = strangers(&entries, "", |entry| match entry.name.as_str() {
        layout::ENGINE_DIR => entry.kind == Kind::Folder,
        _ if claimed.is_none() => false,
        name if entry.kind == Kind::File => name == layout::SUCCESS || layout::is_part(name),
        // A crash may have left it empty.
        name => entry.kind == Kind::Folder && hive::split(name).is_some(),
    });
    if engine {
        let engine = list(dir, layout::ENGINE_DIR)?.unwrap_or_default();
        let prefix = format!("{}/", layout::ENGINE_DIR);
        strangers.extend(self::strangers(&engine, &prefix, |entry| {
            let name = entry.name.as_str();
            entry.kind == Kind::Folder
                && ([CLAIMS_NAME, DOCTOR_NAME].contains(&name) || claimed.is_some() && ENGINE_NAMES.contains(&name))
        }));
    }
    strangers.sort();
    if claimed.is_none() && !strangers.is_empty() && engine && current(dir)?.is_some() {
        // Another run claimed the folder while it was being listed; claims never go, so this happens once.
        return look(dir);
    }
    Ok(match (strangers.into_iter().next(), claimed) {
        (Some(name), _) => Holding::Foreign { name },
        (None, Some((seq, claim))) => Holding::Claimed { seq, claim },
        (None, None) => Holding::Empty,
    })
}

/// The folder of the claims inside the engine's folder.
const CLAIMS_NAME: &str = "claims";
/// The folder of a probe at work inside the engine's folder.
const DOCTOR_NAME: &str = "doctor";
/// What else runs keep in the engine's folder.
const ENGINE_NAMES: [&str; 2] = ["runs", "state"];

fn slot(seq: u64) -> String {
    format!("{}/{}", layout::CLAIMS, layout::slot(seq))
}

/// The highest claim on `dir` and its slot, whatever else lies in the folder; none when nobody claimed it.
///
/// # Errors
/// When the claims cannot be listed, or the highest one cannot be read.
pub fn current(dir: &dyn Folder) -> Result<Option<(u64, Claim)>, ClaimError> {
    let mut highest = None;
    for entry in list(dir, layout::CLAIMS)?.unwrap_or_default() {
        let damaged = || ClaimError::Damaged {
            path: dir.place(&format!("{}/{}", layout::CLAIMS, entry.name)),
            reason: "its name is not that of a claim".to_owned(),
        };
        highest = highest.max(Some(slot_number(&entry.name).ok_or_else(damaged)?));
    }
    let Some(seq) = highest else { return Ok(None) };
    match read(dir, seq)? {
        Some(claim) => Ok(Some((seq, claim))),
        None => Err(ClaimError::Io { path: dir.place(&slot(seq)), error: io::Error::from(io::ErrorKind::NotFound) }),
    }
}

/// Claims slot `seq` of `dir` (made if absent) for `claim`: `seq` is 0, or one above the claim that [`look`] found. The same
/// claim again finds that it has won.
///
/// # Errors
/// When the disk or store fails, or the slot is taken by something unreadable.
pub fn claim(dir: &dyn Folder, seq: u64, claim: &Claim) -> Result<ClaimOutcome, ClaimError> {
    let failed = |error| ClaimError::Io { path: dir.place(layout::CLAIMS), error };
    dir.make(layout::CLAIMS).map_err(failed)?;
    let mut text = serde_json::to_string(claim).expect("plain values with text keys serialise");
    text.push('\n');
    let reply = dir.create_if_absent(&slot(seq), text.as_bytes());
    conclude(dir, seq, claim, reply)
}

/// What became of a claim, given the reply to the try.
fn conclude(
    dir: &dyn Folder,
    seq: u64,
    claim: &Claim,
    reply: Result<Created, CreateError>,
) -> Result<ClaimOutcome, ClaimError> {
    let path = dir.place(&slot(seq));
    let (certain, error) = match reply {
        Ok(Created::Done) => return Ok(ClaimOutcome::Won),
        Ok(Created::Exists) => (false, io::Error::from(io::ErrorKind::NotFound)),
        Err(CreateError::NotWritten(error)) => (true, error),
        Err(CreateError::Unknown(error)) => (false, error),
    };
    match read(dir, seq) {
        Ok(Some(found)) if found == *claim => match dir.secure(layout::CLAIMS) {
            Ok(()) => Ok(ClaimOutcome::Won),
            Err(error) => Err(ClaimError::Unknown { path, error }),
        },
        Ok(Some(by)) => Ok(ClaimOutcome::Lost { by }),
        Ok(None) if certain => Err(ClaimError::Io { path, error }),
        Ok(None) | Err(ClaimError::Io { .. }) => Err(ClaimError::Unknown { path, error }),
        Err(damaged) => Err(damaged),
    }
}

fn read(dir: &dyn Folder, seq: u64) -> Result<Option<Claim>, ClaimError> {
    let path = || dir.place(&slot(seq));
    let damaged = |reason: String| ClaimError::Damaged { path: path(), reason };
    match dir.read(&slot(seq), CLAIM_BYTES_MAX) {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(error.to_string())),
        Err(ReadError::Io(error)) => Err(ClaimError::Io { path: path(), error }),
        Err(unfit) => Err(damaged(unfit.to_string())),
    }
}

fn unlisted(dir: &dyn Folder, path: &str) -> impl FnOnce(ListError) -> ClaimError + use<> {
    let path = dir.place(path);
    |error| match error {
        ListError::NotAFolder => ClaimError::NotAFolder { path },
        ListError::Io(error) => ClaimError::Io { path, error },
    }
}

/// What lies in the folder `path` of `dir`; none when it does not exist.
fn list(dir: &dyn Folder, path: &str) -> Result<Option<Vec<Entry>>, ClaimError> {
    dir.list(path).map_err(unlisted(dir, path))
}

/// The names of what is not `known`.
fn strangers(entries: &[Entry], prefix: &str, known: impl Fn(&Entry) -> bool) -> Vec<String> {
    entries.iter().filter(|entry| !known(entry)).map(|entry| format!("{prefix}{}", entry.name)).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the race is run on threads")]

    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::Barrier;
    use std::thread;

    use batteuse_shared::ids::{AttemptId, Epoch};
    use batteuse_store::Disk;

    use super::*;

    fn claim_of(run: &str, nonce: &str) -> Claim {
        Claim { run: RunId::new(run).unwrap(), state: "file:///state/".into(), nonce: nonce.into() }
    }

    fn disk(path: &std::path::Path) -> Disk {
        Disk::new(path)
    }

    fn foreign(name: &str) -> Holding {
        Holding::Foreign { name: name.into() }
    }

    #[test]
    fn the_highest_claim_tells() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("out");
        assert_eq!(look(&disk(&dir)).unwrap(), Holding::Absent);
        fs::create_dir(&dir).unwrap();
        assert_eq!(look(&disk(&dir)).unwrap(), Holding::Empty);
        for (seq, run) in [(0, "a"), (1, "b")] {
            assert_eq!(claim(&disk(&dir), seq, &claim_of(run, run)).unwrap(), ClaimOutcome::Won);
            assert_eq!(look(&disk(&dir)).unwrap(), Holding::Claimed { seq, claim: claim_of(run, run) });
        }
        assert_eq!(claim(&disk(&dir), 1, &claim_of("b", "b")).unwrap(), ClaimOutcome::Won, "the same claim again");
        let lost = ClaimOutcome::Lost { by: claim_of("b", "b") };
        assert_eq!(claim(&disk(&dir), 1, &claim_of("b", "other nonce")).unwrap(), lost);
        assert_eq!(claim(&disk(&dir), 0, &claim_of("c", "c")).unwrap(), ClaimOutcome::Lost { by: claim_of("a", "a") });
    }

    #[test]
    fn a_claim_cut_off_by_a_crash_leaves_the_folder_empty() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(layout::CLAIMS)).unwrap();
        let left = ".batteuse-6f0cbb64-67e4-4a6e-a0ad-0e4c8e9f4b52.tmp";
        fs::write(root.path().join(layout::CLAIMS).join(left), "{").unwrap();
        assert_eq!(look(&disk(root.path())).unwrap(), Holding::Empty);
        assert_eq!(claim(&disk(root.path()), 0, &claim_of("a", "n")).unwrap(), ClaimOutcome::Won);
    }

    #[test]
    fn what_a_run_writes_is_its_own_and_all_else_is_foreign() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let part = layout::part(7, AttemptId::new(Epoch(1), 2));
        fs::write(at(&part), "").unwrap();
        assert_eq!(look(&disk(root.path())).unwrap(), foreign(&part), "no claim");
        let held = claim_of("a", "n");
        claim(&disk(root.path()), 0, &held).unwrap();
        fs::write(at(layout::SUCCESS), "").unwrap();
        fs::create_dir_all(at(&layout::staging_dir(&held.run))).unwrap();
        fs::create_dir_all(at(layout::EMBEDDED_STATE)).unwrap();
        let claimed = Holding::Claimed { seq: 0, claim: held.clone() };
        assert_eq!(look(&disk(root.path())).unwrap(), claimed);
        for name in ["notes.txt", ".hidden", "part-1.parquet", "_batteuse/mine", "part-00"] {
            fs::write(at(name), "").unwrap();
            assert_eq!(look(&disk(root.path())).unwrap(), foreign(name));
            assert_eq!(current(&disk(root.path())).unwrap(), Some((0, held.clone())));
            fs::remove_file(at(name)).unwrap();
        }
        let linked = layout::part(8, AttemptId::new(Epoch(1), 3));
        symlink(at(&part), at(&linked)).unwrap();
        assert_eq!(look(&disk(root.path())).unwrap(), foreign(&linked), "a symbolic link");
        fs::remove_file(at(&linked)).unwrap();
        assert_eq!(look(&disk(root.path())).unwrap(), claimed);
    }

    #[test]
    fn state_without_a_claim_and_a_linked_engine_folder_are_foreign() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("one").join(layout::EMBEDDED_STATE)).unwrap();
        assert_eq!(look(&disk(&at("one"))).unwrap(), foreign(layout::EMBEDDED_STATE));
        fs::create_dir(at("two")).unwrap();
        claim(&disk(&at("two")), 0, &claim_of("a", "n")).unwrap();
        fs::create_dir(at("three")).unwrap();
        symlink(at("two").join(layout::ENGINE_DIR), at("three").join(layout::ENGINE_DIR)).unwrap();
        assert_eq!(look(&disk(&at("three"))).unwrap(), foreign(layout::ENGINE_DIR));
        fs::write(at("file"), "").unwrap();
        assert!(matches!(look(&disk(&at("file"))), Err(ClaimError::NotAFolder { .. })));
    }

    #[test]
    fn a_damaged_claim_is_never_guessed_at() {
        let root = tempfile::tempdir().unwrap();
        claim(&disk(root.path()), 0, &claim_of("a", "n")).unwrap();
        let next = root.path().join(layout::CLAIMS).join(layout::slot(1));
        for bad in ["", "{", r#"{"run":"a","state":"file:///s/"}"#, r#"{"run":"A","state":"file:///s/","nonce":"n"}"#] {
            fs::write(&next, bad).unwrap();
            assert!(matches!(look(&disk(root.path())), Err(ClaimError::Damaged { .. })), "{bad}");
            assert!(
                matches!(claim(&disk(root.path()), 1, &claim_of("b", "m")), Err(ClaimError::Damaged { .. })),
                "{bad}"
            );
        }
        fs::rename(&next, next.with_file_name("2")).unwrap();
        assert!(matches!(look(&disk(root.path())), Err(ClaimError::Damaged { .. })));
    }

    #[test]
    fn after_an_unclear_reply_the_slot_decides() {
        let root = tempfile::tempdir().unwrap();
        let (mine, theirs) = (claim_of("a", "mine"), claim_of("b", "theirs"));
        let unknown = || Err(CreateError::Unknown(io::Error::other("the reply was lost")));
        assert!(matches!(conclude(&disk(root.path()), 0, &mine, unknown()), Err(ClaimError::Unknown { .. })));
        claim(&disk(root.path()), 0, &mine).unwrap();
        assert_eq!(conclude(&disk(root.path()), 0, &mine, unknown()).unwrap(), ClaimOutcome::Won);
        assert_eq!(conclude(&disk(root.path()), 0, &theirs, unknown()).unwrap(), ClaimOutcome::Lost { by: mine });
    }

    #[test]
    fn one_of_sixteen_claimants_wins() {
        for seq in 0..4 {
            let root = tempfile::tempdir().unwrap();
            let (dir, barrier) = (root.path().join("out"), Barrier::new(16));
            let one = |i: usize| {
                let mine = claim_of(&format!("run-{i}"), "n");
                barrier.wait();
                let outcome = claim(&disk(&dir), seq, &mine).unwrap();
                (mine, outcome)
            };
            let outcomes: Vec<(Claim, ClaimOutcome)> = thread::scope(|scope| {
                let one = &one;
                let claimants: Vec<_> = (0..16).map(|i| scope.spawn(move || one(i))).collect();
                claimants.into_iter().map(|claimant| claimant.join().unwrap()).collect()
            });
            let winners: Vec<&Claim> =
                outcomes.iter().filter(|(_, outcome)| *outcome == ClaimOutcome::Won).map(|(mine, _)| mine).collect();
            let [winner] = winners[..] else { panic!("{outcomes:?}") };
            let lost = |(_, outcome): &&(Claim, ClaimOutcome)| *outcome == ClaimOutcome::Lost { by: winner.clone() };
            assert_eq!(outcomes.iter().filter(lost).count(), 15);
            assert_eq!(look(&disk(&dir)).unwrap(), Holding::Claimed { seq, claim: winner.clone() });
        }
    }
}
