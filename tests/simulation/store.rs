//! The store of a simulation: journals, the leader's record, and the output folder, in memory, with faults.
//!
//! Invariant: what it holds is what a disk or object store would hold after the calls that took effect; what went wrong with a reply is
//! drawn from the seed. It checks at each call what no call may ever do (VISIBLE-IS-DECIDED, WRITE-AHEAD of removals), and counts the
//! faults that it injects.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use batteuse_coordinator::journal::{JournalError, LeaderError, Slots, StateStore};
use batteuse_coordinator::lead::{Leader, Write};
use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_shared::mutants::{Mutant, planted};
use batteuse_shared::table::Checksum;
use batteuse_shared::task::Upload;
use batteuse_store::probe::{Check, Found};
use batteuse_store::{
    CreateError, Created, Entry, Folder, Kind, ListError, PublishError, ReadError, StagedFile, WriteError,
};
use sha2::{Digest as _, Sha256};

use super::faults::{Fault, Faults};

/// A slot as it lies in a journal.
struct Slot {
    bytes: Vec<u8>,
    facts: Vec<Fact>,
}

/// A write whose reply said nothing, and which may still land.
struct Late {
    run: RunId,
    seq: u64,
    bytes: Vec<u8>,
}

/// What lies in the store.
#[derive(Default)]
struct Held {
    journals: BTreeMap<RunId, Vec<Slot>>,
    late: Vec<Late>,
    leader: Option<Leader>,
    /// Files of all output folders, by their paths.
    files: BTreeMap<String, Vec<u8>>,
    /// What no call may do, and was done.
    violations: Vec<String>,
    faults: Faults,
}

/// A store. Clones are the same one.
#[derive(Clone)]
pub struct SimStore(Arc<Mutex<Held>>);

impl std::fmt::Debug for SimStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a simulated store")
    }
}

fn unclear(what: &str) -> LeaderError {
    LeaderError::Io { path: PathBuf::from("leader"), error: io::Error::other(format!("simulated: {what}")) }
}

/// The facts of a slot's text.
fn facts_of(bytes: &[u8]) -> Vec<Fact> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let slot: serde_json::Value = serde_json::from_slice(line).expect("a slot is a line of JSON");
    serde_json::from_value(slot["facts"].clone()).expect("a slot holds facts")
}

