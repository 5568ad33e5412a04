//! The journal of a run: numbered slots, each made with create-if-absent, so that a slot has one writer.
//!
//! A slot is a line of JSON (format, run, seq, epoch, writer, nonce, sha256 of the slot before, facts) and a line with the
//! CRC-32C of the first, in hex. Invariant: what [`Journal::append`] calls durable is read back, in order, by every later
//! [`Journal::read`], or that read fails; a damaged journal is never guessed at. After an unclear outcome the slot decides,
//! not the reply (UNKNOWN-IS-NOT-FAILED). Does not know what the facts mean, and deletes no slot.

#![expect(clippy::disallowed_methods, reason = "a nonce is drawn for each slot: by it the writer knows its slot again")]

mod doctor;
mod postgres;
mod slots;

use std::io;
use std::path::{Path, PathBuf};

use batteuse_shared::ids::{Epoch, RunId};
use batteuse_shared::limits::JOURNAL_SLOT_BYTES_MAX;
use batteuse_shared::mutants::{Mutant, planted};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub(crate) use self::slots::slot_number;
pub use self::slots::{LeaderError, Slots, State, StateError, StateFolder, StateStore, state_at};
use batteuse_store::{CreateError, Created, ReadError};

/// The only format there is. A reader refuses any other.
const FORMAT: u32 = 1;

/// Bytes of a slot's end: a newline, the CRC in 8 hex digits, a newline.
const TAIL_BYTES: usize = 10;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slot<F> {
    format: u32,
    run: RunId,
    seq: u64,
    epoch: Epoch,
    writer: String,
    nonce: String,
    prev: String,
    facts: F,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk failed.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// How.
        error: io::Error,
    },
    /// A slot is not what was written, or is missing.
    #[error(
        "the journal is damaged: {} {damage}; nothing was changed: put back the journal's folder from a copy, \
         or give this run up and start a new one into another output folder", path.display()
    )]
    Damaged {
        /// The slot.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A slot of another version of batteuse.
    #[error("{} has format {found}, this version reads format {FORMAT}: use the version that wrote it", path.display())]
    Format {
        /// The slot.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A file that is no slot.
    #[error("{} is no slot of a journal: move it out of the folder", path.display())]
    Stray {
        /// The file.
        path: PathBuf,
    },
}

/// What is wrong with a slot.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// A later slot exists, so this one did.
    #[error("is missing, though later slots are there")]
    Missing,
    /// Cut short, or bytes of it changed.
    #[error("was altered or cut short (its checksum does not match)")]
    Torn,
    /// No regular file, or too long.
    #[error("is {0}")]
    Unfit(ReadError),
    /// Whole, but not made of the facts of this version.
    #[error("holds facts that cannot be understood ({0})")]
    Undecodable(serde_json::Error),
    /// Belongs to another run or another place.
    #[error("belongs elsewhere: it says run {run}, slot {seq}")]
    Misplaced {
        /// The run it names.
        run: RunId,
        /// The slot it names.
        seq: u64,
    },
    /// Not written after the slot that is before it now.
    #[error("was written after another slot than the one before it")]
    Chain,
    /// An epoch below the one before.
    #[error("was written in epoch {found}, though epoch {known} had begun", found = found.0, known = known.0)]
    EpochWentBack {
        /// Its epoch.
        found: Epoch,
        /// The epoch of the slot before.
        known: Epoch,
    },
}

/// Why facts were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another coordinator owns the run now: this process must do nothing more for it. Every later append says so too.
    #[error("slot {seq} was written by coordinator {writer} in epoch {epoch}: it owns this run now", epoch = epoch.0)]
    Conflict {
        /// The slot that was lost.
        seq: u64,
        /// The rival's epoch.
        epoch: Epoch,
        /// The rival.
        writer: String,
    },
    /// The facts may be durable, now or later. Append the same ones again, or [`Journal::settle`].
    #[error("it is unknown whether {} was written: {error}", path.display())]
    Unknown {
        /// The slot.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
    /// The slot was to be read back and is unreadable. The facts may be durable.
    #[error("it is unknown who wrote a slot: {0}")]
    Unreadable(JournalError),
    /// Nothing was written; the same facts may be appended again.
    #[error("cannot write {}: {error}", path.display())]
    Io {
        /// The slot.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
    /// Nothing was written: append fewer facts at once.
    #[error("a slot of {bytes} bytes is above the cap of {JOURNAL_SLOT_BYTES_MAX}: append fewer facts at once")]
    TooLarge {
        /// What the slot would hold.
        bytes: usize,
    },
    /// Nothing was written: a journal's epochs only rise.
    #[error("epoch {epoch} is over, epoch {known} has begun", epoch = epoch.0, known = known.0)]
    EpochWentBack {
        /// The epoch to append in.
        epoch: Epoch,
        /// The highest one in the journal.
        known: Epoch,
    },
    /// Nothing was written: the facts have no JSON form.
    #[error("facts that cannot be written down: {0}")]
    Encode(serde_json::Error),
}

/// How far a journal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The first free slot.
    pub next_seq: u64,
    /// The epoch of the last slot, and so the highest; none in an empty journal.
    pub epoch: Option<Epoch>,
    /// sha256 of the last slot's bytes, in hex; zeros in an empty journal.
    prev: String,
}

