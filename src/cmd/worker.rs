//! `batteuse worker`: works for a coordinator until it is told to stop.

use std::sync::Arc;

use batteuse_worker::agent::{self, AgentError, Settings};
use batteuse_worker::attempt::Chaos;
use batteuse_worker::slots::Slots;

use crate::cli::WorkerArgs;
use crate::components;
use crate::exit::{Code, Stop};
use crate::memory::Budget;

/// How long a worker that was given its grace then waits for the coordinator to take its leases back. Milliseconds.
const DRAIN_MS: u64 = 3_000;

/// Works.
pub fn worker(args: &WorkerArgs) -> Result<Code, Stop> {
    components::logs("info");
    let dial = components::dial_tcp(&args.coordinator)?;
    let Budget { slots, slot_bytes } = Budget::of_process(args.slots.unwrap_or_else(components::cores), args.memory);
    let (worker, stores) = (components::worker_id(), components::stores());
    let of_process = Arc::new(Slots::new(slots as usize));
    let grace_ms = u64::from(args.grace).saturating_mul(1_000).saturating_sub(DRAIN_MS);
    let (launch, drain_ms) = (components::launch(slot_bytes, args.chaos.as_ref()), DRAIN_MS);
    let chaos = args.chaos.clone().map(|chaos| -> Arc<dyn Chaos> { Arc::new(chaos) });
    let settings = Settings { worker, slots, of_process, stores, slot_bytes, launch, chaos, grace_ms, drain_ms };
    components::runtime()?.block_on(async {
        let stop = components::stop_signal()?;
        match agent::run(dial, settings, stop).await {
            Ok(()) => Ok(Code::Ok),
            Err(error @ AgentError::Refused { .. }) => Err(Stop::refused(error)),
            Err(error) => Err(Stop::unreachable(error)),
        }
    })
}