impl SimStore {
    pub fn new(faults: Faults) -> Self {
        Self(Arc::new(Mutex::new(Held { faults, ..Held::default() })))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The facts of a run that are durable.
    pub fn facts(&self, run: &RunId) -> Vec<Fact> {
        self.held().facts(run).cloned().collect()
    }

    /// Whether this writer wrote the last slot of each of its runs: then nobody has taken them over.
    pub fn is_last_writer(&self, run: &RunId, writer: &str) -> bool {
        self.held().last_writer(run).is_some_and(|last| last == writer)
    }

    /// Coordinators that took a run over.
    pub fn epochs(&self, run: &RunId) -> u64 {
        self.held().facts(run).filter(|fact| matches!(fact, Fact::EpochBegun { .. })).count() as u64
    }

    /// The last fact of a run that is durable.
    pub fn last_fact(&self, run: &RunId) -> Option<Fact> {
        self.held().journals.get(run)?.last()?.facts.last().cloned()
    }

    /// The facts of a run's first slots.
    pub fn facts_before(&self, run: &RunId, slot: u64) -> Vec<Fact> {
        let held = self.held();
        let slots = held.journals.get(run).into_iter().flatten().take(usize::try_from(slot).unwrap_or(usize::MAX));
        slots.flat_map(|slot| slot.facts.iter().cloned()).collect()
    }

    /// Whether a run is paused after its first slots.
    pub fn is_paused_before(&self, run: &RunId, slot: u64) -> bool {
        let held = self.held();
        let slots = held.journals.get(run).into_iter().flatten().take(usize::try_from(slot).unwrap_or(usize::MAX));
        let said = slots.flat_map(|slot| &slot.facts).filter_map(|fact| match fact {
            Fact::Paused { .. } => Some(true),
            Fact::Unpaused { .. } | Fact::RunDecided(_) | Fact::RunAborted(_) => Some(false),
            _ => None,
        });
        said.last().unwrap_or(false)
    }

    /// How many slots a run's journal has.
    pub fn slots(&self, run: &RunId) -> usize {
        self.held().journals.get(run).map_or(0, Vec::len)
    }

    /// Nothing goes wrong from now on, and what was under way lands.
    pub fn heal(&self) {
        let mut held = self.held();
        held.faults.stop();
        let late = std::mem::take(&mut held.late);
        late.into_iter().for_each(|late| held.land(late));
    }

    /// One of the writes that are under way lands.
    pub fn land_one(&self) {
        let mut held = self.held();
        if let Some(late) = held.late.pop() {
            held.land(late);
        }
    }

    pub fn violations(&self) -> Vec<String> {
        std::mem::take(&mut self.held().violations)
    }

    pub fn faults<T>(&self, act: impl FnOnce(&mut Faults) -> T) -> T {
        act(&mut self.held().faults)
    }

    /// A worker stages a file; false when its folder is gone.
    pub fn stage(&self, run: &RunId, name: &str, content: &[u8]) -> bool {
        let mut held = self.held();
        let folder = format!("{run}/{}", layout::staging_dir(run));
        if !held.files.contains_key(&format!("{folder}/{}", layout::STAGING_NONCE)) {
            return false;
        }
        held.files.insert(format!("{folder}/{name}"), content.to_vec());
        true
    }

    /// A file is put there by hand.
    pub fn put(&self, path: String, content: &[u8]) {
        self.held().files.insert(path, content.to_vec());
    }

    /// A part becomes visible, whoever completed it.
    pub fn put_visible(&self, run: &RunId, part: &str) {
        let mut held = self.held();
        held.must_be_decided(run, part);
        held.files.insert(format!("{run}/{part}"), b"0 0".to_vec());
    }

    /// The files whose path begins so.
    pub fn files(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let held = self.held();
        held.files.iter().filter(|(path, _)| path.starts_with(prefix)).map(|(p, c)| (p.clone(), c.clone())).collect()
    }

    /// Whether something is staged for a run that is decided.
    pub fn has_decided_staged(&self, run: &RunId) -> bool {
        let held = self.held();
        held.decided(run) == Some(true) && held.staged_parts(run).next().is_some()
    }

    /// A staged part is taken away, as by a lifecycle rule.
    pub fn vanish(&self, run: &RunId, pick: u64) {
        let mut held = self.held();
        let parts: Vec<String> = held.staged_parts(run).cloned().collect();
        held.files.remove(&parts[pick as usize % parts.len()]);
    }
}

impl Held {
    fn facts(&self, run: &RunId) -> impl Iterator<Item = &Fact> {
        self.journals.get(run).into_iter().flatten().flat_map(|slot| &slot.facts)
    }

    fn staged_parts(&self, run: &RunId) -> impl Iterator<Item = &String> {
        let folder = format!("{run}/{}/", layout::staging_dir(run));
        self.files.keys().filter(move |path| path.starts_with(&folder) && path.ends_with(".part.tmp"))
    }

    fn land(&mut self, late: Late) {
        let slots = self.journals.entry(late.run).or_default();
        if slots.len() as u64 == late.seq {
            let facts = facts_of(&late.bytes);
            slots.push(Slot { bytes: late.bytes, facts });
        }
    }

    fn create(&mut self, run: &RunId, seq: u64, bytes: &[u8]) -> Result<Created, CreateError> {
        let lost = || io::Error::other("simulated: no reply");
        let late = || Late { run: run.clone(), seq, bytes: bytes.to_vec() };
        if self.faults.befalls(Fault::NotWritten) {
            return Err(CreateError::NotWritten(io::Error::other("simulated: refused")));
        }
        if self.faults.befalls(Fault::ReplyLost) {
            match self.faults.chance.below(3) {
                0 => {}
                1 => self.land(late()),
                _ => self.late.push(late()),
            }
            return Err(CreateError::Unknown(lost()));
        }
        let slots = self.journals.entry(run.clone()).or_default();
        match (slots.len() as u64).cmp(&seq) {
            std::cmp::Ordering::Greater => Ok(Created::Exists),
            std::cmp::Ordering::Equal => {
                self.land(late());
                Ok(Created::Done)
            }
            std::cmp::Ordering::Less => {
                self.violations.push(format!("{run}: slot {seq} is written though the one before is not there"));
                Ok(Created::Done)
            }
        }
    }

