//! A state store whose owner is befallen by chaos when it appends to a journal: a slot is a turn of a coordinator that decided something.
//!
//! Invariant: what is kept is what the store below keeps. Stalls and delays come before a slot is made, so that somebody else may have
//! made it; a kill comes when it is made and nobody was told, so that whoever goes on is one slot further and meets another fate.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use batteuse_coordinator::journal::{JournalError, LeaderError, Slots, State, StateStore};
use batteuse_coordinator::lead::{Leader, Write};
use batteuse_shared::ids::RunId;
use batteuse_store::probe::{Check, Found};
use batteuse_store::{CreateError, Created, ReadError};

use super::Chaos;

/// See the module.
pub struct BefallenState {
    /// The store below.
    pub state: State,
    /// What befalls.
    pub chaos: Arc<Chaos>,
}

struct BefallenSlots {
    slots: Box<dyn Slots>,
    chaos: Arc<Chaos>,
}

impl Slots for BefallenSlots {
    fn place(&self, seq: u64) -> PathBuf {
        self.slots.place(seq)
    }

    fn open(&self) -> io::Result<()> {
        self.slots.open()
    }

    fn create(&self, seq: u64, bytes: &[u8]) -> Result<Created, CreateError> {
        let of = format!("slot {seq} of a journal");
        self.chaos.before(&of);
        let created = self.slots.create(seq, bytes);
        if matches!(created, Ok(Created::Done)) {
            self.chaos.kill(&of);
        }
        created
    }

    fn read(&self, seq: u64) -> Result<Option<Vec<u8>>, ReadError> {
        self.slots.read(seq)
    }

    fn secure(&self) -> io::Result<()> {
        self.slots.secure()
    }

    fn count(&self) -> Result<u64, JournalError> {
        self.slots.count()
    }
}

impl StateStore for BefallenState {
    fn place(&self) -> PathBuf {
        self.state.place()
    }

    fn exists(&self) -> io::Result<bool> {
        self.state.exists()
    }

    fn probe(&self) -> Found {
        self.state.probe()
    }

    fn examine(&self, writers: usize, now: SystemTime) -> Vec<Check> {
        self.state.examine(writers, now)
    }

    fn journal(&self, run: &RunId) -> Box<dyn Slots> {
        Box::new(BefallenSlots { slots: self.state.journal(run), chaos: self.chaos.clone() })
    }

    fn leader(&self) -> Result<Option<Leader>, LeaderError> {
        self.state.leader()
    }

    fn lead(&self, write: &Write) -> Result<bool, LeaderError> {
        self.state.lead(write)
    }

    fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        self.state.runs()
    }
}
