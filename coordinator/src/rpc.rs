//! The gRPC shell: workers' streams and operators' calls, turned into inputs of the driver.
//!
//! Invariant: it decides nothing. A stream that breaks the protocol is closed with the reason; the driver never sees it.
#![expect(clippy::disallowed_methods, reason = "the shell: a task for each stream")]

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use batteuse_proto::v1::control_service_server::{ControlService, ControlServiceServer};
use batteuse_proto::v1::worker_message::Kind;
use batteuse_proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use batteuse_proto::v1::{
    CancelRequest, CoordinatorMessage, DrainRequest, ListReply, ListRequest, PauseRequest, RedriveRequest,
    RunStatus as WireStatus, StatusRequest, SubmitReply, SubmitRequest, UnpauseRequest, WorkerMessage,
    WorkerStatus as WireWorker, WorkersReply, WorkersRequest,
};
use batteuse_proto::{
    Cancellation, CoordinatorSays, FILE_DESCRIPTOR_SET, Hello, PROTOCOL, Progress, RunList, RunStatus, Submission,
    WorkerList, WorkerSays,
};
use batteuse_shared::ids::{RunId, WorkerId};
use batteuse_shared::limits::{
    LEAD_WAIT_MS_MAX, MESSAGE_BYTES_MAX, NAME_BYTES_MAX, RUNS_LISTED_MAX, SUBMIT_RETRY_AFTER_MS, WATCH_MS_MIN,
    WORKER_QUEUE_MAX, WORKERS_LISTED_MAX,
};
use batteuse_shared::spec::Job;
use batteuse_shared::status::WorkerStatus;
use futures::{Stream, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Router;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};
use tracing::{info, warn};

use crate::admit::{self, Admission, AdmitError, Ground};
use crate::driver::{Handle, Input, Redriven, Serving, Statuses, Submitted};
use crate::redrive::{self, RedriveError};
use crate::room::{Load, Place, Room};
use crate::scheduler::{Done, Event, Status as Glance};

/// Interval of HTTP/2 keepalive pings: a peer that vanished without a word is noticed within twice this time.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Workers that are named to who asked for one that is not there: a line or two.
const WORKERS_NAMED: usize = 20;

/// Everything that the coordinator serves: workers, operators, health and reflection. Submissions find room in `room`.
///
/// # Errors
/// When the descriptor set cannot be served by reflection: a build that is broken.
pub async fn router(
    handle: Handle,
    room: Arc<Room>,
    ground: Ground,
    serving: watch::Receiver<Serving>,
) -> Result<Router, tonic_reflection::server::Error> {
    let workers = WorkerServiceServer::new(Workers { handle: handle.clone(), serving: serving.clone() })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let control = ControlServiceServer::new(Control { handle, room, ground, serving: serving.clone() })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (health, health_service) = tonic_health::server::health_reporter();
    tokio::spawn(tell_health(health, serving));
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    Ok(tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(workers)
        .add_service(control)
        .add_service(health_service)
        .add_service(reflection))
}

/// Health follows who leads: what balances load sends nobody to one that waits.
async fn tell_health(health: tonic_health::server::HealthReporter, mut serving: watch::Receiver<Serving>) {
    loop {
        let leads = *serving.borrow_and_update() == Serving::Leads;
        if leads {
            health.set_serving::<WorkerServiceServer<Workers>>().await;
            health.set_serving::<ControlServiceServer<Control>>().await;
        } else {
            health.set_not_serving::<WorkerServiceServer<Workers>>().await;
            health.set_not_serving::<ControlServiceServer<Control>>().await;
        }
        if serving.changed().await.is_err() {
            return;
        }
    }
}

/// Refuses what is asked of a coordinator that waits, when it is known who leads; else it is waited for: one that was just started, also
/// in the place of one that was killed, leads within seconds.
async fn leads(serving: &watch::Receiver<Serving>) -> Result<(), Status> {
    let mut serving = serving.clone();
    let known = |serving: &Serving| !matches!(serving, Serving::Waits { leader: None });
    let told = tokio::time::timeout(Duration::from_millis(LEAD_WAIT_MS_MAX), serving.wait_for(known)).await;
    match told.as_ref().map(|told| told.as_deref()) {
        Ok(Ok(Serving::Leads)) => Ok(()),
        Ok(Ok(Serving::Waits { leader: Some(leader) })) => {
            Err(Status::unavailable(format!("this coordinator waits to lead; {leader} leads: ask there")))
        }
        _ => Err(Status::unavailable("this coordinator does not lead yet: ask again")),
    }
}

