//! Unclear replies to the appends of a journal: facts are durable once, or known not to be, or in doubt until the slot is seen.

use std::sync::Arc;

use batteuse_coordinator::journal::{AppendError, Journal, JournalError, StateFolder};
use batteuse_shared::ids::{Epoch, RunId};
use uuid::Uuid;

use super::{DONE_BUT_TIMEOUT, Scene, TIMEOUT, TRIES};
use crate::support::scripted::{BUSY, Fault, Op, done_but, refused};

/// A journal at a scripted server, with one slot.
pub struct Notebook {
    pub scene: Scene,
    pub state: StateFolder,
    pub run: RunId,
    pub journal: Journal,
}

pub const FIRST: &str = "journal/00000000000000000000";
pub const SECOND: &str = "journal/00000000000000000001";

impl Notebook {
    pub fn new() -> Self {
        let scene = Scene::new();
        let state = StateFolder::new(Arc::clone(&scene.folder), "_batteuse/state");
        let run = RunId::new("faults-1").unwrap();
        let mut journal = Journal::open(&state, &run, Uuid::new_v4(), Default::default()).unwrap();
        journal.append(Epoch(1), &["first"]).unwrap();
        Self { scene, state, run, journal }
    }

    /// Another coordinator, which has read what is there.
    pub fn rival(&self) -> Journal {
        let position = Journal::read::<String>(&self.state, &self.run).unwrap().position;
        Journal::open(&self.state, &self.run, Uuid::new_v4(), position).unwrap()
    }

    pub fn append(&mut self, text: &str) -> Result<(), AppendError> {
        self.journal.append(Epoch(1), &[text])
    }

    pub fn read(&self) -> Result<Vec<String>, JournalError> {
        let replayed = Journal::read::<String>(&self.state, &self.run)?;
        Ok(replayed.facts.into_iter().map(|(_, text)| text).collect())
    }

    /// The facts are these, each in its own slot, and nothing was ever taken away.
    #[track_caller]
    pub fn must_hold(&self, texts: &[&str]) {
        assert_eq!(self.read().unwrap(), texts);
        let slots = self.scene.server.objects().keys().filter(|key| key.contains("/journal/")).count();
        assert_eq!(slots, texts.len());
        self.scene.server.must_have_removed_nothing();
    }

    /// What the server keeps of slots.
    pub fn key(&self, slot: &str) -> String {
        self.scene.server.objects().into_keys().find(|key| key.ends_with(slot)).unwrap()
    }
}

#[track_caller]
fn must_be_unknown(reply: Result<(), AppendError>) {
    assert!(matches!(reply, Err(AppendError::Unknown { .. })), "{reply:?}");
}

#[test]
fn a_slot_whose_reply_was_lost_is_durable_once() {
    for (fault, tries) in [(Fault::Close { applied: true }, 2), (DONE_BUT_TIMEOUT, 1)] {
        let mut book = Notebook::new();
        book.scene.server.fault(Op::Put, SECOND, 0..1, fault);
        book.append("second").unwrap();
        assert_eq!(book.scene.server.count(Op::Put, SECOND), tries);
        book.append("third").unwrap();
        book.must_hold(&["first", "second", "third"]);
    }
}

#[test]
fn a_slot_that_the_clients_retry_met_is_ones_own() {
    let mut book = Notebook::new();
    book.scene.server.fault(Op::Put, SECOND, 0..1, done_but(500, "InternalError"));
    book.append("second").unwrap();
    assert_eq!(book.scene.server.count(Op::Put, SECOND), 2);
    book.append("third").unwrap();
    book.must_hold(&["first", "second", "third"]);
}

#[test]
fn a_conflict_that_left_nothing_is_no_rival() {
    let mut book = Notebook::new();
    book.scene.server.fault(Op::Put, SECOND, 0..1, refused(409, "ConditionalRequestConflict"));
    must_be_unknown(book.append("second"));
    assert_eq!(book.read().unwrap(), ["first"]);
    book.append("second").unwrap();
    book.must_hold(&["first", "second"]);
}

#[test]
fn a_slot_of_a_rival_is_a_conflict_however_it_is_told() {
    let faults =
        [None, Some(BUSY), Some(refused(409, "ConditionalRequestConflict")), Some(refused(403, "AccessDenied"))];
    for fault in faults.into_iter().chain([Some(Fault::Close { applied: false })]) {
        let mut book = Notebook::new();
        book.rival().append(Epoch(2), &["theirs"]).unwrap();
        if let Some(fault) = fault.clone() {
            book.scene.server.fault(Op::Put, SECOND, 0..1, fault);
        }
        for _ in 0..2 {
            let lost = book.append("mine");
            assert!(matches!(lost, Err(AppendError::Conflict { seq: 1, epoch: Epoch(2), .. })), "{fault:?}: {lost:?}");
        }
        book.must_hold(&["first", "theirs"]);
    }
}

#[test]
fn facts_that_a_storm_kept_out_are_appended_again() {
    let mut book = Notebook::new();
    book.scene.server.fault(Op::Put, SECOND, 0..2, BUSY);
    book.append("second").unwrap();
    let third = SECOND.replace('1', "2");
    book.scene.server.fault(Op::Put, &third, 0..TRIES, BUSY);
    must_be_unknown(book.append("third"));
    book.append("third").unwrap();
    book.must_hold(&["first", "second", "third"]);
}

/// Neither the reply nor the slot is seen: the same facts again are no second slot, and others come after them.
#[test]
fn facts_in_doubt_are_never_doubled() {
    for (again, want) in [("second", vec!["first", "second"]), ("other", vec!["first", "second", "other"])] {
        for fault in [TIMEOUT, DONE_BUT_TIMEOUT] {
            let mut book = Notebook::new();
            book.scene.server.fault(Op::Put, SECOND, 0..1, fault);
            book.scene.server.fault(Op::Get, SECOND, 0..1, refused(403, "AccessDenied"));
            must_be_unknown(book.append("second"));
            book.append(again).unwrap();
            book.must_hold(&want);
        }
    }
}

/// A request that was given up for lost lands after all, when the slot was seen to be empty.
#[test]
fn a_slot_that_lands_late_is_ones_own() {
    let mut book = Notebook::new();
    book.scene.server.fault(Op::Put, SECOND, 0..1, Fault::Close { applied: true });
    book.scene.server.fault(Op::Get, SECOND, 0..1, refused(404, "NoSuchKey"));
    must_be_unknown(book.append("second"));
    book.append("second").unwrap();
    book.append("third").unwrap();
    book.must_hold(&["first", "second", "third"]);
}
