//! The driver: the loop around the scheduler. Events in, one step each, actions performed in order.
//!
//! Invariant (WRITE-AHEAD): the facts of a turn are durable before anything else of that turn happens. It holds no rule
//! about scheduling: it journals, sends, deletes and publishes what it is told.
#![expect(clippy::disallowed_methods, reason = "the shell: it starts tasks for blocking I/O")]

mod inputs;
mod leading;
mod redriving;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use batteuse_proto::CoordinatorSays;
use batteuse_shared::ids::{Epoch, RunId, WorkerId};
use batteuse_shared::limits::{EVENT_QUEUE_MAX, EVENTS_PER_TURN_MAX, TICK_MS};
use batteuse_shared::task::{Failure, FailureClass, Lease, Outcome};
use batteuse_shared::time::Millis;
use batteuse_shared::{layout, limits};
use batteuse_store::{Folder, Stores};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinError;
use tracing::{error, info, warn};

use self::inputs::Waiting;
pub use self::inputs::{Handle, Input, Redriven, Statuses, Submitted};
pub use self::leading::{LeadError, Leading, LeadingError, Serving, lead};
use crate::journal::{AppendError, Journal, JournalError, Position, Replayed, State};
use crate::publish::{self, PublishPlan};
use crate::scheduler::{Accepted, Action, Event, Fact, Run, Scheduler, Timing};
use crate::turn::{Step, Turn};

/// Called before each fact is journalled and before each other action, with its name; `Break` stops the driver dead, as a
/// kill would. Tests put it in; nobody else does.
pub type Probe = Arc<dyn Fn(&str) -> ControlFlow<()> + Send + Sync>;

/// What the driver is given.
pub struct Components {
    /// Where journals lie.
    pub state: State,
    /// Opens output folders.
    pub stores: Arc<Stores>,
    /// The clock.
    pub clock: fn() -> Millis,
    /// Names this process in the journal.
    pub writer: uuid::Uuid,
    /// How long things may take.
    pub timing: Timing,
    /// See [`Probe`].
    pub probe: Option<Probe>,
}