/// Serves workers.
#[derive(Clone)]
pub struct Workers {
    handle: Handle,
    serving: watch::Receiver<Serving>,
}

type Outgoing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl WorkerService for Workers {
    type AttachStream = Outgoing<CoordinatorMessage>;

    async fn attach(&self, request: Request<Streaming<WorkerMessage>>) -> Result<Response<Self::AttachStream>, Status> {
        leads(&self.serving).await?;
        let mut incoming = request.into_inner();
        let first = incoming.message().await?.ok_or_else(|| Status::invalid_argument("a stream begins with Hello"))?;
        if let Some(Kind::Hello(hello)) = &first.kind
            && hello.protocol != PROTOCOL
        {
            // What else another protocol says need not be understood.
            let refused = refuse(hello.protocol, &hello.version);
            return Ok(Response::new(Box::pin(futures::stream::iter([Ok(refused.into())]))));
        }
        let WorkerSays::Hello(hello) = WorkerSays::try_from(first)? else {
            return Err(Status::invalid_argument("a stream begins with Hello"));
        };
        let (sink, outgoing) = mpsc::channel::<CoordinatorSays>(WORKER_QUEUE_MAX);
        let lease_ttl_ms = self.handle.timing().lease_ttl_ms;
        let _ = sink.try_send(CoordinatorSays::Welcome { protocol: PROTOCOL, lease_ttl_ms });
        info!(worker = %hello.worker, slots = hello.slots, version = hello.version, "a worker has come");
        tokio::spawn(listen(self.handle.clone(), hello, sink, incoming));
        let stream = ReceiverStream::new(outgoing).map(|says| Ok(says.into()));
        Ok(Response::new(Box::pin(stream)))
    }
}

fn refuse(protocol: u32, version: &str) -> CoordinatorSays {
    let version: String = version.chars().take(NAME_BYTES_MAX).collect();
    let reason = format!(
        "this coordinator speaks protocol {PROTOCOL}, the worker (version {version}) speaks {protocol}: run the same version on both"
    );
    CoordinatorSays::Refused { reason }
}

/// Turns a worker's words into events until its stream ends.
async fn listen(
    handle: Handle,
    hello: Hello,
    sink: mpsc::Sender<CoordinatorSays>,
    mut incoming: Streaming<WorkerMessage>,
) {
    let Hello { worker, slots, running, stream: number, .. } = hello;
    let stream = uuid::Uuid::new_v4();
    let mut well = handle.send(Input::Attached { worker: worker.clone(), slots, running, sink, stream, number }).await;
    while well {
        let says = match incoming.message().await {
            Ok(Some(message)) => WorkerSays::try_from(message),
            Ok(None) => break,
            Err(status) => {
                info!(%worker, reason = status.message(), "a worker's stream has broken");
                break;
            }
        };
        well = match says.map(|says| event(&worker, says)) {
            Ok(Some(event)) => handle.send(Input::Event(event)).await,
            Ok(None) => true,
            Err(error) => {
                warn!(%worker, %error, "a worker broke the protocol: its stream is closed");
                break;
            }
        };
    }
    handle.send(Input::Detached { worker, stream }).await;
}

/// What a worker's words are to the scheduler; nothing, if they are a greeting.
#[must_use]
pub fn event(worker: &WorkerId, says: WorkerSays) -> Option<Event> {
    let worker = worker.clone();
    Some(match says {
        WorkerSays::Hello(_) => return None,
        WorkerSays::Wanted { slots } => Event::Offered { worker, slots },
        WorkerSays::Heartbeat { beat, progress } => {
            let done = |p: Progress| (p.run, p.attempt, Done { bytes: p.bytes_done, work: p.work, end: p.end });
            Event::Heartbeat { worker, beat, progress: progress.into_iter().map(done).collect() }
        }
        WorkerSays::Report { run, attempt, outcome } => Event::Reported { worker, run, attempt, outcome },
    })
}

