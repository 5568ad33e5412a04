//! The agent: a worker's side of the stream. It takes leases, runs them on one rayon pool, and tells what became of them.
//!
//! Invariant: what is said and when is decided by the session; this is its shell. Async code here never waits for the pool.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell: it holds the clock of its heartbeat, and draws when it beats"
)]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use backon::BackoffBuilder;
use batteuse_proto::v1::worker_service_client::WorkerServiceClient;
use batteuse_proto::v1::{CoordinatorMessage, WorkerMessage};
use batteuse_proto::{CoordinatorSays, WireError, WorkerSays};
use batteuse_shared::ids::{AttemptId, RunId, WorkerId};
use batteuse_shared::limits::{
    BEAT_SOON_MS, CALL_MS_MAX, HEARTBEAT_MS_MAX, HEARTBEATS_PER_TTL, MESSAGE_BYTES_MAX, RECONNECT_MS_MAX,
    RECONNECT_MS_MIN, WORKER_QUEUE_MAX,
};
use batteuse_shared::task::{Failure, FailureClass, Lease, Outcome, Task};
use batteuse_shared::time::Millis;
use batteuse_store::Stores;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use tracing::field::Empty;
use tracing::{info, info_span, warn};

use crate::alone::{self, Launch};
use crate::attempt::{Chaos, Moment};
use crate::pipeline::{self, Progress};
use crate::session::{Act, Far, Heard, Key, Session};
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
    /// Bytes of memory of each slot; none: nobody knows.
    pub slot_bytes: Option<u64>,
    /// How a process for one attempt alone is started.
    pub launch: Launch,
    /// What befalls attempts.
    pub chaos: Option<Arc<dyn Chaos>>,
    /// Milliseconds that a worker which leaves goes on with what it has, before it gives back what still runs.
    pub grace_ms: u64,
    /// Milliseconds that it then waits for the coordinator to take its last reports.
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

/// What this process runs for the session.
struct Agent {
    settings: Settings,
    pool: rayon::ThreadPool,
    session: Session,
    /// What each attempt that runs here shares with its slot.
    running: BTreeMap<Key, Arc<Progress>>,
    ended: mpsc::Sender<(Key, Outcome)>,
    began: Instant,
    /// When a worker that leaves gives back what still runs, and when it goes whatever happens.
    deadlines: Option<(Instant, Instant)>,
    /// Whether the next heartbeat comes early.
    beats_soon: bool,
}