/// Why a driver stopped before its time.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// Another process has taken the run over: this one must not touch it again.
    #[error(
        "run {run} was taken over by another process (resume, cancel, or a coordinator on the same state): {source}; `batteuse status` tells how it stands"
    )]
    Superseded {
        /// Which run.
        run: RunId,
        /// Who holds the slot.
        source: AppendError,
    },
    /// The journal cannot be written.
    #[error("the journal of run {run} cannot be written: {source}. Nothing is lost: free the disk, then resume")]
    Journal {
        /// Which run.
        run: RunId,
        /// What happened.
        source: AppendError,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Unreadable(#[from] JournalError),
    /// The output cannot be published; the decision is durable, so it can be redone.
    #[error("run {run} is decided but cannot be published: {message}. Mend this, then resume")]
    Publish {
        /// Which run.
        run: RunId,
        /// The last failure.
        message: String,
    },
    /// The disk or store of an embedded run keeps failing, or what was decided, is lost and cannot be made again; it can be resumed.
    #[error("run {run} cannot go on: {message}. Nothing is lost: mend this, then resume")]
    Stalled {
        /// Which run.
        run: RunId,
        /// The last failure.
        message: String,
    },
    /// A probe stopped it.
    #[error("stopped dead by a probe")]
    Stopped,
    /// A task of this process died.
    #[error("a task of the coordinator died: {0}")]
    Task(#[from] JoinError),
}

/// When a driver that is well stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When no run is open: an embedded run.
    NoOpenRun,
    /// When it is asked to step down: a coordinator.
    SteppedDown,
}

/// Where to talk to a worker.
struct Sink {
    stream: uuid::Uuid,
    /// The how-manieth of the worker.
    number: u64,
    sink: mpsc::Sender<CoordinatorSays>,
}

/// The loop and what it holds.
pub struct Driver {
    components: Components,
    scheduler: Scheduler,
    journals: BTreeMap<RunId, Journal>,
    sinks: BTreeMap<WorkerId, Sink>,
    inputs: mpsc::Receiver<Input>,
    own: mpsc::WeakSender<Input>,
    statuses: watch::Sender<Statuses>,
    waiting: Vec<Waiting>,
    /// Those who are told when this turn is over.
    asked: Vec<oneshot::Sender<()>>,
    /// Submitted runs whose first slot somebody else has, and whether that began the run.
    lost: BTreeMap<RunId, (AppendError, bool)>,
    /// Events that acting brought about; the next turn takes them.
    returned: Vec<Event>,
}

impl Driver {
    /// A driver without runs, and the handle to it.
    #[must_use]
    pub fn new(components: Components) -> (Self, Handle) {
        let (sender, inputs) = mpsc::channel(EVENT_QUEUE_MAX);
        let (statuses, watched) = watch::channel(Statuses::default());
        let timing = components.timing;
        let driver = Self {
            components,
            scheduler: Scheduler::new(timing),
            journals: BTreeMap::new(),
            sinks: BTreeMap::new(),
            inputs,
            own: sender.downgrade(),
            statuses,
            waiting: Vec::new(),
            asked: Vec::new(),
            lost: BTreeMap::new(),
            returned: Vec::new(),
        };
        (driver, Handle { inputs: sender, statuses: watched, timing })
    }

    /// Takes over a run that was rebuilt from its journal.
    ///
    /// # Errors
    /// When its next epoch cannot be journalled.
    pub async fn adopt(&mut self, run: Run, position: Position) -> Result<(), DriverError> {
        self.open(run.id(), position).await?;
        let actions = self.scheduler.adopt(run, (self.components.clock)());
        self.perform(actions).await
    }

    /// Accepts a run that was just admitted; durable on return.
    ///
    /// # Errors
    /// When it cannot be journalled.
    pub async fn accept(&mut self, accepted: Accepted) -> Result<(), DriverError> {
        let run = accepted.run.clone();
        self.open(&run, Position::default()).await?;
        self.turn(vec![Event::Submitted(Box::new(accepted))]).await?;
        self.lost.remove(&run).map_or(Ok(()), |(source, _)| Err(DriverError::Superseded { run, source }))
    }

    /// Gives a run up.
    ///
    /// # Errors
    /// When that cannot be journalled.
    pub async fn cancel(&mut self, run: &RunId, message: &str) -> Result<(), DriverError> {
        self.turn(vec![Event::Cancelled { run: run.clone(), message: message.to_owned() }]).await
    }

    async fn open(&mut self, run: &RunId, position: Position) -> Result<(), DriverError> {
        let (state, id, writer) = (self.components.state.clone(), run.clone(), self.components.writer);
        let opened = tokio::task::spawn_blocking(move || Journal::open(&*state, &id, writer, position)).await?;
        self.journals.insert(run.clone(), opened?);
        Ok(())
    }

    /// The journal of a run as it is now.
    async fn read(&self, run: &RunId) -> Result<Result<Replayed<Fact>, JournalError>, JoinError> {
        let (state, run) = (self.components.state.clone(), run.clone());
        tokio::task::spawn_blocking(move || Journal::read(&*state, &run)).await
    }

    /// Takes over every run of the state folder.
    ///
    /// # Errors
    /// When a journal cannot be read or written.
    pub async fn recover(&mut self) -> Result<(), DriverError> {
        let listed = self.components.state.clone();
        for id in tokio::task::spawn_blocking(move || listed.runs()).await?? {
            let replayed = match self.read(&id).await? {
                Ok(replayed) => replayed,
                Err(error @ JournalError::Io { .. }) => return Err(error.into()),
                Err(error) => {
                    // It is never guessed at; the other runs go on.
                    error!(run = %id, %error, "a run is set aside");
                    continue;
                }
            };
            match Run::replay(replayed.facts.into_iter().map(|(_, fact)| fact)) {
                Some(run) => self.adopt(run, replayed.position).await?,
                None => info!(run = %id, "a journal without an accepted run is passed over"),
            }
        }
        Ok(())
    }

    /// Turns until it is time to stop; `stop` turns true when it is asked to step down.
    ///
    /// # Errors
    /// When it must stop before that. Facts that were journalled are safe.
    pub async fn run(mut self, until: Until, mut stop: watch::Receiver<bool>) -> Result<Statuses, DriverError> {
        let mut tick = tokio::time::interval(Duration::from_millis(TICK_MS));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut inputs = Vec::new();
        self.tell();
        loop {
            if until == Until::NoOpenRun {
                self.check_environment()?;
                if self.scheduler.open_runs().next().is_none() {
                    break;
                }
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {
                    self.turn(vec![Event::SteppingDown]).await?;
                    break;
                }
                // What came before the tick counts before it: a worker that was heard is not given up.
                _ = tick.tick() => {
                    while inputs.len() < EVENTS_PER_TURN_MAX && let Ok(input) = self.inputs.try_recv() {
                        inputs.push(input);
                    }
                    self.turn_with(&mut inputs, Some(Event::Tick)).await?;
                }
                n = self.inputs.recv_many(&mut inputs, EVENTS_PER_TURN_MAX) => {
                    if n == 0 {
                        break;
                    }
                    self.turn_with(&mut inputs, None).await?;
                }
            }
        }
        let last = self.statuses.borrow().clone();
        Ok(last)
    }

    async fn turn_with(&mut self, inputs: &mut Vec<Input>, last: Option<Event>) -> Result<(), DriverError> {
        let mut events = Vec::with_capacity(inputs.len() + 1);
        for input in inputs.drain(..) {
            if matches!(input, Input::Attached { .. }) && !events.is_empty() {
                // What was said of the stream before is not about the new one.
                self.turn(std::mem::take(&mut events)).await?;
            }
            events.extend(self.take(input).await?);
        }
        events.extend(last);
        self.turn(events).await
    }

    /// One turn: all events are stepped, their facts are journalled in one append a run, then the rest is done.
    async fn turn(&mut self, events: Vec<Event>) -> Result<(), DriverError> {
        let now = (self.components.clock)();
        let mut actions = Vec::new();
        for event in std::mem::take(&mut self.returned).into_iter().chain(events) {
            actions.extend(self.scheduler.step(event, now));
        }
        self.perform(actions).await?;
        // Who is told that a run is durable finds it at once.
        self.tell();
        for done in self.asked.drain(..) {
            let _ = done.send(());
        }
        let mut told = Vec::new();
        for Waiting { answer, accepted, same_job } in std::mem::take(&mut self.waiting) {
            let begun = self.lost.get(&accepted.run).map(|(_, begun)| *begun);
            let _ = answer.send(match same_job {
                // Its own first slot, of a coordinator before: who submits again is told that it is known, and it goes on here.
                _ if begun == Some(true) => {
                    Submitted::Unavailable("the run was accepted just now: submit again".to_owned())
                }
                _ if begun == Some(false) => Submitted::Taken,
                true => Submitted::Durable,
                false => Submitted::OtherJob,
            });
            told.push(accepted.run);
        }
        // Only now: several may have asked for one run. What nobody here waits for, `accept` asks.
        self.lost.retain(|run, _| !told.contains(run));
        Ok(())
    }

    async fn take(&mut self, input: Input) -> Result<Option<Event>, DriverError> {
        Ok(match input {
            Input::Event(Event::Reported { worker, run, attempt, outcome: Outcome::Failed(failure) }) => {
                let failure = self.look_at(&run, failure).await?;
                info!(%worker, %run, %attempt, class = ?failure.class, message = failure.message, "an attempt failed");
                Some(Event::Reported { worker, run, attempt, outcome: Outcome::Failed(failure) })
            }
            Input::Event(event) => Some(event),
            // Its greeting was long under way: the worker has left that stream for the one that it talks on.
            Input::Attached { worker, number, .. } if self.sinks.get(&worker).is_some_and(|s| s.number > number) => {
                None
            }
            Input::Attached { worker, slots, running, sink, stream, number } => {
                self.sinks.insert(worker.clone(), Sink { stream, number, sink });
                Some(Event::WorkerJoined { worker, slots, running })
            }
            Input::Detached { worker, stream } => {
                let current = self.sinks.get(&worker).is_some_and(|s| s.stream == stream);
                current.then(|| {
                    self.sinks.remove(&worker);
                    Event::WorkerLeft { worker }
                })
            }
            Input::Asked { event, done } => {
                self.asked.push(done);
                Some(event)
            }
            Input::Workers { answer } => {
                let _ = answer.send(self.scheduler.workers((self.components.clock)()).collect());
                None
            }
            Input::Submit { accepted, answer } => self.take_submission(accepted, answer).await,
            Input::Redrive { run, look, answer } => {
                let taken = self.take_redrive(&run, look).await?;
                self.tell();
                let _ = answer.send(taken);
                None
            }
            Input::Known { run, answer } => {
                let taken = self.take_known(&run).await?;
                self.tell();
                let _ = answer.send(taken);
                None
            }
        })
    }

    async fn take_submission(&mut self, accepted: Box<Accepted>, answer: oneshot::Sender<Submitted>) -> Option<Event> {
        let pending = self.waiting.iter().map(|w| &*w.accepted).find(|a| a.run == accepted.run);
        let known = self.scheduler.accepted(&accepted.run).or(pending).map(|known| known.job == accepted.job);
        if known.is_none()
            && let Err(error) = self.open(&accepted.run, Position::default()).await
        {
            let _ = answer.send(Submitted::Unavailable(error.to_string()));
            return None;
        }
        self.waiting.push(Waiting { answer, accepted: accepted.clone(), same_job: known.unwrap_or(true) });
        known.is_none().then_some(Event::Submitted(accepted))
    }

    /// A run whose first slot landed after this coordinator had taken all runs over, of a writer that is gone: nobody else has it.
    async fn take_known(&mut self, run: &RunId) -> Result<Submitted, DriverError> {
        let waits = self.waiting.iter().any(|waiting| waiting.accepted.run == *run);
        if waits {
            return Ok(Submitted::Unavailable("the run is being accepted: submit again".to_owned()));
        }
        if self.scheduler.knows(run) {
            return Ok(Submitted::Durable);
        }
        match self.read(run).await? {
            Err(error) => Ok(Submitted::Unavailable(error.to_string())),
            Ok(read) => match Run::replay(read.facts.into_iter().map(|(_, fact)| fact)) {
                None => Ok(Submitted::Taken),
                Some(run) => {
                    self.adopt(run, read.position).await?;
                    Ok(Submitted::Durable)
                }
            },
        }
    }

    /// A worker that does not see the staging folder is not to blame when there is none: then the run has lost it.
    async fn look_at(&self, run: &RunId, failure: Failure) -> Result<Failure, DriverError> {
        let accepted = self.scheduler.accepted(run).filter(|_| failure.class == FailureClass::Unseen);
        let Some((dir, nonce)) = accepted.and_then(|a| {
            let dir = self.folder(run, a.job.spec.output.folder_url())?;
            Some((dir, a.nonce.clone()))
        }) else {
            return Ok(failure);
        };
        let (seen, id) = (dir.clone(), run.clone());
        let message = match tokio::task::spawn_blocking(move || publish::is_staging(&*seen, &id, &nonce)).await? {
            Ok(true) => return Ok(failure),
            Ok(false) => {
                let staging = dir.place(&layout::staging_dir(run));
                format!("the staging folder {} is gone or is not the run's: put it back, or cancel", staging.display())
            }
            Err(error) => error.to_string(),
        };
        Ok(Failure { class: FailureClass::Environment, message })
    }

    /// Performs actions, facts first.
    async fn perform(&mut self, actions: Vec<Action>) -> Result<(), DriverError> {
        let mut turn = Turn::of(actions, self.components.probe.is_some());
        while let Some(step) = turn.take_next() {
            match step {
                Step::Append { run, facts } => {
                    self.probe("record")?;
                    self.append_step(run, facts, &mut turn).await?;
                }
                Step::Act(action) => {
                    self.probe(action.name())?;
                    self.act(*action).await?;
                }
            }
        }
        Ok(())
    }

    async fn append_step(&mut self, run: RunId, facts: Vec<Fact>, turn: &mut Turn) -> Result<(), DriverError> {
        let first = self.journals.get(&run).is_some_and(|journal| journal.position().next_seq == 0);
        match self.append(&run, facts).await {
            Err(DriverError::Superseded { run, source }) if first => {
                self.scheduler.forget(&run);
                turn.leave_out(&run);
                let read = self.read(&run).await?;
                let begins = |facts: &[(Epoch, Fact)]| matches!(facts.first(), Some((_, Fact::RunAccepted(_))));
                let begun = read.map_or(true, |read| begins(&read.facts));
                self.lost.insert(run, (source, begun));
                return Ok(());
            }
            appended => appended?,
        }
        if self.scheduler.accepted(&run).is_none() && !turn.appends(&run) {
            // That was its last fact.
            self.journals.remove(&run);
        }
        Ok(())
    }

    fn probe(&self, action: &str) -> Result<(), DriverError> {
        match self.components.probe.as_ref().map(|probe| probe(action)) {
            Some(ControlFlow::Break(())) => Err(DriverError::Stopped),
            _ => Ok(()),
        }
    }

    async fn append(&mut self, run: &RunId, facts: Vec<Fact>) -> Result<(), DriverError> {
        let epoch = self.scheduler.epoch(run).unwrap_or(Epoch(0));
        let mut journal = self.journals.remove(run).expect("every run of the scheduler has its journal");
        let (facts, mut tries) = (Arc::new(facts), 0);
        loop {
            let facts = facts.clone();
            let joined = tokio::task::spawn_blocking(move || {
                let result = journal.append(epoch, &facts);
                (journal, result)
            });
            let (back, result) = joined.await?;
            journal = back;
            match result {
                Ok(()) => break,
                Err(source @ AppendError::Conflict { .. }) => {
                    return Err(DriverError::Superseded { run: run.clone(), source });
                }
                Err(source) => {
                    tries += 1;
                    if tries >= limits::JOURNAL_TRIES_MAX {
                        return Err(DriverError::Journal { run: run.clone(), source });
                    }
                    warn!(%run, error = %source, "the journal could not be written; trying again");
                    tokio::time::sleep(Duration::from_millis(limits::RETRY_BACKOFF_MS << tries)).await;
                }
            }
        }
        self.journals.insert(run.clone(), journal);
        Ok(())
    }

    async fn act(&mut self, action: Action) -> Result<(), DriverError> {
        match action {
            Action::Record { .. } => unreachable!("facts are journalled first"),
            Action::Grant { worker, lease } => self.grant(worker, lease),
            Action::Revoke { worker, run, attempt } => self.say(&worker, CoordinatorSays::Revoke { run, attempt }),
            Action::Shorten { worker, run, attempt, end } => {
                self.say(&worker, CoordinatorSays::Shorten { run, attempt, end });
            }
            Action::Ack { worker, run, attempt } => self.say(&worker, CoordinatorSays::Ack { run, attempt }),
            Action::Alive { worker, beat } => self.say(&worker, CoordinatorSays::Alive { beat }),
            Action::Drain { worker } => self.say(&worker, CoordinatorSays::Drain),
            Action::Refuse { worker, reason } => self.say(&worker, CoordinatorSays::Refused { reason }),
            Action::Close { worker } => {
                self.sinks.remove(&worker);
            }
            Action::Discard { run, output_url, unwanted } => {
                let Some(dir) = self.folder(&run, &output_url) else { return Ok(()) };
                // Beside the loop: they may be many, and nothing waits for them.
                tokio::task::spawn_blocking(move || {
                    if let Err(error) = publish::discard(&*dir, &run, &unwanted) {
                        warn!(%run, %error, "what was staged in vain could not be deleted; the sweep will");
                    }
                });
            }
            Action::Publish(plan) => self.publish(*plan),
        }
        Ok(())
    }

    fn folder(&self, run: &RunId, url: &str) -> Option<Arc<dyn Folder>> {
        self.components.stores.folder(url).inspect_err(|error| warn!(%run, %error, "the output cannot be opened")).ok()
    }

    /// Publishes beside the loop: leases and heartbeats of other runs go on.
    fn publish(&self, plan: PublishPlan) {
        let Some(own) = self.own.upgrade() else { return };
        let (probe, stores, run) = (self.components.probe.clone(), self.components.stores.clone(), plan.run.clone());
        tokio::spawn(async move {
            let between = move |step: &str| probe.as_ref().map_or(ControlFlow::Continue(()), |probe| probe(step));
            let published = tokio::task::spawn_blocking(move || {
                let dir = stores.folder(&plan.output_url).map_err(|error| (error.to_string(), Vec::new()))?;
                publish::carry_out(&plan, &*dir, &stores, &mut { between })
                    .map_err(|error| (error.to_string(), error.gone().to_vec()))
            });
            let event = match published.await.unwrap_or_else(|died| Err((died.to_string(), Vec::new()))) {
                Ok(()) => Event::Published { run },
                Err((message, gone)) => {
                    warn!(%run, error = message, "publishing failed; it is tried again");
                    Event::PublishFailed { run, message, gone }
                }
            };
            let _ = own.send(Input::Event(event)).await;
        });
    }

    /// Sends a lease; one that no worker would read comes back as failed.
    fn grant(&mut self, worker: WorkerId, lease: Box<Lease>) {
        let (run, attempt) = (lease.run.clone(), lease.attempt);
        let says = CoordinatorSays::Grant(lease);
        let bytes = batteuse_proto::wire_bytes(&batteuse_proto::v1::CoordinatorMessage::from(says.clone()));
        if bytes <= limits::MESSAGE_BYTES_MAX {
            return self.say(&worker, says);
        }
        let message = format!("the lease takes {bytes} bytes, and at most {} are read", limits::MESSAGE_BYTES_MAX);
        let outcome = Outcome::Failed(Failure { class: FailureClass::Crash, message });
        self.returned.push(Event::Reported { worker, run, attempt, outcome });
    }

    fn say(&mut self, worker: &WorkerId, says: CoordinatorSays) {
        let Some(found) = self.sinks.get(worker) else { return };
        if found.sink.try_send(says).is_err() {
            warn!(%worker, "a worker does not read its stream: it is closed");
            self.sinks.remove(worker);
            // When the stream's end is told it is not the worker's any more, so it is told here: what it has is suspect from now on.
            self.returned.push(Event::WorkerLeft { worker: worker.clone() });
        }
    }

    /// Stops an embedded run whose environment keeps failing: somebody is there to mend it.
    fn check_environment(&self) -> Result<(), DriverError> {
        for status in self.scheduler.statuses() {
            let run = status.run;
            if let Some((failures, message)) = status.publish_failures
                && failures >= limits::PUBLISH_TRIES_EMBEDDED_MAX
            {
                return Err(DriverError::Publish { run, message });
            }
            if let Some((failures, message)) = status.stalled
                && failures >= limits::FAILURES_ENVIRONMENT_MAX
            {
                return Err(DriverError::Stalled { run, message });
            }
        }
        Ok(())
    }

    /// Shows how the runs stand.
    fn tell(&self) {
        let statuses = self.scheduler.statuses().map(|s| (s.run.clone(), s)).collect();
        self.statuses.send_if_modified(|last| {
            let changed = **last != statuses;
            *last = Arc::new(statuses);
            changed
        });
    }
}
