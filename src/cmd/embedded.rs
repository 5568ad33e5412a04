//! An embedded run: coordinator and workers in this process, talking over the very protocol of a cluster.
#![expect(clippy::disallowed_methods, reason = "a shell: it starts the tasks of one run")]

use std::sync::Arc;

use anyhow::{Context, anyhow};
use batteuse_coordinator::admit::Ground;
use batteuse_coordinator::driver::{Components, Driver, DriverError, Handle, Serving, Until};
use batteuse_coordinator::journal::{Position, StateFolder};
use batteuse_coordinator::publish;
use batteuse_coordinator::room::{Load, Room};
use batteuse_coordinator::rpc;
use batteuse_coordinator::scheduler::{Accepted, Remains, Run, Timing};
use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_shared::limits::{LEASE_TTL_EMBEDDED_MS, OPEN_RUNS_MAX, OPEN_SPECS_BYTES_MAX};
use batteuse_store::Stores;
use batteuse_worker::agent::{self, AgentError, Dial, Settings};
use batteuse_worker::slots::Slots;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use crate::cli::OutputForm;
use crate::cmd::output::OutputDir;
use crate::components;
use crate::exit::{self, Code, Stop};
use crate::memory::Budget;
use crate::render;

/// How long workers may take to leave once the run has ended. Milliseconds.
const DRAIN_MS: u64 = 2_000;

/// The run to carry on.
pub enum Start {
    /// Just admitted.
    New(Box<Accepted>),
    /// Rebuilt from its journal.
    Replayed(Box<Run>, Position),
    /// The same, and it failed: it goes on. With what its ending left.
    Redriven(Box<Run>, Position, Remains),
}

impl Start {
    fn run(&self) -> &RunId {
        match self {
            Self::New(accepted) => &accepted.run,
            Self::Replayed(run, _) | Self::Redriven(run, ..) => run.id(),
        }
    }
}

/// The ground of embedded runs into `dir`: the state lies in the output folder itself.
pub fn ground(dir: &OutputDir) -> Ground {
    let state = Arc::new(StateFolder::new(dir.folder.clone(), layout::EMBEDDED_STATE));
    let claimed_as = layout::EMBEDDED_STATE.to_owned();
    let (stores, writer) = (dir.stores.clone(), components::writer());
    Ground { claimed_as, state, stores, clock: components::now, writer }
}

/// What the driver of such a run is given.
pub fn components(ground: &Ground, timing: Timing) -> Components {
    let (state, stores) = (ground.state.clone(), ground.stores.clone());
    Components { state, stores, clock: ground.clock, writer: ground.writer, timing, probe: None }
}

/// Room for so many open runs.
pub fn room(runs: u64) -> Load {
    Load { runs, spec_bytes: OPEN_SPECS_BYTES_MAX }
}

/// Carries a run to its end with so many workers, which share so much memory if that is given, and prints its report.
pub fn execute(
    start: Start,
    dir: &OutputDir,
    (workers, memory): (u32, Option<u64>),
    form: OutputForm,
) -> Result<Code, Stop> {
    components::logs("warn");
    let budget = Budget::of_process(workers, memory);
    components::runtime()?.block_on(carry(start, dir, budget, form))
}

async fn carry(start: Start, dir: &OutputDir, budget: Budget, form: OutputForm) -> Result<Code, Stop> {
    let stop = components::stop_signal()?;
    let ground = ground(dir);
    // Threads of one process: one that is late has no faster one beside it.
    let timing = Timing { speculates: false, ..Timing::with_ttl(LEASE_TTL_EMBEDDED_MS) };
    let (mut driver, handle) = Driver::new(components(&ground, timing));
    let run = start.run().clone();
    let new = matches!(start, Start::New(_));
    let begun = match start {
        Start::New(accepted) => driver.accept(*accepted).await,
        Start::Replayed(run, position) => driver.adopt(*run, position).await,
        Start::Redriven(run, position, remains) => driver.redrive(*run, position, remains).await,
    };
    if new && matches!(begun, Err(DriverError::Superseded { .. })) {
        // Somebody else took the folder before this run began: what it prepared is of no use.
        let folder = dir.folder.clone();
        let _ = tokio::task::spawn_blocking(move || publish::sweep(&*folder, &run)).await;
        return Err(Stop::refused(anyhow!("{dir} was taken by another run just now: name another folder")));
    }
    begun.map_err(stopped)?;
    let (finish, finished) = watch::channel(false);
    let (dial, accepted) = components::dial_inside();
    let (_serving, served) = watch::channel(Serving::Leads);
    let router = rpc::router(handle.clone(), Room::new(room(OPEN_RUNS_MAX)), ground, served)
        .await
        .context("the protocol")
        .map_err(Stop::unreachable)?;
    let server = tokio::spawn(router.serve_with_incoming(ReceiverStream::new(accepted)));
    let mut agents = hire(budget, &dir.stores, &dial, &finished);
    let progress = tokio::spawn(render::progress(handle.clone(), run.clone()));
    let ended = tokio::select! {
        ended = driver.run(Until::NoOpenRun, stop) => ended.map_err(stopped),
        refused = first_refusal(&mut agents) => Err(Stop::unreachable(refused)),
    };
    finish.send_replace(true);
    progress.abort();
    let _ = progress.await;
    agents.shutdown().await;
    server.abort();
    ended?;
    conclude(&handle, &run, dir, form)
}

fn hire(
    budget: Budget,
    stores: &Arc<Stores>,
    dial: &Dial,
    finished: &watch::Receiver<bool>,
) -> JoinSet<Result<(), AgentError>> {
    let mut agents = JoinSet::new();
    let slots = Arc::new(Slots::new(budget.slots as usize));
    for _ in 0..budget.slots {
        let settings = Settings {
            worker: components::worker_id(),
            slots: 1,
            of_process: slots.clone(),
            stores: stores.clone(),
            slot_bytes: budget.slot_bytes,
            launch: components::launch(budget.slot_bytes, None),
            chaos: None,
            grace_ms: 0,
            drain_ms: DRAIN_MS,
        };
        agents.spawn(agent::run(dial.clone(), settings, finished.clone()));
    }
    agents
}

/// Waits for the first worker that cannot go on.
async fn first_refusal(agents: &mut JoinSet<Result<(), AgentError>>) -> anyhow::Error {
    match agents.join_next().await {
        Some(Ok(Err(error))) => error.into(),
        Some(Err(died)) => died.into(),
        Some(Ok(Ok(()))) | None => anyhow!("every worker of this run has left"),
    }
}

fn stopped(error: DriverError) -> Stop {
    Stop::unreachable(error)
}

/// The report of a run that has ended, or how to go on with one that has not.
fn conclude(handle: &Handle, run: &RunId, dir: &OutputDir, form: OutputForm) -> Result<Code, Stop> {
    let statuses = handle.statuses();
    let report = statuses.borrow().get(run).and_then(|s| s.report.clone());
    match report {
        Some(report) => {
            render::report(&report, dir, form);
            Ok(exit::of(&report))
        }
        None => {
            eprintln!("interrupted; go on with: batteuse resume --to {dir}");
            Ok(Code::Interrupted)
        }
    }
}
