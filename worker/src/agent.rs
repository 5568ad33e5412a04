//! The agent: a worker's side of the stream. It takes leases, runs them on one rayon pool, and tells what became of them.
//!
//! Invariant: a report is kept until the coordinator acknowledges it, over any number of streams; what is revoked is
//! forgotten. Async code here never waits for the pool.
#![expect(clippy::disallowed_methods, reason = "the shell: it holds the clock of its heartbeat")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use backon::BackoffBuilder;
use batteuse_proto::v1::worker_service_client::WorkerServiceClient;
use batteuse_proto::v1::{CoordinatorMessage, WorkerMessage};
use batteuse_proto::{CoordinatorSays, Hello, PROTOCOL, Progress as Told, WireError, WorkerSays};
use batteuse_shared::ids::{AttemptId, RunId, WorkerId};
use batteuse_shared::limits::{
    CALL_MS_MAX, HEARTBEAT_MS, MESSAGE_BYTES_MAX, RECONNECT_MS_MAX, RECONNECT_MS_MIN, WORKER_QUEUE_MAX,
};
use batteuse_shared::task::{Failure, FailureClass, Lease, Outcome, Task};
use batteuse_store::Stores;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use tracing::field::Empty;
use tracing::{info, info_span, warn};

use crate::pipeline::{self, Progress};
use crate::slots::Slots;

/// How to reach the coordinator; asked again for every connection, so that names are resolved anew.
pub type Dial = Arc<dyn Fn() -> BoxFuture<'static, Result<Channel, tonic::transport::Error>> + Send + Sync>;

/// What a worker is.
#[derive(Clone)]
pub struct Settings {
    /// Its name, kept over reconnections.
    pub worker: WorkerId,
    /// Attempts it runs at once, and threads of its pool.
    pub slots: u32,
    /// The slots of the process, of which these are some: idle ones help.
    pub of_process: Arc<Slots>,
    /// Opens output folders.
    pub stores: Arc<Stores>,
    /// Milliseconds that a drain waits for the coordinator to take its last reports.
    pub drain_ms: u64,
}

