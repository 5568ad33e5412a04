//! The crew of a life: one worker in this process that does one thing at a time, and what goes wrong with it.
//!
//! Invariant: what it does is a function of the leases it gets, so that a life lived again is the same. It works through the
//! driver's inputs as the protocol's shell does, and runs attempts by the worker's own code.

use std::path::{Path, PathBuf};

use batteuse_coordinator::driver::{Handle, Input};
use batteuse_coordinator::scheduler::Event;
use batteuse_proto::CoordinatorSays;
use batteuse_shared::ids::{RunId, WorkerId};
use batteuse_shared::limits::WORKER_QUEUE_MAX;
use batteuse_shared::table::ColumnType;
use batteuse_shared::task::{Failure, FailureClass, Lease, Outcome, Task};
use batteuse_store::Stores;
use batteuse_worker::pipeline::{self, Progress};
use tokio::sync::{mpsc, watch};

use super::life::Scenario;
use super::{facts, lost, state};

/// What goes wrong with the first attempt at a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mishap {
    /// The first worker does not see the staging folder.
    Blind,
    /// The inspection guessed a type that will not hold.
    WrongType,
    /// The stream breaks before the lease is begun, and the worker comes back without it.
    ComesTwice,
    /// The attempt panics.
    Crash,
    /// The report is told twice.
    ToldTwice,
    /// An operator gives the run up while the attempt goes on.
    Cancel,
    /// The coordinator is asked to step down while the attempt goes on.
    StepDown,
    /// What two partitions have staged goes away before the decision is published.
    Lost,
}

impl Mishap {
    /// The mishaps of a scenario.
    pub fn of(scenario: Scenario) -> Vec<Mishap> {
        let whole = [Self::Blind, Self::WrongType, Self::ComesTwice, Self::Crash, Self::ToldTwice];
        match scenario {
            Scenario::Plain => Vec::new(),
            Scenario::Whole | Scenario::TooManyRejects => whole.to_vec(),
            Scenario::Cancelled => [&whole[..], &[Self::Cancel]].concat(),
            Scenario::SteppedDown => [&whole[..], &[Self::StepDown]].concat(),
            Scenario::Lost => [&whole[..], &[Self::Lost]].concat(),
        }
    }

    /// Whether it happens to this lease.
    fn befalls(self, task: &Task) -> bool {
        let partition = |n| matches!(task, Task::Parse(task) if task.partition.0 == n);
        match self {
            Self::Blind | Self::WrongType => matches!(task, Task::Inspect(_)),
            Self::ComesTwice => partition(1),
            Self::Crash => partition(2),
            Self::ToldTwice => partition(3),
            Self::Cancel | Self::StepDown => partition(4),
            Self::Lost => matches!(task, Task::Finish(_)),
        }
    }
}

/// A crew at work.
pub struct Crew {
    handle: Handle,
    dir: PathBuf,
    /// Those that have not happened yet.
    mishaps: Vec<Mishap>,
    stop: watch::Sender<bool>,
    workers: u32,
    streams: u64,
    /// Each lease, with the number of facts that were durable when it came.
    leases: Vec<(usize, Task)>,
}

/// What a crew did.
pub struct Worked {
    pub leases: Vec<(usize, Task)>,
    /// Mishaps that did not come to happen.
    pub spared: Vec<Mishap>,
}

impl Crew {
    pub fn new(handle: Handle, dir: &Path, mishaps: Vec<Mishap>, stop: watch::Sender<bool>) -> Self {
        Self { handle, dir: dir.to_owned(), mishaps, stop, workers: 0, streams: 0, leases: Vec::new() }
    }

