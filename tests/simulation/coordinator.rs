//! A coordinator of a simulation: the scheduler, the journal and the leadership as they are, and the driver's loop around them, of which
//! each step is an event of the world, so that anything may happen in between.
//!
//! Invariant: it does what `driver.rs` does, in its order: events are stepped, facts appended, the rest performed; nothing else is
//! stepped meanwhile.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use batteuse_coordinator::journal::{AppendError, Journal, Position};
use batteuse_coordinator::lead::{Lead, Standing};
use batteuse_coordinator::redrive::Look;
use batteuse_coordinator::scheduler::{Accepted, Action, Event, Fact, Run, Scheduler, Timing};
use batteuse_coordinator::turn::{Step, Turn};
use batteuse_shared::ids::{Epoch, RunId, WorkerId};
use batteuse_shared::limits::JOURNAL_TRIES_MAX;
use batteuse_shared::task::Held;
use batteuse_shared::time::Millis;

use super::store::SimStore;

/// Something for the scheduler, or about streams.
#[derive(Debug)]
pub enum Input {
    Event(Event),
    Attached { worker: WorkerId, slots: u32, running: Vec<Held>, stream: u64, number: u64 },
    Detached { worker: WorkerId, stream: u64 },
    Submit(Box<Accepted>),
    Redrive { run: RunId, look: Option<Box<Look>> },
}

/// How a coordinator ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// Another one leads, or owns a run.
    Superseded,
    /// The journal cannot be written.
    Unwritable,
    /// It was asked to leave.
    SteppedDown,
}

pub struct Coordinator {
    pub lead: Lead,
    scheduler: Scheduler,
    journals: BTreeMap<RunId, Journal>,
    /// The stream of each worker.
    pub sinks: BTreeMap<WorkerId, (u64, u64)>,
    /// Streams that it closes.
    pub closing: Vec<u64>,
    inbox: VecDeque<Input>,
    /// What the turn under way has still to do.
    turn: Option<Turn>,
    tries: u32,
    /// Whether all runs of the store were taken over.
    recovered: bool,
    leaving: bool,
    writer: uuid::Uuid,
    store: SimStore,
    /// Runs that go on as soon as that is their next fact.
    redrives: BTreeSet<RunId>,
    /// What it was about to do, and may not.
    unlawful: Option<String>,
}

impl Coordinator {
    pub fn new(number: u32, store: SimStore, timing: Timing, beat_ms: u64) -> Self {
        let writer = uuid::Uuid::from_u128(u128::from(number) + 1);
        Self {
            lead: Lead::new(&writer.to_string(), &number.to_string(), beat_ms),
            scheduler: Scheduler::new(timing),
            journals: BTreeMap::new(),
            sinks: BTreeMap::new(),
            closing: Vec::new(),
            inbox: VecDeque::new(),
            turn: None,
            tries: 0,
            recovered: false,
            leaving: false,
            writer,
            store,
            redrives: BTreeSet::new(),
            unlawful: None,
        }
    }

    /// Whether it takes workers and submissions.
    pub fn serves(&self) -> bool {
        self.recovered && *self.lead.standing() == Standing::Leading
    }

    /// Whether a turn is under way.
    pub fn is_busy(&self) -> bool {
        self.turn.is_some()
    }

    pub fn push(&mut self, input: Input) {
        self.inbox.push_back(input);
    }

    pub fn leave(&mut self) {
        self.leaving = true;
        self.inbox.push_back(Input::Event(Event::SteppingDown));
    }

    pub fn violated(&self) -> Option<String> {
        self.unlawful.clone().or_else(|| self.scheduler.violated())
    }

    /// Whether it has this run, and its end is open.
    pub fn is_undecided(&self, run: &RunId) -> bool {
        self.scheduler.run(run).is_some_and(|live| live.decision().is_none())
    }

    /// Whether it has a stream of this worker.
    pub fn hears(&self, worker: &WorkerId) -> bool {
        self.sinks.contains_key(worker)
    }

    /// Takes over every run of the store, as one turn. False: the store did not answer, and it is tried again.
    pub fn recover(&mut self, now: Millis) -> Result<bool, String> {
        let mut actions = Vec::new();
        let mut replayed = Vec::new();
        for run in batteuse_coordinator::journal::StateStore::runs(&self.store).expect("it lists") {
            match Journal::read::<Fact>(&self.store, &run) {
                Ok(read) => replayed.push((run, read)),
                Err(batteuse_coordinator::journal::JournalError::Io { .. }) => return Ok(false),
                Err(error) => return Err(format!("a journal of this very store is unreadable: {error}")),
            }
        }
        for (id, read) in replayed {
            if let Some(run) = Run::replay(read.facts.into_iter().map(|(_, fact)| fact)) {
                self.open(&id, read.position);
                actions.extend(self.scheduler.adopt(run, now));
            }
        }
        self.recovered = true;
        self.turn = Some(Turn::of(actions, false));
        Ok(true)
    }

