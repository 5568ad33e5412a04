//! The contract of a journal: what is appended is read back, a slot has one writer, and who lost it stays out.

use std::sync::{Arc, Barrier};

use batteuse_coordinator::journal::{AppendError, Journal, State, StateFolder, StateStore, state_at};
use batteuse_coordinator::lead::{Leader, Write};
use batteuse_shared::ids::{Epoch, RunId};
use batteuse_store::{Created, Stores};
use uuid::Uuid;

use super::Ground;
use crate::support::servers::Postgres;

fn must_hold(state: &State) {
    facts_come_back_in_order(&**state);
    who_lost_a_slot_stays_out(&**state);
    one_of_sixteen_coordinators_goes_on(state);
    a_lost_reply_is_settled_by_the_slot(&**state);
    runs_are_listed(&**state);
    one_coordinator_leads(state);
}

fn in_folder(ground: &Ground) -> State {
    Arc::new(StateFolder::new(ground.folder.clone(), "_batteuse/state"))
}

#[test]
fn in_memory() {
    must_hold(&in_folder(&Ground::memory()));
}

#[test]
fn on_a_disk() {
    must_hold(&in_folder(&Ground::disk()));
}

#[test]
fn in_s3() {
    must_hold(&in_folder(&Ground::s3()));
}

#[test]
fn in_azure() {
    must_hold(&in_folder(&Ground::azure()));
}

/// The state store of a server, and the URL that names it without its password.
pub fn in_database(server: &Postgres) -> (String, Vec<(String, String)>) {
    let url = server.url();
    let (head, rest) = url.split_once("://").unwrap();
    let (login, place) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    (format!("{head}://{user}@{place}"), vec![("PGPASSWORD".to_owned(), password.to_owned())])
}

#[test]
fn in_postgresql() {
    let mut server = Postgres::start();
    let (url, env) = in_database(&server);
    let stores = Stores::new(env);
    let state = state_at(&url, &stores).unwrap();
    assert!(!state.exists().unwrap() && state.runs().unwrap().is_empty(), "a database that knows no journal");
    must_hold(&state);
    assert!(state.exists().unwrap());

    let (run, position) = (RunId::new("survivor-1").unwrap(), Default::default());
    let mut journal = Journal::open(&*state, &run, Uuid::new_v4(), position).unwrap();
    journal.append(Epoch(1), &["before"]).unwrap();
    server.kill();
    let cut = journal.append(Epoch(1), &["after"]);
    assert!(matches!(cut, Err(AppendError::Unknown { .. })), "{cut:?}");
    server.restart();
    journal.append(Epoch(1), &["after"]).unwrap();
    assert_eq!(texts(&*state, &run), ["before", "after"]);
}

#[test]
fn a_password_is_no_part_of_a_url() {
    let refused = state_at("postgres://me:secret@127.0.0.1:1/db", &Stores::new([])).err().unwrap().to_string();
    assert!(refused.contains("PGPASSWORD") && !refused.contains("secret"), "{refused}");
    let refused = state_at("postgres://me:secret@127.0.0.1:port/db", &Stores::new([])).err().unwrap().to_string();
    assert!(refused.contains("no database") && !refused.contains("secret"), "{refused}");
}

fn texts(state: &dyn StateStore, run: &RunId) -> Vec<String> {
    Journal::read::<String>(state, run).unwrap().facts.into_iter().map(|(_, text)| text).collect()
}

fn open(state: &dyn StateStore, run: &RunId) -> Journal {
    let position = Journal::read::<String>(state, run).unwrap().position;
    Journal::open(state, run, Uuid::new_v4(), position).unwrap()
}

fn facts_come_back_in_order(state: &dyn StateStore) {
    let run = RunId::new("order-1").unwrap();
    assert!(texts(state, &run).is_empty());
    let mut want = Vec::new();
    for life in 1..4 {
        let mut journal = open(state, &run);
        for n in 0..5 {
            let batch: Vec<String> = (0..=n).map(|i| format!("{life} {n} {i} \u{e9}\n")).collect();
            journal.append(Epoch(life), &batch).unwrap();
            want.extend(batch);
        }
    }
    assert_eq!(texts(state, &run), want);
    assert!(texts(state, &RunId::new("order-2").unwrap()).is_empty(), "each run has its own");
}

