//! Turmoil: the real stack of the network, tonic over simulated TCP, under faults drawn from a seed.
//!
//! Two coordinators on one state store, workers and a client are hosts of one simulated network in one thread. Driver, leadership, gRPC
//! services, agents, attempts, state store and output are the real ones; names, connections and time are simulated. What the seed
//! determines: which faults come, when and where, how long attempts take, how long messages travel. What it does not: writers' ids, the
//! jitter of heartbeats and waits, and which of several ready tasks tokio takes first; so a seed that is played again meets the same
//! faults, while messages may come in another order. No outcome depends on that: what a run comes to is the undisturbed one's.

mod cast;
mod faults;
mod net;
mod pace;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use self::faults::{ALL, Fault};
use self::world::{LANES, World};
use crate::recovery::Ground;

/// Seeds of each change.
pub const SEEDS: u64 = 200;
const ROWS: usize = 420;
/// Into how many partitions a seed's source is cut.
const PARTITIONS: [u64; 3] = [4, 9, 16];

/// What came of seeds.
#[derive(Debug, Default)]
pub struct Tally {
    pub seeds: u64,
    pub faults: BTreeMap<Fault, u64>,
    /// Connections of workers, beyond the first of each that was hired.
    pub reconnections: u64,
    /// Epochs beyond the first of a run: it was taken over.
    pub taken_over: u64,
    /// Attempts that were lost with their worker or its stream.
    pub lost: u64,
    /// Simulated time. Milliseconds.
    pub simulated_ms: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        let Self { seeds, faults, reconnections, taken_over, lost, simulated_ms } = other;
        faults.into_iter().for_each(|(fault, times)| *self.faults.entry(fault).or_default() += times);
        self.seeds += seeds;
        self.reconnections += reconnections;
        self.taken_over += taken_over;
        self.lost += lost;
        self.simulated_ms += simulated_ms;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, faults, reconnections, taken_over, lost, simulated_ms } = self;
        write!(
            f,
            "{seeds} seeds, {} s simulated, {reconnections} reconnections, {taken_over} runs taken over, {lost} attempts lost; faults: {faults:?}",
            simulated_ms / 1_000
        )
    }
}

/// Plays these seeds on all cores.
pub fn play(seeds: Range<u64>) -> Tally {
    // The clocks of a lane are one simulation's.
    static LANES_TAKEN: Mutex<()> = Mutex::new(());
    let _taken = LANES_TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let grounds = PARTITIONS.map(|partitions| Ground::of(ROWS, partitions));
    let next = AtomicU64::new(seeds.start);
    let work = |lane| {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return tally;
            }
            tally.add(World::new(seed, &grounds[seed as usize % grounds.len()], lane).live());
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(LANES);
    let tallies: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|lane| scope.spawn(move || work(lane))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let mut all = Tally::default();
    tallies.into_iter().for_each(|tally| all.add(tally));
    all
}

/// What the environment says of a number.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn seeds() {
    let seeds = match asked("BATTEUSE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..asked("BATTEUSE_SEEDS").unwrap_or(SEEDS),
    };
    let many = seeds.end - seeds.start >= SEEDS;
    let tally = play(seeds);
    println!("{tally}");
    for fault in ALL {
        assert!(!many || tally.faults.contains_key(&fault), "{fault:?} never came");
    }
    let Tally { reconnections, taken_over, lost, .. } = tally;
    assert!(
        !many || [reconnections, taken_over, lost].iter().all(|times| *times > 0),
        "the faults hit nothing: {tally}"
    );
}