/// Works until `stop` turns true or the coordinator asks it to leave, then drains: what ends within the grace is reported, the rest is given back.
///
/// # Errors
/// When the coordinator refuses this worker for good, or threads cannot be started.
pub async fn run(dial: Dial, settings: Settings, mut stop: watch::Receiver<bool>) -> Result<(), AgentError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(settings.slots as usize)
        .thread_name(|i| format!("slot-{i}"))
        .build()?;
    let (ended, mut ends) = mpsc::channel(WORKER_QUEUE_MAX);
    let session = Session::new(settings.worker.clone(), settings.slots);
    let (running, began) = (BTreeMap::new(), Instant::now());
    let mut agent = Agent { settings, pool, session, running, ended, began, deadlines: None, beats_soon: false };
    let mut waits = waits();
    loop {
        let (end, welcomed) = agent.stream(&dial, &mut ends, &mut stop).await;
        agent.unheard(Heard::Closed);
        if welcomed {
            waits = self::waits();
        }
        match end {
            StreamEnd::Fatal(error) => return Err(error),
            StreamEnd::Drained => return Ok(()),
            end => {
                let wait = waits.next().unwrap_or(Duration::from_millis(RECONNECT_MS_MAX));
                info!(worker = %agent.settings.worker, reason = %end, wait_ms = wait.as_millis(), "connecting again");
                if agent.wait(wait, &mut ends, &mut stop).await.is_break() {
                    return Ok(());
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
    fn now(&self) -> Millis {
        Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// One stream from its greeting to its end; also tells whether it was welcomed.
    async fn stream(
        &mut self,
        dial: &Dial,
        ends: &mut mpsc::Receiver<(Key, Outcome)>,
        stop: &mut watch::Receiver<bool>,
    ) -> (StreamEnd, bool) {
        let (out, outgoing) = mpsc::channel(WORKER_QUEUE_MAX);
        let asked_at = self.now();
        let opened = tokio::time::timeout(Duration::from_millis(CALL_MS_MAX), self.open(dial, &out, outgoing)).await;
        let (mut incoming, lease_ttl_ms) = match opened {
            Err(_) => return (StreamEnd::Silent, false),
            Ok(Err(end)) => return (end, false),
            Ok(Ok(opened)) => opened,
        };
        let end = match self.hear(Heard::Welcome { asked_at, lease_ttl_ms }, &out).await {
            Ok(()) => self.talk(&out, &mut incoming, ends, stop).await,
            Err(end) => end,
        };
        (end, true)
    }

    async fn open(
        &mut self,
        dial: &Dial,
        out: &mpsc::Sender<WorkerMessage>,
        outgoing: mpsc::Receiver<WorkerMessage>,
    ) -> Result<(Streaming<CoordinatorMessage>, u64), StreamEnd> {
        let mut client = WorkerServiceClient::new(dial().await?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        say(out, self.session.hello()).await?;
        let mut incoming = client.attach(ReceiverStream::new(outgoing)).await?.into_inner();
        match incoming.message().await?.map(CoordinatorSays::try_from).transpose()? {
            Some(CoordinatorSays::Welcome { lease_ttl_ms, .. }) => Ok((incoming, lease_ttl_ms)),
            Some(CoordinatorSays::Refused { reason }) => Err(StreamEnd::Fatal(AgentError::Refused { reason })),
            Some(_) | None => Err(StreamEnd::Closed),
        }
    }

    /// Talks until the stream ends.
    async fn talk(
        &mut self,
        out: &mpsc::Sender<WorkerMessage>,
        incoming: &mut Streaming<CoordinatorMessage>,
        ends: &mut mpsc::Receiver<(Key, Outcome)>,
        stop: &mut watch::Receiver<bool>,
    ) -> StreamEnd {
        let mut heartbeat = tokio::time::interval(self.heartbeat());
        loop {
            if self.session.is_leaving() && self.session.is_idle() {
                return StreamEnd::Drained;
            }
            let result = tokio::select! {
                message = incoming.message() => match message {
                    Ok(Some(message)) => match CoordinatorSays::try_from(message) {
                        Ok(says) => self.hear(Heard::Said(says), out).await,
                        Err(error) => Err(error.into()),
                    },
                    Ok(None) => Err(StreamEnd::Closed),
                    Err(status) => Err(status.into()),
                },
                Some((key, outcome)) = ends.recv() => {
                    let heard = self.ended(key, outcome);
                    self.hear(heard, out).await
                }
                _ = heartbeat.tick() => {
                    heartbeat.reset_after(self.heartbeat());
                    let progress = self.running.iter().map(|(key, progress)| (key.clone(), far(progress))).collect();
                    self.hear(Heard::Beat { progress }, out).await
                }
                heard = self.leaving(stop) => match heard {
                    Some(heard) => self.hear(heard, out).await,
                    None => Err(StreamEnd::Drained),
                },
            };
            if let Err(end) = result {
                return end;
            }
            if std::mem::take(&mut self.beats_soon) {
                heartbeat.reset_after(Duration::from_millis(BEAT_SOON_MS));
            }
        }
    }

    /// Waits for the next connection; breaks off when the worker may go.
    async fn wait(
        &mut self,
        wait: Duration,
        ends: &mut mpsc::Receiver<(Key, Outcome)>,
        stop: &mut watch::Receiver<bool>,
    ) -> ControlFlow<()> {
        let until = Instant::now() + wait;
        loop {
            if self.session.is_leaving() && self.session.is_idle() {
                return ControlFlow::Break(());
            }
            let heard = tokio::select! {
                () = tokio::time::sleep_until(until) => return ControlFlow::Continue(()),
                Some((key, outcome)) = ends.recv() => self.ended(key, outcome),
                heard = self.leaving(stop) => match heard {
                    Some(heard) => heard,
                    None => return ControlFlow::Break(()),
                },
            };
            self.unheard(heard);
        }
    }

    /// A little less or more than the interval of heartbeats, so that workers which came together do not speak together.
    fn heartbeat(&self) -> Duration {
        let interval = (self.session.lease_ttl_ms() / HEARTBEATS_PER_TTL).min(HEARTBEAT_MS_MAX);
        let fifth = (interval / 5).max(1);
        Duration::from_millis((interval - fifth + uuid::Uuid::new_v4().as_u128() as u64 % (2 * fifth)).max(1))
    }

    /// The next step of leaving: it is told to, it gives back what runs, it goes (none).
    async fn leaving(&mut self, stop: &mut watch::Receiver<bool>) -> Option<Heard> {
        match self.deadlines {
            None => {
                stopped(stop).await;
                Some(Heard::Leave)
            }
            Some((give_back, end)) if give_back < end => {
                tokio::time::sleep_until(give_back).await;
                self.deadlines = Some((end, end));
                Some(Heard::GiveBack)
            }
            Some((_, end)) => {
                tokio::time::sleep_until(end).await;
                None
            }
        }
    }

    /// Sets the deadlines once it leaves: by a signal, or because the coordinator asks for it.
    fn note_leaving(&mut self) {
        if !self.session.is_leaving() || self.deadlines.is_some() {
            return;
        }
        info!(worker = %self.settings.worker, grace_ms = self.settings.grace_ms, "leaving");
        let (grace, end) = (self.settings.grace_ms, self.settings.grace_ms + self.settings.drain_ms);
        let after = |ms| Instant::now() + Duration::from_millis(ms);
        self.deadlines = Some((after(grace), after(end)));
    }

    fn ended(&mut self, key: Key, outcome: Outcome) -> Heard {
        self.running.remove(&key);
        let outcome = sendable(&key.0, key.1, outcome);
        Heard::Ended(key, outcome)
    }

    /// Tells the session, and does what it wants.
    async fn hear(&mut self, heard: Heard, out: &mpsc::Sender<WorkerMessage>) -> Result<(), StreamEnd> {
        let mut end = Ok(());
        for act in self.session.step(heard, self.now()) {
            match act {
                // What cannot be said keeps nothing else from being done.
                Act::Say(says) if end.is_ok() => end = say(out, says).await,
                Act::Say(_) => {}
                Act::Start(lease) => self.start(*lease),
                Act::Stop(key) => self.stop(&key),
                Act::Shorten(key, end) => self.shorten(&key, end),
                Act::HangUp => end = Err(StreamEnd::Silent),
                Act::Refused(reason) => end = Err(StreamEnd::Fatal(AgentError::Refused { reason })),
            }
        }
        self.note_leaving();
        end
    }

    /// Tells the session something while there is no stream.
    fn unheard(&mut self, heard: Heard) {
        for act in self.session.step(heard, self.now()) {
            if let Act::Stop(key) = act {
                self.stop(&key);
            }
        }
        self.note_leaving();
    }

    fn stop(&mut self, key: &Key) {
        if let Some(progress) = self.running.get(key) {
            progress.revoke();
        }
    }

    /// The coordinator waits for what comes of it: it is told soon.
    fn shorten(&mut self, key: &Key, end: u64) {
        if let Some(progress) = self.running.get(key) {
            progress.shorten(end);
            self.beats_soon = true;
        }
    }

    fn start(&mut self, lease: Lease) {
        let key = (lease.run.clone(), lease.attempt);
        let Settings { of_process, slot_bytes, chaos, .. } = &self.settings;
        let progress = Progress::within(of_process.clone()).bounded(*slot_bytes).befallen(chaos.clone());
        let progress = Arc::new(progress);
        self.running.insert(key.clone(), progress.clone());
        let (ended, worker) = (self.ended.clone(), self.settings.worker.clone());
        let (stores, slots) = (self.settings.stores.clone(), self.settings.of_process.clone());
        let launch = self.settings.launch.clone();
        self.pool.spawn(move || {
            let span = info_span!("attempt", run = %lease.run, partition = Empty, attempt = %lease.attempt, %worker);
            if let Task::Parse(task) = &lease.task {
                span.record("partition", task.partition.0);
            }
            let _occupied = slots.occupy();
            let outcome = span.in_scope(|| {
                progress.meet(&lease, Moment::Begins);
                let alone = matches!(&lease.task, Task::Parse(task) if task.alone);
                let outcome = if alone {
                    alone::execute(&lease, &progress, &launch)
                } else {
                    attempt(&lease, &progress, &stores)
                };
                progress.meet(&lease, Moment::Ended);
                outcome
            });
            // The receiver is gone only when the agent has ended, and then nobody wants to know.
            let _ = ended.blocking_send((key, outcome));
        });
    }
}

fn far(progress: &Progress) -> Far {
    Far { bytes: progress.bytes_done(), work: progress.work(), end: progress.end() }
}

/// Runs one attempt; a panic becomes a failure of class Crash.
pub(crate) fn attempt(lease: &Lease, progress: &Progress, stores: &Stores) -> Outcome {
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