/// Serves operators.
#[derive(Clone)]
pub struct Control {
    handle: Handle,
    room: Arc<Room>,
    ground: Ground,
    serving: watch::Receiver<Serving>,
}

impl Control {
    /// Whoever is told that a run is durable relies on a leader that has it. Where another one had taken over before the run was
    /// journalled, it does not: then the client asks again, there. One that takes over from now on finds the run in the store.
    async fn must_lead_still(&self) -> Result<(), Status> {
        let (state, writer) = (self.ground.state.clone(), self.ground.writer.to_string());
        let found = tokio::task::spawn_blocking(move || state.leader()).await;
        match found.map_err(|died| Status::internal(died.to_string()))? {
            Ok(Some(leader)) if leader.writer == writer => Ok(()),
            Ok(_) => Err(Status::unavailable("another coordinator leads now: ask again")),
            Err(error) => Err(Status::unavailable(format!("who leads cannot be told now ({error}): ask again"))),
        }
    }

    /// A place for a new run; none is needed for one that is known here.
    fn place(&self, job: &Job, request: &str) -> Result<Option<Place>, Status> {
        let statuses = self.handle.statuses();
        if admit::run_id(job, request).is_ok_and(|run| statuses.borrow().contains_key(&run)) {
            return Ok(None);
        }
        self.room(job.json_bytes()).map(Some)
    }

    /// A place for another open run, with so many bytes of spec.
    fn room(&self, spec_bytes: u64) -> Result<Place, Status> {
        let statuses = self.handle.statuses();
        let load = |glance: &Glance| Load { runs: 1, spec_bytes: glance.spec_bytes };
        let open = || Load::sum(statuses.borrow().values().filter(|g| g.report.is_none()).map(load));
        self.room.take(open, spec_bytes).map_err(|there| full(&there))
    }

    /// Holds a run or lets it go on, and tells how it stands then.
    async fn hold(&self, event: Event, run: &RunId) -> Result<Response<WireStatus>, Status> {
        leads(&self.serving).await?;
        self.glance(run)?;
        if !self.handle.ask(event).await {
            return Err(Status::unavailable("the coordinator is stopping; ask again"));
        }
        // What was so already made no fact, and another coordinator may have changed it.
        self.must_lead_still().await?;
        Ok(Response::new(wire(self.glance(run)?, true).into()))
    }

    async fn all_workers(&self) -> Result<Vec<WorkerStatus>, Status> {
        let told = self.handle.workers().await;
        told.ok_or_else(|| Status::unavailable("the coordinator is stopping; ask again"))
    }

    fn glance(&self, run: &RunId) -> Result<Glance, Status> {
        let statuses = self.handle.statuses();
        let found = statuses.borrow().get(run).cloned();
        found.ok_or_else(|| Status::not_found(format!("no run {run} here; `batteuse list` shows those there are")))
    }
}

