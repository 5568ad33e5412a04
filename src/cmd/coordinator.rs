//! `batteuse coordinator`: serves workers and operators, and goes on with every run of its state folder.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use batteuse_coordinator::admit::Ground;
use batteuse_coordinator::driver::{self, Driver, Leading};
use batteuse_coordinator::journal::State;
use batteuse_coordinator::room::Room;
use batteuse_coordinator::rpc;
use batteuse_coordinator::scheduler::Timing;
use batteuse_shared::location;
use batteuse_store::probe::Found;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tracing::info;

use crate::chaos::Chaos;
use crate::chaos::state::BefallenState;
use crate::cli::CoordinatorArgs;
use crate::cmd::{embedded, output};
use crate::components;
use crate::exit::{Code, Stop};

/// Serves until it is told to stop.
pub fn coordinator(args: &CoordinatorArgs) -> Result<Code, Stop> {
    allowed(args.listen, args.insecure)?;
    let stores = components::stores();
    let (claimed_as, state) = output::state_given("--state", &args.state, &stores)?;
    components::logs("info");
    match state.probe() {
        Found::Holds | Found::Note(_) => {}
        Found::Fails(why) => {
            let unfit = anyhow!("not fit for journals: {why}; `batteuse doctor` tells all");
            return Err(output::refused("--state", &args.state, unfit));
        }
        Found::Untried(why) => {
            return Err(Stop::unreachable(anyhow!("--state {} cannot be tried: {why}", location::shown(&claimed_as))));
        }
    }
    let state = befallen(state, args.chaos.as_ref())?;
    let ground = Ground { claimed_as, state, stores, clock: components::now, writer: components::writer() };
    let runtime = components::runtime()?;
    let ended = runtime.block_on(serve(args, ground));
    // Publishing may be at work: its successor redoes it, so nobody waits for it.
    runtime.shutdown_background();
    ended
}

/// The state store with what is to befall its coordinator.
fn befallen(state: State, chaos: Option<&Chaos>) -> Result<State, Stop> {
    let Some(chaos) = chaos else { return Ok(state) };
    if chaos.of_bytes().is_some() {
        return Err(Stop::refused(anyhow!("--chaos: poison is for workers, a coordinator reads no source")));
    }
    Ok(Arc::new(BefallenState { state, chaos: Arc::new(chaos.clone()) }))
}

/// Beyond this machine everything would be open to everybody.
fn allowed(listen: SocketAddr, insecure: bool) -> Result<(), Stop> {
    if listen.ip().is_loopback() || insecure {
        return Ok(());
    }
    Err(Stop::refused(anyhow!(
        "--listen {listen} is reachable from other machines, and nothing is encrypted or authenticated: listen on 127.0.0.1, \
         or say --insecure if the network is trusted"
    )))
}

async fn serve(args: &CoordinatorArgs, ground: Ground) -> Result<Code, Stop> {
    let listen = args.listen;
    let stop = components::stop_signal()?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("--listen {listen}: is another coordinator running?"))
        .map_err(Stop::unreachable)?;
    let address = listener.local_addr().context("the listening address").map_err(Stop::unreachable)?;
    let url = args.advertise.clone().unwrap_or_else(|| format!("http://{address}"));
    let timing = Timing { speculates: !args.no_speculation, ..Timing::with_ttl(args.lease_ttl * 1_000) };
    let (driver, handle) = Driver::new(embedded::components(&ground, timing));
    let (leading, serving) =
        Leading::new(ground.state.clone(), ground.clock, &ground.writer.to_string(), &url, timing.lease_ttl_ms);
    let room = Room::new(embedded::room(args.open_runs));
    let router =
        rpc::router(handle, room, ground.clone(), serving).await.context("the protocol").map_err(Stop::unreachable)?;
    info!(%address, state = ground.claimed_as, "the coordinator listens");
    println!("listening on http://{address}");
    tokio::select! {
        ended = driver::lead(driver, leading, stop) => ended.map(|()| Code::Ok).map_err(Stop::unreachable),
        served = router.serve_with_incoming(TcpListenerStream::new(listener)) => {
            Err(Stop::unreachable(served.err().map_or_else(|| anyhow!("the server has ended"), Into::into)))
        }
    }
}
