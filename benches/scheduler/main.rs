//! The scheduler alone, in one thread: how many decisions it takes a second, and what it keeps of a partition.
//!
//! The cluster around it is made up, in virtual time: 1,000 workers, every second one with two slots, that report a run of 54 columns as
//! real ones do, a few of them under a wrong guess; nothing else is between. What came of the run is asserted partition by partition before
//! a figure is printed. A decision is an event that a coordinator must act on: a report with its facts and the lease that follows is one.
//! Heartbeats and ticks are none, but their time is counted against the decisions, and so is that of planning and of the end. What the
//! scheduler returned is dropped outside of it. Memory is what the allocator was asked for; at least 20,000 decisions a second and less
//! than 1 KiB a partition are wanted. `BATTEUSE_BENCH_PARTITIONS` asks for other numbers of partitions, with commas between them.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark: it reads clocks and stops at the first failure"
)]

mod cluster;
mod run;

use peak_alloc::PeakAlloc;

use self::cluster::{Cluster, Told, WORKERS};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Partitions of the runs that are timed, unless `BATTEUSE_BENCH_PARTITIONS` says otherwise.
const PARTITIONS: &str = "10000,50000,100000";
/// Rounds of each; the one in the middle counts.
const ROUNDS: usize = 3;
/// What is wanted.
const DECISIONS_PER_S_MIN: f64 = 20_000.0;
const PARTITION_BYTES_MAX: f64 = 1_024.0;

fn main() {
    let asked = std::env::var("BATTEUSE_BENCH_PARTITIONS").unwrap_or_else(|_| PARTITIONS.to_owned());
    let sizes: Vec<u64> = asked.split(',').map(|number| number.parse().expect("a number of partitions")).collect();
    if cfg!(debug_assertions) {
        println!("with debug assertions: these figures say nothing");
    }
    println!("{WORKERS} workers; decisions a second are min / median / max of {ROUNDS} rounds");
    let mut ok = true;
    for partitions in &sizes {
        ok &= line(*partitions, false);
    }
    ok &= line(sizes[sizes.len() - 1], true);
    assert!(ok, "something is missed");
}

/// Measures runs of so many partitions, of which the first comes last or not, and prints their line; tells whether it is as wanted.
fn line(partitions: u64, first_last: bool) -> bool {
    let mut rounds: Vec<Told> = (0..ROUNDS).map(|_| Cluster::new(partitions, first_last).play()).collect();
    rounds.sort_by(|a, b| a.decisions_per_s().total_cmp(&b.decisions_per_s()));
    let [least, middle, most] = [&rounds[0], &rounds[ROUNDS / 2], &rounds[ROUNDS - 1]];
    let bytes = middle.kept_bytes as f64 / partitions as f64;
    let ok = middle.decisions_per_s() >= DECISIONS_PER_S_MIN && bytes < PARTITION_BYTES_MAX;
    println!(
        "{:<6} | {partitions:>7} partitions{} | {:.0} / {:.0} / {:.0} decisions/s | {bytes:.0} B a partition, {:.0} at the end",
        if ok { "ok" } else { "MISSED" },
        if first_last { ", the first one last" } else { "" },
        least.decisions_per_s(),
        middle.decisions_per_s(),
        most.decisions_per_s(),
        middle.peak_bytes as f64 / partitions as f64,
    );
    println!("       | {middle}");
    ok
}