/// An empty journal's.
impl Default for Position {
    fn default() -> Self {
        Self { next_seq: 0, epoch: None, prev: "0".repeat(64) }
    }
}

impl Position {
    fn advance(&mut self, epoch: Epoch, bytes: &[u8]) {
        self.next_seq += 1;
        self.epoch = Some(epoch);
        self.prev = format!("{:x}", Sha256::digest(bytes));
    }

    /// Whether `slot` is the one that belongs here.
    fn check<F>(&self, run: &RunId, slot: &Slot<F>) -> Result<(), Damage> {
        if slot.run != *run || slot.seq != self.next_seq {
            return Err(Damage::Misplaced { run: slot.run.clone(), seq: slot.seq });
        }
        if slot.prev != self.prev {
            return Err(Damage::Chain);
        }
        match self.epoch {
            Some(known) if slot.epoch < known => Err(Damage::EpochWentBack { found: slot.epoch, known }),
            _ => Ok(()),
        }
    }
}

/// A journal, read.
#[derive(Debug)]
pub struct Replayed<T> {
    /// All facts in order, each with the epoch in which it was written.
    pub facts: Vec<(Epoch, T)>,
    /// Where to go on.
    pub position: Position,
}

/// A slot whose outcome is not known yet.
struct Pending {
    epoch: Epoch,
    nonce: String,
    bytes: Vec<u8>,
    /// An earlier try may have landed.
    in_doubt: bool,
}

#[derive(Clone)]
struct Rival {
    seq: u64,
    epoch: Epoch,
    writer: String,
}

/// The journal of one run, open for one writer.
pub struct Journal {
    slots: Box<dyn Slots>,
    run: RunId,
    writer: Uuid,
    position: Position,
    pending: Option<Pending>,
    rival: Option<Rival>,
}

impl Journal {
    /// Reads all slots that exist now. A run that the store does not know has an empty journal.
    ///
    /// # Errors
    /// When the disk fails, or any slot is missing, altered or not understood.
    pub fn read<T: DeserializeOwned>(state: &dyn StateStore, run: &RunId) -> Result<Replayed<T>, JournalError> {
        let slots = state.journal(run);
        let mut replayed = Replayed { facts: Vec::new(), position: Position::default() };
        // Slots appear in order, so all below the highest one listed exist; those made meanwhile are left for later.
        for seq in 0..slots.count()? {
            let path = slots.place(seq);
            let damaged = |damage| JournalError::Damaged { path: path.clone(), damage };
            let bytes = read_slot(&*slots, seq)?.ok_or_else(|| damaged(Damage::Missing))?;
            let slot: Slot<Vec<T>> = decode(&path, &bytes)?;
            replayed.position.check(run, &slot).map_err(damaged)?;
            replayed.position.advance(slot.epoch, &bytes);
            replayed.facts.extend(slot.facts.into_iter().map(|fact| (slot.epoch, fact)));
        }
        Ok(replayed)
    }

    /// Opens the journal to append after `position`, and makes durable what was read: a predecessor may have been killed
    /// between making a slot and syncing it, and nothing may rest on a slot that a power cut can take back.
    ///
    /// # Errors
    /// When the folder cannot be made or synced.
    pub fn open(state: &dyn StateStore, run: &RunId, writer: Uuid, position: Position) -> Result<Self, JournalError> {
        let slots = state.journal(run);
        slots.open().map_err(|error| JournalError::Io { path: slots.place(position.next_seq), error })?;
        Ok(Self { slots, run: run.clone(), writer, position, pending: None, rival: None })
    }