    fn open(&mut self, run: &RunId, position: Position) {
        let journal = Journal::open(&self.store, run, self.writer, position).expect("it opens");
        self.journals.insert(run.clone(), journal);
    }

    /// Begins a turn over what has come; false when nothing has.
    pub fn begin(&mut self, now: Millis) -> bool {
        if self.turn.is_some() || self.inbox.is_empty() || !self.recovered {
            return false;
        }
        let mut actions = Vec::new();
        let mut stepped = 0;
        while let Some(input) = self.inbox.pop_front() {
            if matches!(input, Input::Attached { .. } | Input::Redrive { .. }) && stepped > 0 {
                // What was said of the stream before is not about the new one; and a run that ends in this turn has not ended yet.
                self.inbox.push_front(input);
                break;
            }
            if let Input::Submit(accepted) = &input
                && !self.scheduler.knows(&accepted.run)
                && self.store.slots(&accepted.run) > 0
            {
                actions.extend(self.adopt(&accepted.run.clone(), now));
                continue;
            }
            if let Input::Redrive { run, look } = input {
                actions.extend(self.redrive(&run, look, now));
                continue;
            }
            if let Some(event) = self.take(input) {
                actions.extend(self.scheduler.step(event, now));
                stepped += 1;
            }
        }
        self.unlawful = self.leased_while_paused(&actions);
        self.turn = Some(Turn::of(actions, false));
        true
    }

    /// What these actions lease of a run that is paused, by what its journal says and by the facts among them.
    fn leased_while_paused(&self, actions: &[Action]) -> Option<String> {
        let held = |(run, journal): (&RunId, &Journal)| {
            self.store.is_paused_before(run, journal.position().next_seq).then(|| run.clone())
        };
        let mut paused: BTreeSet<RunId> = self.journals.iter().filter_map(held).collect();
        for action in actions {
            match action {
                Action::Record { run, fact: Fact::Paused { .. } } => {
                    paused.insert(run.clone());
                }
                Action::Record { run, fact: Fact::Unpaused { .. } | Fact::RunDecided(_) | Fact::RunAborted(_) } => {
                    paused.remove(run);
                }
                Action::Grant { lease, .. } if paused.contains(&lease.run) => {
                    return Some(format!("PAUSED: {} of {} is leased, which is paused", lease.attempt, lease.run));
                }
                _ => {}
            }
        }
        None
    }

    /// Takes over a run that is in the journal, and that this coordinator did not find when it began.
    fn adopt(&mut self, run: &RunId, now: Millis) -> Vec<Action> {
        let Ok(read) = Journal::read::<Fact>(&self.store, run) else { return Vec::new() };
        let Some(replayed) = Run::replay(read.facts.into_iter().map(|(_, fact)| fact)) else { return Vec::new() };
        self.open(run, read.position);
        self.scheduler.adopt(replayed, now)
    }

    /// Lets a run go on that failed, as it was looked at, or that another coordinator redrove.
    fn redrive(&mut self, id: &RunId, look: Option<Box<Look>>, now: Millis) -> Vec<Action> {
        if self.scheduler.accepted(id).is_some() {
            return Vec::new();
        }
        let Some(Look { run, position, remains }) = look.map(|look| *look) else { return self.adopt(id, now) };
        self.open(id, position);
        self.redrives.insert(id.clone());
        self.scheduler.redrive(run, remains, now)
    }

    /// Whether it has this run.
    pub fn knows(&self, run: &RunId) -> bool {
        self.scheduler.knows(run)
    }

