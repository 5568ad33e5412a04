//! What runs on the hosts: coordinators, workers and a client, put together of the real parts as the commands do it.
//!
//! Invariant: a host keeps nothing over its end but what lies in the state store and in folders. Who ends by itself has a reason: it was
//! told to leave, or another coordinator leads; any other end fails the simulation.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::turmoil::net::TcpListener;
use batteuse_coordinator::admit::Ground;
use batteuse_coordinator::driver::{self, Components, Driver, DriverError, LeadError, Leading};
use batteuse_coordinator::room::{Load, Room};
use batteuse_coordinator::rpc;
use batteuse_coordinator::scheduler::Timing;
use batteuse_proto::v1::control_service_client::ControlServiceClient;
use batteuse_proto::v1::{StatusRequest, SubmitRequest};
use batteuse_proto::{RunStatus, Submission};
use batteuse_shared::ids::{RunId, WorkerId};
use batteuse_shared::limits::{OPEN_RUNS_MAX, OPEN_SPECS_BYTES_MAX};
use batteuse_shared::spec::Job;
use batteuse_shared::time::Millis;
use batteuse_store::Stores;
use batteuse_worker::agent::{self, Settings};
use batteuse_worker::alone::Launch;
use batteuse_worker::slots::Slots;
use tokio::sync::watch;
use tonic::{Code, Status};

use super::net::{self, Host, PORT};
use super::pace::Pace;
use crate::recovery::{Chance, kept_in};
use crate::support::binary::BINARY;

/// Milliseconds that a lease lives: one that was killed is taken over after one.
pub const TTL_MS: u64 = 3_000;
/// Milliseconds that a worker which leaves goes on, and then waits for its last reports to be taken.
const GRACE_MS: u64 = 1_000;
const DRAIN_MS: u64 = 2_000;
/// Milliseconds until a client asks again.
const ASK_AGAIN_MS: u64 = 200;

/// What all hosts of a simulation share with its loop.
pub struct Cast {
    state: PathBuf,
    /// Of the two coordinators.
    clocks: [fn() -> Millis; 2],
    seed: u64,
    usual_ms: u64,
    /// Simulated time of the last step. Milliseconds.
    pub now: Cell<u64>,
    /// Of the last process of each coordinator and each worker: what tells it to leave.
    stops: RefCell<Vec<(Host, watch::Sender<bool>)>>,
    /// Of the last process of each worker and of those that were killed.
    paces: RefCell<Vec<(Host, Arc<Pace>)>>,
    pub dialled: Arc<AtomicU64>,
    /// The report that the client was shown.
    pub report: RefCell<Option<String>>,
}

type Ended = ::turmoil::Result;

impl Cast {
    pub fn new(state: &Path, clocks: [fn() -> Millis; 2], seed: u64, usual_ms: u64) -> Rc<Self> {
        Rc::new(Self {
            state: state.to_owned(),
            clocks,
            seed,
            usual_ms,
            now: Cell::default(),
            stops: RefCell::default(),
            paces: RefCell::default(),
            dialled: Arc::default(),
            report: RefCell::default(),
        })
    }

    /// A process begins on a host.
    fn begins(&self, host: Host) -> watch::Receiver<bool> {
        let (stop, stopped) = watch::channel(false);
        let mut stops = self.stops.borrow_mut();
        stops.retain(|(of, _)| *of != host);
        stops.push((host, stop));
        stopped
    }

    /// Tells a host to leave; false if it was told before, or has not begun.
    pub fn leave(&self, host: Host) -> bool {
        let stops = self.stops.borrow();
        stops.iter().any(|(of, stop)| *of == host && !stop.send_replace(true))
    }

    /// Those of all processes that a worker had.
    pub fn paces(&self) -> Vec<(Host, Arc<Pace>)> {
        self.paces.borrow().clone()
    }

    /// Processes of workers that there were.
    pub fn hired(&self) -> u64 {
        self.paces.borrow().len() as u64
    }
}

