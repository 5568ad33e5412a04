//! What the shells tell the driver, and what they hear of it.
//!
//! Invariant: values and channels only; nothing is decided here.

use std::collections::BTreeMap;
use std::sync::Arc;

use batteuse_proto::CoordinatorSays;
use batteuse_shared::ids::{RunId, WorkerId};
use batteuse_shared::status::WorkerStatus;
use batteuse_shared::task::Held;
use tokio::sync::{mpsc, oneshot, watch};

use crate::redrive::Look;
use crate::scheduler::{Accepted, Event, NotRedrivable, Status, Timing};

/// Something for the driver, from a shell around it.
pub enum Input {
    /// For the scheduler.
    Event(Event),
    /// What an operator asks of the scheduler; answered when all that came of it is durable and done.
    Asked {
        /// What.
        event: Event,
        /// The answer.
        done: oneshot::Sender<()>,
    },
    /// How the workers stand.
    Workers {
        /// The answer, in the order of their names.
        answer: oneshot::Sender<Vec<WorkerStatus>>,
    },
    /// A worker's stream opened; `stream` tells it from later streams of the same worker.
    Attached {
        /// Who.
        worker: WorkerId,
        /// Attempts it can run at once.
        slots: u32,
        /// Attempts it holds.
        running: Vec<Held>,
        /// Where to talk to it.
        sink: mpsc::Sender<CoordinatorSays>,
        /// Which stream.
        stream: uuid::Uuid,
        /// The how-manieth of the worker.
        number: u64,
    },
    /// A worker's stream closed.
    Detached {
        /// Who.
        worker: WorkerId,
        /// Which stream.
        stream: uuid::Uuid,
    },
    /// A run was admitted; answered when it is durable, or cannot be.
    Submit {
        /// What.
        accepted: Box<Accepted>,
        /// The answer.
        answer: oneshot::Sender<Submitted>,
    },
    /// A run that failed is to go on; answered when that is durable, or cannot be.
    Redrive {
        /// Which.
        run: RunId,
        /// As it was looked at; none where it had not ended.
        look: Option<Box<Look>>,
        /// The answer.
        answer: oneshot::Sender<Redriven>,
    },
    /// A run was submitted before, as its journal tells; answered when it goes on here, or cannot be read.
    Known {
        /// Which.
        run: RunId,
        /// The answer.
        answer: oneshot::Sender<Submitted>,
    },
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// The run is durable.
    Durable,
    /// A run of that id has another job.
    OtherJob,
    /// Another run took the output folder before this one began.
    Taken,
    /// Its journal cannot be opened now, in words; nothing was begun.
    Unavailable(String),
}

/// What became of the wish to redrive a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// It goes on.
    GoesOn,
    /// It cannot.
    Not(NotRedrivable),
    /// Its journal cannot be opened now, in words.
    Unavailable(String),
}

/// A submission that waits for its run to be durable.
pub(super) struct Waiting {
    pub(super) answer: oneshot::Sender<Submitted>,
    pub(super) accepted: Box<Accepted>,
    pub(super) same_job: bool,
}

/// Glances at all runs, by id.
pub type Statuses = Arc<BTreeMap<RunId, Status>>;

/// How the shells talk to the driver.
#[derive(Clone)]
pub struct Handle {
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) statuses: watch::Receiver<Statuses>,
    pub(super) timing: Timing,
}

impl Handle {
    /// Sends an input; waits while the queue is full. False when the driver has stopped.
    pub async fn send(&self, input: Input) -> bool {
        self.inputs.send(input).await.is_ok()
    }

    /// The latest glances; changes with every turn of the driver that changed something.
    #[must_use]
    pub fn statuses(&self) -> watch::Receiver<Statuses> {
        self.statuses.clone()
    }

    /// How long things may take.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Submits an admitted run; returns once it is durable or cannot be. None when the driver has stopped.
    pub async fn submit(&self, accepted: Accepted) -> Option<Submitted> {
        let (answer, done) = oneshot::channel();
        self.send(Input::Submit { accepted: Box::new(accepted), answer }).await;
        done.await.ok()
    }

    /// Lets a run that failed go on; returns once that is durable or cannot be. None when the driver has stopped.
    pub async fn redrive(&self, run: RunId, look: Option<Look>) -> Option<Redriven> {
        let (answer, told) = oneshot::channel();
        self.send(Input::Redrive { run, look: look.map(Box::new), answer }).await;
        told.await.ok()
    }

    /// Asks the scheduler for something; returns once all that came of it is durable and done. False when the driver has stopped.
    pub async fn ask(&self, event: Event) -> bool {
        let (done, told) = oneshot::channel();
        self.send(Input::Asked { event, done }).await;
        told.await.is_ok()
    }

    /// How the workers stand now. None when the driver has stopped.
    pub async fn workers(&self) -> Option<Vec<WorkerStatus>> {
        let (answer, told) = oneshot::channel();
        self.send(Input::Workers { answer }).await;
        told.await.ok()
    }

    /// Makes sure that a run which is in the journal goes on here. None when the driver has stopped.
    pub async fn known(&self, run: RunId) -> Option<Submitted> {
        let (answer, done) = oneshot::channel();
        self.send(Input::Known { run, answer }).await;
        done.await.ok()
    }
}