    /// The accepted attempts of a run by the names of their staged parts, with the names under which they are published.
    fn accepted(&self, run: &RunId) -> BTreeMap<String, String> {
        let mut staged = BTreeMap::new();
        let mut names: BTreeMap<_, (String, String)> = BTreeMap::new();
        for fact in self.facts(run) {
            match fact {
                Fact::Staged { partition, attempt, parsed } => {
                    staged.insert((*partition, *attempt), parsed);
                }
                Fact::Accepted { partition, attempt } => {
                    let Some(parsed) = staged.get(&(*partition, *attempt)) else { continue };
                    for part in &parsed.parts {
                        let published = layout::part(parsed.span.start, *attempt);
                        names.insert(*partition, (part.key.clone(), published));
                    }
                }
                Fact::Redriven { .. } => names.clear(),
                Fact::PartitionReplaced { partition, parts, .. } => {
                    if let (Some(name), Some(part)) = (names.get_mut(partition), parts.first()) {
                        name.0.clone_from(&part.key);
                    }
                }
                _ => {}
            }
        }
        names.into_values().collect()
    }

    /// Whether the run is decided, and whether for a table.
    fn decided(&self, run: &RunId) -> Option<bool> {
        self.facts(run).fold(None, |decided, fact| match fact {
            Fact::RunDecided(decision) | Fact::RunAborted(decision) => Some(decision.manifest_sha256.is_some()),
            Fact::Redriven { .. } => None,
            _ => decided,
        })
    }

    fn must_be_decided(&mut self, run: &RunId, path: &str) {
        if self.decided(run) != Some(true) {
            self.violations.push(format!("VISIBLE-IS-DECIDED: {path} of {run}, which is not decided"));
        }
    }

    /// Whoever sees `_SUCCESS` sees all parts.
    fn must_be_whole(&mut self, run: &RunId, root: &str) {
        let accepted = self.accepted(run);
        if let Some(gone) = accepted.values().find(|part| !self.files.contains_key(&format!("{root}{part}"))) {
            self.violations.push(format!("VISIBLE-IS-DECIDED: _SUCCESS of {run} is there before {gone}"));
        }
    }

    /// The writer of a run's last slot.
    fn last_writer(&self, run: &RunId) -> Option<String> {
        let slot = self.journals.get(run)?.last()?;
        let line = slot.bytes.split(|byte| *byte == b'\n').next()?;
        let text: serde_json::Value = serde_json::from_slice(line).ok()?;
        text["writer"].as_str().map(str::to_owned)
    }

    /// What is removed must be of no use any more.
    fn must_be_useless(&mut self, run: &RunId, root: &str, path: &str) {
        let accepted = self.accepted(run);
        let Some(published) = path.rsplit('/').next().and_then(|name| accepted.get(name)) else { return };
        let seen = self.files.contains_key(&format!("{root}{published}"));
        if self.decided(run) != Some(false) && !seen {
            self.violations
                .push(format!("WRITE-AHEAD: {path} is removed, though its attempt is accepted and not published"));
        }
    }
}

/// The journal of a run.
struct SimSlots {
    store: SimStore,
    run: RunId,
}

impl Slots for SimSlots {
    fn place(&self, seq: u64) -> PathBuf {
        PathBuf::from(format!("{}/{seq}", self.run))
    }

    fn open(&self) -> io::Result<()> {
        if planted(Mutant::LiveSlotDeleted)
            && let Some(slots) = self.store.held().journals.get_mut(&self.run)
            && slots.len() > 1
        {
            slots.pop();
        }
        Ok(())
    }

    fn create(&self, seq: u64, bytes: &[u8]) -> Result<Created, CreateError> {
        self.store.held().create(&self.run, seq, bytes)
    }

