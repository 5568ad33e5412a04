//! Chaos: real processes that are killed, stopped, told to leave, cut off and starved while runs go on; each run must come to what an
//! undisturbed one comes to.
//!
//! Invariant: every fault is counted and must have come; a wait is for a condition, and a round that no fault has hit does not count.
//! `table` prints what is measured here beside what is wanted: `make chaos`, and with many more rounds `make chaos-long`.

mod disks;
mod farm;
mod log;
mod losses;
mod namespaces;
mod networks;
mod redone;
mod rounds;
mod table;
mod zombies;

use std::ops::Range;

/// Chaos that lets attempts take so long that a worker which is cut off has one under way, however fast the machine is.
const SLOW: &str = "delay=1:60";

/// What the environment says of a number.
fn asked(name: &str) -> Option<u64> {
    let told = std::env::var(name).ok().filter(|text| !text.is_empty());
    told.map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The rounds that a test plays: as many as each change needs, or those that are asked for.
fn seeds(by_default: u64) -> Range<u64> {
    let first = asked("BATTEUSE_SEED").unwrap_or(0);
    first..first + asked("BATTEUSE_ROUNDS").unwrap_or(by_default)
}

/// Tells how a round is played again, if the test fails while this lives.
struct Replay {
    test: &'static str,
    seed: u64,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { test, seed } = self;
            println!(
                "play it again: BATTEUSE_SEED={seed} BATTEUSE_ROUNDS=1 cargo test --test batteuse -- --nocapture {test}"
            );
        }
    }
}