#[tonic::async_trait]
impl ControlService for Control {
    type WatchStream = Outgoing<WireStatus>;

    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitReply>, Status> {
        leads(&self.serving).await?;
        let Submission { job, client_request_id } = Submission::try_from(request.into_inner())?;
        // Held until it is told what became of it.
        let _place = self.place(&job, &client_request_id)?;
        let ground = self.ground.clone();
        let admitted = tokio::task::spawn_blocking(move || admit::admit(job, &client_request_id, &ground)).await;
        let (run, taken) = match admitted.map_err(|died| Status::internal(died.to_string()))? {
            Ok(Admission::New(accepted)) => (accepted.run.clone(), self.handle.submit(*accepted).await),
            Ok(Admission::Known(run)) => (run.clone(), self.handle.known(run).await),
            Err(error) => return Err(refusal(&error)),
        };
        match taken {
            Some(Submitted::Durable) => {
                self.must_lead_still().await?;
                Ok(Response::new(run.into()))
            }
            Some(Submitted::OtherJob) => Err(refusal(&AdmitError::Reused { run })),
            Some(Submitted::Taken) => Err(refusal(&AdmitError::GivenUp { run })),
            Some(Submitted::Unavailable(why)) => Err(Status::unavailable(why)),
            None => Err(Status::unavailable("the coordinator is stopping; ask again")),
        }
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<WireStatus>, Status> {
        leads(&self.serving).await?;
        let run = RunId::try_from(request.into_inner())?;
        Ok(Response::new(wire(self.glance(&run)?, true).into()))
    }

    async fn watch(&self, request: Request<StatusRequest>) -> Result<Response<Self::WatchStream>, Status> {
        leads(&self.serving).await?;
        let run = RunId::try_from(request.into_inner())?;
        self.glance(&run)?;
        let seen = futures::stream::unfold((self.handle.statuses(), run, None), next_glance);
        Ok(Response::new(Box::pin(seen.map(|glance| Ok(wire(glance, true).into())))))
    }

    async fn list(&self, _: Request<ListRequest>) -> Result<Response<ListReply>, Status> {
        leads(&self.serving).await?;
        let statuses = self.handle.statuses();
        let mut glances: Vec<Glance> = statuses.borrow().values().cloned().collect();
        glances.sort_by_key(|g| (std::cmp::Reverse(g.accepted_at), g.run.clone()));
        let more = glances.len() > RUNS_LISTED_MAX;
        glances.truncate(RUNS_LISTED_MAX);
        let runs = glances.into_iter().map(|g| wire(g, false)).collect();
        Ok(Response::new(RunList { runs, more }.into()))
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<WireStatus>, Status> {
        leads(&self.serving).await?;
        let Cancellation { run, message } = Cancellation::try_from(request.into_inner())?;
        self.glance(&run)?;
        if !self.handle.send(Input::Event(Event::Cancelled { run: run.clone(), message })).await {
            return Err(Status::unavailable("the coordinator is stopping; ask again"));
        }
        let mut statuses = self.handle.statuses();
        // A decided run is given up even where its report cannot be written now.
        let decided = |all: &Statuses| {
            all.get(&run).is_some_and(|g| g.report.is_some() || g.decided && g.publish_failures.is_some())
        };
        statuses.wait_for(decided).await.map_err(|_| Status::unavailable("the coordinator is stopping"))?;
        Ok(Response::new(wire(self.glance(&run)?, true).into()))
    }

    async fn pause(&self, request: Request<PauseRequest>) -> Result<Response<WireStatus>, Status> {
        let run = RunId::try_from(request.into_inner())?;
        info!(%run, "an operator pauses a run");
        self.hold(Event::Paused { run: run.clone() }, &run).await
    }

    async fn unpause(&self, request: Request<UnpauseRequest>) -> Result<Response<WireStatus>, Status> {
        let run = RunId::try_from(request.into_inner())?;
        info!(%run, "an operator lets a run go on");
        self.hold(Event::Unpaused { run: run.clone() }, &run).await
    }

    async fn redrive(&self, request: Request<RedriveRequest>) -> Result<Response<WireStatus>, Status> {
        leads(&self.serving).await?;
        let run = RunId::try_from(request.into_inner())?;
        let bytes = self.glance(&run).map_or(0, |glance| glance.spec_bytes);
        let _place = self.room(bytes)?;
        info!(%run, "an operator redrives a run");
        let (ground, id) = (self.ground.clone(), run.clone());
        let looked = tokio::task::spawn_blocking(move || redrive::look(&id, &ground)).await;
        let look = looked.map_err(|died| Status::internal(died.to_string()))?.map_err(|error| not_redriven(&error))?;
        // One that goes on already is known here, or will be: unless another coordinator leads by now, and has it.
        self.must_lead_still().await?;
        match self.handle.redrive(run.clone(), look).await {
            Some(Redriven::GoesOn) => {
                self.must_lead_still().await?;
                Ok(Response::new(wire(self.glance(&run)?, true).into()))
            }
            Some(Redriven::Not(not)) => Err(not_redriven(&not.into())),
            Some(Redriven::Unavailable(why)) => Err(Status::unavailable(why)),
            None => Err(Status::unavailable("the coordinator is stopping; ask again")),
        }
    }

    async fn workers(&self, _: Request<WorkersRequest>) -> Result<Response<WorkersReply>, Status> {
        leads(&self.serving).await?;
        let mut workers = self.all_workers().await?;
        let more = workers.len() > WORKERS_LISTED_MAX;
        workers.truncate(WORKERS_LISTED_MAX);
        Ok(Response::new(WorkerList { workers, more }.into()))
    }

    async fn drain(&self, request: Request<DrainRequest>) -> Result<Response<WireWorker>, Status> {
        leads(&self.serving).await?;
        let worker = WorkerId::try_from(request.into_inner())?;
        let found = |workers: Vec<WorkerStatus>| workers.into_iter().find(|w| w.worker == worker);
        let before = self.all_workers().await?;
        let names = before.iter().map(|w| w.worker.to_string()).take(WORKERS_NAMED).collect::<Vec<_>>().join(", ");
        let Some(before) = found(before) else {
            let known = if names.is_empty() { "there is none".to_owned() } else { format!("there are {names}") };
            return Err(Status::not_found(format!("no worker {worker} here: {known}")));
        };
        info!(%worker, "an operator wants a worker to leave");
        if !self.handle.ask(Event::Draining { worker: worker.clone() }).await {
            return Err(Status::unavailable("the coordinator is stopping; ask again"));
        }
        // One that had nothing to do may have left by now.
        let now = found(self.all_workers().await?).unwrap_or(WorkerStatus { draining: true, ..before });
        Ok(Response::new(now.into()))
    }
}

/// The answer to a submission that finds no room: when to come again, in words and as a detail for programs.
fn full(there: &Load) -> Status {
    let Load { runs, spec_bytes } = there;
    let seconds = SUBMIT_RETRY_AFTER_MS.div_ceil(1_000);
    let message = format!(
        "there is no room for another run (open: {runs}, with {spec_bytes} bytes of specs): submit again in {seconds} s"
    );
    let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(SUBMIT_RETRY_AFTER_MS)));
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

type Watched = (watch::Receiver<Statuses>, RunId, Option<Glance>);

/// The next glance at a run that is unlike the one before: its last one at once, others when [`WATCH_MS_MIN`] have passed.
async fn next_glance((mut all, run, last): Watched) -> Option<(Glance, Watched)> {
    let ended = |all: &Statuses| all.get(&run).is_none_or(|glance| glance.report.is_some());
    if let Some(last) = &last {
        if last.report.is_some() {
            return None;
        }
        let _ = tokio::time::timeout(Duration::from_millis(WATCH_MS_MIN), all.wait_for(ended)).await;
        while all.borrow_and_update().get(&run) == Some(last) {
            all.changed().await.ok()?;
        }
    }
    let glance = all.borrow_and_update().get(&run).cloned()?;
    Some((glance.clone(), (all, run, Some(glance))))
}

fn not_redriven(error: &RedriveError) -> Status {
    match error {
        error if error.is_environment() => Status::unavailable(error.to_string()),
        RedriveError::Unknown { .. } => Status::not_found(error.to_string()),
        _ => Status::failed_precondition(error.to_string()),
    }
}

fn refusal(error: &AdmitError) -> Status {
    if error.is_environment() {
        return Status::unavailable(error.to_string());
    }
    Status::failed_precondition(error.to_string())
}

/// A glance as the wire has it; the report goes along where it is asked for.
#[must_use]
pub fn wire(glance: Glance, with_report: bool) -> RunStatus {
    let report = glance.report.filter(|_| with_report);
    let trouble = glance.publish_failures.or(glance.stalled).map(|(_, message)| message);
    RunStatus {
        run: glance.run,
        job: glance.job,
        state: glance.state,
        reason: glance.reason,
        output_url: glance.output_url,
        partitions: glance.partitions,
        accepted: glance.accepted,
        attempts: glance.attempts,
        running: u32::try_from(glance.leases).unwrap_or(u32::MAX),
        bytes: glance.bytes,
        bytes_done: glance.bytes_done.min(glance.bytes),
        read: glance.counts.read,
        rejected: glance.counts.rejected,
        started: glance.accepted_at,
        trouble,
        waits: glance.waits,
        report_json: report.map(|r| serde_json::to_string(&r).expect("plain values with text keys serialise")),
    }
}