    fn read(&self, seq: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let mut held = self.store.held();
        if held.faults.befalls(Fault::StoreSilent) {
            return Err(ReadError::Io(io::Error::other("simulated: no answer")));
        }
        Ok(held.journals.get(&self.run).and_then(|slots| slots.get(seq as usize)).map(|slot| slot.bytes.clone()))
    }

    fn secure(&self) -> io::Result<()> {
        Ok(())
    }

    fn count(&self) -> Result<u64, JournalError> {
        Ok(self.store.slots(&self.run) as u64)
    }
}

impl StateStore for SimStore {
    fn place(&self) -> PathBuf {
        PathBuf::from("simulated")
    }

    fn exists(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn probe(&self) -> Found {
        Found::Holds
    }

    fn examine(&self, _: usize, _: SystemTime) -> Vec<Check> {
        Vec::new()
    }

    fn journal(&self, run: &RunId) -> Box<dyn Slots> {
        Box::new(SimSlots { store: self.clone(), run: run.clone() })
    }

    fn leader(&self) -> Result<Option<Leader>, LeaderError> {
        let mut held = self.held();
        if held.faults.befalls(Fault::StoreSilent) {
            return Err(unclear("no answer"));
        }
        Ok(held.leader.clone())
    }

    fn lead(&self, write: &Write) -> Result<bool, LeaderError> {
        let mut held = self.held();
        let lost = held.faults.befalls(Fault::ReplyLost);
        if lost && held.faults.chance.below(2) == 0 {
            return Err(unclear("no reply, and nothing written"));
        }
        let done = held.leader == write.before;
        if done {
            held.leader = Some(write.record.clone());
        }
        if lost { Err(unclear("no reply")) } else { Ok(done) }
    }

    fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        Ok(self.held().journals.keys().cloned().collect())
    }
}

/// The output folder of a run.
#[derive(Debug, Clone)]
pub struct SimFolder {
    pub store: SimStore,
    pub run: RunId,
}

impl SimFolder {
    fn path(&self, path: &str) -> String {
        format!("{}/{path}", self.run)
    }

    /// A text is about to be written; what stands already is met once more by whoever stood still since it was.
    fn written(&self, path: &str, bytes: &[u8]) -> Result<MutexGuard<'_, Held>, WriteError> {
        let mut held = self.tried().map_err(WriteError::Io)?;
        if path == layout::SUCCESS && held.files.get(&self.path(path)).is_none_or(|there| there != bytes) {
            held.must_be_decided(&self.run, path);
            held.must_be_whole(&self.run, &self.path(""));
        }
        Ok(held)
    }

    /// Fails now and then.
    fn tried(&self) -> io::Result<MutexGuard<'_, Held>> {
        let mut held = self.store.held();
        if held.faults.befalls(Fault::FolderFails) {
            return Err(io::Error::other("simulated: the disk fails"));
        }
        Ok(held)
    }
}

impl Folder for SimFolder {
    fn place(&self, path: &str) -> PathBuf {
        PathBuf::from(self.path(path))
    }