/// A coordinator, as `batteuse coordinator` puts it together.
pub async fn coordinate(cast: Rc<Cast>, which: usize) -> Ended {
    let host = Host::Coordinator(which);
    let stop = cast.begins(host);
    let (state, stores, clock) = (kept_in(&cast.state), Arc::new(Stores::new([])), cast.clocks[which]);
    let (claimed_as, writer) = (cast.state.display().to_string(), uuid::Uuid::new_v4());
    let timing = Timing::with_ttl(TTL_MS);
    let components = Components { state: state.clone(), stores: stores.clone(), clock, writer, timing, probe: None };
    let (driver, handle) = Driver::new(components);
    let (leading, serving) = Leading::new(state.clone(), clock, &writer.to_string(), &host.url(), timing.lease_ttl_ms);
    let room = Room::new(Load { runs: OPEN_RUNS_MAX, spec_bytes: OPEN_SPECS_BYTES_MAX });
    let ground = Ground { claimed_as, state, stores, clock, writer };
    let router = rpc::router(handle, room, ground, serving).await?;
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    tokio::select! {
        ended = driver::lead(driver, leading, stop) => match ended {
            Ok(()) | Err(LeadError::Replaced | LeadError::Driver(DriverError::Superseded { .. })) => Ok(()),
            Err(error) => Err(error.into()),
        },
        served = router.serve_with_incoming(net::incoming(listener)) => Err(format!("the server has ended: {served:?}").into()),
    }
}

/// A worker, as `batteuse worker` puts it together.
pub async fn work(cast: Rc<Cast>, which: usize) -> Ended {
    let host = Host::Worker(which);
    let (stop, stores) = (cast.begins(host), Arc::new(Stores::new([])));
    let number = cast.hired();
    let chance = Chance(cast.seed.wrapping_mul(1_000).wrapping_add(number));
    let pace = Arc::new(Pace::new(chance, cast.usual_ms, cast.now.get(), &stores));
    cast.paces.borrow_mut().push((host, pace.clone()));
    let settings = Settings {
        worker: WorkerId::new(&format!("{host}-{number}"))?,
        slots: 1,
        of_process: Arc::new(Slots::new(1)),
        stores,
        slot_bytes: None,
        launch: Launch { program: BINARY.into(), args: vec!["attempt".into()] },
        chaos: Some(pace),
        grace_ms: GRACE_MS,
        drain_ms: DRAIN_MS,
    };
    agent::run(net::dial(cast.dialled.clone()), settings, stop).await.map_err(Into::into)
}

/// A client, which submits a job until it is told that the run is durable, and then watches it until it has seen its report.
pub async fn submit(cast: Rc<Cast>, job: Job) -> Ended {
    let request = SubmitRequest::from(Submission { job, client_request_id: "turmoil".to_owned() });
    let mut turn = (0..).map(|n| Host::Coordinator(n % 2));
    let mut next = || turn.next().expect("without end");
    let run = loop {
        match accepted(next(), &request).await? {
            Some(run) => break run,
            None => tokio::time::sleep(Duration::from_millis(ASK_AGAIN_MS)).await,
        }
    };
    let report = loop {
        match watched(next(), &run).await? {
            Some(report) => break report,
            None => tokio::time::sleep(Duration::from_millis(ASK_AGAIN_MS)).await,
        }
    };
    cast.report.replace(Some(report));
    Ok(())
}

/// An answer that may be another one later; no answer at all is such a one.
fn passing(status: Status) -> Result<(), Status> {
    let lasting = [Code::FailedPrecondition, Code::InvalidArgument, Code::NotFound, Code::ResourceExhausted];
    if lasting.contains(&status.code()) { Err(status) } else { Ok(()) }
}

async fn accepted(by: Host, request: &SubmitRequest) -> Result<Option<RunId>, Box<dyn std::error::Error>> {
    let Ok(channel) = net::connect(by).await else { return Ok(None) };
    match ControlServiceClient::new(channel).submit(request.clone()).await {
        Ok(reply) => Ok(Some(RunId::try_from(reply.into_inner())?)),
        Err(status) => Ok(passing(status).map(|()| None)?),
    }
}

/// The report of a run that was told to be durable: who leads knows it.
async fn watched(by: Host, run: &RunId) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let Ok(channel) = net::connect(by).await else { return Ok(None) };
    let mut seen = match ControlServiceClient::new(channel).watch(StatusRequest::from(run.clone())).await {
        Ok(seen) => seen.into_inner(),
        Err(status) => return Ok(passing(status).map(|()| None)?),
    };
    loop {
        match seen.message().await {
            Ok(Some(wire)) => {
                if let Some(report) = RunStatus::try_from(wire)?.report_json {
                    return Ok(Some(report));
                }
            }
            Ok(None) => return Ok(None),
            Err(status) => return Ok(passing(status).map(|()| None)?),
        }
    }
}

impl Cast {
    /// Connections of workers beyond the first of each.
    pub fn reconnections(&self) -> u64 {
        self.dialled.load(Ordering::Relaxed).saturating_sub(self.hired())
    }
}
