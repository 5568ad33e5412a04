//! A small file: what a run costs before its first byte.

use super::figures::{Figures, Wanted, verdict};
use super::source::Source;

const BYTES: &str = "1MB";
/// Runs that are timed: short ones are disturbed most.
const RUNS: usize = 15;

pub fn section(large: &Source) {
    let small = Source::generate(&large.shape, BYTES, large.folder());
    let mut seconds = Figures::default();
    small.convert(&small.output("small"), None);
    for _ in 0..RUNS {
        seconds.push(small.convert(&small.output("small"), None).0.seconds);
    }
    small.output("small");
    let line = format!("{}: {} s for a file of {BYTES}, whole processes", small.shape, seconds.told());
    verdict(&line, seconds.median(), Wanted::AtMost(0.3));
}