    fn make(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn secure(&self, _: &str) -> io::Result<()> {
        self.tried().map(drop)
    }

    fn sweep(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn create_if_absent(&self, _: &str, _: &[u8]) -> Result<Created, CreateError> {
        unreachable!("publishing makes no such file")
    }

    fn write_if_absent_or_equal(&self, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let mut held = self.written(path, bytes)?;
        let file = held.files.entry(self.path(path)).or_insert_with(|| bytes.to_vec());
        if file == bytes { Ok(()) } else { Err(WriteError::Different) }
    }

    fn replace(&self, path: &str, before: &Checksum, bytes: &[u8]) -> Result<(), WriteError> {
        let mut held = self.written(path, bytes)?;
        let file = held.files.entry(self.path(path)).or_default();
        if !file.is_empty() && file != bytes && *before != Checksum(Sha256::digest(&file).into()) {
            return Err(WriteError::Different);
        }
        *file = bytes.to_vec();
        Ok(())
    }

    fn replaces_by_condition(&self, _: &str) -> io::Result<bool> {
        unreachable!("no doctor looks at it")
    }

    fn read(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.store.held().files.get(&self.path(path)).cloned())
    }

    fn size(&self, path: &str) -> Result<Option<u64>, ReadError> {
        Ok(self.store.held().files.get(&self.path(path)).map(|file| file.len() as u64))
    }

    fn read_range(&self, path: &str, offset: u64, bytes: usize) -> io::Result<bytes::Bytes> {
        let held = self.tried()?;
        let file = held.files.get(&self.path(path)).ok_or(io::ErrorKind::NotFound)?;
        Ok(bytes::Bytes::copy_from_slice(&file[offset as usize..][..bytes]))
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, ListError> {
        let held = self.tried().map_err(ListError::Io)?;
        let prefix = if path.is_empty() { format!("{}/", self.run) } else { format!("{}/", self.path(path)) };
        let mut entries: Vec<Entry> = Vec::new();
        for path in held.files.keys().filter_map(|file| file.strip_prefix(&prefix)) {
            let (name, kind) = path.split_once('/').map_or((path, Kind::File), |(folder, _)| (folder, Kind::Folder));
            if entries.last().is_none_or(|last| last.name != name) {
                entries.push(Entry { name: name.to_owned(), kind });
            }
        }
        Ok(Some(entries))
    }

    fn below(&self, _: &[String]) -> Result<Vec<Entry>, ListError> {
        Ok(Vec::new())
    }

    fn remove_empty(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn kind(&self, path: &str) -> io::Result<Option<Kind>> {
        let held = self.store.held();
        let prefix = format!("{}/", self.path(path));
        let folder = held.files.keys().any(|file| file.starts_with(&prefix)).then_some(Kind::Folder);
        Ok(held.files.contains_key(&self.path(path)).then_some(Kind::File).or(folder))
    }

    fn stage(&self, _: &str, _: &str) -> io::Result<StagedFile> {
        unreachable!("workers stage by the store")
    }

    fn stage_readable(&self, _: &str) -> io::Result<StagedFile> {
        unreachable!("workers stage by the store")
    }

    fn has_uploads(&self) -> bool {
        false
    }

    fn publish(&self, staged: &str, _: Option<&Upload>, published: &str, _: u64) -> Result<(), PublishError> {
        let mut held = self.tried().map_err(PublishError::Io)?;
        // One that an ending before published may be met once more by whoever stood still since then.
        if layout::is_part(published) && !held.files.contains_key(&self.path(published)) {
            held.must_be_decided(&self.run, published);
            if !held.accepted(&self.run).values().any(|name| name == published) {
                held.violations.push(format!("VISIBLE-IS-DECIDED: {published} was not accepted"));
            }
        }
        let (from, to) = (self.path(staged), self.path(published));
        match (held.files.get(&from).cloned(), held.files.get(&to)) {
            (Some(content), Some(there)) if content != *there => return Err(PublishError::Foreign),
            (None, None) => return Err(PublishError::Gone),
            (Some(content), None) => {
                held.files.insert(to, content);
            }
            (_, Some(_)) => {}
        }
        if held.faults.befalls(Fault::ReplyLost) {
            return Err(PublishError::Io(io::Error::other("simulated: no reply")));
        }
        Ok(())
    }

    fn discard(&self, staged: &str, _: Option<&Upload>) -> io::Result<()> {
        let mut held = self.tried()?;
        let path = self.path(staged);
        if held.files.contains_key(&path) {
            held.must_be_useless(&self.run, &self.path(""), &path);
            held.files.remove(&path);
        }
        Ok(())
    }

    fn modified(&self, _: &str) -> io::Result<Option<SystemTime>> {
        Ok(None)
    }

    fn pending_uploads(&self) -> io::Result<Option<Vec<Upload>>> {
        Ok(None)
    }

    fn remove_all(&self, path: &str) -> io::Result<()> {
        let mut held = self.tried()?;
        let prefix = format!("{}/", self.path(path));
        let doomed: Vec<String> = held.files.keys().filter(|file| file.starts_with(&prefix)).cloned().collect();
        for file in doomed {
            held.must_be_useless(&self.run, &self.path(""), &file);
            held.files.remove(&file);
        }
        Ok(())
    }
}

/// sha256 of a text, in hex.
pub fn sha256(text: &[u8]) -> String {
    format!("{:x}", Sha256::digest(text))
}