    /// Where the next slot goes.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Writes `facts` as one slot; `Ok` means durable. No facts, no slot. After [`AppendError::Unknown`] the slot in doubt is
    /// settled first; when these are its facts, that is all (a retry), else they go into the slot after it.
    ///
    /// # Errors
    /// See [`AppendError`]. After `Conflict` every further append fails alike.
    pub fn append<T: Serialize>(&mut self, epoch: Epoch, facts: &[T]) -> Result<(), AppendError> {
        if let Some(pending) = &self.pending {
            let retried = self.encode(epoch, &pending.nonce, facts)? == pending.bytes;
            self.settle()?;
            if retried {
                return Ok(());
            }
        }
        if let Some(rival) = &self.rival {
            return Err(conflict(rival));
        }
        if facts.is_empty() {
            return Ok(());
        }
        if let Some(known) = self.position.epoch.filter(|known| epoch < *known) {
            return Err(AppendError::EpochWentBack { epoch, known });
        }
        let nonce = Uuid::new_v4().to_string();
        let bytes = self.encode(epoch, &nonce, facts)?;
        if bytes.len() as u64 > JOURNAL_SLOT_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes: bytes.len() });
        }
        self.pending = Some(Pending { epoch, nonce, bytes, in_doubt: false });
        self.settle()
    }

    /// Writes the slot in doubt again, the same bytes; `Ok` when it is durable or there is none.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn settle(&mut self) -> Result<(), AppendError> {
        let Some(pending) = &self.pending else { return Ok(()) };
        let outcome = self.slots.create(self.position.next_seq, &pending.bytes);
        self.conclude(outcome)
    }

    /// What became of the pending slot, given the reply to the last try.
    fn conclude(&mut self, reply: Result<Created, CreateError>) -> Result<(), AppendError> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        let path = self.slots.place(self.position.next_seq);
        let reply = match reply {
            Ok(Created::Exists) if planted(Mutant::ExistsIsWon) => Ok(Created::Done),
            reply => reply,
        };
        if matches!(reply, Ok(Created::Exists)) && planted(Mutant::ExistsIsLost) {
            let (seq, epoch, writer) = (self.position.next_seq, pending.epoch, "nobody looked".to_owned());
            return Err(conflict(self.rival.insert(Rival { seq, epoch, writer })));
        }
        let error = match reply {
            Ok(Created::Done) => {
                self.position.advance(pending.epoch, &pending.bytes);
                return Ok(());
            }
            Err(CreateError::NotWritten(error)) if !pending.in_doubt => return Err(AppendError::Io { path, error }),
            Ok(Created::Exists) => io::Error::from(io::ErrorKind::NotFound),
            Err(CreateError::NotWritten(error) | CreateError::Unknown(error)) => error,
        };
        let unclear = match read_back(&*self.slots, self.position.next_seq, &pending.bytes) {
            Ok(Some(Owner::Me)) => match self.slots.secure() {
                Ok(()) => {
                    self.position.advance(pending.epoch, &pending.bytes);
                    return Ok(());
                }
                Err(error) => AppendError::Unknown { path, error },
            },
            Ok(Some(Owner::Other { .. })) if planted(Mutant::NoFencing) => {
                self.position.next_seq += 1;
                self.pending = Some(Pending { in_doubt: false, ..pending });
                return self.settle();
            }
            Ok(Some(Owner::Other { epoch, writer })) => {
                let rival = self.rival.insert(Rival { seq: self.position.next_seq, epoch, writer });
                return Err(conflict(rival));
            }
            Ok(None) => AppendError::Unknown { path, error },
            Err(JournalError::Io { path, error }) => AppendError::Unknown { path, error },
            Err(damaged) => AppendError::Unreadable(damaged),
        };
        if !planted(Mutant::UnknownIsFailed) {
            self.pending = Some(Pending { in_doubt: true, ..pending });
        }
        Err(unclear)
    }

    fn encode<T: Serialize>(&self, epoch: Epoch, nonce: &str, facts: &[T]) -> Result<Vec<u8>, AppendError> {
        let slot = Slot {
            format: FORMAT,
            run: self.run.clone(),
            seq: self.position.next_seq,
            epoch,
            writer: self.writer.to_string(),
            nonce: nonce.to_owned(),
            prev: self.position.prev.clone(),
            facts,
        };
        let mut bytes = serde_json::to_vec(&slot).map_err(AppendError::Encode)?;
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(format!("\n{crc:08x}\n").as_bytes());
        Ok(bytes)
    }
}

fn conflict(rival: &Rival) -> AppendError {
    AppendError::Conflict { seq: rival.seq, epoch: rival.epoch, writer: rival.writer.clone() }
}

enum Owner {
    Me,
    Other { epoch: Epoch, writer: String },
}

/// Whose the slot is. Equal bytes hold an equal nonce, and a nonce is drawn once.
fn read_back(slots: &dyn Slots, seq: u64, mine: &[u8]) -> Result<Option<Owner>, JournalError> {
    let Some(bytes) = read_slot(slots, seq)? else { return Ok(None) };
    if bytes == mine {
        return Ok(Some(Owner::Me));
    }
    let slot: Slot<IgnoredAny> = decode(&slots.place(seq), &bytes)?;
    Ok(Some(Owner::Other { epoch: slot.epoch, writer: slot.writer }))
}

fn read_slot(slots: &dyn Slots, seq: u64) -> Result<Option<Vec<u8>>, JournalError> {
    slots.read(seq).map_err(|error| match error {
        ReadError::Io(error) => JournalError::Io { path: slots.place(seq), error },
        unfit => JournalError::Damaged { path: slots.place(seq), damage: Damage::Unfit(unfit) },
    })
}

fn decode<F: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Slot<F>, JournalError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let damaged = |damage| JournalError::Damaged { path: path.to_owned(), damage };
    let (line, tail) = bytes.split_at(bytes.len().saturating_sub(TAIL_BYTES));
    if tail != format!("\n{:08x}\n", crc32c::crc32c(line)).as_bytes() {
        return Err(damaged(Damage::Torn));
    }
    // The format first: what another version wrote is not damaged, whatever its fields are.
    let head: Head = serde_json::from_slice(line).map_err(|error| damaged(Damage::Undecodable(error)))?;
    if head.format != FORMAT {
        return Err(JournalError::Format { path: path.to_owned(), found: head.format });
    }
    serde_json::from_slice(line).map_err(|error| damaged(Damage::Undecodable(error)))
}

#[cfg(test)]
mod tests;
