//! The simulation: coordinators, workers, store and network in one thread, virtual time, everything from one seed.
//!
//! The machines are those of production: scheduler, journal, leadership, publishing, a worker's session. What is simulated is what lies
//! between them: clocks, streams, a store that loses replies, processes that are killed, stopped and asked to leave, attempts that take
//! their time. A seed that fails names its replay, `BATTEUSE_SEED=N make simulate`; with `BATTEUSE_TRACE=FILE` its whole trace is written.

mod coordinator;
mod crew;
mod faults;
mod jobs;
mod leading;
mod source;
mod store;
mod wire;
mod working;
mod world;

use std::collections::BTreeMap;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use batteuse_shared::mutants::{self, Mutant, plant};

use self::faults::ALL;
pub use self::faults::Fault;
use self::world::{Told, World};

/// Lines of a trace that are shown of a seed that fails.
const TRACE_LINES: usize = 80;

/// Seeds of each change.
pub const SEEDS: u64 = 20_000;

/// In so many of them every fault comes.
const MANY: u64 = 2_000;

fn told(seed: u64, traced: bool) -> Told {
    let mut world = World::new(seed, traced);
    match catch_unwind(AssertUnwindSafe(|| world.live())) {
        Ok(told) => told,
        // A `debug_assert!` of production is one of the ways to find a violation.
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
            world.told(vec![format!("panic: {}", words.unwrap_or_default().replace('\n', " "))])
        }
    }
}

#[track_caller]
fn must_hold(seed: u64) -> Told {
    let told = told(seed, false);
    if !told.violations.is_empty() {
        let trace = self::told(seed, true).trace.unwrap_or_default();
        if let Ok(path) = std::env::var("BATTEUSE_TRACE") {
            std::fs::write(path, &trace).unwrap();
        }
        let lines: Vec<&str> = trace.lines().collect();
        let shown = lines[lines.len().saturating_sub(TRACE_LINES)..].join("\n");
        panic!("seed {seed}: {:#?}\n{shown}\nreplay it: BATTEUSE_SEED={seed} make simulate", told.violations);
    }
    told
}

/// What the environment says of a number.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Simulates these seeds on all cores, and tells how many events there were and which faults came.
pub fn simulate(seeds: Range<u64>) -> (u64, BTreeMap<Fault, u64>) {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let (mut events, mut came): (u64, BTreeMap<Fault, u64>) = (0, BTreeMap::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return (events, came);
            }
            let told = must_hold(seed);
            events += told.events;
            told.came.into_iter().for_each(|(fault, times)| *came.entry(fault).or_default() += times);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        // A thread that panics has found a violation: the others need not go on.
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    parts.into_iter().fold((0, BTreeMap::new()), |(events, mut came), (more, faults)| {
        faults.into_iter().for_each(|(fault, times)| *came.entry(fault).or_default() += times);
        (events + more, came)
    })
}

#[test]
fn seeds() {
    let seeds = match asked("BATTEUSE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..asked("BATTEUSE_SEEDS").unwrap_or(SEEDS),
    };
    let many = seeds.end - seeds.start >= MANY;
    let shown = seeds.clone();
    let (events, came) = simulate(seeds);
    println!("seeds {shown:?}: 0 violations, {events} events, faults: {came:?}");
    for fault in ALL {
        assert!(!many || came.contains_key(&fault), "{fault:?} never came");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..40 {
        let (a, b) = (told(seed, true), told(seed, true));
        assert_eq!(a.trace, b.trace, "seed {seed}");
    }
}

/// Seeds within which each planted bug must be found.
const SEEDS_PER_MUTANT: u64 = 2_000;

/// The first seed that finds a planted bug, and how.
pub fn found(mutant: Mutant) -> Option<(u64, String)> {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    plant(Some(mutant));
    let find = |seed| told(seed, false).violations.first().map(|violation| (seed, violation.clone()));
    let found = (0..SEEDS_PER_MUTANT).find_map(find);
    plant(None);
    std::panic::set_hook(before);
    found
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for mutant in mutants::ALL {
        match found(mutant) {
            Some((seed, how)) => println!("{:<22} seed {seed:>6}  {:.120}", format!("{mutant:?}"), how),
            None => missed.push(mutant),
        }
    }
    assert_eq!(missed, [], "not found within {SEEDS_PER_MUTANT} seeds");
}