/// Why an agent ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The coordinator does not want this worker.
    #[error("the coordinator refused this worker: {reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
    /// The pool cannot be started.
    #[error("the worker's threads cannot be started: {0}")]
    Pool(#[from] rayon::ThreadPoolBuildError),
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum StreamEnd {
    #[error("the coordinator cannot be reached: {0}")]
    Unreachable(#[from] tonic::transport::Error),
    #[error("the stream broke: {0}")]
    Broken(#[from] Status),
    #[error("the coordinator did not answer in time")]
    Silent,
    #[error("the coordinator closed the stream")]
    Closed,
    #[error("the coordinator broke the protocol: {0}")]
    Protocol(#[from] WireError),
    #[error("{0}")]
    Fatal(AgentError),
    #[error("drained")]
    Drained,
}

type Key = (RunId, AttemptId);

/// An attempt that this worker has.
struct Held {
    progress: Arc<Progress>,
    /// How it ended; kept until acknowledged.
    outcome: Option<Outcome>,
}

struct Agent {
    settings: Settings,
    pool: rayon::ThreadPool,
    held: BTreeMap<Key, Held>,
    ended: mpsc::Sender<(Key, Outcome)>,
    draining: bool,
}

/// Works until `stop` turns true, then drains: running attempts are given back.
///
/// # Errors
/// When the coordinator refuses this worker for good, or threads cannot be started.
pub async fn run(dial: Dial, settings: Settings, mut stop: watch::Receiver<bool>) -> Result<(), AgentError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(settings.slots as usize)
        .thread_name(|i| format!("slot-{i}"))
        .build()?;
    let (ended, mut ends) = mpsc::channel(WORKER_QUEUE_MAX);
    let mut agent = Agent { settings, pool, held: BTreeMap::new(), ended, draining: false };
    let mut waits = waits();
    loop {
        let (end, welcomed) = agent.stream(&dial, &mut ends, &mut stop).await;
        if welcomed {
            waits = self::waits();
        }
        let stopping = agent.draining || *stop.borrow();
        match end {
            StreamEnd::Fatal(error) => return Err(error),
            StreamEnd::Drained => return Ok(()),
            _ if stopping => return Ok(()),
            end => {
                let wait = waits.next().unwrap_or(Duration::from_millis(RECONNECT_MS_MAX));
                info!(worker = %agent.settings.worker, reason = %end, wait_ms = wait.as_millis(), "connecting again");
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = stopped(&mut stop) => return Ok(()),
                }
            }
        }
    }
}

/// Waits until `stop` turns true; a stop that nobody can give any more is one.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits between connections: exponential with jitter, bounded, without end.
fn waits() -> backon::ExponentialBackoff {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(RECONNECT_MS_MIN))
        .with_max_delay(Duration::from_millis(RECONNECT_MS_MAX))
        .with_jitter()
        .without_max_times()
        .build()
}

impl Agent {
    /// One stream from its greeting to its end; also tells whether it was welcomed.
    async fn stream(
        &mut self,
        dial: &Dial,
        ends: &mut mpsc::Receiver<(Key, Outcome)>,
        stop: &mut watch::Receiver<bool>,
    ) -> (StreamEnd, bool) {
        let (out, outgoing) = mpsc::channel(WORKER_QUEUE_MAX);
        let opened = tokio::time::timeout(Duration::from_millis(CALL_MS_MAX), self.open(dial, &out, outgoing)).await;
        let mut incoming = match opened {
            Err(_) => return (StreamEnd::Silent, false),
            Ok(Err(end)) => return (end, false),
            Ok(Ok(incoming)) => incoming,
        };
        let end = match self.resend(&out).await {
            Ok(()) => self.talk(&out, &mut incoming, ends, stop).await,
            Err(end) => end,
        };
        (end, true)
    }

    async fn open(
        &self,
        dial: &Dial,
        out: &mpsc::Sender<WorkerMessage>,
        outgoing: mpsc::Receiver<WorkerMessage>,
    ) -> Result<Streaming<CoordinatorMessage>, StreamEnd> {
        let mut client = WorkerServiceClient::new(dial().await?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let hello = WorkerSays::Hello(Hello {
            worker: self.settings.worker.clone(),
            slots: self.settings.slots,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            running: self.held.keys().cloned().collect(),
        });
        say(out, hello).await?;
        let mut incoming = client.attach(ReceiverStream::new(outgoing)).await?.into_inner();
        match incoming.message().await?.map(CoordinatorSays::try_from).transpose()? {
            Some(CoordinatorSays::Welcome { .. }) => Ok(incoming),
            Some(CoordinatorSays::Refused { reason }) => Err(StreamEnd::Fatal(AgentError::Refused { reason })),
            Some(_) | None => Err(StreamEnd::Closed),
        }
    }

    async fn resend(&self, out: &mpsc::Sender<WorkerMessage>) -> Result<(), StreamEnd> {
        for ((run, attempt), held) in &self.held {
            if let Some(outcome) = held.outcome.clone() {
                say(out, WorkerSays::Report { run: run.clone(), attempt: *attempt, outcome }).await?;
            }
        }
        Ok(())
    }

    /// Talks until the stream ends.
    async fn talk(
        &mut self,
        out: &mpsc::Sender<WorkerMessage>,
        incoming: &mut Streaming<CoordinatorMessage>,
        ends: &mut mpsc::Receiver<(Key, Outcome)>,
        stop: &mut watch::Receiver<bool>,
    ) -> StreamEnd {
        let mut heartbeat = tokio::time::interval(Duration::from_millis(HEARTBEAT_MS));
        let mut deadline: Option<tokio::time::Instant> = None;
        loop {
            if self.draining && self.held.is_empty() {
                return StreamEnd::Drained;
            }
            let last = deadline.unwrap_or_else(|| tokio::time::Instant::now() + Duration::from_secs(3_600));
            let result = tokio::select! {
                message = incoming.message() => match message {
                    Ok(Some(message)) => match CoordinatorSays::try_from(message) {
                        Ok(says) => self.hear(says, out).await,
                        Err(error) => Err(error.into()),
                    },
                    Ok(None) => Err(StreamEnd::Closed),
                    Err(status) => Err(status.into()),
                },
                Some((key, outcome)) = ends.recv() => self.end(key, outcome, out).await,
                _ = heartbeat.tick() => self.beat(out).await,
                () = stopped(stop), if !self.draining => {
                    deadline = Some(tokio::time::Instant::now() + Duration::from_millis(self.settings.drain_ms));
                    self.drain(out).await
                }
                () = tokio::time::sleep_until(last), if self.draining => Err(StreamEnd::Drained),
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    async fn hear(&mut self, says: CoordinatorSays, out: &mpsc::Sender<WorkerMessage>) -> Result<(), StreamEnd> {
        match says {
            CoordinatorSays::Welcome { .. } => {}
            CoordinatorSays::Refused { reason } => return Err(StreamEnd::Fatal(AgentError::Refused { reason })),
            CoordinatorSays::Grant(lease) if self.draining => {
                // It was granted before the coordinator heard that this worker leaves.
                let message = "the worker is leaving".to_owned();
                let outcome = Outcome::Failed(Failure { class: FailureClass::Released, message });
                say(out, WorkerSays::Report { run: lease.run, attempt: lease.attempt, outcome }).await?;
            }
            CoordinatorSays::Grant(lease) => self.start(*lease),
            CoordinatorSays::Revoke { run, attempt } => {
                if let Some(held) = self.held.remove(&(run, attempt)) {
                    held.progress.revoke();
                }
            }
            CoordinatorSays::Ack { run, attempt } => {
                self.held.remove(&(run, attempt));
            }
            CoordinatorSays::Drain => self.drain(out).await?,
        }
        Ok(())
    }

    fn start(&mut self, lease: Lease) {
        let key = (lease.run.clone(), lease.attempt);
        let progress = Arc::new(Progress::within(self.settings.of_process.clone()));
        self.held.insert(key.clone(), Held { progress: progress.clone(), outcome: None });
        let (ended, worker) = (self.ended.clone(), self.settings.worker.clone());
        let (stores, slots) = (self.settings.stores.clone(), self.settings.of_process.clone());
        self.pool.spawn(move || {
            let span = info_span!("attempt", run = %lease.run, partition = Empty, attempt = %lease.attempt, %worker);
            if let Task::Parse(task) = &lease.task {
                span.record("partition", task.partition.0);
            }
            let _occupied = slots.occupy();
            let outcome = span.in_scope(|| attempt(&lease, &progress, &stores));
            // The receiver is gone only when the agent has ended, and then nobody wants to know.
            let _ = ended.blocking_send((key, outcome));
        });
    }

    async fn end(&mut self, key: Key, outcome: Outcome, out: &mpsc::Sender<WorkerMessage>) -> Result<(), StreamEnd> {
        let Some(held) = self.held.get_mut(&key) else { return Ok(()) };
        let (run, attempt) = key;
        let outcome = sendable(&run, attempt, outcome);
        held.outcome = Some(outcome.clone());
        say(out, WorkerSays::Report { run, attempt, outcome }).await
    }

    async fn beat(&self, out: &mpsc::Sender<WorkerMessage>) -> Result<(), StreamEnd> {
        let told = |((run, attempt), held): (&Key, &Held)| Told {
            run: run.clone(),
            attempt: *attempt,
            bytes_done: held.progress.bytes_done(),
        };
        say(out, WorkerSays::Heartbeat(self.held.iter().map(told).collect())).await
    }

    /// Takes no more leases and gives the running ones back.
    async fn drain(&mut self, out: &mpsc::Sender<WorkerMessage>) -> Result<(), StreamEnd> {
        self.draining = true;
        for held in self.held.values() {
            held.progress.revoke();
        }
        say(out, WorkerSays::Wanted { slots: 0 }).await
    }
}

/// Runs one attempt; a panic becomes a failure of class Crash.
fn attempt(lease: &Lease, progress: &Progress, stores: &Stores) -> Outcome {
    info!("an attempt begins");
    catch_unwind(AssertUnwindSafe(|| pipeline::execute(lease, progress, stores))).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        warn!(panic = said, "an attempt panicked");
        Outcome::Failed(Failure { class: FailureClass::Crash, message: format!("the attempt panicked: {said}") })
    })
}

/// The outcome, or a failure in its place when no coordinator would read a message of its size.
fn sendable(run: &RunId, attempt: AttemptId, outcome: Outcome) -> Outcome {
    let report = WorkerSays::Report { run: run.clone(), attempt, outcome: outcome.clone() };
    let bytes = batteuse_proto::wire_bytes(&WorkerMessage::from(report));
    if bytes <= MESSAGE_BYTES_MAX {
        return outcome;
    }
    let message =
        format!("the report takes {bytes} bytes, and at most {MESSAGE_BYTES_MAX} are read: use fewer columns");
    Outcome::Failed(Failure { class: FailureClass::Crash, message })
}

async fn say(out: &mpsc::Sender<WorkerMessage>, says: WorkerSays) -> Result<(), StreamEnd> {
    out.send(says.into()).await.map_err(|_| StreamEnd::Closed)
}