fn who_lost_a_slot_stays_out(state: &dyn StateStore) {
    let run = RunId::new("rivals-1").unwrap();
    let (mut stalled, mut next) = (open(state, &run), open(state, &run));
    next.append(Epoch(2), &["next"]).unwrap();
    for _ in 0..2 {
        let lost = stalled.append(Epoch(1), &["stalled"]);
        assert!(matches!(lost, Err(AppendError::Conflict { seq: 0, epoch: Epoch(2), .. })), "{lost:?}");
    }
    next.append(Epoch(2), &["more"]).unwrap();
    assert_eq!(texts(state, &run), ["next", "more"]);
}

fn one_of_sixteen_coordinators_goes_on(state: &State) {
    let (run, barrier) = (RunId::new("race-1").unwrap(), Barrier::new(16));
    let race = |i: u32| {
        let mut journal = open(&**state, &run);
        let mine = format!("coordinator {i}");
        barrier.wait();
        loop {
            match journal.append(Epoch(i), std::slice::from_ref(&mine)) {
                Ok(()) => return Some(mine),
                Err(AppendError::Conflict { .. }) => return None,
                // What a coordinator does: the same facts again.
                Err(AppendError::Unknown { .. } | AppendError::Io { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    };
    let won: Vec<Option<String>> = std::thread::scope(|scope| {
        let race = &race;
        let rivals: Vec<_> = (1..=16).map(|i| scope.spawn(move || race(i))).collect();
        rivals.into_iter().map(|rival| rival.join().unwrap()).collect()
    });
    let won: Vec<String> = won.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(texts(&**state, &run), won);
}

fn a_lost_reply_is_settled_by_the_slot(state: &dyn StateStore) {
    let run = RunId::new("settled-1").unwrap();
    let slots = state.journal(&run);
    slots.open().unwrap();
    assert_eq!((slots.count().unwrap(), slots.read(0).unwrap()), (0, None));
    assert_eq!(slots.create(0, b"mine").unwrap(), Created::Done);
    // The reply to a first try is lost, and the second meets it.
    assert_eq!(slots.create(0, b"mine").unwrap(), Created::Exists);
    assert_eq!((slots.count().unwrap(), slots.read(0).unwrap().as_deref()), (1, Some(b"mine".as_slice())));
    slots.secure().unwrap();
}

/// Sixteen try to write who leads in the place of `before`; who does.
fn race_to_lead(state: &State, before: Option<&Leader>, term: u64) -> Leader {
    let barrier = Barrier::new(16);
    let race = |i: u32| {
        let (writer, url) = (format!("{term}-{i}"), "http://here".to_owned());
        let record = Leader { term, writer, url, beat: 0, beat_ms: 1, left: false };
        barrier.wait();
        let written = state.lead(&Write { before: before.cloned(), record: record.clone() });
        // What is unclear is looked at again.
        matches!(written, Ok(true)).then_some(record)
    };
    let won: Vec<Leader> = std::thread::scope(|scope| {
        let race = &race;
        let rivals: Vec<_> = (0..16).map(|i| scope.spawn(move || race(i))).collect();
        rivals.into_iter().filter_map(|rival| rival.join().unwrap()).collect()
    });
    let leads = state.leader().unwrap().expect("one of them");
    // On a disk two that write at once may both be told that they did: what stands there decides, and who leads looks again.
    assert!(leads.term == term && (won.is_empty() || won.contains(&leads)), "{won:?} and {leads:?}");
    leads
}

fn one_coordinator_leads(state: &State) {
    assert_eq!(state.leader().unwrap(), None);
    let first = race_to_lead(state, None, 1);
    let beaten = Leader { beat: 1, ..first.clone() };
    assert!(state.lead(&Write { before: Some(first.clone()), record: beaten.clone() }).unwrap());
    assert!(!state.lead(&Write { before: None, record: first.clone() }).unwrap(), "there is a leader");
    let late = Leader { writer: "late".to_owned(), ..first.clone() };
    assert!(!state.lead(&Write { before: Some(first), record: late }).unwrap(), "it was not the last one's word");
    let second = race_to_lead(state, Some(&beaten), 2);
    assert_eq!(state.leader().unwrap(), Some(second));
}

fn runs_are_listed(state: &dyn StateStore) {
    let names: Vec<String> = state.runs().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["order-1", "race-1", "rivals-1", "settled-1"]);
}