    fn take(&mut self, input: Input) -> Option<Event> {
        match input {
            Input::Event(event) => Some(event),
            Input::Attached { worker, number, stream, .. } if self.sinks.get(&worker).is_some_and(|s| s.1 > number) => {
                self.closing.push(stream);
                None
            }
            Input::Attached { worker, slots, running, stream, number } => {
                let before = self.sinks.insert(worker.clone(), (stream, number));
                self.closing.extend(before.map(|(stream, _)| stream));
                Some(Event::WorkerJoined { worker, slots, running })
            }
            Input::Detached { worker, stream } => (self.sinks.get(&worker).is_some_and(|s| s.0 == stream)).then(|| {
                self.sinks.remove(&worker);
                Event::WorkerLeft { worker }
            }),
            Input::Redrive { .. } => unreachable!("it is no event"),
            Input::Submit(accepted) => {
                if self.scheduler.knows(&accepted.run) {
                    return None;
                }
                self.open(&accepted.run, Position::default());
                Some(Event::Submitted(accepted))
            }
        }
    }

    /// The next step of the turn; none when it is over.
    pub fn next_step(&mut self) -> Option<Step> {
        let step = self.turn.as_mut()?.take_next();
        if step.is_none() {
            self.turn = None;
        }
        step
    }

    /// Appends facts. False: they are to be appended again.
    pub fn append(&mut self, run: &RunId, facts: Vec<Fact>, violations: &mut Vec<String>) -> Result<bool, Exit> {
        let Some(turn) = &mut self.turn else { return Ok(true) };
        let epoch = self.scheduler.epoch(run).unwrap_or(Epoch(0));
        let journal = self.journals.get_mut(run).expect("every run has its journal");
        let first = journal.position().next_seq == 0 || self.redrives.contains(run);
        match journal.append(epoch, &facts) {
            Ok(()) => {
                self.tries = 0;
                self.redrives.remove(run);
            }
            Err(AppendError::Conflict { .. }) if first => {
                self.redrives.remove(run);
                self.scheduler.forget(run);
                turn.leave_out(run);
                self.journals.remove(run);
                return Ok(true);
            }
            Err(AppendError::Conflict { .. }) => {
                if self.store.is_last_writer(run, &self.writer.to_string()) {
                    violations.push(format!("UNKNOWN-IS-NOT-FAILED: {run} was taken over by nobody"));
                }
                return Err(Exit::Superseded);
            }
            Err(_) => {
                self.tries += 1;
                turn.again(Step::Append { run: run.clone(), facts });
                return if self.tries >= JOURNAL_TRIES_MAX { Err(Exit::Unwritable) } else { Ok(false) };
            }
        }
        if turn.appends(run) {
            return Ok(true);
        }
        // Another coordinator may have gone on from there.
        let until = journal.position().next_seq;
        let replayed = Run::replay(self.store.facts_before(run, until));
        match (self.scheduler.run(run), replayed) {
            (Some(live), Some(replayed)) => {
                violations.extend(live.differs(&replayed).map(|what| format!("REPLAY: {run}: {what} differs")));
            }
            (Some(_), None) => violations.push(format!("REPLAY: {run} lives, and its journal tells of no run")),
            (None, _) => {
                self.journals.remove(run);
            }
        }
        Ok(true)
    }

    /// Whether it has left in order, now that its last turn is over.
    pub fn has_left(&self) -> bool {
        self.leaving && self.turn.is_none() && self.inbox.is_empty()
    }

    /// What must be durable before an action, and is not (WRITE-AHEAD).
    pub fn premature(&self, action: &Action) -> Option<String> {
        // As far as this coordinator went: another one may have gone on from there.
        let until = |run: &RunId| self.journals.get(run).map_or(u64::MAX, |journal| journal.position().next_seq);
        let durable = |run: &RunId| self.store.facts_before(run, until(run));
        match action {
            Action::Grant { lease, .. } => {
                let begun =
                    |fact: &Fact| matches!(fact, Fact::EpochBegun { epoch, .. } if *epoch == lease.attempt.epoch());
                let known = durable(&lease.run).iter().any(begun);
                (!known).then(|| format!("WRITE-AHEAD: {} is leased before its epoch is durable", lease.attempt))
            }
            Action::Ack { run, attempt, .. } => {
                let live = self.scheduler.run(run).is_some_and(|live| live.uses(*attempt));
                let known = Run::replay(durable(run)).is_some_and(|replayed| replayed.uses(*attempt));
                (live && !known).then(|| format!("WRITE-AHEAD: {attempt} is acknowledged before it is durable"))
            }
            Action::Publish(plan) => {
                let decided = |fact: &Fact| matches!(fact, Fact::RunDecided(_) | Fact::RunAborted(_));
                let known = durable(&plan.run).iter().any(decided);
                (!known).then(|| format!("WRITE-AHEAD: {} is published before its decision is durable", plan.run))
            }
            _ => None,
        }
    }
}
