//! The workers of a simulation: the protocol's session as it is, and attempts that take their time.

use std::collections::BTreeMap;

use batteuse_shared::ids::WorkerId;
use batteuse_shared::layout;
use batteuse_shared::span::Span;
use batteuse_shared::task::{Failure, FailureClass, Lease, Outcome, Task};
use batteuse_shared::time::Millis;
use batteuse_worker::session::{Far, Key, Session};

use super::source::Source;
use super::store::SimStore;

/// An attempt under way.
#[derive(Debug)]
pub struct Running {
    pub lease: Lease,
    /// Whether it was asked to stop.
    pub stop: bool,
    /// Whether it does nothing any more.
    pub hung: bool,
    /// What it has done so far.
    pub work: u64,
    /// When it began.
    pub began: Millis,
    /// When it is over.
    pub ends: Millis,
    /// Where its range ends, since its rest was given away, and when that is told.
    pub end: Option<(u64, Millis)>,
}

impl Running {
    fn range(&self) -> Span {
        match &self.lease.task {
            Task::Parse(task) => task.range,
            _ => Span::new(0, 0),
        }
    }

    /// Bytes that it has read by now.
    fn bytes(&self, now: Millis) -> u64 {
        let (bytes, took) = (self.range().bytes(), self.ends.since(self.began).max(1));
        bytes.min(bytes * now.since(self.began) / took)
    }

    /// Lets its range end at `end`, if it has not come so far: then it is over sooner.
    /// It tells so from `tells` on.
    pub fn shorten(&mut self, end: u64, tells: Millis, now: Millis) -> bool {
        let (range, here) = (self.range(), self.range().start + self.bytes(now));
        let Task::Parse(task) = &mut self.lease.task else { return false };
        if !(here < end && end < range.end) || self.hung || self.stop {
            return false;
        }
        let took = self.ends.since(self.began) * (end - range.start) / range.bytes();
        self.ends = Millis(now.0.max(self.began.0 + took));
        task.range = Span::new(range.start, end);
        self.end = Some((end, tells));
        true
    }
}

pub struct Worker {
    pub session: Session,
    /// The stream it has, or tries to have.
    pub stream: Option<u64>,
    /// When the greeting was sent on it.
    pub asked_at: Millis,
    /// The last stream on which it was greeted.
    pub greeted: Option<u64>,
    pub running: BTreeMap<Key, Running>,
}

impl Worker {
    pub fn new(name: &WorkerId, slots: u32) -> Self {
        Self {
            session: Session::new(name.clone(), slots),
            stream: None,
            asked_at: Millis(0),
            greeted: None,
            running: BTreeMap::new(),
        }
    }

    /// How far each attempt has come; those that do not hang have done something.
    pub fn progress(&mut self, now: Millis) -> BTreeMap<Key, Far> {
        let told = |(key, running): (&Key, &mut Running)| {
            running.work += u64::from(!running.hung);
            let bytes = if running.hung { 0 } else { running.bytes(now) };
            let end = running.end.filter(|(_, tells)| *tells <= now).map(|(end, _)| end);
            (key.clone(), Far { bytes, work: running.work, end })
        };
        self.running.iter_mut().map(told).collect()
    }
}

/// The name of the worker that is this process.
pub fn name(process: u32) -> WorkerId {
    WorkerId::new(&format!("w{process}")).expect("letters and digits are valid")
}

/// What comes of a lease when its time is over, and what it stages.
pub fn execute(lease: &Lease, source: &Source, store: &SimStore) -> Outcome {
    let stage = |name: &str, content: String| store.stage(&lease.run, name, content.as_bytes());
    let unseen = || failed(FailureClass::Unseen, "the staging folder is not there");
    match &lease.task {
        Task::Inspect(_) => Outcome::Inspected(Box::new(source.inspect())),
        Task::Parse(task) => {
            let parsed = source.parse(task, lease.attempt);
            for part in &parsed.parts {
                if !stage(&part.key, format!("{} {}", part.rows, part.digest.0)) {
                    return unseen();
                }
            }
            if parsed.rejects.as_ref().is_some_and(|rejects| !stage(&rejects.key, rejects.rows.to_string())) {
                return unseen();
            }
            Outcome::Parsed(Box::new(parsed))
        }
        Task::Finish(task) => {
            let folder = format!("{}/{}", lease.run, layout::staging_dir(&lease.run));
            let there = |key: &str| !store.files(&format!("{folder}/{key}")).is_empty();
            if let Some(gone) = task.pieces.iter().find(|piece| !there(&piece.key)) {
                return failed(FailureClass::Crash, &format!("{} is not there", gone.key));
            }
            let finished = Source::finish(task, lease.attempt);
            if !stage(&finished.rejects.key, finished.rejects.rows.to_string()) {
                return unseen();
            }
            Outcome::Finished(finished)
        }
    }
}

pub fn failed(class: FailureClass, message: &str) -> Outcome {
    Outcome::Failed(Failure { class, message: message.to_owned() })
}

/// What a worker that goes makes of what it has staged half, if completing is a matter of dropping.
pub fn complete(lease: &Lease, store: &SimStore) {
    if let Task::Parse(task) = &lease.task {
        store.put_visible(&lease.run, &layout::part(task.range.start, lease.attempt));
    }
}