    /// Works until the driver is gone.
    pub async fn work(mut self) -> Worked {
        let mut worker = self.next_worker();
        let mut stream = self.attach(&worker).await;
        while let Some(says) = stream.recv().await {
            let CoordinatorSays::Grant(lease) = says else {
                if matches!(says, CoordinatorSays::Refused { .. }) {
                    worker = self.next_worker();
                    stream = self.attach(&worker).await;
                }
                continue;
            };
            self.leases.push((facts(&state(&self.dir), &self.dir).len(), lease.task.clone()));
            if self.befalls(Mishap::ComesTwice, &lease) {
                // The lease is lost with the stream: the worker comes back and knows of none.
                stream = self.attach(&worker).await;
                continue;
            }
            let outcome = self.attempt(&lease).await;
            self.report(&worker, &lease, outcome).await;
        }
        Worked { leases: self.leases, spared: self.mishaps }
    }

    fn next_worker(&mut self) -> WorkerId {
        self.workers += 1;
        WorkerId::new(&format!("worker-{}", self.workers)).unwrap()
    }

    async fn attach(&mut self, worker: &WorkerId) -> mpsc::Receiver<CoordinatorSays> {
        self.streams += 1;
        let (sink, stream) = mpsc::channel(WORKER_QUEUE_MAX);
        let input = Input::Attached {
            worker: worker.clone(),
            slots: 1,
            running: Vec::new(),
            sink,
            stream: uuid::Uuid::new_v4(),
            number: self.streams,
        };
        self.handle.send(input).await;
        stream
    }

    /// Whether `mishap` happens now; it happens once.
    fn befalls(&mut self, mishap: Mishap, lease: &Lease) -> bool {
        let at = self.mishaps.iter().position(|m| *m == mishap).filter(|_| mishap.befalls(&lease.task));
        at.map(|at| self.mishaps.remove(at)).is_some()
    }

    async fn attempt(&mut self, lease: &Lease) -> Outcome {
        let failed = |class, message: &str| Outcome::Failed(Failure { class, message: message.to_owned() });
        if self.befalls(Mishap::Blind, lease) {
            return failed(FailureClass::Unseen, "this worker does not see the staging folder");
        }
        if self.befalls(Mishap::Crash, lease) {
            return failed(FailureClass::Crash, "the attempt panicked: a planted crash");
        }
        if self.befalls(Mishap::Cancel, lease) {
            let cancelled = Event::Cancelled { run: lease.run.clone(), message: "not wanted any more".to_owned() };
            self.handle.send(Input::Event(cancelled)).await;
        }
        if self.befalls(Mishap::StepDown, lease) {
            self.stop.send_replace(true);
        }
        if self.befalls(Mishap::Lost, lease) {
            let head = |name: &str| ["0000001-", "0000003-"].iter().any(|head| name.starts_with(head));
            // Where files lie in folders a partition loses one of several.
            if lost::lose(&self.dir, |name| name.ends_with("-0001.part.tmp") && head(name)) == 0 {
                lost::lose(&self.dir, |name| name.ends_with(".part.tmp") && head(name));
            }
        }
        let mut outcome = pipeline::execute(lease, &Progress::new(), &Stores::new([]));
        if let Outcome::Inspected(found) = &mut outcome
            && self.befalls(Mishap::WrongType, lease)
        {
            // A small file is sampled whole; of a large one a sample may have told this.
            let guessed = found.columns.iter_mut().find(|column| column.name == "n").expect("the column n");
            assert_eq!(guessed.ctype, ColumnType::Float64, "its last value has a fraction");
            guessed.ctype = ColumnType::Int64;
        }
        outcome
    }

    async fn report(&mut self, worker: &WorkerId, lease: &Lease, outcome: Outcome) {
        let told = |run: &RunId| {
            let (worker, run, attempt) = (worker.clone(), run.clone(), lease.attempt);
            Input::Event(Event::Reported { worker, run, attempt, outcome: outcome.clone() })
        };
        let times = if self.befalls(Mishap::ToldTwice, lease) { 2 } else { 1 };
        for _ in 0..times {
            self.handle.send(told(&lease.run)).await;
        }
    }
}
